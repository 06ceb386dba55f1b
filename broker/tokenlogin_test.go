package broker_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

const rootToken = "root-token-of-the-tests"

// guarded listens for NATS clients and lets nobody in without a token.
func guarded(dir string) conf.Config {
	c := onDisk(dir)
	c.NATS.Listen = "127.0.0.1:0"
	c.LameDuck = 0
	c.RootToken = rootToken
	return c
}

func every(prefix string) protocol.ResourceSet {
	return protocol.ResourceSet{Kind: protocol.MatchPrefix, Name: prefix}
}

func exactly(name string) protocol.ResourceSet {
	return protocol.ResourceSet{Kind: protocol.MatchExact, Name: name}
}

// issue makes a token and returns its secret.
func issue(t *testing.T, b *broker.Broker, id string, scope protocol.AccessTokenScope) string {
	t.Helper()
	return issueFor(t, b, protocol.IssueAccessTokenRequest{ID: protocol.AccessTokenID(id), Scope: scope})
}

func issueFor(t *testing.T, b *broker.Broker, req protocol.IssueAccessTokenRequest) string {
	t.Helper()
	secret, err := b.Service().IssueAccessToken(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// on allows operations on whatever basins and streams.
func on(ops ...protocol.Operation) protocol.AccessTokenScope {
	return protocol.AccessTokenScope{Basins: every(""), Streams: every(""), Ops: protocol.Operations(ops...)}
}

// login connects with a token. Refused subjects come out of the channel.
func login(t *testing.T, b *broker.Broker, secret string, opts ...nats.Option) (*nats.Conn, <-chan error) {
	t.Helper()
	refused := make(chan error, 64)
	opts = append([]nats.Option{nats.Token(secret), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err })}, opts...)
	nc, err := nats.Connect(b.ClientURL(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, refused
}

func over(nc *nats.Conn) *client.Client {
	return client.New(nc, client.Options{Refusals: client.WatchRefusals(nc)})
}

func receive[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(2 * time.Minute):
		t.Fatal("waited in vain for " + what)
		panic("unreachable")
	}
}

// TestTokensLogIn: every form of a NATS credential that can hold a token, and none that does not.
func TestTokensLogIn(t *testing.T) {
	cfg := guarded(t.TempDir())
	cfg.NATS.ConfigFile = filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(cfg.NATS.ConfigFile, []byte(`websocket { listen: "127.0.0.1:-1", no_tls: true }`), 0o600); err != nil {
		t.Fatal(err)
	}
	b := start(t, cfg)
	defer closeBroker(t, b)
	if !b.TokensLogIn() {
		t.Error("the broker says that tokens are no logins")
	}
	ensureBasin(t, b.Service())
	secret := issue(t, b, "reader", on(protocol.OpListBasins))
	at, err := url.Parse(b.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	ws := b.WebsocketURL()
	for _, tt := range []struct {
		name, url string
		opts      []nats.Option
		ok        bool
	}{
		{"the root token", b.ClientURL(), []nats.Option{nats.Token(rootToken)}, true},
		{"an issued token", b.ClientURL(), []nats.Option{nats.Token(secret)}, true},
		{"as a password", b.ClientURL(), []nats.Option{nats.UserInfo("whoever", secret)}, true},
		{"in the URL", "nats://" + secret + "@" + at.Host, nil, true},
		{"as the password of the URL", "nats://me:" + secret + "@" + at.Host, nil, true},
		{"over websocket", ws, []nats.Option{nats.Token(secret)}, true},
		{"none", b.ClientURL(), nil, false},
		{"none over websocket", ws, nil, false},
		{"an empty one", b.ClientURL(), []nats.Option{nats.UserInfo("whoever", "")}, false},
		{"an unknown one", b.ClientURL(), []nats.Option{nats.Token(secret + "x")}, false},
		{"the id", b.ClientURL(), []nats.Option{nats.Token("reader")}, false},
		{"an id and the secret in the wrong places", b.ClientURL(), []nats.Option{nats.UserInfo(secret, "reader")}, false},
		{"a huge one", b.ClientURL(), []nats.Option{nats.Token(strings.Repeat("x", 2000))}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			nc, err := nats.Connect(tt.url, tt.opts...)
			if !tt.ok {
				// A websocket may be closed before the reason is read.
				if err == nil || tt.url != ws && !errors.Is(err, nats.ErrAuthorization) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if _, err := over(nc).ListBasins(t.Context(), protocol.ListRequest{}); err != nil {
				t.Error(err)
			}
		})
	}
	if err := b.Service().RevokeAccessToken(t.Context(), "reader"); err != nil {
		t.Fatal(err)
	}
	if _, err := nats.Connect(b.ClientURL(), nats.Token(secret)); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("a revoked token: %v", err)
	}
	if _, err := b.Authenticate(secret); err == nil {
		t.Error("a revoked token is known")
	}
}

// TestConnectIsRoot: the embedding program needs no token, in process and over its own connection.
func TestConnectIsRoot(t *testing.T) {
	b := start(t, guarded(t.TempDir()))
	defer closeBroker(t, b)
	ensureBasin(t, b.Service())
	nc, err := b.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	appendTo(t, over(nc), "a")
	if got := readAll(t, b.Service()); got != "0:a" {
		t.Error(got)
	}
}

// TestAccountsOfTokensAreApart: tokens hear nothing of each other, and neither asks or answers in another's place.
func TestAccountsOfTokensAreApart(t *testing.T) {
	b := start(t, guarded(t.TempDir()))
	defer closeBroker(t, b)
	ensureBasin(t, b.Service())
	scope := on(protocol.OpListBasins, protocol.OpAppend, protocol.OpRead)
	a, refused := login(t, b, issue(t, b, "a", scope))
	c, _ := login(t, b, issue(t, b, "c", scope))
	twin, _ := login(t, b, rootToken)

	heard := make(chan *nats.Msg, 100)
	for _, subject := range []string{">", "*", "_INBOX.>", "_R_.>", "_INBOX.*.*"} {
		if _, err := a.ChanSubscribe(subject, heard); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, a)
	for _, other := range []*nats.Conn{c, twin} {
		inbox := other.NewInbox()
		sub, err := other.SubscribeSync(inbox)
		if err != nil {
			t.Fatal(err)
		}
		if err := other.PublishRequest("s2.v1.append.test-basin.events", inbox, []byte("private")); err != nil {
			t.Fatal(err)
		}
		if _, err := sub.NextMsg(time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, a)
	for len(heard) > 0 {
		if m := <-heard; m.Subject != "s2.live.test-basin.events" { // which it may read
			t.Errorf("heard %s %q", m.Subject, m.Data)
		}
	}

	for _, subject := range []string{"s2.v1.append.>", "s2.v1.session.>", "s2.log.>", "$SRV.>", "$SRV.PING", "$SRV.PING.weir"} {
		for _, queue := range []string{"", "q", "mine"} {
			if _, err := a.QueueSubscribe(subject, queue, func(*nats.Msg) {}); err != nil {
				t.Fatal(err)
			}
			if err := receive(t, "the refusal of "+subject, refused); !errors.Is(err, nats.ErrPermissionViolation) {
				t.Errorf("subscribe to %s: %v", subject, err)
			}
		}
	}
	for _, subject := range []string{
		"$JS.API.INFO", "$JS.API.STREAM.LIST", "$JS.API.STREAM.DELETE.KV_S2_CATALOG", "$JS.ACK.x", "s2.log.express.0.test-basin.0.x",
		"$KV.S2_CATALOG.b.test-basin", "$SYS.REQ.SERVER.PING", "$SYS.REQ.USER.INFO", "$MQTT.x", "_INBOX.x", "anything",
		"s2.v1.basin.create", "s2.v1.basin.delete.test-basin", "s2.v1.token.issue", "s2.v1.metrics.account", "s2.v2.x", "s2.v1.tail.test-basin.events",
	} {
		if err := a.PublishRequest(subject, "reply", nil); err != nil {
			t.Fatal(err)
		}
		if err := receive(t, "the refusal of "+subject, refused); !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), `"`+subject+`"`) {
			t.Errorf("publish to %s: %v", subject, err)
		}
	}
	if got := readAll(t, over(a)); got != "0:private 1:private" {
		t.Error(got)
	}
}

