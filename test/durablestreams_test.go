package test

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/conformance"
)

// The Durable Streams door has a conformance suite of its own (test/ds). Here stands what it shares with the other doors.

// durable is a broker with a basin, and requests to its Durable Streams door.
type durable struct {
	t     *testing.T
	b     *broker.Broker
	token string
	port  string // the URL below which paths are; "" for that on the HTTP API
}

const durableBasin protocol.BasinName = "demo-basin"

func newDurable(t *testing.T, settings ...func(*conf.Config)) *durable {
	settings = append(settings, func(c *conf.Config) { c.HTTP.Listen = "127.0.0.1:0" })
	return &durable{t: t, b: startBroker(t, conformance.RealClock, settings...)}
}

func (d *durable) ask(method, path, body string, head ...string) (status int, answer string, header http.Header) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 2*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, cmp.Or(d.port, d.b.HTTPURL()+"/ds/")+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	for i := 0; i < len(head); i += 2 {
		req.Header.Set(head[i], head[i+1])
	}
	if d.token != "" {
		req.Header.Set("Authorization", "Bearer "+d.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return resp.StatusCode, string(got), resp.Header
}

func (d *durable) is(want int, method, path, body string, head ...string) string {
	d.t.Helper()
	status, answer, _ := d.ask(method, path, body, head...)
	if status != want {
		d.t.Fatalf("%s %s: %d %s, want %d", method, path, status, answer, want)
	}
	return answer
}

// One stream, three doors.
func TestDurableStreamsAreStreams(t *testing.T) {
	d := newDurable(t)
	svc, ctx := d.b.Service(), t.Context()
	if _, _, err := svc.CreateBasin(ctx, protocol.CreateBasinRequest{Basin: durableBasin}); err != nil {
		t.Fatal(err)
	}
	const asJSON, media = "Content-Type", "application/json"
	ref := protocol.StreamRef{Basin: durableBasin, Stream: "chat/reply 7"}
	d.is(201, "PUT", "demo-basin/chat/reply%207", "", asJSON, media)
	d.is(204, "POST", "demo-basin/chat%2Freply%207", `[{"a":1}, [2]]`, asJSON, media)
	if _, err := svc.Append(ctx, ref, protocol.AppendInput{Records: []protocol.Record{
		{Headers: []protocol.Header{{Name: []byte("by"), Value: []byte("S2")}}, Body: []byte(`"three"`)}, protocol.FenceRecord("")}}); err != nil {
		t.Fatal(err)
	}
	if got := d.is(200, "GET", "demo-basin/chat/reply%207?offset=-1", ""); got != `[{"a":1},[2],"three"]` {
		t.Errorf("read %s", got)
	}
	batch, err := svc.Read(ctx, ref, protocol.ReadRequest{Start: protocol.FromSeqNum(0)})
	if recs := batch.Records.Slice(); err != nil || len(recs) != 4 || string(recs[0].Body) != `{"a":1}` || string(recs[1].Body) != `[2]` {
		t.Errorf("S2 reads %v, %v", recs, err)
	}
	if config, err := svc.GetStreamConfig(ctx, ref); err != nil || config.ContentType != media || !config.RetentionPolicy.Infinite() {
		t.Errorf("configured as %+v, %v", config, err)
	}
	// A stream of S2 is one of bytes there, and its end is the end.
	other := protocol.StreamRef{Basin: durableBasin, Stream: "plain"}
	if _, _, err := svc.CreateStream(ctx, durableBasin, protocol.CreateStreamRequest{Stream: other.Stream}); err != nil {
		t.Fatal(err)
	}
	if _, err := svc.Append(ctx, other, protocol.AppendInput{Records: []protocol.Record{{Body: []byte("ab")}, {Body: []byte("cd")}}, Close: true}); err != nil {
		t.Fatal(err)
	}
	status, body, head := d.ask("GET", "demo-basin/plain", "")
	if status != 200 || body != "abcd" || head.Get("Content-Type") != "application/octet-stream" || head.Get("Stream-Closed") != "true" || head.Get("Stream-Up-To-Date") != "true" {
		t.Errorf("%d %q %v", status, body, head)
	}
	if events := d.is(200, "GET", "demo-basin/plain?offset=-1&live=sse", ""); !strings.Contains(events, "YWJjZA==") || !strings.Contains(events, `"streamClosed":true`) {
		t.Errorf("events %q", events)
	}
	if status, _, head := d.ask("POST", "demo-basin/plain", "x", "Content-Type", "application/octet-stream"); status != 409 || head.Get("Stream-Closed") != "true" {
		t.Errorf("an append to a closed stream: %d %v", status, head)
	}
	d.is(204, "DELETE", "demo-basin/plain", "")
	d.is(404, "GET", "demo-basin/plain", "")
}

func TestDurableStreamsRefusals(t *testing.T) {
	d := newDurable(t)
	if _, _, err := d.b.Service().CreateBasin(t.Context(), protocol.CreateBasinRequest{Basin: durableBasin}); err != nil {
		t.Fatal(err)
	}
	text := []string{"Content-Type", "text/plain"}
	d.is(201, "PUT", "demo-basin/s", "", text...)
	d.is(400, "PUT", "demo", "", text...)
	d.is(400, "PUT", "Demo-Basin/s", "", text...)
	d.is(400, "PUT", "demo-basin/", "", text...)
	d.is(404, "PUT", "another-basin/s", "", text...)
	d.is(404, "GET", "demo-basin/missing", "")
	d.is(405, "PATCH", "demo-basin/s", "")
	const from, at, sub = "Stream-Forked-From", "Stream-Fork-Offset", "Stream-Fork-Sub-Offset"
	d.is(404, "PUT", "demo-basin/fork", "", from, "/ds/demo-basin/missing")
	d.is(400, "PUT", "demo-basin/fork", "", from, "/ds/another-basin/s")
	d.is(400, "PUT", "demo-basin/fork", "", from, "s")
	d.is(400, "PUT", "demo-basin/fork", "", from, "/")
	d.is(400, "PUT", "demo-basin/fork", "", from, "/%")
	d.is(400, "PUT", "demo-basin/fork", "", at, "-1")
	d.is(400, "PUT", "demo-basin/fork", "", from, "/s", at, "7")
	d.is(400, "PUT", "demo-basin/fork", "", from, "/s", at, "00000000000000000001")
	d.is(400, "PUT", "demo-basin/fork", "", from, "/s", at, "-1", sub, "1")
	d.is(409, "PUT", "demo-basin/fork", "", from, "/s", "Content-Type", "application/json")
	d.is(404, "GET", "demo-basin/fork", "")
	d.is(501, "GET", "demo-basin/__ds/subscriptions/x", "")
	d.is(413, "POST", "demo-basin/s", strings.Repeat("x", 1<<20), text...)
	d.is(413, "POST", "demo-basin/s", strings.Repeat("x", 3<<20), text...)
	d.is(400, "GET", "demo-basin/s?offset=00000000000000000000&offset=now", "")
	d.is(400, "GET", "demo-basin/s?offset=7", "")
	d.is(400, "GET", "demo-basin/s?live=sse", "")
	d.is(400, "POST", "demo-basin/s", "x", "Content-Type", "text/plain", "Producer-Id", "p")
	d.is(400, "POST", "demo-basin/s", "x", "Content-Type", "text/plain", "Stream-Seq", strings.Repeat("9", 257))
	d.is(201, "PUT", "demo-basin/j", "", "Content-Type", "application/json")
	d.is(413, "POST", "demo-basin/j", "["+strings.Repeat("1,", 1000)+"1]", "Content-Type", "application/json")
	d.is(204, "POST", "demo-basin/j", "["+strings.Repeat("1,", 999)+"1]", "Content-Type", "application/json")
	for _, bad := range []string{"[", "[1]]", "[1] 2", "{}{}", "[]", " ", "nul"} {
		d.is(400, "POST", "demo-basin/j", bad, "Content-Type", "application/json")
	}
}

// A fork is a stream of its own: it outlives its source, whose name is free at once.
func TestDurableStreamsFork(t *testing.T) {
	d := newDurable(t)
	svc := d.b.Service()
	if _, _, err := svc.CreateBasin(t.Context(), protocol.CreateBasinRequest{Basin: durableBasin}); err != nil {
		t.Fatal(err)
	}
	const from, at, sub = "Stream-Forked-From", "Stream-Fork-Offset", "Stream-Fork-Sub-Offset"
	text := []string{"Content-Type", "text/plain"}
	const second = "00000000000000000001"
	d.is(201, "PUT", "demo-basin/chat/a%20b", "one", text...)
	d.is(204, "POST", "demo-basin/chat/a%20b", "two", text...)
	fork := []string{from, "/ds/demo-basin/chat/a%20b", at, second, sub, "2"}
	d.is(201, "PUT", "demo-basin/fork", "+", fork...)
	d.is(200, "PUT", "demo-basin/fork", "+", fork...)
	d.is(409, "PUT", "demo-basin/fork", "", from, "/chat/a%20b")
	d.is(409, "PUT", "demo-basin/fork", "", from, "/chat/a%20b", at, second, sub, "1")
	whole := []string{from, "/fork"}
	d.is(201, "PUT", "demo-basin/deeper", "!", whole...)
	if got := d.is(200, "GET", "demo-basin/deeper", ""); got != "onetw+!" {
		t.Errorf("a fork of the fork has %q", got)
	}

	// The creation was cut off before the fork had its own part: the next one completes it.
	one, token := uint64(1), "durable-streams.1"
	cut := protocol.CreateStreamRequest{Stream: "cut", Config: protocol.StreamConfig{RetentionPolicy: &protocol.RetentionPolicy{}},
		Fork: &protocol.ForkRequest{Source: "chat/a b", At: &one}, RequestToken: &token}
	if _, _, err := svc.CreateStream(t.Context(), durableBasin, cut); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		d.is(200, "PUT", "demo-basin/cut", "", from, "/chat/a%20b", at, second, sub, "1")
		if got := d.is(200, "GET", "demo-basin/cut", ""); got != "onet" {
			t.Errorf("the completed fork has %q", got)
		}
	}

	d.is(204, "DELETE", "demo-basin/chat/a%20b", "")
	d.is(404, "HEAD", "demo-basin/chat/a%20b", "")
	d.is(404, "PUT", "demo-basin/late", "", from, "/chat/a%20b")
	d.is(204, "DELETE", "demo-basin/fork", "")
	d.is(200, "PUT", "demo-basin/deeper", "!", whole...)
	if got := d.is(200, "GET", "demo-basin/deeper", ""); got != "onetw+!" {
		t.Errorf("without its sources a fork has %q", got)
	}
	d.is(201, "PUT", "demo-basin/chat/a%20b", "anew", text...)
	if got := d.is(200, "GET", "demo-basin/cut", ""); got != "onet" {
		t.Errorf("beside a new stream of the source's name a fork has %q", got)
	}
}

