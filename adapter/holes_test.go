package adapter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/protocol"
)

// readFrom reads the stream's records from a seq_num on, or fails.
func (h *harness) readFrom(ref protocol.StreamRef, from uint64) (n int, err error) {
	h.t.Helper()
	s := h.handle(ref)
	defer s.Close()
	c := s.Scan(from, h.tail(ref).SeqNum)
	defer c.Close()
	for {
		r, err := c.Next(context.Background())
		if err != nil {
			return n, err
		}
		n += r.Len()
	}
}

// Chunks that go without a reason are missed, also at the beginning of the stream.
func TestMissingBeginningIsAnError(t *testing.T) {
	h := newHarness(t)
	basin := h.basin("test-basin", protocol.BasinConfig{})
	kept := h.stream(basin, "kept", protocol.StreamConfig{RetentionPolicy: &protocol.RetentionPolicy{}})
	aged := h.stream(basin, "aged", protocol.StreamConfig{RetentionPolicy: &protocol.RetentionPolicy{AgeSecs: 24 * 3600}})
	soon := h.stream(basin, "soon", protocol.StreamConfig{RetentionPolicy: &protocol.RetentionPolicy{AgeSecs: 3600}})
	for i := range 10 {
		h.mustAppend(kept, body("%d", i))
		h.mustAppend(aged, body("%d", i))
		h.mustAppend(soon, body("%d", i))
	}
	lose := func(ref protocol.StreamRef, chunks int) {
		s := h.handle(ref)
		defer s.Close()
		at, err := s.st.log.getNext(t.Context(), s.st.subject, 1)
		for range chunks {
			if err != nil {
				t.Fatal(err)
			}
			at, err = s.st.log.getNext(t.Context(), s.st.subject, at.seq+1)
		}
		if err := js.Purge(t.Context(), h.manage, s.st.log.name, s.st.subject, at.seq); err != nil {
			t.Fatal(err)
		}
	}
	lose(kept, 4)
	for from := range uint64(4) {
		_, err := h.readFrom(kept, from)
		if protocol.CodeOf(err) != protocol.CodeStorage || !strings.Contains(err.Error(), "are missing; trim the stream to 4") {
			t.Fatalf("from %d: %v", from, err)
		}
	}
	if n, err := h.readFrom(kept, 4); n != 6 || !errors.Is(err, io.EOF) {
		t.Fatal(n, err)
	}
	// What may have expired is not missed.
	lose(soon, 4)
	if n, err := h.readFrom(soon, 0); n != 6 || !errors.Is(err, io.EOF) {
		t.Fatal(n, err)
	}
	// What must expire later is.
	lose(aged, 4)
	missed := func(from, first uint64) {
		t.Helper()
		_, err := h.readFrom(aged, from)
		if protocol.CodeOf(err) != protocol.CodeStorage || !strings.Contains(err.Error(), fmt.Sprintf("are missing; trim the stream to %d", first)) {
			t.Fatalf("from %d: %v", from, err)
		}
	}
	missed(0, 4)
	missed(3, 4)
	if n, err := h.readFrom(aged, 4); n != 6 || !errors.Is(err, io.EOF) {
		t.Fatal(n, err)
	}
	h.mustAppend(aged, protocol.TrimRecord(4))
	if n, err := h.readFrom(aged, 0); n != 7 || !errors.Is(err, io.EOF) {
		t.Fatal(n, err)
	}
	// A trim gives the missing ones up.
	h.mustAppend(kept, protocol.TrimRecord(4))
	if n, err := h.readFrom(kept, 0); n != 7 || !errors.Is(err, io.EOF) {
		t.Fatal(n, err)
	}
	// All but the newest is a missing beginning too, after a restart as well.
	lose(kept, 5)
	h.reopen()
	if _, err := h.readFrom(kept, 0); protocol.CodeOf(err) != protocol.CodeStorage {
		t.Fatal(err)
	}
	// Also when the retention has changed since, either way, and when only a state chunk is left.
	for name, ages := range map[string][2]uint64{"finite": {0, 24 * 3600}, "infinite": {24 * 3600, 0}} {
		ref := h.stream(basin, name, protocol.StreamConfig{RetentionPolicy: &protocol.RetentionPolicy{AgeSecs: ages[0]}})
		h.mustAppend(ref, body("first"))
		change := protocol.StreamReconfiguration{RetentionPolicy: protocol.Set(protocol.RetentionPolicy{AgeSecs: ages[1]})}
		if _, err := h.ReconfigureStream(t.Context(), ref, change); err != nil {
			t.Fatal(err)
		}
		h.mustAppend(ref, body("second"))
		h.reopen()
		h.mustAppend(ref, body("third"))
		lose(ref, 1)
		if _, err := h.readFrom(ref, 0); protocol.CodeOf(err) != protocol.CodeStorage || !strings.Contains(err.Error(), "trim the stream to 1") {
			t.Fatalf("%s: %v", name, err)
		}
	}
}
