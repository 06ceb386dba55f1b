package adapter

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/protocol"
)

// deposed puts a server between an adapter and JetStream's API that answers as a deposed leader of a log does: to the first requests on one
// subject it gives an old answer.
func deposed(t *testing.T, h *harness, subject string, old []byte, times int32) (asked *atomic.Int32) {
	t.Helper()
	srv, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	connect := func() *nats.Conn {
		nc, err := nats.Connect("", nats.InProcessServer(srv))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	front, behind := connect(), h.manage
	asked = &atomic.Int32{}
	if _, err := front.Subscribe("$JS.API.>", func(m *nats.Msg) {
		if m.Subject == subject && asked.Add(1) <= times {
			_ = m.Respond(old)
			return
		}
		if got, err := behind.Request(m.Subject, m.Data, time.Minute); err == nil {
			_ = m.Respond(got.Data)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := front.Flush(); err != nil {
		t.Fatal(err)
	}
	h.manage = connect()
	t.Cleanup(func() { h.manage = behind })
	return asked
}

// For some seconds two servers may believe that they lead a log, and a publication reaches both. The one that was deposed refuses the chunk that the
// other one has stored, and does not know it. The append is stored once all the same.
func TestRefusalOfADeposedLeader(t *testing.T) {
	h := newHarness(t, func(o *Options) { o.Durability, o.Shared = protocol.DurabilityInterval, true })
	basin := h.basin("test-basin", protocol.BasinConfig{})
	ref := h.stream(basin, "s", protocol.StreamConfig{})
	s := h.handle(ref)
	defer s.Close()
	l := s.st.log
	for i := range 2 {
		h.mustAppend(ref, body("%d", i))
	}
	get := "$JS.API.STREAM.MSG.GET." + l.name
	m, err := h.manage.Request(get, fmt.Appendf(nil, `{"seq":%d,"next_by_subj":">"}`, s.st.live.newest()+1), time.Minute)
	if err != nil || !strings.Contains(string(m.Data), "10037") {
		t.Fatalf("the answer of a server that does not know the chunk: %s, %v", m.Data, err)
	}
	if err := l.sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	const times = 3
	asked := deposed(t, h, get, m.Data, times)
	out := submit(t, s.Appender(), protocol.AppendInput{Records: []protocol.Record{body("2")}})
	eventually(t, "the chunk is stored", func() bool { return h.chunks(ref) == 3 })
	if l.sub, err = l.pub.Subscribe(l.replyPrefix+"*", l.onPubAck); err != nil {
		t.Fatal(err)
	}
	refusal := &jetstream.APIError{Code: 400, ErrorCode: jetstream.JSErrCodeStreamWrongLastSequence, Description: "wrong last sequence: 1"}
	if !js.WrongSequence(refusal) {
		t.Fatal("the refusal is none")
	}
	l.seq.in.postAck(pubAck{token: 2, err: refusal})
	if got := <-out; got.err != nil || got.ack.Start.SeqNum != 2 {
		t.Errorf("%+v", got)
	}
	if n := asked.Load(); n <= times {
		t.Errorf("the log was asked %d times", n)
	}
	var bodies []string
	for _, r := range h.read(ref, 0) {
		bodies = append(bodies, string(r.Body))
	}
	if strings.Join(bodies, " ") != "0 1 2" {
		t.Errorf("the stream holds %q", bodies)
	}
}

// While servers elect the leader of a log, a stream that has to be looked up there is not available. That is no fault inside the broker.
func TestLookUpWithoutALeader(t *testing.T) {
	h := newHarness(t, func(o *Options) { o.Durability, o.Shared = protocol.DurabilityInterval, true })
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	s := h.handle(ref)
	defer s.Close()
	l := s.st.log
	deposed(t, h, "$JS.API.STREAM.MSG.GET."+l.name, []byte(`{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}`), 1<<30)
	if _, err := l.leaderGet(t.Context(), js.Wanted{LastFor: s.st.subject}); protocol.CodeOf(err) != protocol.CodeUnavailable {
		t.Errorf("got %v", err)
	}
}
