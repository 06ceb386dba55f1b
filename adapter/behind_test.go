package adapter

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
	"github.com/weirstream/weir/test/storedir"
)

// laggard stands between an adapter and the servers that it reads from, as one of them that is behind the others: it repeats old answers to
// questions for the newest messages.
type laggard struct {
	front *server.Server

	mu    sync.Mutex
	old   []*nats.Msg // the answer to the question that was asked first
	stale int         // how many questions will get it
	asked int
}

func newLaggard(t *testing.T) *laggard {
	t.Helper()
	srv, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, NoLog: true, MaxPayload: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	return &laggard{front: srv}
}

// connect routes the connections for reading through the laggard.
func (l *laggard) connect(t *testing.T, behind func(name string) (*nats.Conn, error)) func(name string) (*nats.Conn, error) {
	var once sync.Once
	return func(name string) (*nats.Conn, error) {
		if !strings.HasPrefix(name, "weir: read") {
			return behind(name)
		}
		once.Do(func() { l.relay(t, behind) })
		return nats.Connect("", nats.InProcessServer(l.front))
	}
}

func (l *laggard) relay(t *testing.T, connect func(name string) (*nats.Conn, error)) {
	t.Helper()
	behind, err := connect("relay")
	if err != nil {
		t.Fatal(err)
	}
	front, err := nats.Connect("", nats.InProcessServer(l.front))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { front.Close(); behind.Close() })
	answer := func(reply string, m *nats.Msg) {
		_ = front.PublishMsg(&nats.Msg{Subject: reply, Header: m.Header, Data: m.Data})
	}
	if _, err := front.Subscribe("$JS.API.DIRECT.GET.>", func(m *nats.Msg) {
		l.mu.Lock()
		defer l.mu.Unlock()
		newest := bytes.Contains(m.Data, []byte("multi_last"))
		if newest {
			l.asked++
		}
		if newest && l.stale > 0 {
			l.stale--
			for _, old := range l.old {
				answer(m.Reply, old)
			}
			return
		}
		inbox, reply := nats.NewInbox(), m.Reply
		records := newest && l.old == nil
		if _, err := behind.Subscribe(inbox, func(m *nats.Msg) {
			if records {
				l.mu.Lock()
				l.old = append(l.old, m)
				l.mu.Unlock()
			}
			answer(reply, m)
		}); err == nil {
			_ = behind.PublishRequest(m.Subject, inbox, m.Data)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := front.Flush(); err != nil {
		t.Fatal(err)
	}
}

// A stream that was unloaded and comes back is not taken for one as short as a server says that is behind: its next record would stand where another one
// stands already.
func TestStreamIsLoadedFromAServerThatIsBehind(t *testing.T) {
	l := newLaggard(t)
	h := newHarness(t, func(o *Options) {
		o.Durability, o.Shared = protocol.DurabilityInterval, true
		o.Connect = l.connect(t, o.Connect)
	})
	basin := h.basin("test-basin", protocol.BasinConfig{})
	ref := h.stream(basin, "s", protocol.StreamConfig{})
	h.mustAppend(ref, body("0"))
	unload := func() {
		s := h.handle(ref)
		log, id := s.st.log, s.st.id
		s.Close()
		eventually(t, "the stream is not used any more", func() bool {
			log.mu.Lock()
			defer log.mu.Unlock()
			st := log.streams[id]
			if st != nil && st.uses.count == 0 {
				log.forgetLocked(st)
			}
			return log.streams[id] == nil
		})
	}
	unload()
	l.mu.Lock()
	l.old = nil // keep the next answer, which knows of one record
	l.mu.Unlock()
	h.mustAppend(ref, body("1"))
	unload()
	l.mu.Lock()
	if len(l.old) == 0 {
		t.Error("no question for the newest chunk was seen")
	}
	asked := l.asked
	l.stale = 2
	l.mu.Unlock()
	if ack := h.mustAppend(ref, body("2")); ack.Start.SeqNum != 2 {
		t.Errorf("the third record has seq_num %d", ack.Start.SeqNum)
	}
	l.mu.Lock()
	if l.stale != 0 || l.asked != asked+3 {
		t.Errorf("%d old answers are left, after %d questions", l.stale, l.asked-asked)
	}
	l.mu.Unlock()
	var bodies []string
	for _, r := range h.read(ref, 0) {
		bodies = append(bodies, string(r.Body))
	}
	if strings.Join(bodies, " ") != "0 1 2" {
		t.Errorf("the stream holds %q", bodies)
	}
}

// A log whose basins are being restored gets chunks beside the streams' states: what is loaded afterwards includes them.
func TestReachedFollowsEveryChunk(t *testing.T) {
	h := newHarness(t, func(o *Options) { o.Durability, o.Shared = protocol.DurabilityInterval, true })
	basin := h.basin("test-basin", protocol.BasinConfig{})
	ref := h.stream(basin, "s", protocol.StreamConfig{})
	h.mustAppend(ref, body("0"))
	s := h.handle(ref)
	defer s.Close()
	l := s.st.log
	newest, err := l.getLast(t.Context(), s.st.subject)
	if err != nil {
		t.Fatal(err)
	}
	st := l.restoring(basin)
	before := l.reached.Load()
	done := make(chan error, 1)
	c := &restoredChunk{restore: "r", place: 1, id: newest.ID, subject: l.subject(basin, layout.NewStreamID(0)), header: newest.EncodeHeader(), payload: newest.Records.Wire()}
	if err := st.post(&request{ctx: context.Background(), st: st, appender: &Appender{st: st}, kind: restoreRequest, restored: c,
		done: func(_ protocol.AppendAck, err error) { done <- err }}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if after := l.reached.Load(); after != before+1 {
		t.Errorf("%d after %d", after, before)
	}
}

// The owner of a log opens it although it knows no stream in it, as while a basin is being restored.
func TestOwnerOfALogWithoutStreams(t *testing.T) {
	srv := startExternal(t, server.RANDOM_PORT, storedir.New(t))
	logs := func(o *Options) { o.Logs = 8 }
	hs := []*harness{openShared(t, srv.ClientURL(), logs), openShared(t, srv.ClientURL(), logs)}
	basin := hs[0].basin("test-basin", protocol.BasinConfig{})
	eventually(t, "both brokers are live", func() bool {
		for _, h := range hs {
			if s, _ := h.NodeStats(); s.Nodes["live"] != 2 {
				return false
			}
		}
		return true
	})
	for n := range 8 {
		l, err := hs[0].logOf(t.Context(), basin, n)
		if err != nil {
			t.Fatal(err)
		}
		st := l.restoring(basin)
		done := make(chan error, 1)
		c := chunk.Chunk{ID: "chunk", Trim: 1, Next: 1}
		r := &restoredChunk{restore: "r", id: c.ID, subject: l.subject(basin, layout.NewStreamID(0)), header: c.EncodeHeader()}
		if err := st.post(&request{ctx: t.Context(), st: st, appender: &Appender{st: st}, kind: restoreRequest, restored: r,
			done: func(_ protocol.AppendAck, err error) { done <- err }}); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Errorf("log %d: %v", n, err)
		}
	}
}
