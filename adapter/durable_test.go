package adapter

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

// barrier returns once the sequencer has taken in everything that was posted before.
func barrier(t *testing.T, st *stream) {
	t.Helper()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan struct{})
	if err := st.post(&request{ctx: gone, st: st, appender: &Appender{st: st}, in: bodies("never stored", 1),
		done: func(protocol.AppendAck, error) { close(done) }}); err != nil {
		t.Fatal(err)
	}
	<-done
}

// held is a stream whose chunks are durable when the test says so. Each append has a chunk of its own.
type held struct {
	*harness
	s    *Stream
	feed *Feed
	outs []<-chan outcome
}

func newHeld(t *testing.T, appends int) *held {
	h := &held{harness: newHarness(t)}
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	h.s = h.handle(ref)
	gate := make(chan error)
	swapSync(h.Adapter, (&gatedSync{gate}).sync)
	t.Cleanup(func() { close(gate); h.s.Close() })
	var err error
	if h.feed, _, err = h.s.Follow(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	for i := range appends {
		h.outs = append(h.outs, submit(t, h.s.Appender(), bodies("x", 1)))
		eventually(t, "the chunk is stored", func() bool { return h.chunks(ref) == i+1 })
	}
	return h
}

func (h *held) durable(t *testing.T, n uint64) {
	h.s.st.log.seq.Durable(n)
	barrier(t, h.s.st)
}

// want checks that exactly the appends [from, to) are answered, with their own ranges, and reach the follower.
func (h *held) want(t *testing.T, from, to int) {
	t.Helper()
	for i, out := range h.outs {
		select {
		case got := <-out:
			if i < from || i >= to || got.err != nil || got.ack.Start.SeqNum != uint64(i) || got.ack.End.SeqNum != uint64(i+1) ||
				got.ack.Tail.SeqNum < got.ack.End.SeqNum {
				t.Fatalf("append %d was answered with %+v", i, got)
			}
		default:
			if i >= from && i < to {
				t.Fatalf("append %d has no answer", i)
			}
		}
	}
	for i := from; i < to; i++ {
		b, _, err := h.feed.Poll()
		if err != nil || b.Records.Len() != 1 || b.Records.First().SeqNum != uint64(i) {
			t.Fatalf("batch %d for the follower: %d records from %v, %v", i, b.Records.Len(), b.Records.First(), err)
		}
	}
	if b, _, err := h.feed.Poll(); err != nil || b.Records.Len() > 0 {
		t.Fatalf("one batch more for the follower: %d records, %v", b.Records.Len(), err)
	}
	if tail, err := h.s.Tail(t.Context()); err != nil || tail.SeqNum != uint64(to) {
		t.Fatalf("tail %v, %v; want %d", tail, err, to)
	}
}

func TestRowsAcksFollowDurability(t *testing.T) {
	t.Run("A.2/43 three appends, nothing durable", func(t *testing.T) {
		h := newHeld(t, 3)
		barrier(t, h.s.st)
		h.want(t, 0, 0)
	})
	t.Run("A.2/44 durability below the first append", func(t *testing.T) {
		h := newHeld(t, 3)
		h.durable(t, 0)
		h.want(t, 0, 0)
	})
	t.Run("A.2/45-46 durability reaches the first append, then the third", func(t *testing.T) {
		h := newHeld(t, 3)
		h.durable(t, 1)
		h.want(t, 0, 1)
		h.durable(t, 3)
		h.want(t, 1, 3)
	})
	t.Run("A.2/47 durability jumps over four appends", func(t *testing.T) {
		h := newHeld(t, 4)
		h.durable(t, 4)
		h.want(t, 0, 4)
	})
	t.Run("A.3/71 a mismatch waits for what it tells", func(t *testing.T) {
		h := newHeld(t, 1)
		wrong := uint64(0)
		in := bodies("y", 1)
		in.MatchSeqNum = &wrong
		out := submit(t, h.s.Appender(), in)
		barrier(t, h.s.st)
		select {
		case got := <-out:
			t.Fatalf("told before the append is durable: %+v", got)
		default:
		}
		h.durable(t, 1)
		if e := protocol.AsError((<-out).err); e.SeqNumMismatch == nil || *e.SeqNumMismatch != 1 {
			t.Fatal(e)
		}
	})
}

func TestRowsFailedPersistence(t *testing.T) {
	t.Run("A.2/48 a refused chunk takes the replies that hang on it along", func(t *testing.T) {
		h := newHarness(t)
		ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
		h.mustAppend(ref, body("first"))
		s := h.handle(ref)
		defer s.Close()
		limit := func(bytes int64) {
			js, err := h.js.Stream(t.Context(), s.st.log.name)
			if err != nil {
				t.Fatal(err)
			}
			config := js.CachedInfo().Config
			config.MaxBytes = bytes
			if _, err := h.js.UpdateStream(t.Context(), config); err != nil {
				t.Fatal(err)
			}
		}
		limit(4096)
		seen, token, first := uint64(2), "token", uint64(1)
		big := protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, 9000)}}}
		fence := protocol.AppendInput{Records: []protocol.Record{protocol.FenceRecord(token)}}
		matching, fenced, mismatch := bodies("a", 1), bodies("b", 1), bodies("c", 1)
		matching.MatchSeqNum, mismatch.MatchSeqNum, fenced.FencingToken = &seen, &first, new(string)
		handles := []*Stream{s, s, s, s, s}
		for i, got := range together(t, handles, []protocol.AppendInput{big, matching, fence, fenced, mismatch}) {
			if protocol.CodeOf(got.err) != protocol.CodeStorage {
				t.Errorf("input %d: %+v", i, got)
			}
		}
		limit(-1)
		matching.MatchSeqNum, matching.FencingToken = &first, new(string)
		if ack, err := h.append(ref, matching); err != nil || ack.Start.SeqNum != 1 {
			t.Fatalf("the next append finds %+v, %v", ack, err)
		}
	})
	t.Run("A.2/48 a failed sync, and what a restart finds", func(t *testing.T) {
		h := newHarness(t)
		ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
		h.mustAppend(ref, body("first"))
		s := h.handle(ref)
		swapSync(h.Adapter, func() error { return errors.New("input/output error") })
		mismatch := bodies("m", 1)
		mismatch.MatchSeqNum = new(uint64)
		for i, got := range together(t, []*Stream{s, s}, []protocol.AppendInput{bodies("x", 2), mismatch}) {
			if protocol.CodeOf(got.err) != protocol.CodeStorage {
				t.Errorf("input %d: %+v", i, got)
			}
		}
		s.Close()
		h.reopen()
		if n := len(h.read(ref, 0)); n != 1 && n != 3 {
			t.Fatalf("%d records: half an append", n)
		}
	})
	t.Run("A.2/51 no answer after the hand-over", func(t *testing.T) {
		h := newHarness(t)
		ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
		h.mustAppend(ref, body("first"))
		s := h.handle(ref)
		if err := s.st.log.sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
		out := submit(t, s.Appender(), bodies("x", 1))
		eventually(t, "it is stored", func() bool { return h.chunks(ref) == 2 })
		over, cancel := context.WithCancel(t.Context())
		cancel()
		h.Close(over) // its context has ended
		if got := <-out; protocol.CodeOf(got.err) != protocol.CodeOther {
			t.Fatalf("%+v", got)
		}
	})
}