// The order of writers is one for all doors: the protocol's Stream-Seq is the writer_seq of the others.
func TestWriterSeqOverDoors(t *testing.T) {
	d := newDurable(t)
	ctx := t.Context()
	if _, _, err := d.b.Service().CreateBasin(ctx, protocol.CreateBasinRequest{Basin: durableBasin}); err != nil {
		t.Fatal(err)
	}
	nc, err := d.b.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	raw := func(subject, seq, want string) {
		t.Helper()
		msg := &nats.Msg{Subject: "s2.v1." + subject + ".demo-basin.s", Header: nats.Header{protocol.HeaderWriterSeq: {seq}}}
		answer, err := nc.RequestMsgWithContext(ctx, msg)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(answer.Data); !strings.Contains(got, want) {
			t.Errorf("%s with %q: %s, want %s", subject, seq, got, want)
		}
	}
	text := []string{"Content-Type", "text/plain"}
	d.is(201, "PUT", "demo-basin/s", "", text...)
	d.is(204, "POST", "demo-basin/s", "x", append(text, "Stream-Seq", "2")...)
	raw("append", "1", `"code":"writer_seq_conflict"`)
	raw("append", "2", `"code":"writer_seq_conflict"`)
	raw("append", "20", `"start":{"seq_num":1,`)
	d.is(409, "POST", "demo-basin/s", "x", append(text, "Stream-Seq", "20")...)
	raw("append", strings.Repeat("x", 257), `"code":"invalid"`)
	raw("close", "20", `"code":"writer_seq_conflict"`)
	raw("close", "21", `"end":{"seq_num":2,`)
	d.is(409, "POST", "demo-basin/s", "x", append(text, "Stream-Seq", "3")...)
	batch, err := d.b.Service().Read(ctx, protocol.StreamRef{Basin: durableBasin, Stream: "s"}, protocol.ReadRequest{Start: protocol.FromSeqNum(1)})
	if recs := batch.Records.Slice(); err != nil || len(recs) != 1 || len(recs[0].Headers) != 0 {
		t.Errorf("%+v, %v: the control header is no header of the record", recs, err)
	}
}

