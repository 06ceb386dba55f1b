package cli_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/cmd/weir/internal/cli"
	"github.com/weirstream/weir/cmd/weir/internal/natsconn"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// TestTokenFlags: A.25/471 to 475.
func TestTokenFlags(t *testing.T) {
	rw := func(read, write bool) protocol.ReadWrite { return protocol.ReadWrite{Read: read, Write: write} }
	groups := func(account, basin, stream protocol.ReadWrite) protocol.AccessTokenScope {
		return protocol.AccessTokenScope{Groups: protocol.OperationGroups{Account: account, Basin: basin, Stream: stream}}
	}
	none := rw(false, false)
	streams := func(kind protocol.ResourceSetKind, name string) protocol.AccessTokenScope {
		return protocol.AccessTokenScope{Streams: protocol.ResourceSet{Kind: kind, Name: name}, Ops: protocol.Operations(protocol.OpRead)}
	}
	for _, tt := range []struct {
		row  string
		args []string
		want protocol.AccessTokenScope
		bad  bool
	}{
		{row: "A.25/471", args: []string{"--op-group-perms", "account=r"}, want: groups(rw(true, false), none, none)},
		{row: "A.25/471", args: []string{"--op-group-perms", "account=w"}, want: groups(rw(false, true), none, none)},
		{row: "A.25/471", args: []string{"--op-group-perms", "account=rw"}, want: groups(rw(true, true), none, none)},
		{row: "A.25/471", args: []string{"--op-group-perms", "basin=r,stream=w"}, want: groups(none, rw(true, false), rw(false, true))},
		{row: "A.25/471", args: []string{"--op-group-perms=account=rw,basin=rw,stream=rw"}, want: groups(rw(true, true), rw(true, true), rw(true, true))},
		{row: "A.25/472", args: []string{"--op-group-perms", "invalid"}, bad: true},
		{row: "A.25/472", args: []string{"--op-group-perms", "unknown=rw"}, bad: true},
		{row: "A.25/472", args: []string{"--op-group-perms", "account="}, bad: true},
		{row: "A.25/472", args: []string{"--op-group-perms", "account=x"}, bad: true},
		{row: "A.25/472", args: []string{"--op-group-perms", ""}, bad: true},
		{row: "A.25/473", args: []string{"--ops=read", "--streams-prefix", ""}, want: streams(protocol.MatchPrefix, "")},
		{row: "A.25/474", args: []string{"--ops=read", "--streams-prefix", "=tenant/"}, want: streams(protocol.MatchPrefix, "=tenant/")},
		{row: "A.25/474", args: []string{"--ops=read", "--streams-prefix==tenant/"}, want: streams(protocol.MatchPrefix, "=tenant/")},
		{row: "A.25/474", args: []string{"--ops=read", "--streams-exact", "=stream"}, want: streams(protocol.MatchExact, "=stream")},
		{row: "A.25/475", args: []string{"--ops=read", "--streams-prefix", "a", "--streams-exact", "b"}, bad: true},
		{row: "A.25/475", args: []string{"--ops=read", "--streams-prefix", "", "--streams-exact", ""}, bad: true},
	} {
		t.Run(tt.row+" "+strings.Join(tt.args, " "), func(t *testing.T) {
			f := newFake()
			r := weir(f, "", append([]string{"issue-access-token", "t"}, tt.args...)...)
			if tt.bad {
				if r.code != 2 || len(f.tokens) > 0 {
					t.Errorf("exit %d, %v", r.code, f.tokens)
				}
				return
			}
			if got := f.tokens["t"].Scope; r.code != 0 || got != tt.want {
				t.Errorf("exit %d, %s\ngot  %+v\nwant %+v", r.code, r.stderr.String(), got, tt.want)
			}
		})
	}
}

