package broker_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
)

// listenOn subscribes, and returns once the server knows it.
func listenOn(t *testing.T, nc *nats.Conn, subject string) <-chan *nats.Msg {
	t.Helper()
	c := make(chan *nats.Msg, 1024)
	if _, err := nc.ChanSubscribe(subject, c); err != nil {
		t.Fatal(err)
	}
	flush(t, nc)
	return c
}

func appendOn(t *testing.T, svc protocol.Service, stream protocol.StreamName, recs ...protocol.Record) {
	t.Helper()
	if _, err := svc.Append(t.Context(), protocol.StreamRef{Basin: events.Basin, Stream: stream}, protocol.AppendInput{Records: recs}); err != nil {
		t.Fatal(err)
	}
}

func wantTap(t *testing.T, c <-chan *nats.Msg, subject, seqNum, body string) *nats.Msg {
	t.Helper()
	m := receive(t, "a record on "+subject, c)
	if m.Subject != subject || m.Header.Get(protocol.HeaderSeqNum) != seqNum || string(m.Data) != body {
		t.Errorf("%s %v %q, want %s, seq_num %s, %q", m.Subject, m.Header, m.Data, subject, seqNum, body)
	}
	return m
}

// TestLiveTap: a subscription hears the records of all streams below a prefix, whatever their names and headers, and none of
// before it or of other streams.
func TestLiveTap(t *testing.T) {
	b := start(t, onDisk(t.TempDir()))
	defer closeBroker(t, b)
	nc, err := b.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	svc := b.Service()
	ensureBasin(t, svc)
	appendOn(t, svc, "chat/a", protocol.Record{Body: []byte("too early")})
	c := listenOn(t, nc, "s2.live.test-basin.chat.>")
	rec := protocol.Record{Body: []byte("hello"), Headers: []protocol.Header{
		{Name: []byte("Kind"), Value: []byte("greeting")}, {Name: []byte("Kind"), Value: []byte("")},
		{Name: []byte("Nats-Rollup"), Value: []byte("all")}, {Name: []byte("s2-seq-num"), Value: []byte("7")}, {Name: []byte("status"), Value: []byte("503")},
		{Name: []byte("two\nlines"), Value: []byte("x")}, {Name: []byte("bytes"), Value: []byte("\x00\xff\r\n")}}}
	appendOn(t, svc, "other", protocol.Record{Body: []byte("elsewhere")})
	appendOn(t, svc, "chat/a", rec, protocol.Record{Body: []byte("two")})
	appendOn(t, svc, "chat/a.b c/*", protocol.Record{})
	appendOn(t, svc, "chat/a", protocol.FenceRecord("mine"))

	m := wantTap(t, c, "s2.live.test-basin.chat.a", "1", "hello")
	batch, err := svc.Read(t.Context(), protocol.StreamRef{Basin: events.Basin, Stream: "chat/a"}, protocol.ReadRequest{Start: protocol.FromSeqNum(1)})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := m.Header[protocol.HeaderTimestamp], strconv.FormatUint(batch.Records.First().Timestamp, 10); len(got) != 1 || got[0] != want {
		t.Errorf("timestamp %q, want %s", got, want)
	}
	if got := m.Header["Kind"]; len(got) != 2 || got[0] != "greeting" || got[1] != "" {
		t.Errorf("Kind is %q", got)
	}
	var escaped []string
	for _, v := range m.Header[protocol.HeaderEscaped] {
		name, value, _ := strings.Cut(v, ":")
		n, err1 := base64.StdEncoding.DecodeString(name)
		v, err2 := base64.StdEncoding.DecodeString(value)
		if err1 != nil || err2 != nil {
			t.Error(err1, err2)
		}
		escaped = append(escaped, fmt.Sprintf("%s=%s", n, v))
	}
	if got, want := strings.Join(escaped, ";"), "Nats-Rollup=all;s2-seq-num=7;status=503;two\nlines=x;bytes=\x00\xff\r\n"; got != want {
		t.Errorf("escaped %q, want %q", got, want)
	}
	if len(m.Header) != 4 {
		t.Errorf("headers %v", m.Header)
	}
	wantTap(t, c, "s2.live.test-basin.chat.a", "2", "two")
	wantTap(t, c, "s2.live.test-basin.chat.a%2Eb%20c.%2A", "0", "")
	if m := wantTap(t, c, "s2.live.test-basin.chat.a", "3", "mine"); m.Header.Get(protocol.HeaderEscaped) != ":ZmVuY2U=" {
		t.Errorf("a command has %v", m.Header)
	}
}

