package natsd

import (
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestClientsDoNotFillTheLog: what a client makes its door stumble over, as often as it likes, is no warning.
func TestClientsDoNotFillTheLog(t *testing.T) {
	var mu sync.Mutex
	var lines []string
	log := slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, string(p))
		return len(p), nil
	}), &slog.HandlerOptions{Level: slog.LevelDebug}))
	b := startGuardedLogging(t, listening(t.TempDir()), log)
	log.Info("the clients begin")
	said := func(what string) (warned []string, found bool) {
		mu.Lock()
		defer mu.Unlock()
		begun := false
		for _, l := range lines {
			begun = begun || strings.Contains(l, "the clients begin")
			found = found || strings.Contains(l, what)
			if begun && (strings.Contains(l, "level=WARN") || strings.Contains(l, "level=ERROR")) {
				warned = append(warned, l)
			}
		}
		return warned, found
	}
	nc := login(t, b, testRoot)
	if err := nc.PublishRequest("$SRV.PING", "$JS.API.INFO", nil); err != nil {
		t.Fatal(err)
	}
	raw, err := net.DialTimeout("tcp", strings.TrimPrefix(b.st.URL(), "nats://"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	const head = "HTTP/1.0\r\na: b\r\n\r\n"
	if _, err := fmt.Fprintf(raw, "CONNECT {\"auth_token\":%q,\"headers\":true}\r\nHPUB s2.v1.basin.list in %d %d\r\n%s\r\n", testRoot, len(head), len(head), head); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"could not decode headers", `Publish to \"$JS.API.INFO`} {
		until(t, what, func() bool { _, found := said(what); return found })
	}
	if warned, _ := said(""); len(warned) > 0 {
		t.Errorf("warnings that a client caused: %q", warned)
	}
	// What connections that are refused have sent, and the user's name, is in no line at all.
	for _, sent := range []string{"CONNECT {\"user\":\"marker-user\",\"pass\":\"marker-password\"}\r\nPING\r\n", "marker-garbage marker\r\n",
		"CONNECT {marker-json\r\n", "PUB marker-subject marker-size\r\n"} {
		before := count(&mu, &lines, "nats connection failed")
		bad, err := net.DialTimeout("tcp", strings.TrimPrefix(b.st.URL(), "nats://"), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		defer bad.Close()
		if _, err := fmt.Fprint(bad, sent); err != nil {
			t.Fatal(err)
		}
		until(t, sent, func() bool { return count(&mu, &lines, "nats connection failed") > before })
	}
	if count(&mu, &lines, "marker") > 0 {
		t.Errorf("lines with what a client has sent: %q", lines)
	}
}

// count is how many lines hold a text.
func count(mu *sync.Mutex, lines *[]string, text string) (n int) {
	mu.Lock()
	defer mu.Unlock()
	for _, l := range *lines {
		if strings.Contains(l, text) {
			n++
		}
	}
	return n
}

// The subscriptions of another node's token clients are no errors; those in an account that this node lacks are.
func TestSubscriptionsOfOthersTokens(t *testing.T) {
	var lines []string
	log := newNATSLogger(slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		lines = append(lines, string(p))
		return len(p), nil
	}), &slog.HandlerOptions{Level: slog.LevelInfo})))
	const format = "10.0.0.1:6222 - rid:21 - Unknown account %q for remote subject %q"
	log.Errorf(format, tokenAccountPrefix+"ABC-1", []byte("_INBOX.x.*"))
	if len(lines) > 0 {
		t.Errorf("logged %q", lines)
	}
	if log.Errorf(format, "ORDERS", []byte("orders.>")); len(lines) != 1 || !strings.Contains(lines[0], "level=ERROR") {
		t.Errorf("logged %q, want one error", lines)
	}
}