// A client that asks for trimmed messages learns of it, however it reads; one that begins at the beginning gets what there is.
func TestDurableStreamsTrimmed(t *testing.T) {
	d := newDurable(t)
	svc, ctx := d.b.Service(), t.Context()
	if _, _, err := svc.CreateBasin(ctx, protocol.CreateBasinRequest{Basin: durableBasin}); err != nil {
		t.Fatal(err)
	}
	ref := protocol.StreamRef{Basin: durableBasin, Stream: "s"}
	d.is(201, "PUT", "demo-basin/s", "[1,2,3]", "Content-Type", "application/json")
	if _, err := svc.Append(ctx, ref, protocol.AppendInput{Records: []protocol.Record{protocol.TrimRecord(2)}}); err != nil {
		t.Fatal(err)
	}
	const first, second = "00000000000000000001", "00000000000000000002"
	for _, live := range []string{"", "&live=long-poll", "&live=sse"} {
		d.is(410, "GET", "demo-basin/s?offset="+first+live, "")
	}
	for _, offset := range []string{"-1", second} {
		if got := d.is(200, "GET", "demo-basin/s?offset="+offset, ""); got != "[3]" {
			t.Errorf("from %s: %s", offset, got)
		}
		if got := d.is(200, "GET", "demo-basin/s?live=long-poll&offset="+offset, ""); got != "[3]" {
			t.Errorf("from %s by long-poll: %s", offset, got)
		}
	}
	if _, err := svc.Append(ctx, ref, protocol.AppendInput{Records: []protocol.Record{protocol.TrimRecord(5)}, Close: true}); err != nil {
		t.Fatal(err)
	}
	d.is(410, "GET", "demo-basin/s?offset="+second, "")
	d.is(410, "GET", "demo-basin/s?live=sse&offset="+second, "")
	if got := d.is(200, "GET", "demo-basin/s?offset=-1&live=sse", ""); strings.Contains(got, "event: data") || !strings.Contains(got, `"streamClosed":true`) {
		t.Errorf("events of a stream with nothing left: %s", got)
	}
	if got := d.is(200, "GET", "demo-basin/s?offset=00000000000000000005", ""); got != "[]" {
		t.Errorf("at the tail: %s", got)
	}
}

