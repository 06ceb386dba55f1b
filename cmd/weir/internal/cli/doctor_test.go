package cli_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstream/weir/cmd/weir/internal/cli"
)

// TestDoctor: it says what would refuse a start, each with advice, and leaves nothing behind.
func TestDoctor(t *testing.T) {
	ask := func(args ...string) *run {
		r := &run{}
		r.code = cli.Main(context.Background(), env(newFake(), r, ""), append([]string{"doctor"}, args...))
		return r
	}
	store := filepath.Join(t.TempDir(), "below", "store")
	quiet := []string{"--nats-listen", "none", "--http-listen", "none"}
	if r := ask(append(quiet, "--store-dir", store)...); r.code != 0 || !strings.Contains(r.stdout.String(), "4 KiB are on disk in") {
		t.Errorf("a good place: exit %d, %s%s", r.code, r.stdout.String(), r.stderr.String())
	}
	if left, err := os.ReadDir(filepath.Dir(filepath.Dir(store))); err != nil || len(left) != 0 {
		t.Errorf("it left %v, %v", left, err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for name, args := range map[string][]string{
		"store is not a directory": append(quiet, "--store-dir", file),
		"http port in use":         {"--store-dir", store, "--nats-listen", "none", "--http-listen", ln.Addr().String()},
		"settings are wrong":       append(quiet, "--store-dir", store, "--durability", "never"),
	} {
		r := ask(args...)
		if r.code != 1 || !strings.Contains(r.stdout.String(), "refuses the start: ") {
			t.Errorf("%s: exit %d, %s%s", name, r.code, r.stdout.String(), r.stderr.String())
		}
		for line := range strings.Lines(r.stdout.String()) {
			if strings.Contains(line, "refuses the start") && !strings.Contains(line, "; ") {
				t.Errorf("%s: no advice in %s", name, line)
			}
		}
	}
}
