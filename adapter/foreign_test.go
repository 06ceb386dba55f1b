package adapter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

// writeForeign stores a chunk with one record as another server would, behind the sequencer's back.
func writeForeign(t *testing.T, h *harness, ref protocol.StreamRef) {
	t.Helper()
	s := h.handle(ref)
	defer s.Close()
	l := s.st.log
	before, err := l.getLast(t.Context(), s.st.subject)
	if err != nil && !errors.Is(err, js.ErrNotFound) {
		t.Fatal(err)
	}
	at := protocol.Position{SeqNum: before.Next, Timestamp: before.Last + 1}
	wire := protocol.AppendSequenced(nil, at.SeqNum, at.Timestamp, nil, []byte("foreign"))
	c := chunk.Chunk{ID: "foreign-" + fmt.Sprint(at.SeqNum), Records: protocol.MakeRecords(wire, 1, 15, at, at), Next: at.SeqNum + 1,
		Last: at.Timestamp, Trim: before.Trim, Fence: before.Fence}
	m := &nats.Msg{Subject: s.st.subject, Data: wire, Header: nats.Header{chunk.Header: {c.EncodeHeader()}}}
	if _, err := h.js.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// together hands appends to one log in one piece, so that they are sequenced in the same turn.
func together(t *testing.T, handles []*Stream, ins []protocol.AppendInput) []outcome {
	t.Helper()
	outs := make([]chan outcome, len(ins))
	var reqs []*request
	for i, in := range ins {
		st := handles[i].st
		ch := make(chan outcome, 1)
		outs[i] = ch
		st.acquire()
		reqs = append(reqs, &request{ctx: t.Context(), st: st, appender: &Appender{st: st}, in: in,
			done: func(a protocol.AppendAck, err error) { ch <- outcome{a, err} }})
	}
	in := &handles[0].st.log.seq.in
	in.mu.Lock()
	in.received.requests = append(in.received.requests, reqs...)
	in.mu.Unlock()
	in.poke()
	var got []outcome
	for _, ch := range outs {
		got = append(got, <-ch)
	}
	return got
}

func bodies(name string, n int) (in protocol.AppendInput) {
	for i := range n {
		in.Records = append(in.Records, body("%s %d", name, i))
	}
	return in
}

// checkStored checks that the stream is dense, holds each acknowledged record once and where it was acknowledged, and
// nothing else than that and so many foreign records.
func checkStored(t *testing.T, h *harness, ref protocol.StreamRef, before, foreign int, ins []protocol.AppendInput, outs []outcome) {
	t.Helper()
	recs := h.read(ref, 0)
	want := before + foreign
	for i, in := range ins {
		if outs[i].err != nil {
			t.Fatalf("append %d: %v", i, outs[i].err)
		}
		if i > 0 && outs[i].ack.Start.SeqNum < outs[i-1].ack.End.SeqNum {
			t.Fatalf("append %d stands at %d, before the one before it", i, outs[i].ack.Start.SeqNum)
		}
		want += len(in.Records)
		for k, r := range in.Records {
			seq := outs[i].ack.Start.SeqNum + uint64(k)
			if seq >= uint64(len(recs)) || !bytes.Equal(recs[seq].Body, r.Body) {
				t.Fatalf("append %d was acknowledged at %d, where it is not", i, outs[i].ack.Start.SeqNum)
			}
		}
	}
	if len(recs) != want {
		t.Fatalf("%v has %d records, want %d", ref, len(recs), want)
	}
	for i, r := range recs {
		if r.SeqNum != uint64(i) {
			t.Fatalf("record %d of %v has seq_num %d", i, ref, r.SeqNum)
		}
	}
}

// onWire is an in-process connection whose outgoing bytes a test may change.
type onWire struct {
	srv  *server.Server
	edit func([]byte) []byte
}

type editedConn struct {
	net.Conn
	edit func([]byte) []byte
}

func (w onWire) InProcessConn() (net.Conn, error) {
	c, err := w.srv.InProcessConn()
	return &editedConn{c, w.edit}, err
}

func (c *editedConn) Write(b []byte) (int, error) {
	if _, err := c.Conn.Write(c.edit(slices.Clone(b))); err != nil {
		return 0, err
	}
	return len(b), nil
}

// The states cannot be read at once after another server's write was found: the recovery that follows must still know
// that the lost chunks are not to be published again.
func TestForeignWriteIsRememberedWhenReloadFails(t *testing.T) {
	var failures atomic.Int32
	h := newHarness(t, func(o *Options) {
		connect := o.Connect
		o.Connect = func(name string) (*nats.Conn, error) {
			if name != "weir: manage" {
				return connect(name)
			}
			probe, err := connect("probe")
			if err != nil {
				return nil, err
			}
			defer probe.Close()
			return nats.Connect("", nats.Name(name), nats.InProcessServer(onWire{probe.Opts.InProcessServer.(*server.Server), func(b []byte) []byte {
				if bytes.Contains(b, []byte(`"last_by_subj"`)) && failures.Add(-1) >= 0 {
					return bytes.Replace(b, []byte(`{"last_by_subj"`), []byte(`["last_by_subj"`), 1)
				}
				return b
			}}))
		}
	})
	b := h.basin("test-basin", protocol.BasinConfig{})
	var refs []protocol.StreamRef
	var handles []*Stream
	var ins []protocol.AppendInput
	for i := range 5 {
		ref := h.stream(b, fmt.Sprint(i), protocol.StreamConfig{})
		s := h.handle(ref)
		defer s.Close()
		refs, handles, ins = append(refs, ref), append(handles, s), append(ins, bodies(fmt.Sprint("append ", i), 2))
	}
	writeForeign(t, h, refs[0])
	failures.Store(3)
	outs := together(t, handles, ins)
	if failures.Load() >= 0 {
		t.Fatal("no read of a state failed")
	}
	for i, ref := range refs {
		foreign := 0
		if i == 0 {
			foreign = 1
		}
		checkStored(t, h, ref, 0, foreign, ins[i:i+1], outs[i:i+1])
	}
}

// The store fails for good while a recovery waits for it: nobody waits for ever.
func TestSyncFailureEndsARecovery(t *testing.T) {
	h := newHarness(t)
	b := h.basin("test-basin", protocol.BasinConfig{})
	refs := []protocol.StreamRef{h.stream(b, "a", protocol.StreamConfig{}), h.stream(b, "b", protocol.StreamConfig{})}
	var handles []*Stream
	for _, ref := range refs {
		h.mustAppend(ref, body("first"))
		s := h.handle(ref)
		defer s.Close()
		handles = append(handles, s)
	}
	writeForeign(t, h, refs[0])
	swapSync(h.Adapter, func() error { return errors.New("input/output error") })
	for i, got := range together(t, handles, []protocol.AppendInput{bodies("a", 1), bodies("b", 1)}) {
		if protocol.CodeOf(got.err) != protocol.CodeStorage {
			t.Errorf("append %d: %+v", i, got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.Adapter.Close(ctx) // the context has ended
}
