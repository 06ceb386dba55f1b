package adapter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/adapter/internal/catalog"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/protocol"
)

// left checks what a stream still shows and how many chunks JetStream holds for it.
func (h *harness) left(ref protocol.StreamRef, chunks int, want ...uint64) {
	h.t.Helper()
	if got := seqNums(h.read(ref, 0)); !slices.Equal(got, want) || h.chunks(ref) != chunks {
		h.t.Fatalf("%v in %d chunks, want %v in %d", got, h.chunks(ref), want, chunks)
	}
}

// idle checks that the janitor has nothing left to do.
func (h *harness) idle() {
	h.t.Helper()
	h.janitor.mu.Lock()
	defer h.janitor.mu.Unlock()
	if n := len(h.janitor.trims) + len(h.janitor.streams) + len(h.janitor.basins); n != 0 {
		h.t.Fatalf("%d things are still pending", n)
	}
}

// stopJanitor ends the background, as a crash would, and lets requests go on.
func (h *harness) stopJanitor() {
	h.Adapter.cancel()
	h.Adapter.tasks.Wait()
}

func (h *harness) singles(ref protocol.StreamRef, n int) {
	h.t.Helper()
	for i := range n {
		h.mustAppend(ref, body("%d", i))
	}
}

func (h *harness) gone(what string, err error, code protocol.Code) {
	h.t.Helper()
	if protocol.CodeOf(err) != code {
		h.t.Fatalf("%s: %v, want %s", what, err, code)
	}
}

