package natsd

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/subject"
)

const testRoot = "root-token-of-the-tests"

// until waits for something that the server does in its own time.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute) // only a hang fails
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("waited in vain until " + what)
		}
	}
}

func (t *tokenDoors) counts() (open, conns, accounts, free, leaving int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.open), len(t.byConn), len(t.accounts), len(t.free), len(t.leaving)
}

// TestIdleDoorsClose: a door stays for a minute after its last connection, and its account serves another token then.
func TestIdleDoorsClose(t *testing.T) {
	b := startGuarded(t, listening(t.TempDir()))
	td := b.doors.tokens
	a, c := issueToken(t, b, "a", protocol.OpListBasins), issueToken(t, b, "c", protocol.OpListBasins)
	nc, twin := login(t, b, a), login(t, b, a)
	if open, conns, accounts, _, _ := td.counts(); open != 1 || conns != 2 || accounts != 1 {
		t.Fatal(open, conns, accounts)
	}
	now := time.Now()
	nc.Close()
	until(t, "the connection is forgotten", func() bool { td.sweep(now); _, conns, _, _, _ := td.counts(); return conns == 1 })
	td.sweep(now.Add(time.Hour))
	if open, _, _, _, _ := td.counts(); open != 1 {
		t.Error("a door with a connection was closed")
	}
	twin.Close()
	until(t, "the other is forgotten", func() bool { td.sweep(now); _, conns, _, _, _ := td.counts(); return conns == 0 })
	td.sweep(now.Add(tokenDoorIdle - time.Nanosecond))
	again := login(t, b, a)
	td.sweep(now.Add(2 * tokenDoorIdle))
	if open, _, _, _, _ := td.counts(); open != 1 {
		t.Error("a door that was used again was closed")
	}
	again.Close()
	until(t, "that one is forgotten", func() bool { td.sweep(now); _, conns, _, _, _ := td.counts(); return conns == 0 })
	td.sweep(now.Add(tokenDoorIdle))
	if open, _, _, _, _ := td.counts(); open != 0 {
		t.Error("an idle door stays open")
	}
	until(t, "the account is free", func() bool { td.sweep(now); _, _, _, free, _ := td.counts(); return free == 1 })

	other := login(t, b, c)
	if _, _, accounts, free, _ := td.counts(); accounts != 1 || free != 0 {
		t.Errorf("%d accounts, %d free, for one token at a time", accounts, free)
	}
	if _, err := client.New(other, client.Options{}).ListBasins(t.Context(), protocol.ListRequest{}); err != nil {
		t.Error(err)
	}
	if err := b.root().RevokeAccessToken(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	until(t, "the account is free again", func() bool { td.sweep(now); _, _, _, free, _ := td.counts(); return free == 1 })
}

// TestTokensAtATime: only so many tokens get a door, since who may issue tokens could connect with any number; the root
// token always gets one.
func TestTokensAtATime(t *testing.T) {
	b := startGuarded(t, listening(t.TempDir()))
	td := b.doors.tokens
	td.mu.Lock()
	td.max = 1
	td.mu.Unlock()
	first, second := issueToken(t, b, "a", protocol.OpListBasins), issueToken(t, b, "c", protocol.OpListBasins)
	login(t, b, first)
	login(t, b, first)
	if nc, err := nats.Connect(b.st.URL(), nats.Token(second)); !errors.Is(err, nats.ErrAuthorization) {
		nc.Close()
		t.Errorf("a token beyond those that fit: %v", err)
	}
	login(t, b, testRoot)
	if open, conns, accounts, _, _ := td.counts(); open != 2 || conns != 3 || accounts != 2 {
		t.Errorf("%d doors, %d connections, %d accounts", open, conns, accounts)
	}
}

// TestPermissionsAreNotAlone: with the subject permissions out of the way, the guard still refuses what is out of scope.
func TestPermissionsAreNotAlone(t *testing.T) {
	b := startGuarded(t, listening(t.TempDir()))
	secret, err := b.root().IssueAccessToken(t.Context(), protocol.IssueAccessTokenRequest{ID: "a", Scope: protocol.AccessTokenScope{
		Basins: protocol.ResourceSet{Kind: protocol.MatchExact, Name: "test-basin"}, Ops: protocol.Operations(protocol.OpGetBasinConfig)}})
	if err != nil {
		t.Fatal(err)
	}
	login(t, b, secret)
	nc, err := b.st.(*Embedded).dial(b.doors.tokens.accountNames()[0], "test") // as the broker, without permissions
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	svc := client.New(nc, client.Options{})
	if _, err := svc.ListBasins(t.Context(), protocol.ListRequest{}); protocol.CodeOf(err) != protocol.CodePermissionDenied {
		t.Errorf("an operation that is missing: %v", err)
	}
	if _, err := svc.GetBasinConfig(t.Context(), "other-basin"); protocol.CodeOf(err) != protocol.CodePermissionDenied {
		t.Errorf("a basin out of scope: %v", err)
	}
	if _, err := svc.GetBasinConfig(t.Context(), "test-basin"); protocol.CodeOf(err) != protocol.CodeBasinNotFound {
		t.Errorf("the one in scope: %v", err)
	}
}

func (t *tokenDoors) accountNames() (names []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range t.accounts {
		names = append(names, a.Name)
	}
	return names
}

// TestOnlyTheBrokerEntersTheStorage: what the broker says to enter accounts opens nothing over the network, and names
// nobody else's account.
func TestOnlyTheBrokerEntersTheStorage(t *testing.T) {
	b := startGuarded(t, listening(t.TempDir()))
	e := b.st.(*Embedded)
	for _, account := range []string{PrivateAccount, "$SYS", doorOf(PrivateAccount)} {
		if nc, err := nats.Connect(b.st.URL(), e.cred.login(account)); !errors.Is(err, nats.ErrAuthorization) {
			nc.Close()
			t.Errorf("the ticket to %s works over TCP: %v", account, err)
		}
	}
	inProcess := unregistered{addr: pipeAddr{}}
	for _, secret := range []string{"", "." + PrivateAccount, e.cred.ticket[:8] + "." + PrivateAccount, "x." + PrivateAccount, testRoot} {
		if account, ok := e.cred.own(inProcess, secret); ok {
			t.Errorf("%q opens %s in process", secret, account)
		}
	}
	if account, ok := e.cred.own(inProcess, e.cred.ticket+"."+PrivateAccount); !ok || account != PrivateAccount {
		t.Error("the broker itself does not get in")
	}
	if e.cred.Check(unregistered{addr: &net.TCPAddr{}, opts: server.ClientOpts{Token: testRoot}, kind: server.LEAF}) {
		t.Error("a leaf node got in")
	}
	if e.cred.Check(unregistered{addr: pipeAddr{}, opts: server.ClientOpts{Token: e.cred.ticket + "." + PrivateAccount}}) {
		t.Error("a connection that was not registered was let in")
	}
}

// unregistered is a connection that cannot be registered.
type unregistered struct {
	server.ClientAuthentication
	addr net.Addr
	opts server.ClientOpts
	kind int
}

func (s unregistered) GetOpts() *server.ClientOpts { return &s.opts }
func (s unregistered) RemoteAddress() net.Addr     { return s.addr }
func (s unregistered) Kind() int                   { return s.kind }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// TestEarlyConnectionsWait: who comes before the catalog is read is neither refused nor let in yet.
func TestEarlyConnectionsWait(t *testing.T) {
	b := startGuarded(t, listening(t.TempDir()))
	c := listening(t.TempDir())
	c.RootToken, c.LameDuck = testRoot, 0
	e := open(t, c)
	t.Cleanup(func() { stop(t, e) })
	connected := make(chan error, 1)
	go func() {
		nc, err := nats.Connect(e.URL(), nats.Token(testRoot), nats.Timeout(time.Minute))
		if err == nil {
			nc.Close()
		}
		connected <- err
	}()
	until(t, "the connection waits", func() bool { return e.srv.NumClients() == 1 })
	select {
	case err := <-connected:
		t.Fatalf("did not wait: %v", err)
	default:
	}
	td := newTokenDoors(e.srv, b.guard, b.opts, e.Connect, e.cred.refused)
	e.cred.letIn(td)
	if err := <-connected; err != nil {
		t.Error(err)
	}
	if err := td.close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestStopDoesNotWaitForEarlyConnections: a start that fails frees those who wait for it.
func TestStopDoesNotWaitForEarlyConnections(t *testing.T) {
	c := listening(t.TempDir())
	c.RootToken, c.LameDuck = testRoot, 0
	e := open(t, c)
	refused := make(chan error, 1)
	go func() {
		_, err := nats.Connect(e.URL(), nats.Token(testRoot), nats.Timeout(time.Minute))
		refused <- err
	}()
	until(t, "the connection waits", func() bool { return e.srv.NumClients() == 1 })
	stop(t, e)
	if err := <-refused; err == nil {
		t.Error("was let in")
	}
}

// TestReloadKeepsEarlyConnections: a connection that has not sent its CONNECT yet when the server is reloaded is neither
// closed nor let in.
func TestReloadKeepsEarlyConnections(t *testing.T) {
	c := withNATS(t, listening(t.TempDir()), "debug: false")
	c.NATS.Listen = "127.0.0.1:0"
	b := startGuarded(t, c)
	secret := issueToken(t, b, "early", protocol.OpListBasins)
	for _, tt := range []struct{ name, connect, want string }{
		{"token", fmt.Sprintf(`{"auth_token":%q,"verbose":false}`, secret), "PONG"},
		{"wrong token", `{"auth_token":"wrong","verbose":false}`, "-ERR 'Authorization Violation'"},
		{"no token", `{"verbose":false}`, "-ERR 'Authorization Violation'"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u, err := url.Parse(b.st.URL())
			if err != nil {
				t.Fatal(err)
			}
			nc, err := net.Dial("tcp", u.Host)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			lines := bufio.NewScanner(nc)
			if !lines.Scan() || !strings.HasPrefix(lines.Text(), "INFO ") {
				t.Fatalf("no INFO but %q, %v", lines.Text(), lines.Err())
			}
			if err := b.st.Reload(); err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Fprintf(nc, "CONNECT %s\r\nPING\r\n", tt.connect); err != nil {
				t.Fatal(err)
			}
			got := "INFO "
			for strings.HasPrefix(got, "INFO ") && lines.Scan() {
				got = strings.TrimSpace(lines.Text())
			}
			if got != tt.want {
				t.Errorf("%q, want %q (%v)", got, tt.want, lines.Err())
			}
		})
	}
}

// TestManyAtOnce: tokens that come, go and are revoked at the same time, with reloads in between, leave nothing behind.
func TestManyAtOnce(t *testing.T) {
	c := withNATS(t, listening(t.TempDir()), "debug: false")
	c.NATS.Listen = "127.0.0.1:0"
	b := startGuarded(t, c)
	td := b.doors.tokens
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for round := range 5 {
				id := fmt.Sprintf("t%d-%d", i, round)
				secret := issueToken(t, b, id, protocol.OpListBasins)
				var conns sync.WaitGroup
				for range 3 {
					conns.Go(func() {
						nc, err := nats.Connect(b.st.URL(), nats.Token(secret), nats.Timeout(time.Minute))
						if err != nil {
							t.Error(err)
							return
						}
						defer nc.Close()
						if _, err := client.New(nc, client.Options{}).ListBasins(t.Context(), protocol.ListRequest{}); err != nil {
							t.Error(err)
						}
					})
				}
				conns.Wait()
				if err := b.root().RevokeAccessToken(t.Context(), protocol.AccessTokenID(id)); err != nil {
					t.Error(err)
				}
				td.sweep(time.Now())
			}
		})
	}
	for range 5 {
		if err := b.st.Reload(); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	until(t, "all accounts are free", func() bool {
		td.sweep(time.Now())
		open, conns, accounts, free, leaving := td.counts()
		return open == 0 && conns == 0 && leaving == 0 && accounts == free
	})
	if _, _, accounts, _, _ := td.counts(); accounts > 30 {
		t.Errorf("%d accounts for at most 8 tokens at once", accounts)
	}
}

