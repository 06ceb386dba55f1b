package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBenchEveryWay: many streams, in sessions and without, over NATS and over HTTP, each record checked by the command; and a run
// beside one before.
func TestBenchEveryWay(t *testing.T) {
	home := t.TempDir()
	c := command(t, home, "", "serve", "--memory", "--nats-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--lame-duck", "0")
	greeting, _ := serve(t, c)
	url := addressIn(t, greeting, natsAddress)
	run := func(args ...string) string {
		t.Helper()
		out, err := command(t, home, url, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("weir %s: %v: %s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("create-basin", "demo-basin")
	overHTTP := []string{"--http", addressIn(t, greeting, httpAddress)}
	first := ""
	for _, way := range [][]string{nil, {"--unary"}, overHTTP, append(overHTTP, "--unary", "--batch-records", "10")} {
		text := run(append([]string{"bench", "demo-basin", "--duration", "200ms", "--target-mibps", "4", "--record-size", "1024", "--streams", "5", "--json"}, way...)...)
		var report struct {
			Streams    int
			Over, Mode string
			Append     struct{ Records uint64 }
			Live       struct{ Records uint64 } `json:"live_read"`
			Again      struct{ Records uint64 } `json:"catchup_read"`
		}
		if err := json.Unmarshal([]byte(text), &report); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if report.Streams != 5 || report.Append.Records == 0 || report.Live.Records != report.Append.Records || report.Again.Records != report.Append.Records {
			t.Errorf("%v: %+v", way, report)
		}
		if web := len(way) > 1 && way[0] == "--http"; web != (report.Over == "http") {
			t.Errorf("%v went over %s", way, report.Over)
		}
		if first == "" {
			first = filepath.Join(home, "before.json")
			if err := os.WriteFile(first, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	text := run("bench", "demo-basin", "--duration", "100ms", "--target-mibps", "4", "--record-size", "1024", "--streams", "2", "--compare", first)
	for _, want := range []string{"compared", "append records/s", "catch-up read MiB/s", "live read p99 ms", "the runs differ: streams 2, before 5; duration 0.1, before 0.2"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}
