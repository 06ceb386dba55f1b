package catalog

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// testID is an id that follows from a name.
func testID(name string) (id layout.StreamID) {
	sum := sha256.Sum256([]byte(name))
	copy(id[4:], sum[:])
	return id
}

func viewEntry(basin protocol.BasinName, name string, revision uint64) *Entry {
	return NewEntry(basin, &StreamRecord{Name: protocol.StreamName(name), ID: testID(fmt.Sprint(name, revision))}, revision, &CheckTime{})
}

// naivePage is control plane 1.4 on a sorted list.
func naivePage(names []string, req protocol.ListRequest) (page []string, more bool) {
	for _, n := range names {
		if strings.HasPrefix(n, req.Prefix) && (req.StartAfter == "" || n > req.StartAfter) {
			if len(page) == req.PageSize() {
				return page, true
			}
			page = append(page, n)
		}
	}
	return page, false
}

func oneOf[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

func randomName(rng *rand.Rand) string {
	var b strings.Builder
	for range 1 + rng.IntN(4) {
		b.WriteString(oneOf(rng, "a", "b", "/", "ab", "é", "\x00", "\xff", "z"))
	}
	return b.String()
}

func TestListingsAgreeWithANaiveModel(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 9))
		var v View
		basin := protocol.BasinName("test-basin")
		v.PutBasin(&BasinRecord{Name: basin}, 1)
		var names []string
		for i := range 200 {
			name := randomName(rng)
			v.PutStream(viewEntry(basin, name, uint64(i+2)))
			names = append(names, name)
		}
		slices.Sort(names)
		names = slices.Compact(names)
		for range 300 {
			req := protocol.ListRequest{Limit: rng.IntN(12)}
			if rng.IntN(2) == 0 {
				req.Prefix = randomName(rng)
			}
			if rng.IntN(2) == 0 {
				req.StartAfter = oneOf(rng, randomName(rng), oneOf(rng, names...))
			}
			page, ok := v.ListStreams(basin, req)
			var got []string
			for _, s := range page.Streams {
				got = append(got, string(s.Name))
			}
			want, more := naivePage(names, req)
			if !ok || page.Streams == nil || !slices.Equal(got, want) || page.HasMore != more {
				t.Fatalf("seed %d %+v: %q more %v, want %q more %v", seed, req, got, page.HasMore, want, more)
			}
		}
		var walked []string
		var at protocol.StreamRef
		for done := false; !done; {
			var entries []*Entry
			entries, done = v.Some(at, 1+rng.IntN(20))
			for _, e := range entries {
				walked, at = append(walked, string(e.Name)), e.Ref()
			}
		}
		if !slices.Equal(walked, names) {
			t.Fatalf("seed %d: the janitor's walk sees %q, want %q", seed, walked, names)
		}
	}
}

func TestViewKeepsTheNewest(t *testing.T) {
	var v View
	b := protocol.BasinName("test-basin")
	v.PutStream(viewEntry(b, "s", 9)) // no such basin yet
	v.PutBasin(&BasinRecord{Name: b, DedicatedLogs: 2}, 5)
	v.PutBasin(&BasinRecord{Name: b, DedicatedLogs: 1}, 4)
	if rec, revision, ok := v.Basin(b); !ok || rec.DedicatedLogs != 2 || revision != 5 {
		t.Fatalf("%+v at %d", rec, revision)
	}
	ref := protocol.StreamRef{Basin: b, Stream: "s"}
	v.PutStream(viewEntry(b, "s", 8))
	v.PutStream(viewEntry(b, "s", 7))
	if e, _, _ := v.Stream(ref); e == nil || e.Revision != 8 {
		t.Fatalf("%+v", e)
	}
	v.RemoveStream(ref, testID("another incarnation"))
	if e, _, _ := v.Stream(ref); e == nil {
		t.Fatal("removed by another incarnation's id")
	}
	v.RemoveBasin(b, 4)
	if _, _, ok := v.Basin(b); !ok {
		t.Fatal("a successor was removed")
	}
	rec := BasinRecord{Name: b, DeletedAt: time.Now()}
	v.PutBasin(&rec, 10)
	var deleting []protocol.BasinName
	v.EachDeleting(func(n protocol.BasinName) { deleting = append(deleting, n) }, func(*Entry) { t.Error("a stream") })
	if len(deleting) != 1 {
		t.Fatal(deleting)
	}
	if entries := v.MarkPurging(b); len(entries) != 1 {
		t.Fatalf("%d streams", len(entries))
	}
	v.RemoveBasin(b, 10)
	if _, _, ok := v.Basin(b); ok {
		t.Fatal("still there")
	}
}

func FuzzStreamKeyRoundTrip(f *testing.F) {
	for _, s := range []string{"a", "a/b c", "=41", "..", "*>\x00\xff", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		ref := protocol.StreamRef{Basin: "test-basin", Stream: protocol.StreamName(name)}
		key := StreamKey(ref)
		if got, ok := RefOfKey(key); !ok || got != ref {
			t.Fatalf("%q is %q and back %q, %v", name, key, got.Stream, ok)
		}
		if strings.Count(key, ".") != 2 || strings.ContainsAny(key, " *>\t\r\n") {
			t.Fatalf("%q has key %q", name, key)
		}
		RefOfKey(name)
		RefOfKey("s.test-basin." + name)
	})
}

