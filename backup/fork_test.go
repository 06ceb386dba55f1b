package backup_test

import (
	"reflect"
	"testing"

	"github.com/weirstream/weir/backup"
	"github.com/weirstream/weir/protocol"
)

// TestForks: forks come back with what they share, also of sources that are deleted, and go on.
func TestForks(t *testing.T) {
	src := inMemory(t)
	b := src.basin("test-basin", protocol.BasinConfig{})
	s := src.stream(b, "s", protocol.StreamConfig{})
	for _, body := range []string{"a", "b", "c"} {
		src.append(s, record(body))
	}
	fork := func(source protocol.StreamRef, name protocol.StreamName, at uint64) protocol.StreamRef {
		t.Helper()
		if _, _, err := src.CreateStream(t.Context(), b, protocol.CreateStreamRequest{Stream: name, Fork: &protocol.ForkRequest{Source: source.Stream, At: &at}}); err != nil {
			t.Fatal(err)
		}
		return protocol.StreamRef{Basin: b, Stream: name}
	}
	f := fork(s, "f", 2)
	src.append(f, record("x"))
	g := fork(f, "g", 3)
	kept := src.stream(b, "kept", protocol.StreamConfig{})
	src.append(kept, record("k"))
	h := fork(kept, "h", 1)
	if err := src.DeleteStream(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := src.DeleteStream(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	dir, _ := save(t, src, backup.SaveOptions{})
	dst := inMemory(t)
	restore(t, dst, dir, backup.RestoreOptions{})
	for _, ref := range []protocol.StreamRef{g, kept, h} {
		want := src.records(ref)
		if got := dst.records(ref); len(want) == 0 || !reflect.DeepEqual(got, want) {
			t.Errorf("%s holds %v, want %v", ref, got, want)
		}
	}
	if ack := dst.append(g, record("y")); ack.Start.SeqNum != 3 {
		t.Errorf("the fork goes on at %d", ack.Start.SeqNum)
	}
	page, err := dst.ListStreams(t.Context(), b, protocol.ListRequest{})
	if err != nil || len(page.Streams) != 3 {
		t.Errorf("streams %+v, %v", page, err)
	}
}