func TestRowsTrimTask(t *testing.T) {
	bubble(t, "cp A.15/273 five records, trim point 3", func(t *testing.T, h *harness) {
		ref := newStream(h)
		h.singles(ref, 5)
		h.mustAppend(ref, protocol.TrimRecord(3))
		synctest.Wait()
		h.left(ref, 3, 3, 4, 5)
		h.idle()
	})
	bubble(t, "cp A.15/274 the terminal trim takes everything", func(t *testing.T, h *harness) {
		ref := newStream(h)
		h.mustAppend(ref, body("x"), protocol.FenceRecord("tok"))
		e, _, _ := h.catalog.View.Stream(ref)
		if err := h.DeleteStream(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		l, err := h.logOf(t.Context(), e.Basin(), e.Log())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.getLast(t.Context(), l.subjectOf(e)); err != js.ErrNotFound {
			t.Fatalf("a chunk is left: %v", err)
		}
		if _, err := h.catalog.Bucket().Get(t.Context(), catalog.StreamKey(ref)); err == nil {
			t.Fatal("the record is left")
		}
		again := h.stream(ref.Basin, "s", protocol.StreamConfig{})
		if ack := h.mustAppend(again, body("y")); ack.Start.SeqNum != 0 {
			t.Fatalf("the successor begins at %v", ack.Start)
		}
	})
	bubble(t, "cp A.15/275 a newer point stays pending", func(t *testing.T, h *harness) {
		ref := newStream(h)
		h.singles(ref, 10)
		h.stopJanitor()
		h.mustAppend(ref, protocol.TrimRecord(4))
		s := h.handle(ref)
		if err := s.st.purgeTrimmed(t.Context(), 4, 0); err != nil { // of the first, while the second comes
			t.Fatal(err)
		}
		s.Close()
		h.mustAppend(ref, protocol.TrimRecord(8))
		h.left(ref, 8, 8, 9, 10, 11)
		h.reopen()
		time.Sleep(2 * sweepEvery)
		synctest.Wait()
		h.left(ref, 4, 8, 9, 10, 11)
	})
	bubble(t, "cp A.15/276 300 pending", func(t *testing.T, h *harness) {
		b := h.basin("test-basin", protocol.BasinConfig{})
		var refs []protocol.StreamRef
		for i := range 300 {
			refs = append(refs, h.stream(b, fmt.Sprint(i), protocol.StreamConfig{}))
			h.mustAppend(refs[i], body("x"))
		}
		for _, ref := range refs {
			h.mustAppend(ref, protocol.TrimRecord(1))
		}
		synctest.Wait()
		h.idle()
		for _, ref := range refs {
			h.left(ref, 1, 1)
		}
	})
	bubble(t, "cp A.15/277,278 trim point 1, of two streams", func(t *testing.T, h *harness) {
		b := h.basin("test-basin", protocol.BasinConfig{})
		one, other := h.stream(b, "one", protocol.StreamConfig{}), h.stream(b, "other", protocol.StreamConfig{})
		h.singles(one, 3)
		h.singles(other, 3)
		h.mustAppend(one, protocol.TrimRecord(1))
		synctest.Wait()
		h.left(one, 3, 1, 2, 3)
		h.left(other, 3, 0, 1, 2)
	})
	bubble(t, "cp A.15/279 10,005 records", func(t *testing.T, h *harness) {
		ref := newStream(h)
		for range 10 {
			if _, err := h.append(ref, bodies("x", 1000)); err != nil {
				t.Fatal(err)
			}
		}
		h.singles(ref, 5)
		h.mustAppend(ref, protocol.TrimRecord(10_005))
		synctest.Wait()
		h.left(ref, 1, 10_005)
	})
	bubble(t, "cp A.15/280,281,282,283 nothing to do: no point, one that was dealt with, a lower one, 0", func(t *testing.T, h *harness) {
		ref := newStream(h)
		h.singles(ref, 5)
		s := h.handle(ref)
		defer s.Close()
		for range 2 {
			if err := s.st.purgeTrimmed(t.Context(), h.janitor.noteTrim(s.st), 0); err != nil {
				t.Fatal(err)
			}
			h.left(ref, 5, 0, 1, 2, 3, 4)
		}
		h.mustAppend(ref, protocol.TrimRecord(3))
		synctest.Wait()
		h.idle()
		for i, point := range []uint64{3, 2, 0} {
			h.mustAppend(ref, protocol.TrimRecord(point))
			synctest.Wait()
			if got := seqNums(h.read(ref, 0)); got[0] != 3 || len(got) != 4+i {
				t.Fatalf("after a trim to %d: %v", point, got)
			}
		}
		h.idle()
	})
	bubble(t, "cp A.15/284 a point in the future goes up to itself", func(t *testing.T, h *harness) {
		ref := newStream(h)
		h.singles(ref, 2)
		h.mustAppend(ref, protocol.TrimRecord(1000))
		synctest.Wait()
		h.left(ref, 1)
		h.mustAppend(ref, body("x"))
		h.left(ref, 2, 3)
	})
	bubble(t, "cp A.15/285,286 a restart with a pending trim", func(t *testing.T, h *harness) {
		ref := newStream(h)
		h.singles(ref, 5)
		h.stopJanitor()
		h.mustAppend(ref, protocol.TrimRecord(3))
		h.left(ref, 6, 3, 4, 5) // not shown, and still there
		h.reopen()
		time.Sleep(2 * sweepEvery)
		synctest.Wait()
		h.left(ref, 3, 3, 4, 5)
	})
}

func TestRowsBasinDeletionTask(t *testing.T) {
	bubble(t, "A.17/305,315 a basin without streams goes at once", func(t *testing.T, h *harness) {
		b := h.basin("test-basin", protocol.BasinConfig{})
		if err := h.DeleteBasin(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // and no time goes by
		_, err := h.GetBasinConfig(t.Context(), b)
		h.gone("the basin", err, protocol.CodeBasinNotFound)
		h.idle()
	})
	bubble(t, "A.17/306,307,308 streams go before their basin", func(t *testing.T, h *harness) {
		ref := newStream(h)
		h.mustAppend(ref, body("x"))
		h.stopJanitor()
		if err := h.DeleteBasin(t.Context(), ref.Basin); err != nil {
			t.Fatal(err)
		}
		_, _, err := h.CreateStream(t.Context(), ref.Basin, protocol.CreateStreamRequest{Stream: "t"})
		h.gone("a new stream", err, protocol.CodeBasinDeletionPending)
		_, _, err = h.CreateBasin(t.Context(), protocol.CreateBasinRequest{Basin: ref.Basin})
		h.gone("a successor", err, protocol.CodeBasinDeletionPending)
		h.reopen()
		synctest.Wait()
		_, err = h.GetBasinConfig(t.Context(), ref.Basin)
		h.gone("the basin", err, protocol.CodeBasinNotFound)
		if _, err := h.catalog.Bucket().Get(t.Context(), catalog.StreamKey(ref)); err == nil {
			t.Fatal("the record of its stream is left")
		}
	})
	bubble(t, "A.17/309,310,311,313 1001 streams, and several basins at once", func(t *testing.T, h *harness) {
		names := []protocol.BasinName{"full-basin", "empty-basin", "third-basin"}
		for _, name := range names {
			h.basin(string(name), protocol.BasinConfig{})
		}
		for i := range 1001 {
			h.stream("full-basin", fmt.Sprint(i), protocol.StreamConfig{})
		}
		h.stream("third-basin", "s", protocol.StreamConfig{})
		for _, name := range names {
			if err := h.DeleteBasin(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		h.idle()
		if page, err := h.ListBasins(t.Context(), protocol.ListRequest{}); err != nil || len(page.Basins) != 0 {
			t.Fatalf("%d basins are left, %v", len(page.Basins), err)
		}
		keys, err := h.catalog.Bucket().ListKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for key := range keys.Keys() {
			if key[0] == 'b' || key[0] == 's' {
				t.Fatalf("%s is left in the catalog", key)
			}
		}
	})
	bubble(t, "A.17/312 a restart midway", func(t *testing.T, h *harness) {
		ref := newStream(h)
		other := h.stream(ref.Basin, "t", protocol.StreamConfig{})
		h.mustAppend(ref, body("x"))
		e, _, _ := h.catalog.View.Stream(ref)
		h.stopJanitor()
		if err := h.DeleteBasin(t.Context(), ref.Basin); err != nil {
			t.Fatal(err)
		}
		// The log is gone, and of two streams one.
		if err := h.js.DeleteStream(t.Context(), h.logName(e.Basin(), e.Log())); err != nil {
			t.Fatal(err)
		}
		if err := h.catalog.Bucket().Purge(t.Context(), catalog.StreamKey(other)); err != nil {
			t.Fatal(err)
		}
		h.reopen()
		synctest.Wait()
		_, err := h.GetBasinConfig(t.Context(), ref.Basin)
		h.gone("the basin", err, protocol.CodeBasinNotFound)
	})
	bubble(t, "A.17/314 what fails is tried again", func(t *testing.T, h *harness) {
		ref := newStream(h)
		h.mustAppend(ref, body("x"))
		js := &refusing{JetStream: h.js}
		js.fails.Store(true)
		h.Adapter.js = js
		if err := h.DeleteBasin(t.Context(), ref.Basin); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * sweepEvery)
		_, err := h.GetBasinConfig(t.Context(), ref.Basin)
		h.gone("the basin", err, protocol.CodeBasinDeletionPending)
		js.fails.Store(false)
		time.Sleep(sweepEvery)
		synctest.Wait()
		_, err = h.GetBasinConfig(t.Context(), ref.Basin)
		h.gone("the basin", err, protocol.CodeBasinNotFound)
	})
}

// refusing is a JetStream that takes no message while it fails, which is how a catalog entry is removed.
type refusing struct {
	jetstream.JetStream
	fails atomic.Bool
}

func (r *refusing) PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if r.fails.Load() {
		return nil, errors.New("not now")
	}
	return r.JetStream.PublishMsg(ctx, m, opts...)
}