// On the protocol's own port the path of a stream is its name, and there is nothing else.
func TestDurableStreamsPort(t *testing.T) {
	d := newDurable(t, func(c *conf.Config) {
		c.DurableStreams = conf.DurableStreams{Listen: "127.0.0.1:0", Basin: string(durableBasin)}
	})
	text := []string{"Content-Type", "text/plain"}
	d.port = d.b.DurableStreamsURL() + "/"
	d.is(404, "PUT", "chat/reply%207", "", text...) // the basin is not there yet
	if _, _, err := d.b.Service().CreateBasin(t.Context(), protocol.CreateBasinRequest{Basin: durableBasin}); err != nil {
		t.Fatal(err)
	}
	status, _, head := d.ask("PUT", "chat/reply%207", "one", text...)
	if want := d.port + "chat/reply%207"; status != 201 || head.Get("Location") != want {
		t.Errorf("%d, at %q, want %q", status, head.Get("Location"), want)
	}
	d.is(204, "POST", "chat/reply%207", "two", text...)
	d.is(201, "PUT", "v1/streams", "another", text...)
	d.is(201, "PUT", "ds/demo-basin/fork", "+", "Stream-Forked-From", "/chat/reply%207")
	d.is(201, "PUT", "health", "", "Stream-Forked-From", "/ds/demo-basin/fork")
	d.is(400, "GET", "", "")
	d.is(404, "GET", "dashboard", "")
	d.is(501, "GET", "__ds/subscriptions/x", "")
	got := d.is(200, "GET", "health", "")
	if d.port = ""; got != "onetwo+" || d.is(200, "GET", "demo-basin/ds/demo-basin/fork", "") != got {
		t.Errorf("a fork of a fork has %q", got)
	}
	if streams, err := d.b.Service().ListStreams(t.Context(), durableBasin, protocol.ListRequest{}); err != nil || len(streams.Streams) != 4 {
		t.Errorf("%+v, %v", streams, err)
	}
}

