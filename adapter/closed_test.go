package adapter

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/protocol"
)

func closing(recs ...protocol.Record) protocol.AppendInput {
	return protocol.AppendInput{Records: recs, Close: true}
}

func (h *harness) streamTail(ref protocol.StreamRef) protocol.StreamTail {
	h.t.Helper()
	s := h.handle(ref)
	defer s.Close()
	tail, err := s.Tail(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return tail
}

// That a stream is closed stands in its newest chunk, which survives restarts, retention, trims before it and idleness.
func TestClosedIsDurable(t *testing.T) {
	newClosed := func(h *harness, in protocol.AppendInput, before ...protocol.Record) protocol.StreamRef {
		ref := h.stream(h.basin("demo-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{RetentionPolicy: &protocol.RetentionPolicy{AgeSecs: 60}})
		if len(before) > 0 {
			h.mustAppend(ref, before...)
		}
		if _, err := h.append(ref, in); err != nil {
			t.Fatal(err)
		}
		return ref
	}
	check := func(t *testing.T, h *harness, ref protocol.StreamRef, next uint64) {
		t.Helper()
		if tail := h.streamTail(ref); !tail.Closed || tail.SeqNum != next {
			t.Fatalf("tail %v, closed %v; want closed at %d", tail, tail.Closed, next)
		}
		_, err := h.append(ref, protocol.AppendInput{Records: []protocol.Record{body("late")}})
		if e := protocol.AsError(err); err == nil || e.Code != protocol.CodeStreamClosed || e.Tail == nil || e.Tail.SeqNum != next {
			t.Fatalf("an append gives %v", err)
		}
		if config, err := h.GetStreamConfig(t.Context(), ref); err != nil || !config.Closed {
			t.Fatalf("%+v, %v", config, err)
		}
		s := h.handle(ref)
		defer s.Close()
		if _, _, err := s.Follow(t.Context(), next); !errors.Is(err, protocol.ErrStreamEnd) {
			t.Fatalf("following gives %v", err)
		}
	}
	for name, c := range map[string]struct {
		in     protocol.AppendInput
		before []protocol.Record
		next   uint64
	}{
		"with records":             {closing(body("a"), body("b")), []protocol.Record{body("x")}, 3},
		"without records":          {closing(), []protocol.Record{body("x")}, 1},
		"a stream without records": {closing(), nil, 0},
		"by command":               {protocol.AppendInput{Records: []protocol.Record{protocol.CloseRecord()}}, []protocol.Record{body("x")}, 2},
		"trimmed whole":            {closing(body("a"), protocol.TrimRecord(9)), nil, 2},
	} {
		bubble(t, name, func(t *testing.T, h *harness) {
			ref := newClosed(h, c.in, c.before...)
			check(t, h, ref, c.next)
			h.reopen()
			check(t, h, ref, c.next)
			time.Sleep(2 * time.Hour) // unloaded, expired, and sealed by a state chunk
			check(t, h, ref, c.next)
			h.reopen()
			check(t, h, ref, c.next)
			if n := h.chunks(ref); n != 1 {
				t.Fatalf("%d chunks are left", n)
			}
		})
	}
	bubble(t, "the configuration says closed without loading the stream", func(t *testing.T, h *harness) {
		ref := newClosed(h, closing(body("a")))
		h.reopen()
		if config, err := h.GetStreamConfig(t.Context(), ref); err != nil || !config.Closed {
			t.Fatalf("%+v, %v", config, err)
		}
		if l := h.openedLog(ref.Basin, h.entry(ref).Log()); l != nil && l.loaded(h.entry(ref).ID) {
			t.Fatal("loaded")
		}
	})
	bubble(t, "a stream that was only closed is deleted as an empty one is", func(t *testing.T, h *harness) {
		minAge := uint64(60)
		ref := h.stream(h.basin("demo-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{DeleteOnEmptyMinAge: &minAge, RetentionPolicy: &protocol.RetentionPolicy{}})
		if _, err := h.append(ref, closing()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		if _, err := h.OpenStream(t.Context(), ref, ForRead, protocol.StreamConfig{}); protocol.CodeOf(err) != protocol.CodeStreamNotFound {
			t.Fatal(err)
		}
	})
}

// Answers that tell of a closing wait until it is durable, and keep the order of their session.
func TestClosedIsNotToldEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, inMemory, func(o *Options) { o.Durability = protocol.DurabilityGroup })
		ref := newStream(h)
		h.mustAppend(ref, body("x"))
		s := h.handle(ref)
		defer s.Close()
		gate := make(chan error)
		swapSync(h.Adapter, (&gatedSync{gate}).sync)
		one := protocol.AppendInput{Records: []protocol.Record{body("a")}}
		mine, others := s.Appender(), s.Appender()
		outs := []<-chan outcome{submit(t, mine, closing()), submit(t, others, one), submit(t, mine, closing()), submit(t, mine, one), submit(t, s.Appender(), closing())}
		synctest.Wait()
		if tail := h.streamTail(ref); tail.Closed {
			t.Fatal("the tail says closed too early")
		}
		for i, out := range outs {
			select {
			case o := <-out:
				t.Fatalf("append %d was answered early: %+v", i, o)
			default:
			}
		}
		close(gate)
		for i, want := range []protocol.Code{"", protocol.CodeStreamClosed, "", protocol.CodeStreamClosed, ""} {
			o := <-outs[i]
			if protocol.CodeOf(o.err) != want || want == "" && (o.ack.Start.SeqNum != 1 || o.ack.End.SeqNum != 1) {
				t.Errorf("append %d: %+v, want code %q", i, o, want)
			}
		}
		if tail := h.streamTail(ref); !tail.Closed || tail.SeqNum != 1 {
			t.Errorf("tail %+v", tail)
		}
	})
}

// A closing by one broker is known to another on the same NATS.
func TestClosedByAnotherBroker(t *testing.T) {
	a, b := two(t)
	ref := a.stream(a.basin("demo-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	a.mustAppend(ref, body("x"))
	b.mustAppend(ref, body("y"))
	s := b.handle(ref)
	defer s.Close()
	feed, _, err := s.Follow(t.Context(), 2)
	if err != nil || feed == nil {
		t.Fatal(feed, err)
	}
	defer feed.Close()
	if _, err := a.append(ref, closing()); err != nil {
		t.Fatal(err)
	}
	if tail := b.streamTail(ref); !tail.Closed || tail.SeqNum != 2 {
		t.Fatalf("the other broker says %+v", tail)
	}
	for {
		_, changed, err := feed.Poll()
		if errors.Is(err, protocol.ErrStreamEnd) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		<-changed
	}
	if _, err := b.append(ref, protocol.AppendInput{Records: []protocol.Record{body("z")}}); protocol.CodeOf(err) != protocol.CodeStreamClosed {
		t.Fatal(err)
	}
	if ack, err := b.append(ref, closing()); err != nil || ack.End.SeqNum != 2 {
		t.Fatal(ack, err)
	}
}
