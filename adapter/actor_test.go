package adapter

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/adapter/internal/catalog"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// bubble runs a test on an adapter in memory, on fake time.
func bubble(t *testing.T, name string, test func(t *testing.T, h *harness), change ...func(*Options)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, newHarness(t, append([]func(*Options){inMemory}, change...)...)) })
	})
}

func newStream(h *harness) protocol.StreamRef {
	return h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
}

func (l *log) loaded(id layout.StreamID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.streams[id] != nil
}

func TestRowsBudget(t *testing.T) {
	tiny := func(o *Options) { o.InflightBytes = 1 }
	bubble(t, "A.7/119 a budget of one byte is raised to 1 MiB", func(t *testing.T, h *harness) {
		if h.Adapter.opts.InflightBytes != protocol.MaxBatchBytes {
			t.Fatalf("the budget is %d", h.Adapter.opts.InflightBytes)
		}
		h.mustAppend(newStream(h), protocol.Record{Body: make([]byte, protocol.MaxBatchBytes-8)})
	}, tiny)
	bubble(t, "A.7/120 appends wait for the budget, first come, first served", func(t *testing.T, h *harness) {
		ref := newStream(h)
		s := h.handle(ref)
		defer s.Close()
		gate := make(chan error)
		swapSync(h.Adapter, (&gatedSync{gate}).sync)
		full := submit(t, s.Appender(), protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, protocol.MaxBatchBytes-8)}}})
		outs := make([]chan outcome, 5)
		for i := range outs {
			ch := make(chan outcome, 1)
			outs[i] = ch
			go func() {
				appender := s.Appender()
				in := protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, (700+i)<<10)}}} // no two fit
				if err := appender.Submit(t.Context(), in, func(a protocol.AppendAck, err error) { ch <- outcome{a, err} }); err != nil {
					ch <- outcome{err: err}
				}
			}()
			synctest.Wait()
		}
		gone, cancel := context.WithCancel(t.Context())
		quit := make(chan error)
		go func() {
			quit <- s.Appender().Submit(gone, bodies("never", 1), func(protocol.AppendAck, error) { t.Error("answered") })
		}()
		synctest.Wait()
		cancel()
		if err := <-quit; !errors.Is(err, context.Canceled) {
			t.Fatalf("a waiter that gives up: %v", err)
		}
		close(gate)
		if got := <-full; got.err != nil {
			t.Fatal(got.err)
		}
		next := uint64(1)
		for i, ch := range outs {
			got := <-ch
			if got.err != nil || got.ack.Start.SeqNum != next {
				t.Fatalf("waiter %d: %+v, want it at %d", i, got, next)
			}
			next = got.ack.End.SeqNum
		}
	}, tiny)
}

