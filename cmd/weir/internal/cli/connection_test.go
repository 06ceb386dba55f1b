package cli_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/cmd/weir/internal/cli"
	"github.com/weirstream/weir/cmd/weir/internal/natsconn"
	"github.com/weirstream/weir/protocol"
)

// TestConnectionFlags: flags go over the nats CLI's variables.
func TestConnectionFlags(t *testing.T) {
	tests := []struct {
		name    string
		environ []string
		args    []string
		want    cli.DialOptions
	}{
		{name: "nothing said", want: cli.DialOptions{SubjectPrefix: "s2"}},
		{
			name:    "environment",
			environ: []string{"NATS_URL=nats://e:1", "NATS_CREDS=/c", "NATS_TIMEOUT=1m", "NATS_CONTEXT=prod", "WEIR_SUBJECT_PREFIX=orders"},
			want: cli.DialOptions{SubjectPrefix: "orders",
				Options: natsconn.Options{Server: "nats://e:1", Creds: "/c", Context: "prod", Timeout: time.Minute}},
		},
		{
			name:    "flags over the environment",
			environ: []string{"NATS_URL=nats://e:1", "NATS_USER=u", "NATS_PASSWORD=p", "NATS_TIMEOUT=1m"},
			args:    []string{"--server", "nats://f:1", "--timeout", "2s", "--subject-prefix", "x", "--no-context", "--tlsfirst"},
			want: cli.DialOptions{SubjectPrefix: "x",
				Options: natsconn.Options{Server: "nats://f:1", User: "u", Password: "p", Timeout: 2 * time.Second, NoContext: true, TLSFirst: true}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, svc := &run{}, newFake()
			e := env(svc, r, "")
			e.Environ = tt.environ
			var got cli.DialOptions
			e.Dial = func(_ context.Context, o cli.DialOptions) (protocol.Service, func(), error) {
				got = o
				return svc, func() {}, nil
			}
			if code := cli.Main(context.Background(), e, append([]string{"ls"}, tt.args...)); code != 0 {
				t.Fatalf("exit %d, %s", code, r.stderr.String())
			}
			got.Notify = nil
			if tt.want.Timeout == 0 {
				tt.want.Timeout = natsconn.DefaultTimeout
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestBadTimeoutVariable(t *testing.T) {
	r := &run{}
	e := env(newFake(), r, "")
	e.Environ = []string{"NATS_TIMEOUT=soon"}
	if code := cli.Main(context.Background(), e, []string{"ls"}); code != 2 || !strings.Contains(r.stderr.String(), `NATS_TIMEOUT: "soon" is not a duration`) {
		t.Errorf("exit %d, %s", code, r.stderr.String())
	}
}

// TestHelpShowsNoSecrets: what the environment says is used, not shown.
func TestHelpShowsNoSecrets(t *testing.T) {
	r := &run{}
	e := env(newFake(), r, "")
	e.Environ = []string{"NATS_PASSWORD=hunter2", "NATS_URL=nats://u:hunter2@h", "NATS_TOKEN=hunter2", "WEIR_ACCESS_TOKEN=hunter2"}
	if code := cli.Main(context.Background(), e, []string{"ls", "--help"}); code != 0 || strings.Contains(r.stdout.String(), "hunter2") {
		t.Errorf("exit %d, %s", code, r.stdout.String())
	}
}

func TestExitCodes(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want int
		text string
	}{
		{"no connection", &natsconn.ConnectError{Server: "nats://h:1", Err: errors.New("refused")}, 3, "weir: cannot connect to NATS at nats://h:1: refused\nStart a broker with 'weir serve"},
		{"a certificate", &natsconn.ConnectError{Server: "tls://h:1", Err: fmt.Errorf("%w: x509", nats.ErrTLS)}, 3, "x509\nTLS did not come about: name the file of the authority that signed the server's certificate (--tlsca, $NATS_CA)"},
		{"nobody answers", protocol.Errorf(protocol.CodeUnavailable, "no broker answers"), 3, "weir: no broker answers (unavailable)\nStart a broker"},
		{"no token", protocol.Errorf(protocol.CodeAuthn, "who?"), 1, "weir: who? (authn)\nThe broker requires a valid access token (--access-token-file, $WEIR_ACCESS_TOKEN or $S2_ACCESS_TOKEN)"},
		{"condition", protocol.SeqNumMismatch(3), 4, "the next seq_num is 3"},
		{"unwritten", protocol.Unwritten(protocol.Position{}), 5, "not written yet"},
		{"other", fmt.Errorf("wrapped: %w", protocol.Errorf(protocol.CodeStorage, "disk")), 1, "weir: wrapped: disk (storage)\n"},
		{"unknown", errors.New("boom"), 1, "weir: boom\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &run{}
			e := env(nil, r, "")
			e.Dial = func(context.Context, cli.DialOptions) (protocol.Service, func(), error) { return nil, nil, tt.err }
			code := cli.Main(context.Background(), e, []string{"ls"})
			if code != tt.want || !strings.Contains(r.stderr.String(), tt.text) {
				t.Errorf("exit %d, want %d: %s", code, tt.want, r.stderr.String())
			}
		})
	}
}

// TestPaging: a listing of more than one page is complete, and --limit and --no-auto-paginate cut it.
func TestPaging(t *testing.T) {
	svc := newFake()
	weir(svc, "", "create-basin", "demo-basin")
	for i := range 2500 {
		_, _, err := svc.CreateStream(context.Background(), "demo-basin", protocol.CreateStreamRequest{Stream: protocol.StreamName(fmt.Sprintf("s%04d", i))})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		args []string
		want int
		last string
	}{
		{nil, 2500, "s2://demo-basin/s2499\n"},
		{[]string{"--limit", "1500"}, 1500, "s1499\n"},
		{[]string{"--no-auto-paginate"}, 1000, "s0999\n"},
		{[]string{"--no-auto-paginate", "--limit", "7"}, 7, "s0006\n"},
		{[]string{"--start-after", "s2000"}, 499, "s2499\n"},
	} {
		r := weir(svc, "", append([]string{"ls", "demo-basin"}, tt.args...)...)
		if n := strings.Count(r.stdout.String(), "\n"); n != tt.want || !strings.HasSuffix(r.stdout.String(), tt.last) {
			t.Errorf("%v: %d lines", tt.args, n)
		}
	}
}

// TestFiles: one record a file in, records appended to a file out.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) string {
		if err := os.WriteFile(path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path(name)
	}
	one, two, lines := write("one", "first\nfile\n"), write("two", "\xff\x00"), write("lines", "x\ny\n")
	large := write("large", strings.Repeat("x", protocol.MaxBatchBytes-7))

	svc := newFake()
	weir(svc, "", "create-basin", "demo-basin", "--create-stream-on-append")
	if r := weir(svc, "", "append", "s2://demo-basin/s", "--file", one, two, "--json"); r.code != 0 {
		t.Fatal(r.stderr.String())
	}
	if r := weir(svc, "", "append", "s2://demo-basin/s", "--input", lines); r.code != 0 {
		t.Fatal(r.stderr.String())
	}
	r := weir(svc, "", "append", "s2://demo-basin/s", "--file", one, "--file", large)
	if r.code != 2 || !strings.Contains(r.stderr.String(), "large: has 1048569 bytes or more, at most 1048568 fit into a record") {
		t.Errorf("exit %d, %s", r.code, r.stderr.String())
	}
	r = weir(svc, "", "append", "s2://demo-basin/s", "--file", dir)
	if r.code != 2 || !strings.Contains(r.stderr.String(), "is a directory") {
		t.Errorf("exit %d, %s", r.code, r.stderr.String())
	}
	once := "first\nfile\n\n\xff\x00\nx\ny\n"
	for _, step := range []struct {
		flags []string
		want  string
	}{{nil, once}, {nil, once}, {[]string{"--append"}, once + once}, {nil, once}} {
		r := weir(svc, "", append([]string{"read", "s2://demo-basin/s", "-s", "0", "-n", "10", "-o", path("out")}, step.flags...)...)
		if r.code != 0 || r.stdout.Len() > 0 {
			t.Fatal(r.stderr.String())
		}
		if got, err := os.ReadFile(path("out")); err != nil || string(got) != step.want {
			t.Errorf("%q: the file holds %q (%v), want %q", step.flags, got, err, step.want)
		}
	}
	if r := weir(svc, "", "read", "s2://demo-basin/s", "-s", "0", "--append"); r.code != 2 || !strings.Contains(r.stderr.String(), "--output") {
		t.Errorf("--append without a file: exit %d, %s", r.code, r.stderr.String())
	}
}

// TestManyLines: the lines of a large input become full batches, in order.
func TestManyLines(t *testing.T) {
	svc := newFake()
	weir(svc, "", "create-basin", "demo-basin", "--create-stream-on-append")
	var in strings.Builder
	for i := range 12345 {
		fmt.Fprintln(&in, i)
	}
	r := weir(svc, in.String(), "append", "s2://demo-basin/s", "-m", "0", "--linger", "1h")
	if r.code != 0 || len(svc.appends) != 13 || strings.Count(r.stderr.String(), "appended") != 13 {
		t.Errorf("exit %d, %d batches: %s", r.code, len(svc.appends), r.stderr.String())
	}
	r = weir(svc, "", "read", "s2://demo-basin/s", "-s", "0", "--until", "99999999999999")
	if r.stdout.String() != in.String() {
		t.Error("what was read is not what was appended")
	}
}

// TestAppendFailsInTheMiddle: the first failure is told, with how far it got.
func TestAppendFailsInTheMiddle(t *testing.T) {
	svc := newFake()
	weir(svc, "", "create-basin", "demo-basin", "--create-stream-on-append")
	svc.failAppend[2] = protocol.Errorf(protocol.CodeStorage, "the disk is full")
	r := weir(svc, strings.Repeat("x\n", 100_000), "append", "s2://demo-basin/s", "--linger", "1h")
	if r.code != 1 || !strings.HasSuffix(r.stderr.String(), "acknowledged before the failure: 2000\nweir: the disk is full (storage)\n") {
		t.Errorf("exit %d, %s", r.code, r.stderr.String())
	}
}
