package backup_test

import (
	"reflect"
	"testing"

	"github.com/weirstream/weir/backup"
	"github.com/weirstream/weir/conf"
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
	for name, target := range map[string]func(t *testing.T) *rig{
		"a broker alone": func(t *testing.T) *rig { return inMemory(t) },
		"brokers that share their store": func(t *testing.T) *rig {
			return inMemory(t, func(c *conf.Config) { c.Memory, c.External.URL = false, natsServer(t) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			dst := target(t)
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
			// Forks of what was restored, and their sources' ends.
			at := uint64(3)
			if _, _, err := dst.CreateStream(t.Context(), b, protocol.CreateStreamRequest{Stream: "again", Fork: &protocol.ForkRequest{Source: g.Stream, At: &at}}); err != nil {
				t.Fatal(err)
			}
			if err := dst.DeleteStream(t.Context(), kept); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the name of a source is free", func() bool {
				page, err := dst.ListStreams(t.Context(), b, protocol.ListRequest{Prefix: string(kept.Stream)})
				return err == nil && len(page.Streams) == 0
			})
			if got, want := dst.records(protocol.StreamRef{Basin: b, Stream: "again"}), src.records(g); !reflect.DeepEqual(got, want) {
				t.Errorf("the fork of a restored fork holds %v, want %v", got, want)
			}
			if got, want := dst.records(h), src.records(h); !reflect.DeepEqual(got, want) {
				t.Errorf("the fork of a deleted source holds %v, want %v", got, want)
			}
		})
	}
}
