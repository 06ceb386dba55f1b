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
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("sixteen-or-more-characters"), 0o600); err != nil {
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
		"cluster port in use": append(quiet, "--store-dir", store, "--cluster-name", "c", "--cluster-listen", ln.Addr().String(),
			"--cluster-peers", "10.0.0.1:6222,10.0.0.2:6222,"+ln.Addr().String(), "--cluster-secret-file", secret),
		"settings are wrong": append(quiet, "--store-dir", store, "--durability", "never"),
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

// TestDoctorLooksAtTheStore: what is in the files decides the exit code, and --deep is passed on.
func TestDoctorLooksAtTheStore(t *testing.T) {
	for _, c := range []struct {
		state cli.StoreState
		deep  bool
		code  int
		want  []string
	}{
		{cli.StoreState{}, false, 0, []string{"files      ok: no store yet"}},
		{cli.StoreState{Streams: 3, Bytes: 5 << 20, Mode: "single", Stopped: true}, true, 0, []string{"files      ok: 3 JetStream streams, 5 MiB, mode single\n"}},
		{cli.StoreState{Streams: 3, Mends: []string{"a log: mended"}}, false, 0, []string{"files      ok: a log: mended; the next start", "not stopped in order", "(--deep)"}},
		{cli.StoreState{Streams: 3, Lost: []string{"a hole"}}, true, 0, []string{"files      warning: lost: a hole; "}},
		{cli.StoreState{Refuses: []string{"a weir runs here"}}, false, 1, []string{"files      refuses the start: a weir runs here; "}},
	} {
		r := &run{}
		e := env(newFake(), r, "")
		e.InspectStore = func(dir, prefix string, deep bool) (cli.StoreState, error) {
			if dir == "" || prefix != "s2" || deep != c.deep {
				t.Errorf("asked for %q, %q, %v", dir, prefix, deep)
			}
			return c.state, nil
		}
		args := []string{"doctor", "--nats-listen", "none", "--http-listen", "none", "--store-dir", t.TempDir()}
		if c.deep {
			args = append(args, "--deep")
		}
		if code := cli.Main(context.Background(), e, args); code != c.code {
			t.Errorf("%+v: exit %d, %s", c.state, code, r.stderr.String())
		}
		for _, want := range append(c.want, "version    ok: weir ") {
			if !strings.Contains(r.stdout.String(), want) {
				t.Errorf("%q is not in\n%s", want, r.stdout.String())
			}
		}
	}
}