func flush(t *testing.T, nc *nats.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := nc.FlushWithContext(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestReplySubjectsAreNoWayOut: what answers to a subject that a client chose cannot be made to ask in its place.
func TestReplySubjectsAreNoWayOut(t *testing.T) {
	b := start(t, guarded(t.TempDir()))
	defer closeBroker(t, b)
	ensureBasin(t, b.Service())
	nc, _ := login(t, b, issue(t, b, "a", on(protocol.OpListBasins)))
	for _, subject := range []string{"$SRV.PING", "$SRV.INFO", "s2.v1.basin.list"} {
		if err := nc.PublishRequest(subject, "s2.v1.basin.delete.test-basin", nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := over(nc).ListBasins(t.Context(), protocol.ListRequest{}); err != nil { // served after the others
		t.Fatal(err)
	}
	if _, err := b.Service().GetBasinConfig(t.Context(), "test-basin"); err != nil {
		t.Error(err)
	}
}

// TestScopeOverNATS: subjects outside of the scope are refused by NATS, and where subjects cannot tell, by the service.
func TestScopeOverNATS(t *testing.T) {
	b := start(t, guarded(t.TempDir()))
	defer closeBroker(t, b)
	for _, basin := range []protocol.BasinName{"team-a-one", "team-b-one"} {
		if _, _, err := b.Service().EnsureBasin(t.Context(), basin, protocol.EnsureBasinRequest{Config: protocol.BasinConfig{CreateStreamOnAppend: true}}); err != nil {
			t.Fatal(err)
		}
	}
	ops := []protocol.Operation{protocol.OpAppend, protocol.OpListBasins}
	one, refused := login(t, b, issue(t, b, "one", protocol.AccessTokenScope{Basins: exactly("team-a-one"), Streams: every("user/4"), Ops: protocol.Operations(ops...)}))
	team, _ := login(t, b, issue(t, b, "team", protocol.AccessTokenScope{Basins: every("team-a-"), Streams: every(""), Ops: protocol.Operations(ops...)}))
	own, _ := login(t, b, issueFor(t, b, protocol.IssueAccessTokenRequest{ID: "own", AutoPrefixStreams: true,
		Scope: protocol.AccessTokenScope{Basins: every("team-a-"), Streams: every("user/7/"), Ops: protocol.Operations(ops...)}}))
	appendAs := func(nc *nats.Conn, basin protocol.BasinName, stream protocol.StreamName) error {
		_, err := over(nc).Append(t.Context(), protocol.StreamRef{Basin: basin, Stream: stream}, input("x"))
		return err
	}
	if err := appendAs(one, "team-a-one", "user/42/chat"); err != nil {
		t.Error(err)
	}
	if err := appendAs(own, "team-a-one", "chat"); err != nil {
		t.Error(err)
	}
	if _, err := b.Service().CheckTail(t.Context(), protocol.StreamRef{Basin: "team-a-one", Stream: "user/7/chat"}); err != nil {
		t.Error(err)
	}
	wantCode(t, "a stream that subjects cannot tell apart", appendAs(one, "team-a-one", "user/5"), protocol.CodePermissionDenied)
	wantCode(t, "a basin that subjects cannot tell apart", appendAs(team, "team-b-one", "x"), protocol.CodePermissionDenied)
	for _, subject := range []string{"s2.v1.append.team-b-one.user.42", "s2.v1.append.team-a-one.other"} {
		if err := one.PublishRequest(subject, one.NewInbox(), []byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := receive(t, "the refusal", refused); !errors.Is(err, nats.ErrPermissionViolation) {
			t.Error(err)
		}
	}
	// The client tells what NATS refused as the service would.
	_, err := over(one).Append(t.Context(), protocol.StreamRef{Basin: "team-b-one", Stream: "user/42"}, input("x"))
	wantCode(t, "a basin out of scope", err, protocol.CodePermissionDenied)
	_, err = over(one).OpenReadSession(t.Context(), protocol.StreamRef{Basin: "team-a-one", Stream: "user/42"}, protocol.ReadRequest{})
	wantCode(t, "an operation that is missing", err, protocol.CodePermissionDenied)
}

// TestEverySubjectHasARule: no subject of the service is forgotten by the permissions.
func TestEverySubjectHasARule(t *testing.T) {
	b := start(t, guarded(t.TempDir()))
	defer closeBroker(t, b)
	all := on()
	all.Ops, all.AccessTokens = protocol.AllOperations, every("")
	nc, refused := login(t, b, issue(t, b, "all", all))
	m, err := nc.Request("$SRV.INFO.weir", nil, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	var info micro.Info
	if err := json.Unmarshal(m.Data, &info); err != nil {
		t.Fatal(err)
	}
	if len(info.Endpoints) < 16 {
		t.Fatal(info)
	}
	for _, ep := range info.Endpoints {
		if rootAlone(ep.Subject) {
			continue
		}
		subject := strings.ReplaceAll(ep.Subject, ">", "test-basin.stream")
		if ep.Metadata["subject"] == strings.TrimPrefix(strings.TrimSuffix(ep.Subject, ">"), "s2.v1.")+"<basin>" {
			subject = strings.ReplaceAll(ep.Subject, ">", "test-basin")
		}
		if err := nc.Publish(subject, nil); err != nil {
			t.Fatal(err)
		}
	}
	// Refusals come in the order of the publications, and behind the answer to a flush. So one that must be refused ends them.
	const last = "s2.v1.restore.last"
	if err := nc.Publish(last, nil); err != nil {
		t.Fatal(err)
	}
	for err := range refused {
		if strings.Contains(err.Error(), strconv.Quote(last)) {
			return
		}
		t.Error(err)
	}
}

// rootAlone reports whether a subject is for the root token alone.
func rootAlone(subject string) bool {
	return slices.ContainsFunc([]string{"s2.v1.backup", "s2.v1.restore", "s2.v1.cluster", "s2.v1.token.confirm"}, func(prefix string) bool {
		return strings.HasPrefix(subject, prefix)
	})
}

// follower reads a stream to its end and delivers what ends it.
func follower(t *testing.T, svc protocol.Service) (first <-chan struct{}, end <-chan error) {
	t.Helper()
	rs, err := svc.OpenReadSession(t.Context(), events, protocol.ReadRequest{Start: protocol.FromSeqNum(0)})
	if err != nil {
		t.Fatal(err)
	}
	begun, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		defer rs.Close()
		once := begun
		for {
			batch, err := rs.Next(context.Background())
			if err != nil {
				ended <- err
				return
			}
			if batch.Records.Len() > 0 && once != nil {
				close(once)
				once = nil
			}
		}
	}()
	return begun, ended
}

// TestRevocationEndsConnections: sessions end with authn, the connection is closed, and nobody else notices.
func TestRevocationEndsConnections(t *testing.T) {
	b := start(t, guarded(t.TempDir()))
	defer closeBroker(t, b)
	ensureBasin(t, b.Service())
	appendTo(t, b.Service(), "a")
	for _, tt := range []struct {
		name    string
		expires time.Duration // 0: never
		end     func(id protocol.AccessTokenID)
	}{
		{"revoked", 0, func(id protocol.AccessTokenID) {
			if err := b.Service().RevokeAccessToken(t.Context(), id); err != nil {
				t.Error(err)
			}
		}},
		{"expired", 8 * time.Second, func(protocol.AccessTokenID) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id := protocol.AccessTokenID(tt.name)
			other, _ := login(t, b, issueFor(t, b, protocol.IssueAccessTokenRequest{ID: id + "-other", Scope: on(protocol.OpRead)}))
			var expires time.Time
			if tt.expires != 0 {
				expires = time.Now().Add(tt.expires)
			}
			secret := issueFor(t, b, protocol.IssueAccessTokenRequest{ID: id, ExpiresAt: expires, Scope: on(protocol.OpRead)})
			closed := make(chan struct{})
			nc, _ := login(t, b, secret, nats.ClosedHandler(func(*nats.Conn) { close(closed) }), nats.ReconnectWait(10*time.Millisecond))
			begun, ended := follower(t, over(nc))
			receive(t, "the first record", begun)
			otherBegun, otherEnded := follower(t, over(other))
			receive(t, "the first record of the other", otherBegun)

			tt.end(id)
			wantCode(t, "the end of the follower", receive(t, "the end of the follower", ended), protocol.CodeAuthn)
			receive(t, "the end of the connection, and of its tries to come back", closed)
			if !errors.Is(nc.LastError(), nats.ErrAuthorization) {
				t.Error(nc.LastError())
			}
			if _, err := nats.Connect(b.ClientURL(), nats.Token(secret)); !errors.Is(err, nats.ErrAuthorization) {
				t.Error(err)
			}
			if got := readAll(t, over(other)); got != "0:a" || len(otherEnded) > 0 {
				t.Error("the other token was disturbed", got)
			}
		})
	}
}

// TestReissuedTokenIsAnother: a new token with an old id shares nothing with the old one.
func TestReissuedTokenIsAnother(t *testing.T) {
	b := start(t, guarded(t.TempDir()))
	defer closeBroker(t, b)
	ensureBasin(t, b.Service())
	old := issue(t, b, "same", on(protocol.OpListBasins))
	nc, _ := login(t, b, old)
	if err := b.Service().RevokeAccessToken(t.Context(), "same"); err != nil {
		t.Fatal(err)
	}
	fresh, _ := login(t, b, issue(t, b, "same", on(protocol.OpAppend)))
	appendTo(t, over(fresh), "a")
	if _, err := over(nc).ListBasins(t.Context(), protocol.ListRequest{}); err == nil {
		t.Error("the old one still lists")
	}
}

// TestSwitchingTokensKeepsTheStore: with and without a root token the records lie in the same place, and issued tokens
// stay.
func TestSwitchingTokensKeepsTheStore(t *testing.T) {
	dir := t.TempDir()
	open := guarded(dir)
	open.RootToken = ""
	b := start(t, open)
	ensureBasin(t, b.Service())
	appendTo(t, b.Service(), "a")
	secret := issue(t, b, "t", on(protocol.OpRead, protocol.OpAppend))
	nc, _ := login(t, b, "ignored") // Nothing is checked.
	appendTo(t, over(nc), "b")
	closeBroker(t, b)

	b = start(t, guarded(dir))
	if err := b.Service().ConfirmAccessToken(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	nc, _ = login(t, b, secret)
	appendTo(t, over(nc), "c")
	closeBroker(t, b)

	b = start(t, open)
	defer closeBroker(t, b)
	if got := readAll(t, b.Service()); got != "0:a 1:b 2:c" {
		t.Error(got)
	}
}

// TestReloadWithTokens: a reload of the NATS configuration leaves connections, sessions and accounts of tokens alone.
func TestReloadWithTokens(t *testing.T) {
	cfg := guarded(t.TempDir())
	cfg.NATS.ConfigFile = filepath.Join(t.TempDir(), "nats.conf")
	reload := func(text string) {
		t.Helper()
		if err := os.WriteFile(cfg.NATS.ConfigFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reload("debug: false")
	b := start(t, cfg)
	defer closeBroker(t, b)
	ensureBasin(t, b.Service())
	appendTo(t, b.Service(), "a")
	secret := issue(t, b, "a", on(protocol.OpRead, protocol.OpAppend))
	lost := make(chan error, 10)
	watch := []nats.Option{nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { lost <- err })}
	nc, refused := login(t, b, secret, watch...)
	root, _ := login(t, b, rootToken, watch...)
	begun, ended := follower(t, over(nc))
	receive(t, "the first record", begun)
	for i, text := range []string{"debug: true", "debug: false\nwrite_deadline: \"9s\"", "debug: true"} {
		reload(text)
		if err := b.Reload(); err != nil {
			t.Fatal(err)
		}
		appendTo(t, over(nc), fmt.Sprint(i))
		appendTo(t, over(root), fmt.Sprint(i))
		appendTo(t, b.Service(), fmt.Sprint(i))
		late, _ := login(t, b, issue(t, b, fmt.Sprint("late", i), on(protocol.OpRead)), watch...)
		if got := readAll(t, over(late)); !strings.HasPrefix(got, "0:a ") {
			t.Error(got)
		}
		if err := nc.PublishRequest("$JS.API.INFO", "x", nil); err != nil {
			t.Fatal(err)
		}
		if err := receive(t, "the refusal", refused); !errors.Is(err, nats.ErrPermissionViolation) {
			t.Error(err)
		}
	}
	select {
	case err := <-lost:
		t.Errorf("a connection was lost: %v", err)
	case err := <-ended:
		t.Errorf("the follower ended: %v", err)
	default:
	}
	if err := b.Service().RevokeAccessToken(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "revoked after a reload", receive(t, "the end of the follower", ended), protocol.CodeAuthn)
	reload("accounts { TEAM { users: [{user: a, password: b}] } }")
	if err := b.Reload(); err == nil || !strings.Contains(err.Error(), "needs a restart") {
		t.Error(err)
	}
}

// wire speaks the protocol of NATS itself.
type wire struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

func dialWire(t *testing.T, b *broker.Broker) *wire {
	t.Helper()
	u, err := url.Parse(b.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	w := &wire{t, c, bufio.NewReader(c)}
	w.until("INFO ")
	return w
}

func (w *wire) send(lines ...string) {
	w.t.Helper()
	if _, err := w.c.Write([]byte(strings.Join(lines, "\r\n") + "\r\n")); err != nil {
		w.t.Fatal(err)
	}
}

// until returns what comes up to a line with the given beginning, that line included; "" if the connection ends first.
func (w *wire) until(prefix string) string {
	w.t.Helper()
	var all strings.Builder
	for {
		line, err := w.r.ReadString('\n')
		if err != nil {
			return ""
		}
		all.WriteString(line)
		if strings.HasPrefix(line, prefix) {
			return all.String()
		}
	}
}

func connectLine(secret string) string {
	return fmt.Sprintf(`CONNECT {"auth_token":%q,"protocol":1,"headers":true,"no_responders":true,"lang":"test"}`, secret)
}

// TestSecondConnect: a client that says CONNECT again stays who it was, in its own account, or is cut off.
func TestSecondConnect(t *testing.T) {
	b := start(t, guarded(t.TempDir()))
	defer closeBroker(t, b)
	ensureBasin(t, b.Service())
	// It may list basins, and none is in its scope: a list that shows one came from somebody else's door.
	secret := issue(t, b, "blind", protocol.AccessTokenScope{Ops: protocol.Operations(protocol.OpListBasins)})
	other := issue(t, b, "other", on(protocol.OpListBasins))
	list := []string{"SUB inbox 1", "PUB s2.v1.basin.list inbox 2", "{}"}

	w := dialWire(t, b)
	w.send(connectLine(secret))
	for range 3 {
		w.send(list...)
		if got := w.until(`{"basins"`); !strings.Contains(got, `{"basins":[],"has_more":false}`) {
			t.Fatalf("got %q", got)
		}
		w.send("UNSUB 1", "PUB $JS.API.INFO 0", "")
		if got := w.until("-ERR"); !strings.Contains(got, "Permissions Violation for Publish to \"$JS.API.INFO\"") {
			t.Fatalf("got %q", got)
		}
		w.send(connectLine(secret))
	}
	for name, again := range map[string]string{"another token": other, "the root token": rootToken, "garbage": "garbage", "nothing": ""} {
		w := dialWire(t, b)
		w.send(connectLine(secret))
		w.send(list...)
		w.until(`{"basins"`)
		w.send(append([]string{connectLine(again)}, list...)...)
		if got := w.until("-ERR 'Authorization Violation'"); strings.Contains(got, "basins") || !strings.Contains(got, "Authorization Violation") {
			t.Errorf("%s: got %q", name, got)
		}
		if got := w.until(`{"basins"`); got != "" {
			t.Errorf("%s: went on with %q", name, got)
		}
	}
	w = dialWire(t, b)
	w.send(append([]string{connectLine("garbage")}, list...)...)
	if got := w.until("MSG"); got != "" {
		t.Errorf("answered %q", got)
	}
	w = dialWire(t, b)
	w.send(list...)
	if got := w.until("MSG"); got != "" {
		t.Errorf("answered %q before CONNECT", got)
	}
}

// TestSubscriptionsOfATokenAreBounded: one connection cannot fill the memory with them.
func TestSubscriptionsOfATokenAreBounded(t *testing.T) {
	b := start(t, guarded(t.TempDir()))
	defer closeBroker(t, b)
	w := dialWire(t, b)
	w.send(connectLine(issue(t, b, "greedy", on(protocol.OpRead))))
	lines := make([]string, 9000)
	for i := range lines {
		lines[i] = fmt.Sprintf("SUB inbox.%d %d", i, i+1)
	}
	w.send(lines...)
	if got := w.until("-ERR"); !strings.Contains(got, "maximum subscriptions exceeded") {
		t.Errorf("got %q", got[max(0, len(got)-200):])
	}
}