func TestRowsLoading(t *testing.T) {
	bubble(t, "A.7/121 concurrent first accesses load once", func(t *testing.T, h *harness) {
		ref := newStream(h)
		h.mustAppend(ref, body("x"))
		h.reopen()
		handles := make(chan *Stream, 20)
		for range cap(handles) {
			go func() {
				s, err := h.OpenStream(t.Context(), ref, ForRead, protocol.StreamConfig{})
				if err != nil {
					t.Error(err)
				}
				handles <- s
			}()
		}
		first := <-handles
		defer first.Close()
		for range cap(handles) - 1 {
			s := <-handles
			if s.st != first.st {
				t.Error("loaded twice")
			}
			s.Close()
		}
	})
	bubble(t, "A.7/122-123 a failed load is not remembered, a late one disturbs no newer", func(t *testing.T, h *harness) {
		ref := newStream(h)
		h.mustAppend(ref, body("x"))
		s := h.handle(ref)
		defer s.Close()
		l, id := s.st.log, s.st.id
		late := &stream{log: l, ref: ref, subject: s.st.subject, id: id, checks: s.st.checks, ready: make(chan struct{})}
		if !l.finishLoad(late, storedChunk{}, errors.New("late"), l.reloads) || !l.loaded(id) {
			t.Fatal("a late failure took the newer one out")
		}
		early := &stream{log: l, ref: ref, subject: s.st.subject, id: id, checks: s.st.checks, ready: make(chan struct{})}
		l.mu.Lock()
		l.streams[id] = early
		l.mu.Unlock()
		l.finishLoad(early, storedChunk{}, errors.New("early"), l.reloads)
		if h.tail(ref).SeqNum != 1 {
			t.Fatal("the failure was remembered")
		}
	})
	bubble(t, "A.7/124 looking at a stream does not load it", func(t *testing.T, h *harness) {
		ref := newStream(h)
		h.mustAppend(ref, body("x"))
		h.reopen()
		if _, err := h.GetStreamConfig(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
		if _, err := h.ListStreams(t.Context(), ref.Basin, protocol.ListRequest{}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := h.EnsureStream(t.Context(), ref, protocol.StreamConfig{Uncapped: new(bool)}); err != nil {
			t.Fatal(err)
		}
		if l := h.openedLog(ref.Basin, h.entry(ref).Log()); l != nil && l.loaded(h.entry(ref).ID) {
			t.Fatal("loaded")
		}
	})
	bubble(t, "A.7/125-126 idle streams unload, used ones do not; state comes back", func(t *testing.T, h *harness) {
		ref := newStream(h)
		for i := range 4 {
			h.mustAppend(ref, body("%d", i))
		}
		h.mustAppend(ref, protocol.FenceRecord("tok"), protocol.TrimRecord(2))
		s := h.handle(ref)
		l, id := s.st.log, s.st.id
		time.Sleep(10 * unloadAfter)
		if !l.loaded(id) {
			t.Fatal("unloaded with an open handle")
		}
		before := h.tail(ref)
		s.Close()
		s.Close() // no harm
		time.Sleep(unloadAfter / 2)
		if !l.loaded(id) {
			t.Fatal("unloaded too early")
		}
		time.Sleep(unloadAfter)
		if l.loaded(id) {
			t.Fatal("still loaded")
		}
		if got := h.tail(ref); got != before {
			t.Fatalf("tail %v, want %v", got, before)
		}
		wrong := "wrong"
		in := bodies("x", 1)
		in.FencingToken = &wrong
		_, err := h.append(ref, in)
		if e := protocol.AsError(err); e == nil || e.FencingTokenMismatch == nil || *e.FencingTokenMismatch != "tok" {
			t.Fatalf("with a wrong token: %v", err)
		}
		if got := h.read(ref, 0); len(got) != 4 || got[0].SeqNum != 2 {
			t.Fatalf("%d records, the first %+v", len(got), got[0])
		}
	})
	bubble(t, "A.7/127 the stream ends under an open handle", func(t *testing.T, h *harness) {
		ref := newStream(h)
		h.mustAppend(ref, body("x"))
		s := h.handle(ref)
		feed, _, err := s.Follow(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.DeleteStream(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
		if b, _, err := feed.Poll(); err != nil || b.Records.Len() != 1 {
			t.Fatalf("the terminal command: %d records, %v", b.Records.Len(), err)
		}
		_, _, polled := feed.Poll()
		_, tailed := s.Tail(t.Context())
		_, _, followed := s.Follow(t.Context(), 2)
		for i, err := range []error{polled, tailed, followed} {
			if protocol.CodeOf(err) != protocol.CodeUnavailable {
				t.Errorf("operation %d: %v", i, err)
			}
		}
		feed.Close()
		s.Close()
	})
	bubble(t, "A.7/128 a newest chunk that is none is not papered over", func(t *testing.T, h *harness) {
		ref := newStream(h)
		h.mustAppend(ref, body("x"))
		s := h.handle(ref)
		subject := s.st.subject
		s.Close()
		if _, err := h.js.PublishMsg(t.Context(), &nats.Msg{Subject: subject, Data: []byte("garbage")}); err != nil {
			t.Fatal(err)
		}
		h.reopen()
		for range 2 {
			if _, err := h.OpenStream(t.Context(), ref, ForAppend, protocol.StreamConfig{}); protocol.CodeOf(err) != protocol.CodeStorage {
				t.Fatalf("open: %v", err)
			}
		}
	})
	bubble(t, "A.7/129 an append behind an accepted end", func(t *testing.T, h *harness) {
		ref := newStream(h)
		s := h.handle(ref)
		defer s.Close()
		ended := make(chan error, 1)
		out := make(chan outcome, 1)
		s.st.acquire()
		s.st.acquire()
		in := &s.st.log.seq.in
		in.mu.Lock()
		in.received.requests = append(in.received.requests,
			&request{ctx: t.Context(), st: s.st, kind: terminalRequest, done: func(_ protocol.AppendAck, err error) { ended <- err }},
			&request{ctx: t.Context(), st: s.st, appender: s.Appender(), in: bodies("late", 1),
				done: func(a protocol.AppendAck, err error) { out <- outcome{a, err} }})
		in.mu.Unlock()
		in.poke()
		if got := <-out; protocol.CodeOf(got.err) != protocol.CodeStreamDeletionPending {
			t.Fatalf("%+v", got)
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	})
}

func seqNums(recs []protocol.SequencedRecord) (seqs []uint64) {
	for _, r := range recs {
		seqs = append(seqs, r.SeqNum)
	}
	return seqs
}

func TestRowsTrimSweep(t *testing.T) {
	mode, uncapped := protocol.TimestampClientPrefer, true
	stamped := protocol.StreamConfig{TimestampingMode: &mode, Uncapped: &uncapped}
	fill := func(h *harness, ref protocol.StreamRef, n int) {
		for i := range n {
			ts := uint64(100 + i)
			h.mustAppend(ref, protocol.Record{Timestamp: &ts, Body: []byte("x")})
		}
	}
	trimmed := func(h *harness, ref protocol.StreamRef, point uint64) {
		h.mustAppend(ref, protocol.TrimRecord(point))
		synctest.Wait()
	}
	bubble(t, "A.12/239-241 chunks below the point go, also from timestamp lookups, of this stream only", func(t *testing.T, h *harness) {
		b := h.basin("test-basin", protocol.BasinConfig{})
		ref, one, other := h.stream(b, "s", stamped), h.stream(b, "one", stamped), h.stream(b, "other", stamped)
		for _, r := range []protocol.StreamRef{ref, one, other} {
			fill(h, r, 5)
		}
		trimmed(h, ref, 3)
		trimmed(h, one, 1)
		if got := seqNums(h.read(ref, 0)); !slices.Equal(got, []uint64{3, 4, 5}) || h.chunks(ref) != 3 {
			t.Fatalf("%v in %d chunks", got, h.chunks(ref))
		}
		if got := seqNums(h.read(one, 0)); !slices.Equal(got, []uint64{1, 2, 3, 4, 5}) || h.chunks(one) != 5 {
			t.Fatalf("%v in %d chunks", got, h.chunks(one))
		}
		if got := h.read(other, 0); len(got) != 5 || h.chunks(other) != 5 {
			t.Fatalf("the other stream has %d records in %d chunks", len(got), h.chunks(other))
		}
		s := h.handle(ref)
		defer s.Close()
		tail, _ := s.Tail(t.Context())
		if seq, err := s.SeekTimestamp(t.Context(), 0, tail.Position); err != nil || seq != 3 {
			t.Fatalf("the first timestamp is at %d, %v", seq, err)
		}
		h.janitor.mu.Lock()
		defer h.janitor.mu.Unlock()
		if len(h.janitor.trims) != 0 {
			t.Fatal("the trim is still pending")
		}
	})
	bubble(t, "A.12/239 a point inside a chunk", func(t *testing.T, h *harness) {
		ref := newStream(h)
		if _, err := h.append(ref, bodies("x", 5)); err != nil {
			t.Fatal(err)
		}
		trimmed(h, ref, 3)
		if got := seqNums(h.read(ref, 0)); !slices.Equal(got, []uint64{3, 4, 5}) {
			t.Fatal(got)
		}
	})
	bubble(t, "A.12/242 a point that rises during a sweep stays pending", func(t *testing.T, h *harness) {
		ref := newStream(h)
		fill(h, ref, 12)
		s := h.handle(ref)
		defer s.Close()
		h.mustAppend(ref, protocol.TrimRecord(5))
		h.mustAppend(ref, protocol.TrimRecord(10))
		synctest.Wait()
		if got := seqNums(h.read(ref, 0)); !slices.Equal(got, []uint64{10, 11, 12, 13}) || h.chunks(ref) != 4 {
			t.Fatalf("%v in %d chunks", got, h.chunks(ref))
		}
	})
	bubble(t, "A.12/243 many records, many streams", func(t *testing.T, h *harness) {
		b := h.basin("test-basin", protocol.BasinConfig{CreateStreamOnAppend: true})
		var refs []protocol.StreamRef
		for i := range 140 {
			ref := protocol.StreamRef{Basin: b, Stream: protocol.StreamName("s" + string(rune('A'+i)))}
			refs = append(refs, ref)
			fill(h, ref, 2)
		}
		for range 11 {
			if _, err := h.append(refs[0], bodies("x", 1000)); err != nil {
				t.Fatal(err)
			}
		}
		for _, ref := range refs {
			h.mustAppend(ref, protocol.TrimRecord(^uint64(0)))
		}
		synctest.Wait()
		for _, ref := range refs {
			if n := h.chunks(ref); n != 1 || len(h.read(ref, 0)) != 0 {
				t.Fatalf("%v has %d chunks", ref, n)
			}
		}
	})
	bubble(t, "A.12/244 nothing to trim", func(t *testing.T, h *harness) {
		ref := newStream(h)
		fill(h, ref, 3)
		s := h.handle(ref)
		defer s.Close()
		h.janitor.trim(s.st)
		synctest.Wait()
		if n := h.chunks(ref); n != 3 {
			t.Fatalf("%d chunks", n)
		}
	})
	bubble(t, "A.12/245 nothing is left of a deleted stream", func(t *testing.T, h *harness) {
		ref := newStream(h)
		fill(h, ref, 3)
		h.mustAppend(ref, protocol.FenceRecord("tok"))
		e := h.entry(ref)
		if err := h.DeleteStream(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		l := h.openedLog(ref.Basin, e.Log())
		if _, err := l.getLast(t.Context(), l.subjectOf(e)); !errors.Is(err, js.ErrNotFound) || l.loaded(e.ID) {
			t.Fatalf("a chunk is left: %v", err)
		}
		if _, err := h.catalog.Bucket().Get(t.Context(), catalog.StreamKey(ref)); err == nil {
			t.Fatal("its entry is left")
		}
		h.stream(ref.Basin, "s", protocol.StreamConfig{})
		in := bodies("x", 1)
		in.FencingToken, in.MatchSeqNum = new(string), new(uint64)
		if _, err := h.append(ref, in); err != nil {
			t.Fatalf("the successor: %v", err)
		}
	})
}
