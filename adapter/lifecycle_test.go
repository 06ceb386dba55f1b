package adapter

import (
	"testing"

	"github.com/weirstream/weir/protocol"
)

func TestTrimIsCarriedOutAndSurvives(t *testing.T) {
	h := newHarness(t)
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	for i := range 10 {
		h.mustAppend(ref, body("%d", i))
	}
	h.mustAppend(ref, protocol.TrimRecord(7))
	eventually(t, "chunks below the trim point are purged", func() bool { return h.chunks(ref) == 4 })
	for range 2 {
		if got := h.read(ref, 0); len(got) != 4 || got[0].SeqNum != 7 {
			t.Fatalf("%d records, the first is %+v", len(got), got[0])
		}
		h.reopen()
	}
	h.mustAppend(ref, protocol.TrimRecord(^uint64(0)))
	eventually(t, "only the newest chunk is left", func() bool { return h.chunks(ref) == 1 })
	if got := h.read(ref, 0); len(got) != 0 {
		t.Fatalf("%d records are left after a full trim", len(got))
	}
	h.reopen()
	if got := h.tail(ref); got.SeqNum != 12 {
		t.Fatalf("tail after a full trim and a restart is %v", got)
	}
}

func TestRetentionHidesSealsAndPurges(t *testing.T) {
	h := newHarness(t)
	age := protocol.RetentionPolicy{AgeSecs: 1}
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{RetentionPolicy: &age})
	for i := range 5 {
		h.mustAppend(ref, body("%d", i))
	}
	if got := h.read(ref, 0); len(got) != 5 {
		t.Fatalf("%d records before expiry", len(got))
	}
	eventually(t, "expired records are hidden", func() bool { return len(h.read(ref, 0)) == 0 })
	eventually(t, "expired chunks are purged behind a state chunk", func() bool { return h.chunks(ref) == 1 })
	h.reopen()
	if got := h.tail(ref); got.SeqNum != 5 || got.Timestamp == 0 {
		t.Fatalf("tail after retention and a restart is %v", got)
	}
	if ack := h.mustAppend(ref, body("new")); ack.Start.SeqNum != 5 {
		t.Fatalf("append after retention: %+v", ack)
	}
}

func TestDeletedStreamIsPurgedAndItsNameIsFree(t *testing.T) {
	h := newHarness(t)
	b := h.basin("test-basin", protocol.BasinConfig{})
	ref := h.stream(b, "s", protocol.StreamConfig{})
	h.mustAppend(ref, body("old"), protocol.FenceRecord("tok"))
	s := h.handle(ref)
	defer s.Close()
	if err := h.DeleteStream(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if got := <-submit(t, s.Appender(), protocol.AppendInput{Records: []protocol.Record{body("late")}}); got.err == nil {
		t.Fatalf("an open handle appended to a deleted stream: %+v", got.ack)
	}
	eventually(t, "the name is free", func() bool {
		_, err := h.GetStreamConfig(t.Context(), ref)
		return protocol.CodeOf(err) == protocol.CodeStreamNotFound
	})
	h.stream(b, "s", protocol.StreamConfig{})
	if got := h.tail(ref); got != (protocol.Position{}) {
		t.Fatalf("tail of the new stream is %v", got)
	}
	if ack := h.mustAppend(ref, body("new")); ack.Start.SeqNum != 0 {
		t.Fatalf("first append of the new stream: %+v", ack)
	}
}

func TestDeletionGoesOnAfterARestart(t *testing.T) {
	h := newHarness(t)
	b := h.basin("test-basin", protocol.BasinConfig{CreateStreamOnAppend: true})
	ref := h.stream(b, "s", protocol.StreamConfig{})
	h.mustAppend(ref, body("x"))
	// The marks are made, and the process dies before the janitor acts.
	h.Adapter.cancel()
	h.Adapter.tasks.Wait()
	if err := h.DeleteStream(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	gone := h.basin("gone-basin", protocol.BasinConfig{})
	if err := h.DeleteBasin(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	h.reopen()
	eventually(t, "the stream is gone", func() bool {
		_, err := h.GetStreamConfig(t.Context(), ref)
		return protocol.CodeOf(err) == protocol.CodeStreamNotFound
	})
	eventually(t, "the basin is gone", func() bool {
		_, err := h.GetBasinConfig(t.Context(), gone)
		return protocol.CodeOf(err) == protocol.CodeBasinNotFound
	})
}

func TestDeletedBasinTakesItsLogsAlong(t *testing.T) {
	h := newHarness(t)
	b := h.basin("test-basin", protocol.BasinConfig{CreateStreamOnAppend: true})
	ref := protocol.StreamRef{Basin: b, Stream: "s"}
	h.mustAppend(ref, body("x"))
	s := h.handle(ref)
	defer s.Close()
	if err := h.DeleteBasin(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the basin is gone", func() bool {
		_, err := h.GetBasinConfig(t.Context(), b)
		return protocol.CodeOf(err) == protocol.CodeBasinNotFound
	})
	if _, err := s.Tail(t.Context()); err == nil {
		t.Fatal("an open handle of a deleted basin still answers")
	}
	h.basin("test-basin", protocol.BasinConfig{CreateStreamOnAppend: true})
	if ack := h.mustAppend(ref, body("y")); ack.Start.SeqNum != 0 {
		t.Fatalf("first append in the new basin: %+v", ack)
	}
}