func TestTokenPermissions(t *testing.T) {
	prefix := func(s string) protocol.ResourceSet {
		return protocol.ResourceSet{Kind: protocol.MatchPrefix, Name: s}
	}
	exact := func(s string) protocol.ResourceSet {
		return protocol.ResourceSet{Kind: protocol.MatchExact, Name: s}
	}
	ops := protocol.Operations
	for _, tt := range []struct {
		name string
		info protocol.AccessTokenInfo
		want []string // below s2.v1., beside discovery and sessions
	}{
		{"nothing", protocol.AccessTokenInfo{}, nil},
		{"root", protocol.AccessTokenInfo{ID: protocol.RootTokenID}, []string{">"}},
		{"no stream in scope", protocol.AccessTokenInfo{Scope: protocol.AccessTokenScope{Basins: prefix(""), Ops: ops(protocol.OpAppend, protocol.OpListStreams)}},
			[]string{"stream.list.*"}},
		{"an empty exact name is nothing", protocol.AccessTokenInfo{Scope: protocol.AccessTokenScope{Basins: exact(""), Streams: prefix(""), Ops: ops(protocol.OpRead, protocol.OpGetBasinConfig)}}, nil},
		{"exact names", protocol.AccessTokenInfo{Scope: protocol.AccessTokenScope{Basins: exact("my-basin"), Streams: exact("a.b/*/>"), Ops: ops(protocol.OpRead, protocol.OpGetBasinConfig)}},
			[]string{"basin.get.my-basin", "read.my-basin.a%2Eb.%2A.%3E"}},
		{"whole segments of a prefix", protocol.AccessTokenInfo{Scope: protocol.AccessTokenScope{Basins: prefix("my-"), Streams: prefix("user/42/"), Ops: ops(protocol.OpRead)}},
			[]string{"read.*.user.42.>"}},
		{"part of a segment", protocol.AccessTokenInfo{Scope: protocol.AccessTokenScope{Basins: prefix("my-"), Streams: prefix("user/4"), Ops: ops(protocol.OpRead)}},
			[]string{"read.*.user.>"}},
		{"a first segment that is empty", protocol.AccessTokenInfo{Scope: protocol.AccessTokenScope{Basins: prefix(""), Streams: prefix("/x"), Ops: ops(protocol.OpRead)}},
			[]string{"read.*.%.>"}},
		{"auto-prefix", protocol.AccessTokenInfo{AutoPrefixStreams: true, Scope: protocol.AccessTokenScope{Basins: exact("my-basin"), Streams: prefix("user/42/"), Ops: ops(protocol.OpTrim)}},
			[]string{"append.my-basin.>"}},
		{"to ensure takes two", protocol.AccessTokenInfo{Scope: protocol.AccessTokenScope{Basins: prefix(""), Streams: prefix(""), Ops: ops(protocol.OpCreateBasin, protocol.OpReconfigureStream)}},
			[]string{"basin.create", "basin.create.*", "stream.reconfigure.*.>"}},
		{"tokens", protocol.AccessTokenInfo{Scope: protocol.AccessTokenScope{AccessTokens: prefix("team/x"), Ops: ops(protocol.OpRevokeAccessToken, protocol.OpIssueAccessToken, protocol.OpListAccessTokens)}},
			[]string{"token.issue", "token.list", "token.revoke", "token.revoke.team.>"}},
	} {
		p := tokenPermissions(tt.info, "s2")
		var got []string
		for _, s := range p.Publish.Allow {
			if !server.IsValidSubject(s) {
				t.Errorf("%s: %q is no subject", tt.name, s)
			}
			if rest, ok := strings.CutPrefix(s, "s2.v1."); ok && rest != "session.>" {
				got = append(got, rest)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// FuzzPrefixSubject: the subject of every name that a prefix matches is allowed.
func FuzzPrefixSubject(f *testing.F) {
	f.Add("user/4", "2/chat")
	f.Add("", "a.b/ /$x")
	f.Add("a//", "/")
	f.Add("é/\xc3", "\xa9")
	f.Fuzz(func(t *testing.T, prefix, rest string) {
		name, err := protocol.ParseStreamName(prefix + rest)
		if err != nil || protocol.CheckStreamPrefix("prefix", prefix) != nil {
			t.Skip()
		}
		allowed, ok := namePath(protocol.ResourceSet{Kind: protocol.MatchPrefix, Name: prefix})
		if subject := subject.Encode(name); !ok || !server.SubjectsCollide("x."+subject, "x."+allowed) {
			t.Fatalf("%q of %q is %s, allowed is %s", name, prefix, subject, allowed)
		}
	})
}

// TestRefusalsAreCounted: one line for many, and never a secret, whatever field it was put in.
func TestRefusalsAreCounted(t *testing.T) {
	var mu sync.Mutex
	var log strings.Builder
	b := startGuardedLogging(t, listening(t.TempDir()), slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(p)
	}), &slog.HandlerOptions{Level: slog.LevelDebug})))
	for i := range 20 {
		for _, o := range []nats.Option{nats.Token("hunter2hunter2"), nats.UserInfo("me", "hunter2hunter2"), nats.UserInfo("hunter2hunter2", "x")} {
			if _, err := nats.Connect(b.st.URL(), o); !errors.Is(err, nats.ErrAuthorization) {
				t.Fatal(i, err)
			}
		}
	}
	nc := login(t, b, issueToken(t, b, "a", protocol.OpRead))
	if err := nc.Publish("$JS.API.INFO", nil); err != nil {
		t.Fatal(err)
	}
	if err := nc.FlushTimeout(time.Minute); err != nil {
		t.Fatal(err)
	}
	b.doors.tokens.refused.tell(time.Now().Add(refusalPeriod))
	mu.Lock()
	defer mu.Unlock()
	text := log.String()
	if strings.Contains(text, "hunter2") || strings.Contains(text, testRoot) {
		t.Errorf("the log holds a secret:\n%s", text)
	}
	if n := strings.Count(text, "nats connections were refused"); n != 2 || !strings.Contains(text, "count=1 last_from=127.0.0.1:") || !strings.Contains(text, "count=59 ") {
		t.Errorf("%d lines:\n%s", n, text)
	}
	if strings.Contains(text, "level=ERROR") || !strings.Contains(text, "Publish Violation") {
		t.Errorf("what a client may not publish is no error of the broker:\n%s", text)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestUsersOfNATSNeedATokenEach: where the NATS configuration says who its users are, every request carries a token.
func TestUsersOfNATSNeedATokenEach(t *testing.T) {
	c := withNATS(t, listening(t.TempDir()), "listen: \"127.0.0.1:-1\"\naccounts { TEAM { users: [{user: a, password: b}] } }")
	c.NATS.Listen = conf.Default().NATS.Listen
	b := startGuarded(t, c)
	secret := issueToken(t, b, "t", protocol.OpListBasins)
	nc, err := nats.Connect(b.st.URL(), nats.UserInfo("a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	checkHeaderTokens(t, nc, secret)
	if nc, err := nats.Connect(b.st.URL(), nats.Token(secret)); err == nil {
		nc.Close()
		t.Error("NATS knows a token that it was not told")
	}
	own, err := b.st.Client("test")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	checkHeaderTokens(t, own, secret)
}

// TestExternalNATSNeedsATokenEach: an external NATS knows its users, not weir's tokens.
func TestExternalNATSNeedsATokenEach(t *testing.T) {
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), MaxPayload: 8 << 20, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(time.Minute) {
		t.Fatal("the server does not start")
	}
	c := conf.Default()
	c.HTTP.Listen = ""
	c.External.URL = srv.ClientURL()
	b := startGuarded(t, c)
	nc, err := nats.Connect(srv.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	checkHeaderTokens(t, nc, issueToken(t, b, "t", protocol.OpListBasins))
}

// checkHeaderTokens: only the token of a request counts.
func checkHeaderTokens(t *testing.T, nc *nats.Conn, secret string) {
	t.Helper()
	for token, want := range map[string]protocol.Code{"": protocol.CodeAuthn, "garbage": protocol.CodeAuthn, secret: "", testRoot: ""} {
		_, err := client.New(nc, client.Options{AccessToken: token}).ListBasins(t.Context(), protocol.ListRequest{})
		if err == nil && want == "" {
			continue
		}
		if err == nil || protocol.CodeOf(err) != want {
			t.Errorf("%d characters: %v, want %q", len(token), err, want)
		}
	}
}

// BenchmarkTokenDoor measures what a connected token costs, beside its connections:
//
//	go test ./broker/internal/natsd -run '^$' -bench TokenDoor -benchtime 500x
func BenchmarkTokenDoor(b *testing.B) {
	g := startGuarded(b, conf.Default().WithMemory())
	everything := protocol.ResourceSet{Kind: protocol.MatchPrefix}
	e := g.st.(*Embedded)
	secrets := make([]string, b.N)
	for i := range secrets {
		var err error
		if secrets[i], err = g.root().IssueAccessToken(b.Context(), protocol.IssueAccessTokenRequest{ID: protocol.AccessTokenID(fmt.Sprint("t", i)),
			Scope: protocol.AccessTokenScope{Basins: everything, Streams: everything, Ops: protocol.AllOperations}}); err != nil {
			b.Fatal(err)
		}
	}
	used := func() (bytes uint64, goroutines int) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse, runtime.NumGoroutine()
	}
	before, goroutines := used()
	b.ResetTimer()
	for _, secret := range secrets {
		nc, err := nats.Connect("", nats.InProcessServer(e.srv), nats.Token(secret))
		if err != nil {
			b.Fatal(err)
		}
		nc.Close()
	}
	b.StopTimer()
	after, more := used()
	b.ReportMetric(float64(after-before)/float64(b.N), "B/token")
	b.ReportMetric(float64(more-goroutines)/float64(b.N), "goroutines/token")
}
