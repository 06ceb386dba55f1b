package catalog

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// told is a listener that keeps what it was called with.
type told []string

func (t *told) StreamShown(e *Entry)      { *t = append(*t, fmt.Sprint("stream ", e.Name, " ", e.Revision)) }
func (t *told) BasinShown(r *BasinRecord) { *t = append(*t, fmt.Sprint("basin ", r.Name)) }
func (t *told) StreamForgotten(e *Entry)  { *t = append(*t, fmt.Sprint("no stream ", e.Name)) }
func (t *told) BasinForgotten(name protocol.BasinName) {
	*t = append(*t, fmt.Sprint("no basin ", name))
}
func (t *told) HoldForgotten(*StoredHold) {}

// A look-up tells the listener of an entry that has changed, and once: a request for a stream that is being deleted does not wake those that delete it.
func TestALookUpTellsOfNewsAlone(t *testing.T) {
	nc, stream := startStore(t)
	const prefix = "s2"
	if _, err := stream.CreateStream(t.Context(), jetstream.StreamConfig{Name: layout.Catalog(prefix), Subjects: []string{layout.CatalogSubjects(prefix) + ">"}}); err != nil {
		t.Fatal(err)
	}
	var got told
	c := &Catalog{config: Config{Prefix: prefix, Conn: nc, Logger: slog.New(slog.DiscardHandler), Shared: true}, listener: &got, opened: time.Now()}
	put := func(key string, value []byte) {
		t.Helper()
		if _, err := stream.Publish(t.Context(), layout.CatalogSubjects(prefix)+key, value); err != nil {
			t.Fatal(err)
		}
	}
	putBasin := func(b BasinRecord) {
		t.Helper()
		value, err := encodeEntry(b)
		if err != nil {
			t.Fatal(err)
		}
		put(BasinKey(b.Name), value)
	}
	ref := protocol.StreamRef{Basin: "basin-of-test", Stream: "s"}
	rec := StreamRecord{Name: ref.Stream, ID: layout.StreamID{1}}
	wantTold := func(want ...string) {
		t.Helper()
		for range 3 {
			if err := c.LatestStream(t.Context(), ref); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("the listener was told %q, want %q", got, want)
		}
		got = nil
	}
	putBasin(BasinRecord{Name: ref.Basin})
	put(StreamKey(ref), rec.Value())
	wantTold("basin basin-of-test", "stream s 2")
	rec.DeletedAt = time.Now().UTC()
	put(StreamKey(ref), rec.Value())
	wantTold("stream s 3")
	putBasin(BasinRecord{Name: ref.Basin, DeletedAt: time.Now().UTC()})
	wantTold("basin basin-of-test")
	if e, _, _ := c.View.Stream(ref); e == nil || !e.Deleting() {
		t.Error("the view does not say that the stream is being deleted")
	}
}