// What the background tasks remember of a stream is theirs however often its entry comes: a stream that is loaded shares it with the view.
func TestEntriesOfOneStreamShareTheMemoryOfTheTasks(t *testing.T) {
	b := protocol.BasinName("test-basin")
	ref := protocol.StreamRef{Basin: b, Stream: "s"}
	for name, put := range map[string]func(v *View, e *Entry){
		"shown":                 (*View).PutStream,
		"written":               (*View).PutWritten,
		"written, come before":  func(v *View, e *Entry) { v.come(9); v.PutWritten(e) },
		"shown, an earlier one": func(v *View, e *Entry) { e.Revision = 7; v.PutStream(e) },
	} {
		t.Run(name, func(t *testing.T) {
			var v View
			v.PutBasin(&BasinRecord{Name: b}, 5)
			first, again := viewEntry(b, "s", 8), viewEntry(b, "s", 8)
			first.Checks, again.Checks = &CheckTime{}, &CheckTime{}
			v.PutStream(first)
			v.SetSize(first, 100)
			memory := first.Checks // that of a stream which was loaded now
			put(&v, again)
			if e, _, _ := v.Stream(ref); e == nil || e.Checks != memory || again.Checks != memory {
				t.Error("the stream and the view have different ones")
			}
			if bytes, _, _ := v.BasinSize(b); bytes != 100 {
				t.Errorf("the basin has %d bytes", bytes)
			}
		})
	}
}

// A caller of EachDeleting may use the view: locks come before that of the view.
func TestDeletedStreamsAreYieldedWithoutTheLock(t *testing.T) {
	var v View
	v.PutBasin(&BasinRecord{Name: "going-basin", DeletedAt: time.Now()}, 5)
	v.PutBasin(&BasinRecord{Name: "test-basin"}, 6)
	v.PutStream(NewEntry("test-basin", &StreamRecord{Name: "s", ID: testID("s"), DeletedAt: time.Now()}, 8, &CheckTime{}))
	var got []string
	v.EachDeleting(func(name protocol.BasinName) {
		v.RemoveBasin(name, 5)
		got = append(got, string(name))
	}, func(e *Entry) {
		v.RemoveStream(e.Ref(), e.ID)
		got = append(got, string(e.Name))
	})
	if !slices.Equal(got, []string{"going-basin", "s"}) {
		t.Errorf("%q", got)
	}
}

// Streams that come before their basin wait for it, and those of an earlier basin of its name do not come with it.
func TestStreamsWaitForTheirBasin(t *testing.T) {
	b := protocol.BasinName("test-basin")
	names := func(v *View) (all []string) {
		page, _ := v.ListStreams(b, protocol.ListRequest{})
		for _, s := range page.Streams {
			all = append(all, string(s.Name))
		}
		return all
	}
	for name, c := range map[string]struct {
		come func(v *View)
		want []string
	}{
		"followed": {func(v *View) {
			v.PutStream(viewEntry(b, "earlier", 5))
			v.PutStream(viewEntry(b, "s", 8))
		}, []string{"s"}},
		"loaded": {func(v *View) {
			v.loadStreams([]*Entry{viewEntry(b, "earlier", 5), viewEntry(b, "s", 8)})
			v.dropUnknown()
		}, []string{"s"}},
		"behind an earlier basin": {func(v *View) {
			v.PutBasin(&BasinRecord{Name: b, DeletedAt: time.Now()}, 4)
			v.PutStream(viewEntry(b, "earlier", 5))
			e := viewEntry(b, "s", 8)
			v.PutStream(e)
			v.SetSize(e, 7)
			v.SetSize(viewEntry(b, "earlier", 5), 5)
			v.MarkPurging(b)
			v.RemoveBasin(b, 4)
		}, []string{"s"}},
		"removed before the basin came": {func(v *View) {
			v.PutStream(viewEntry(b, "s", 8))
			v.removeEarly(protocol.StreamRef{Basin: b, Stream: "s"}, 9)
		}, nil},
		"made again before the basin came": {func(v *View) {
			v.PutStream(viewEntry(b, "s", 8))
			v.removeEarly(protocol.StreamRef{Basin: b, Stream: "s"}, 7)
		}, []string{"s"}},
	} {
		t.Run(name, func(t *testing.T) {
			v := View{shared: true}
			c.come(&v)
			if _, _, ok := v.Basin(b); ok {
				t.Error("the basin is there")
			}
			early := v.PutBasin(&BasinRecord{Name: b, After: 6}, 10)
			if got := names(&v); !slices.Equal(got, c.want) || len(early) != len(c.want) {
				t.Errorf("it has %q, want %q; %d came early", got, c.want, len(early))
			}
			if _, ok, purging := v.Stream(protocol.StreamRef{Basin: b, Stream: "s"}); !ok || purging {
				t.Error("nothing can be opened in the basin")
			}
			if len(v.early) != 0 {
				t.Error("something waits")
			}
			if e, _, _ := v.Stream(protocol.StreamRef{Basin: b, Stream: "s"}); e != nil {
				v.SetSize(e, 9)
				if bytes, _, _ := v.BasinSize(b); bytes != 9 {
					t.Errorf("%d bytes are stored in it", bytes)
				}
				if _, ok := v.PartSizes(b, func(_ int, bytes uint64) {
					if bytes != 9 {
						t.Errorf("%d bytes are stored in its log", bytes)
					}
				}); !ok {
					t.Error("its parts are not known")
				}
			}
		})
	}
}