// Access tokens allow there what they allow everywhere.
func TestDurableStreamsAskForTokens(t *testing.T) {
	const root = "the-root-token-of-this-test"
	d := newDurable(t, func(c *conf.Config) { c.RootToken = root })
	text := []string{"Content-Type", "text/plain"}
	d.is(401, "PUT", "demo-basin/mine/s", "", text...)
	svc := d.b.Service()
	if _, _, err := svc.CreateBasin(t.Context(), protocol.CreateBasinRequest{Basin: durableBasin}); err != nil {
		t.Fatal(err)
	}
	issue := func(id string, ops ...protocol.Operation) string {
		t.Helper()
		secret, err := svc.IssueAccessToken(t.Context(), protocol.IssueAccessTokenRequest{ID: protocol.AccessTokenID(id), Scope: protocol.AccessTokenScope{
			Basins: protocol.ResourceSet{Kind: protocol.MatchPrefix}, Streams: protocol.ResourceSet{Kind: protocol.MatchPrefix, Name: "mine/"}, Ops: protocol.Operations(ops...)}})
		if err != nil {
			t.Fatal(err)
		}
		return secret
	}
	d.token = root
	d.is(201, "PUT", "demo-basin/mine/s", "hello", text...)
	d.is(201, "PUT", "demo-basin/other", "hidden", text...)
	d.token = issue("reader", protocol.OpRead, protocol.OpCheckTail, protocol.OpGetStreamConfig)
	if got := d.is(200, "GET", "demo-basin/mine/s", ""); got != "hello" {
		t.Errorf("read %q", got)
	}
	d.is(403, "GET", "demo-basin/other", "")
	d.is(403, "POST", "demo-basin/mine/s", "x", text...)
	d.is(403, "DELETE", "demo-basin/mine/s", "")
	d.is(403, "PUT", "demo-basin/mine/new", "", text...)

	d.token = issue("forker", protocol.OpRead, protocol.OpCheckTail, protocol.OpGetStreamConfig, protocol.OpCreateStream)
	d.is(201, "PUT", "demo-basin/mine/fork", "", "Stream-Forked-From", "/mine/s")
	d.is(403, "PUT", "demo-basin/mine/taken", "", "Stream-Forked-From", "/other")
	d.is(403, "PUT", "demo-basin/fork", "", "Stream-Forked-From", "/mine/s")
	d.token = issue("creator", protocol.OpCheckTail, protocol.OpGetStreamConfig, protocol.OpCreateStream)
	d.is(403, "PUT", "demo-basin/mine/unread", "", "Stream-Forked-From", "/mine/s")
}