func TestTokenLifetime(t *testing.T) {
	f := newFake()
	before := time.Now()
	if r := weir(f, "", "issue-access-token", "t", "--ops", "read", "--expires-in", "7d"); r.code != 0 {
		t.Fatal(r.stderr.String())
	}
	at := f.tokens["t"].ExpiresAt
	if at.Before(before.Add(7*24*time.Hour)) || at.After(time.Now().Add(7*24*time.Hour)) || at.Location() != time.UTC {
		t.Error(at)
	}
}

// TestEveryOperationHasTheSpellingOfS2sCLI: with underscores, and the metrics with get_ before them.
func TestEveryOperationHasTheSpellingOfS2sCLI(t *testing.T) {
	f := newFake()
	var names []string
	for op := range protocol.AllOperations.All() {
		name := strings.ReplaceAll(op.String(), "-", "_")
		if strings.HasSuffix(name, "_metrics") {
			name = "get_" + name
		}
		names = append(names, name)
		if !strings.Contains(strings.Join(strings.Fields(help(t, "issue-access-token")), " "), op.String()) {
			t.Errorf("the help does not name %s", op)
		}
	}
	if r := weir(f, "", "issue-access-token", "t", "--ops", strings.Join(names, ",")); r.code != 0 || f.tokens["t"].Scope.Ops != protocol.AllOperations {
		t.Error(r.stderr.String(), f.tokens)
	}
}

// TestAccessTokenOfTheCommand: where the verbs take their own token from, and that nothing shows it.
func TestAccessTokenOfTheCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	for path, text := range map[string]string{file: "from-a-file\n", file + ".bad": "hunter2 hunter2", file + ".none": "\n", file + ".huge": strings.Repeat("hunter2", 1000)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name      string
		environ   []string
		args      []string
		want, bad string
	}{
		{name: "nothing said"},
		{name: "S2's variable", environ: []string{"S2_ACCESS_TOKEN=s2"}, want: "s2"},
		{name: "ours goes over it", environ: []string{"S2_ACCESS_TOKEN=s2", "WEIR_ACCESS_TOKEN=weir"}, want: "weir"},
		{name: "a file by variable", environ: []string{"S2_ACCESS_TOKEN=s2", "WEIR_ACCESS_TOKEN_FILE=" + file}, want: "from-a-file"},
		{name: "a file by flag", environ: []string{"WEIR_ACCESS_TOKEN=weir"}, args: []string{"--access-token-file", file}, want: "from-a-file"},
		{name: "no such file", args: []string{"--access-token-file", file + ".no"}, bad: "--access-token-file: open "},
		{name: "a file with a space", args: []string{"--access-token-file", file + ".bad"}, bad: "--access-token-file: the access token holds a space"},
		{name: "an empty file", environ: []string{"WEIR_ACCESS_TOKEN_FILE=" + file + ".none"}, bad: "WEIR_ACCESS_TOKEN_FILE: the access token is empty"},
		{name: "a large file", args: []string{"--access-token-file", file + ".huge"}, bad: "has more than 1024 characters"},
		{name: "a line break in the variable", environ: []string{"WEIR_ACCESS_TOKEN=hunter2\n"}, bad: "WEIR_ACCESS_TOKEN: the access token holds"},
		{name: "no flag for the token", args: []string{"--access-token", "hunter2"}, bad: "unknown flag: --access-token"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, svc := &run{}, newFake()
			e := env(svc, r, "")
			e.Environ = tt.environ
			var got string
			e.Dial = func(_ context.Context, o cli.DialOptions) (protocol.Service, func(), error) {
				got = o.AccessToken
				return svc, func() {}, nil
			}
			code := cli.Main(context.Background(), e, append([]string{"ls"}, tt.args...))
			if text := r.stderr.String(); tt.bad != "" && (code != 2 || !strings.Contains(text, tt.bad)) || tt.bad == "" && code != 0 {
				t.Fatalf("exit %d, %s", code, text)
			}
			if got != tt.want {
				t.Errorf("got %q", got)
			}
			if strings.Contains(r.stderr.String()+r.stdout.String(), "hunter2") {
				t.Errorf("shows the token: %s", r.stderr.String())
			}
		})
	}
}

