package adapter

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/adapter/internal/catalog"

	"github.com/weirstream/weir/protocol"
)

func (h *harness) entry(ref protocol.StreamRef) *catalog.Entry {
	h.t.Helper()
	e, _, _ := h.catalog.View.Stream(ref)
	if e == nil {
		h.t.Fatalf("%v is not in the view", ref)
	}
	return e
}

// A stream is loaded with an entry that was looked up before a change of its configuration.
func TestStreamLoadedDuringAReconfigurationHasTheNewSettings(t *testing.T) {
	h := newHarness(t)
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	old := h.entry(ref)
	mode := protocol.TimestampClientRequire
	if _, _, err := h.EnsureStream(t.Context(), ref, protocol.StreamConfig{TimestampingMode: &mode}); err != nil {
		t.Fatal(err)
	}
	l, err := h.logOf(t.Context(), ref.Basin, old.Log())
	if err != nil {
		t.Fatal(err)
	}
	st, err := l.open(t.Context(), old)
	if err != nil {
		t.Fatal(err)
	}
	defer st.release()
	if got := st.settings.Load().mode; got != mode {
		t.Fatalf("the mode is %q", got)
	}
}

// A second server changes the configuration of a stream that the first has loaded.
func TestForeignReconfigurationReachesTheLoadedStream(t *testing.T) {
	h := newHarness(t, func(o *Options) { o.Durability, o.Shared = protocol.DurabilityInterval, true })
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	s := h.handle(ref)
	defer s.Close()
	second, err := Open(t.Context(), h.opts)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close(context.Background())
	mode := protocol.TimestampClientRequire
	if _, _, err := second.EnsureStream(t.Context(), ref, protocol.StreamConfig{TimestampingMode: &mode}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the setting arrives", func() bool { return s.st.settings.Load().mode == mode })
}

// A second server removes a stream: the first one forgets it, and its name is free there as well.
func TestNameOfAStreamThatAnotherServerDeletedIsFree(t *testing.T) {
	h := newHarness(t, func(o *Options) { o.Durability, o.Shared = protocol.DurabilityInterval, true })
	b := h.basin("test-basin", protocol.BasinConfig{})
	ref := h.stream(b, "a/b c.%", protocol.StreamConfig{})
	h.mustAppend(ref, body("x"))
	s := h.handle(ref)
	defer s.Close()
	second, err := Open(t.Context(), h.opts)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close(context.Background())
	if err := second.DeleteStream(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the name is free", func() bool {
		_, err := h.GetStreamConfig(t.Context(), ref)
		return protocol.CodeOf(err) == protocol.CodeStreamNotFound
	})
	if got := <-submit(t, s.Appender(), bodies("late", 1)); got.err == nil {
		t.Fatalf("a handle of the deleted stream appended: %+v", got.ack)
	}
	h.stream(b, string(ref.Stream), protocol.StreamConfig{})
}

// waitContext tells when somebody begins to wait for its end, beside what he really waits for.
type waitContext struct {
	context.Context
	once  sync.Once
	waits chan struct{}
}

func (c *waitContext) Done() <-chan struct{} {
	c.once.Do(func() { close(c.waits) })
	return c.Context.Done()
}

// OpenStream waits for the log while the stream is deleted and purged.
func TestOpenDuringADeletionFindsNoStream(t *testing.T) {
	h := newHarness(t)
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	h.mustAppend(ref, body("x"))
	name := h.logName(ref.Basin, h.entry(ref).Log())
	h.logs.mu.Lock()
	open := h.logs.slots[name]
	slow := &logSlot{ready: make(chan struct{})}
	h.logs.slots[name] = slow
	h.logs.mu.Unlock()
	got := make(chan error, 1)
	ctx := &waitContext{Context: t.Context(), waits: make(chan struct{})}
	go func() {
		s, err := h.OpenStream(ctx, ref, ForAppend, protocol.StreamConfig{})
		if err == nil {
			s.Close()
		}
		got <- err
	}()
	<-ctx.waits
	h.logs.mu.Lock()
	h.logs.slots[name] = open
	h.logs.mu.Unlock()
	if err := h.DeleteStream(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream is gone", func() bool {
		_, err := h.GetStreamConfig(t.Context(), ref)
		return protocol.CodeOf(err) == protocol.CodeStreamNotFound
	})
	slow.log = open.log
	close(slow.ready)
	if err := <-got; protocol.CodeOf(err) != protocol.CodeStreamNotFound {
		t.Fatalf("open: %v", err)
	}
}

// A deletion that could not write the terminal record ends the open handles all the same.
func TestRemovedStreamTakesNoAppends(t *testing.T) {
	h := newHarness(t)
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	h.mustAppend(ref, body("x"))
	s := h.handle(ref)
	defer s.Close()
	e := h.entry(ref)
	rec := e.Record()
	rec.DeletedAt = time.Now().UTC()
	if err := h.updateStream(t.Context(), e, rec); err != nil {
		t.Fatal(err)
	}
	h.janitor.removeStream(e)
	eventually(t, "the stream is gone", func() bool {
		_, err := h.GetStreamConfig(t.Context(), ref)
		return protocol.CodeOf(err) == protocol.CodeStreamNotFound
	})
	if got := <-submit(t, s.Appender(), bodies("late", 1)); got.err == nil {
		t.Fatalf("a handle of the removed stream appended: %+v", got.ack)
	}
}

// A trim that waits for the janitor when its basin goes is forgotten, and so is one that is asked for twice.
func TestTrimOfAGoneBasinIsForgotten(t *testing.T) {
	h := newHarness(t)
	b := h.basin("test-basin", protocol.BasinConfig{})
	ref := h.stream(b, "s", protocol.StreamConfig{})
	h.mustAppend(ref, body("a"))
	h.mustAppend(ref, body("b"))
	s := h.handle(ref)
	defer s.Close()
	s.st.live.mu.Lock()
	s.st.live.trim = 1
	s.st.live.mu.Unlock()
	if err := h.DeleteBasin(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the basin is gone", func() bool {
		_, err := h.GetBasinConfig(t.Context(), b)
		return protocol.CodeOf(err) == protocol.CodeBasinNotFound
	})
	h.janitor.trim(s.st)
	eventually(t, "the reference is given back", func() bool {
		s.st.log.mu.Lock()
		defer s.st.log.mu.Unlock()
		return s.st.uses.count == 1
	})
}

// Close while streams are being opened.
func TestCloseRacesWithOpen(t *testing.T) {
	h := newHarness(t)
	b := h.basin("test-basin", protocol.BasinConfig{})
	ref := h.stream(b, "s", protocol.StreamConfig{})
	h.mustAppend(ref, body("x"))
	h.reopen()
	done, busy := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			if n == 100 {
				close(busy)
			}
			s, err := h.OpenStream(t.Context(), ref, ForAppend, protocol.StreamConfig{})
			if err != nil {
				return
			}
			l := s.st.log
			s.Close()
			l.unloadIdle(time.Now().Add(time.Hour))
		}
	}()
	<-busy
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-done
	if _, err := h.OpenStream(t.Context(), ref, ForAppend, protocol.StreamConfig{}); err == nil {
		t.Fatal("a closed adapter opened a stream")
	}
}
