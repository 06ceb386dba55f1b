package catalog

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

func testFork(source layout.StreamID, trim, at uint64) *Fork {
	return &Fork{Segments: []Segment{{ID: source, Name: "s", To: at}}, At: protocol.Position{SeqNum: at}, Trim: trim}
}

// What a fork needs is kept as long as its entry or its hold is in the view, in whatever order they come and go.
func TestHoldsAndEntriesOfForks(t *testing.T) {
	source, id := layout.NewStreamID(0), layout.NewStreamID(0)
	ref := protocol.StreamRef{Basin: "test-basin", Stream: "f"}
	entry := func(v *View) {
		v.PutStream(NewEntry(ref.Basin, &StreamRecord{Name: "f", ID: id, Fork: testFork(source, 3, 5)}, 12, &CheckTime{}))
	}
	hold := func(v *View) {
		v.putHold(&StoredHold{Hold{Name: "f", ID: id, Fork: testFork(source, 2, 5)}, ref.Basin, 11})
	}
	noEntry := func(v *View) { v.RemoveStream(ref, id) }
	noHold := func(v *View) { v.removeHold(ref.Basin, id, 13) }
	basin := func(v *View) { v.PutBasin(&BasinRecord{Name: ref.Basin, After: 5}, 10) }
	for _, c := range []struct {
		name   string
		steps  []func(*View)
		from   uint64 // of the records that are kept; 0: none are
		unused int
	}{
		{"hold", []func(*View){basin, hold}, 2, 1},
		{"hold, entry", []func(*View){basin, hold, entry}, 2, 0},
		{"entry, hold", []func(*View){basin, entry, hold}, 2, 0},
		{"entry alone", []func(*View){basin, entry}, 3, 0},
		{"the entry goes first", []func(*View){basin, hold, entry, noEntry}, 2, 1},
		{"both go", []func(*View){basin, hold, entry, noEntry, noHold}, 0, 0},
		{"the hold goes first", []func(*View){basin, hold, entry, noHold}, 2, 0},
		{"both go, the hold first", []func(*View){basin, entry, hold, noHold, noEntry}, 0, 0},
		{"twice", []func(*View){basin, hold, hold, entry, entry, hold, noHold, noEntry}, 0, 0},
		{"before the basin", []func(*View){hold, basin}, 2, 1},
		{"before the basin, and gone before it", []func(*View){hold, noHold, basin}, 0, 0},
		{"of an earlier basin", []func(*View){hold, func(v *View) { v.PutBasin(&BasinRecord{Name: ref.Basin, After: 11}, 12) }}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := &View{}
			for _, step := range c.steps {
				step(v)
			}
			var want []Range
			if c.from > 0 {
				want = []Range{{c.from, 5}}
			}
			if got := v.Needed(ref.Basin, source, 0); !slices.Equal(got, want) {
				t.Errorf("needed: %v, want %v", got, want)
			}
			if got := len(v.UnusedHolds()); got != c.unused {
				t.Errorf("%d unused holds, want %d", got, c.unused)
			}
			if len(v.early) != 0 {
				t.Errorf("%d holds wait for a basin", len(v.early))
			}
		})
	}
}

func TestForkSince(t *testing.T) {
	one, two := layout.NewStreamID(0), layout.NewStreamID(0)
	f := &Fork{Segments: []Segment{{one, "a", 4}, {two, "b", 8}}, At: protocol.Position{SeqNum: 8, Timestamp: 7}, Trim: 2, Until: 9}
	for first, want := range map[uint64]Fork{
		0: *f, 2: *f,
		3: {Segments: f.Segments, At: f.At, Trim: 3, Until: 9},
		4: {Segments: f.Segments[1:], At: f.At, Trim: 4, Until: 9},
		8: {At: f.At, Trim: 8, Until: 9},
		9: {At: f.At, Trim: 8, Until: 9},
	} {
		got := f.Since(first)
		if !slices.Equal(got.Segments, want.Segments) || got.At != want.At || got.Trim != want.Trim || got.Until != want.Until {
			t.Errorf("since %d: %+v, want %+v", first, got, want)
		}
	}
}

func TestHoldsThatCannotBeRead(t *testing.T) {
	id := layout.NewStreamID(0)
	c := &Catalog{config: Config{Logger: slog.New(slog.DiscardHandler)}}
	for _, e := range []keyValue{
		{key: "k.test-basin", value: []byte(`{}`)},
		{key: "k.test-basin.x", value: []byte(`{}`)},
		{key: HoldKey("test-basin", id), value: []byte(`{`)},
		{key: HoldKey("test-basin", id), value: []byte(`{"id":"` + layout.NewStreamID(0).String() + `","fork":{}}`)},
		{key: HoldKey("test-basin", id), value: []byte(`{"id":"` + id.String() + `"}`)},
	} {
		if err := c.apply(e); protocol.CodeOf(err) != protocol.CodeStorage {
			t.Errorf("%s %s: %v", e.key, e.value, err)
		}
	}
	if !c.AsideIn("test-basin") {
		t.Error("the basin's streams would be purged")
	}
}

func TestHorizonNeverFalls(t *testing.T) {
	v := &View{}
	v.setHorizon(50, 3)
	v.setHorizon(40, 4)
	if h := v.horizonNow(); h != (horizon{50, 4}) {
		t.Errorf("%+v", h)
	}
	v.setHorizon(90, 2)
	if h := v.horizonNow(); h != (horizon{50, 4}) {
		t.Errorf("%+v after an earlier revision", h)
	}
}

func TestProgress(t *testing.T) {
	p := &progress{}
	p.to(3)
	if err := p.wait(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- p.wait(t.Context(), 5) }()
	p.to(4)
	p.to(2)
	if p.come() != 4 {
		t.Errorf("it went back to %d", p.come())
	}
	p.to(6)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := p.wait(ctx, 7); protocol.CodeOf(err) != protocol.CodeUnavailable || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// What this process has written comes into the view once: not after another server's removal of it.
func TestWrittenEntriesThatWereRemovedSince(t *testing.T) {
	v := &View{}
	id := layout.NewStreamID(0)
	ref := protocol.StreamRef{Basin: "test-basin", Stream: "f"}
	v.PutBasin(&BasinRecord{Name: ref.Basin}, 10)
	put := func(revision uint64) *Entry {
		v.PutWritten(NewEntry(ref.Basin, &StreamRecord{Name: "f", ID: id}, revision, &CheckTime{}))
		e, _, _ := v.Stream(ref)
		return e
	}
	if put(11) == nil {
		t.Error("an entry before all that came is not there")
	}
	v.come(12)
	v.RemoveStream(ref, id)
	if put(11) != nil {
		t.Error("a removed entry is back")
	}
	if put(13) == nil {
		t.Error("a new entry is not there")
	}
	v.putHold(&StoredHold{Hold{Name: "f", ID: id, Fork: testFork(id, 0, 1)}, ref.Basin, 11})
	if v.Hold(ref.Basin, id) != nil {
		t.Error("a removed hold is back")
	}
	v.RemoveBasin(ref.Basin, 12)
	v.PutBasin(&BasinRecord{Name: ref.Basin}, 11)
	if _, _, ok := v.Basin(ref.Basin); ok {
		t.Error("a removed basin is back")
	}
}