// TestLiveTapOfEncrypted: what needs a key is not published.
func TestLiveTapOfEncrypted(t *testing.T) {
	b := start(t, onDisk(t.TempDir()))
	defer closeBroker(t, b)
	nc, err := b.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	svc := b.Service()
	if _, _, err := svc.EnsureBasin(t.Context(), events.Basin, protocol.EnsureBasinRequest{Config: protocol.BasinConfig{CreateStreamOnAppend: true, StreamCipher: protocol.CipherAEGIS256}}); err != nil {
		t.Fatal(err)
	}
	c := listenOn(t, nc, "s2.live.>")
	key := protocol.NewEncryptionKey([protocol.EncryptionKeyBytes]byte{1})
	if _, err := svc.Append(t.Context(), events, input("secret"), protocol.WithEncryptionKey(key)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := svc.EnsureBasin(t.Context(), "plain-basin", protocol.EnsureBasinRequest{Config: protocol.BasinConfig{CreateStreamOnAppend: true}}); err != nil {
		t.Fatal(err)
	}
	if _, err := svc.Append(t.Context(), protocol.StreamRef{Basin: "plain-basin", Stream: "s"}, input("open")); err != nil {
		t.Fatal(err)
	}
	wantTap(t, c, "s2.live.plain-basin.s", "0", "open")
}

// TestLiveTapOfTokens: each token hears what it may read, under the names that it uses, as long as it lives.
func TestLiveTapOfTokens(t *testing.T) {
	b := start(t, guarded(t.TempDir()))
	defer closeBroker(t, b)
	svc := b.Service()
	ensureBasin(t, svc)
	scope := func(streams protocol.ResourceSet, ops ...protocol.Operation) protocol.AccessTokenScope {
		return protocol.AccessTokenScope{Basins: every("test-"), Streams: streams, Ops: protocol.Operations(ops...)}
	}
	root, _ := login(t, b, rootToken)
	part, partRefused := login(t, b, issue(t, b, "part", scope(every("chat/a"), protocol.OpRead)))
	own, _ := login(t, b, issueFor(t, b, protocol.IssueAccessTokenRequest{ID: "own", AutoPrefixStreams: true, Scope: scope(every("chat/"), protocol.OpRead, protocol.OpAppend)}))
	writer, writerRefused := login(t, b, issue(t, b, "writer", scope(every(""), protocol.OpAppend)))
	all, some, mine := listenOn(t, root, "s2.live.>"), listenOn(t, part, "s2.live.>"), listenOn(t, own, "s2.live.test-basin.>")
	none := listenOn(t, writer, ">")
	if _, err := writer.SubscribeSync("s2.live.test-basin.>"); err != nil {
		t.Fatal(err)
	}
	flush(t, writer)
	receive(t, "the refusal of a tap without read", writerRefused)
	if err := part.Publish("s2.live.test-basin.chat.ab", []byte("forged")); err != nil {
		t.Fatal(err)
	}
	flush(t, part)
	receive(t, "the refusal of a forged record", partRefused)

	for _, s := range []protocol.StreamName{"chat/ab", "chat/b", "chat/a"} {
		appendOn(t, svc, s, protocol.Record{Body: []byte(s)})
	}
	for _, s := range []string{"chat/ab", "chat/b", "chat/a"} {
		wantTap(t, all, "s2.live.test-basin."+strings.ReplaceAll(s, "/", "."), "0", s)
		wantTap(t, mine, "s2.live.test-basin."+strings.TrimPrefix(s, "chat/"), "0", s)
	}
	wantTap(t, some, "s2.live.test-basin.chat.ab", "0", "chat/ab")
	wantTap(t, some, "s2.live.test-basin.chat.a", "0", "chat/a")
	if err := svc.RevokeAccessToken(t.Context(), "part"); err != nil {
		t.Fatal(err)
	}
	appendOn(t, svc, "chat/a", protocol.Record{Body: []byte("later")})
	wantTap(t, all, "s2.live.test-basin.chat.a", "1", "later")
	if len(some) > 0 || len(none) > 0 {
		t.Errorf("%d records after the token was revoked, %d without read", len(some), len(none))
	}
}

// TestLiveTapWithUsers: users of the NATS configuration hear records in their accounts, but not when reading takes an access
// token, which a subscription cannot carry.
func TestLiveTapWithUsers(t *testing.T) {
	for _, checked := range []bool{false, true} {
		c := guarded(t.TempDir())
		if !checked {
			c.RootToken = ""
		}
		c.NATS.ConfigFile = filepath.Join(t.TempDir(), "nats.conf")
		if err := os.WriteFile(c.NATS.ConfigFile, []byte(`accounts { TEAM { users [ { user: me, password: pw } ] } }`), 0o600); err != nil {
			t.Fatal(err)
		}
		b := start(t, c)
		ensureBasin(t, b.Service())
		nc := loginAs(t, b.ClientURL(), "me", "pw")
		got := listenOn(t, nc, "s2.live.>")
		appendTo(t, b.Service(), "one")
		if checked {
			flush(t, nc)
		} else {
			wantTap(t, got, "s2.live.test-basin.events", "0", "one")
			if err := b.Reload(); err != nil {
				t.Fatal(err)
			}
			appendTo(t, b.Service(), "two")
			wantTap(t, got, "s2.live.test-basin.events", "1", "two")
		}
		if len(got) > 0 {
			t.Error("a record was published although reading takes a token")
		}
		closeBroker(t, b)
	}
}