// TestUnauthorizedSaysWhatToDo: a NATS that does not let the command in is there, so the advice is another one.
func TestUnauthorizedSaysWhatToDo(t *testing.T) {
	r := &run{}
	e := env(nil, r, "")
	e.Dial = func(context.Context, cli.DialOptions) (protocol.Service, func(), error) {
		return nil, nil, &natsconn.ConnectError{Server: "nats://h:1", Err: nats.ErrAuthorization}
	}
	if code := cli.Main(context.Background(), e, []string{"ls"}); code != 3 || !strings.Contains(r.stderr.String(), "--access-token-file") ||
		strings.Contains(r.stderr.String(), "Start a broker") {
		t.Errorf("exit %d, %s", code, r.stderr.String())
	}
	*r = run{}
	e.Stderr = &r.stderr
	if code := cli.Main(context.Background(), e, []string{"ls", "--json"}); code != 3 || !strings.Contains(r.stderr.String(), `"code":"authn"`) {
		t.Errorf("exit %d, %s", code, r.stderr.String())
	}
}

// TestServeSaysWhoMayCome: whether access is checked, and how a shell gets the token, which is not shown.
func TestServeSaysWhoMayCome(t *testing.T) {
	for _, tt := range []struct {
		name       string
		args       []string
		environ    []string
		logins     bool
		want, wont []string
	}{
		{"open", nil, nil, false,
			[]string{"  access      open: nothing is checked, every client that reaches these addresses may do everything", "S2_ACCESS_TOKEN=ignored", "  nats req s2.v1"}, nil},
		{"a file", []string{"--root-token-file", "/etc/weir's/root.token"}, nil, true,
			[]string{"  access      checked: every request needs an access token", `export S2_ACCESS_TOKEN="$(cat '/etc/weir'\''s/root.token')"`, `nats --user "$S2_ACCESS_TOKEN" req s2.v1`},
			[]string{"ignored"}},
		{"a variable", nil, []string{"WEIR_ROOT_TOKEN=hunter2hunter2hunter2"}, true,
			[]string{"checked", "export S2_ACCESS_TOKEN=...\n"}, []string{"ignored"}},
		{"TLS of NATS", []string{"--nats-config-file", "nats.conf"}, []string{"WEIR_ROOT_TOKEN=hunter2hunter2hunter2"}, true,
			[]string{`nats --user "$S2_ACCESS_TOKEN" req s2.v1`}, []string{"S2-Access-Token"}},
		{"users of NATS", []string{"--nats-config-file", "nats.conf"}, []string{"WEIR_ROOT_TOKEN=hunter2hunter2hunter2"}, false,
			[]string{`nats req -H "S2-Access-Token:$S2_ACCESS_TOKEN" s2.v1`}, []string{"--user"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, k, r := &fakeBroker{done: make(chan error), logins: tt.logins}, &keyboard{}, &run{}
			e := env(nil, r, "")
			e.Environ, e.Signals = tt.environ, k.signals
			e.Start = func(context.Context, conf.Config, *slog.Logger, string) (cli.Broker, error) { return b, nil }
			close(b.done) // It ends at once.
			cli.Main(context.Background(), e, append([]string{"serve", "--memory"}, tt.args...))
			for _, want := range tt.want {
				if !strings.Contains(r.stdout.String(), want) {
					t.Errorf("%q is not in\n%s", want, r.stdout.String())
				}
			}
			for _, wont := range append(tt.wont, "hunter2") {
				if strings.Contains(r.stdout.String()+r.stderr.String(), wont) {
					t.Errorf("%q is in\n%s%s", wont, r.stdout.String(), r.stderr.String())
				}
			}
		})
	}
}