// startAt stores a state chunk, so that the stream goes on at next.
func startAt(t *testing.T, h *harness, ref protocol.StreamRef, next uint64) {
	t.Helper()
	e := h.entry(ref)
	l, err := h.logOf(t.Context(), ref.Basin, e.Log())
	if err != nil {
		t.Fatal(err)
	}
	c := chunk.Chunk{ID: "start", Next: next, Last: 7}
	m := &nats.Msg{Subject: l.subjectOf(e), Header: nats.Header{chunk.Header: {c.EncodeHeader()}}}
	if _, err := h.js.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	h.reopen()
}

func TestRowsSeqNumCeiling(t *testing.T) {
	t.Run("A.5/93 plaintext at 2^32", func(t *testing.T) {
		h := newHarness(t)
		ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
		startAt(t, h, ref, 1<<32)
		if ack := h.mustAppend(ref, body("x")); ack.Start.SeqNum != 1<<32 {
			t.Fatalf("%+v", ack)
		}
		if got := h.read(ref, 0); len(got) != 1 || got[0].SeqNum != 1<<32 {
			t.Fatalf("%+v", got)
		}
	})
	t.Run("the last seq_nums", func(t *testing.T) {
		h := newHarness(t)
		ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
		startAt(t, h, ref, ^uint64(0)-2)
		if _, err := h.append(ref, bodies("x", 3)); protocol.CodeOf(err) != protocol.CodeInvalid {
			t.Fatalf("beyond the last seq_num: %v", err)
		}
		if ack := h.mustAppend(ref, body("x"), body("y")); ack.End.SeqNum != ^uint64(0) {
			t.Fatalf("%+v", ack)
		}
		if got := h.read(ref, ^uint64(0)-1); len(got) != 1 || string(got[0].Body) != "y" {
			t.Fatalf("%+v", got)
		}
	})
}
