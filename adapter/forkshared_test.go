package adapter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/internal/catalog"
	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/storedir"
)

// whole checks that a fork reads all records that its entry names.
func (h *harness) whole(ref protocol.StreamRef) *catalog.Fork {
	h.t.Helper()
	f, err := h.complete(ref, func(protocol.SequencedRecord) error { return nil })
	if err != nil {
		h.t.Fatal(err)
	}
	return f
}

// complete reads all records that a fork shares, and checks that none is missing.
func (h *harness) complete(ref protocol.StreamRef, check func(protocol.SequencedRecord) error) (*catalog.Fork, error) {
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	s, err := h.OpenStream(ctx, ref, ForTail, protocol.StreamConfig{})
	if err != nil {
		return nil, fmt.Errorf("open %v: %w", ref, err)
	}
	defer s.Close()
	f := s.st.fork
	next := f.Trim
	c := s.Scan(0, f.At.SeqNum)
	defer c.Close()
	for {
		r, err := c.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return f, fmt.Errorf("%v, which is %+v, at %d: %w", ref, f, next, err)
		}
		for rec := range r.All() {
			if rec.SeqNum != next {
				return f, fmt.Errorf("%v, which is %+v: record %d follows on %d", ref, f, rec.SeqNum, next)
			}
			next++
			if err := check(rec); err != nil {
				return f, fmt.Errorf("%v: %w", ref, err)
			}
		}
	}
	if next != f.At.SeqNum {
		return f, fmt.Errorf("%v ends at %d, and is %+v", ref, next, f)
	}
	return f, nil
}

// released waits until nothing is kept of a stream, and no hold is left.
func (h *harness) released(basin protocol.BasinName, e *catalog.Entry) {
	h.t.Helper()
	eventually(h.t, "the records that were kept are removed", func() bool {
		return h.chunksIn(basin, e) == 0 && len(h.catalog.View.UnusedHolds()) == 0
	})
}

// pauseJanitor keeps the janitor from removing anything until the test ends.
func (h *harness) pauseJanitor() {
	h.janitor.purging <- struct{}{}
	h.t.Cleanup(func() { <-h.janitor.purging })
}

// Forks are made, read, forked and deleted through every broker, whichever owns the log.
func TestForkThroughEveryBroker(t *testing.T) {
	onBoth(t, func(t *testing.T, a, b *harness) {
		s := shared(t, a)
		a.fill(s, "s", 3) // a owns the log
		source := a.entryOf(s)
		f := b.fork(s, "f", -1)
		b.fill(f, "f", 2)
		a.fill(s, "t", 1)
		g := a.fork(f, "g", 4)
		low := b.fork(g, "low", 1)
		b.fill(g, "g", 1)
		for _, h := range []*harness{a, b} {
			h.wantBodies(s, 0, "s0 s1 s2 t0")
			h.wantBodies(f, 0, "s0 s1 s2 f0 f1")
			h.wantBodies(g, 0, "s0 s1 s2 f0 g0")
			h.wantBodies(low, 0, "s0")
		}
		at := uint64(9)
		if err := b.tryFork(s, "x", &at, protocol.StreamConfig{}); protocol.CodeOf(err) != protocol.CodeInvalid || !strings.Contains(err.Error(), "tail of the source is 4") {
			t.Error(err)
		}
		if err := b.DeleteStream(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if err := a.DeleteStream(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		for _, h := range []*harness{a, b} {
			eventually(t, "the names are free", func() bool {
				e, _, _ := h.catalog.View.Stream(s)
				d, _, _ := h.catalog.View.Stream(f)
				return e == nil && d == nil
			})
			h.wantBodies(g, 0, "s0 s1 s2 f0 g0")
			h.wantBodies(low, 0, "s0")
		}
		for i, ref := range []protocol.StreamRef{g, low} {
			if err := []*harness{b, a}[i].DeleteStream(t.Context(), ref); err != nil {
				t.Fatal(err)
			}
		}
		a.released(s.Basin, source)
		for _, h := range []*harness{a, b} {
			eventually(t, "no entry is left", func() bool { return h.catalog.View.CountStreams(s.Basin) == 0 })
		}
	})
}

// Brokers fork one stream at once, some with the same name.
func TestForksAtOnce(t *testing.T) {
	a, b := two(t)
	s := shared(t, a)
	a.fill(s, "s", 3)
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := map[string]int{}
	for i, h := range []*harness{a, b} {
		for k := range 8 {
			for _, name := range []string{fmt.Sprint("same", k), fmt.Sprint("own", i, k)} {
				wg.Go(func() {
					err := h.tryFork(s, name, nil, protocol.StreamConfig{})
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						made[name]++
					case protocol.CodeOf(err) != protocol.CodeResourceAlreadyExists:
						t.Errorf("%s: %v", name, err)
					}
				})
			}
		}
	}
	wg.Wait()
	if len(made) != 24 {
		t.Errorf("%d forks were made", len(made))
	}
	for name, n := range made {
		if n != 1 {
			t.Errorf("%s was made %d times", name, n)
		}
		b.wantBodies(protocol.StreamRef{Basin: s.Basin, Stream: protocol.StreamName(name)}, 0, "s0 s1 s2")
	}
	if n := len(a.catalog.View.UnusedHolds()) + len(b.catalog.View.UnusedHolds()); n != 0 {
		eventually(t, "the holds of the forks that lost are removed", func() bool {
			return len(a.catalog.View.UnusedHolds())+len(b.catalog.View.UnusedHolds()) == 0
		})
	}
}

// TestForkBesidePurges with the trim and the deletion through another broker. In every other round they begin when the fork's entry is about to be stored,
// and nothing keeps the fork from being made any more.
func TestForkBesidePurgesOfAnotherBroker(t *testing.T) {
	const rounds = 20
	test := func(t *testing.T, m *moments, a, b *harness) {
		withoutLeases(a, b)
		basin := a.basin("test-basin", protocol.BasinConfig{})
		made := 0
		for round := range rounds {
			s := a.stream(basin, fmt.Sprintf("s%d", round), keepForever)
			a.fill(s, "s", 5)
			done := make(chan error, 1)
			purge := func() {
				if _, err := b.append(s, protocol.AppendInput{Records: []protocol.Record{protocol.TrimRecord(3)}}); err != nil {
					done <- err
					return
				}
				done <- b.DeleteStream(t.Context(), s)
			}
			name, late := fmt.Sprintf("f%d", round), round%2 == 1
			if late {
				m.set("s.test-basin."+name, func() { go purge() })
			} else {
				go purge()
			}
			err := a.tryFork(s, name, nil, protocol.StreamConfig{})
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			switch protocol.CodeOf(err) {
			case protocol.CodeStreamNotFound, protocol.CodeStreamDeletionPending, protocol.CodeUnavailable:
				if !late {
					continue
				}
			}
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			made++
			eventually(t, "the source's name is free", func() bool {
				e, _, _ := b.catalog.View.Stream(s)
				return e == nil
			})
			a.whole(protocol.StreamRef{Basin: basin, Stream: protocol.StreamName(name)})
		}
		if made < rounds/2 {
			t.Errorf("%d forks were made", made)
		}
	}
	watched := func() (*moments, func(*Options)) {
		m := &moments{begin: map[string]func(){}, end: map[string]func(){}}
		return m, func(o *Options) { o.Observer.WritesCatalog = m.writes }
	}
	t.Run("one server", func(t *testing.T) {
		srv := startExternal(t, server.RANDOM_PORT, storedir.New(t))
		m, watch := watched()
		test(t, m, openShared(t, srv.ClientURL(), watch), openShared(t, srv.ClientURL(), nil))
	})
	t.Run("three servers", func(t *testing.T) {
		c := startCluster(t)
		m, watch := watched()
		test(t, m, c.broker(0, watch), c.broker(1, nil))
	})
}

// moments lets a test do something when a broker is about to write an entry of the catalog, or has done so.
type moments struct {
	mu    sync.Mutex
	begin map[string]func() // by the beginning of the key
	end   map[string]func()
}

// set has do called when an entry is about to be written whose key begins so.
func (m *moments) set(key string, do func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.begin[key] = do
}

func (m *moments) take(of map[string]func(), key string) func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for prefix, do := range of {
		if strings.HasPrefix(key, prefix) {
			delete(of, prefix)
			return do
		}
	}
	return func() {}
}

func (m *moments) writes(_ context.Context, key string) func(error) {
	m.take(m.begin, key)()
	return func(error) { m.take(m.end, key)() }
}

// While a fork is made through one broker, another one takes the log over, and trims or deletes the source and removes what it may, at each point.
func TestForkBesideTakeOver(t *testing.T) {
	const holdKey, forkKey = "k.test-basin.", "s.test-basin.f"
	for _, when := range []string{"before the hold", "behind the hold", "before the entry"} {
		for _, what := range []string{"trim", "delete"} {
			for _, explicit := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, explicit %t", when, what, explicit), func(t *testing.T) {
					srv := startExternal(t, server.RANDOM_PORT, storedir.New(t))
					m := &moments{begin: map[string]func(){}, end: map[string]func(){}}
					a := openShared(t, srv.ClientURL(), func(o *Options) { o.Observer.WritesCatalog = m.writes })
					b := openShared(t, srv.ClientURL(), nil)
					c := claimsFor(a, b)
					s := a.stream(a.basin("test-basin", protocol.BasinConfig{}), "s", keepForever)
					a.fill(s, "s", 5)
					source := a.entryOf(s)
					act := func() {
						c.move(a.logName(s.Basin, source.Log()), 1)
						b.fill(s, "t", 1)
						kept := 0
						switch what {
						case "trim":
							b.mustAppend(s, protocol.TrimRecord(3))
							if when == "before the hold" {
								eventually(t, "the records are removed", func() bool { return b.chunksIn(s.Basin, source) == 4 })
							}
						case "delete":
							if err := b.DeleteStream(t.Context(), s); err != nil {
								t.Error(err)
							}
							eventually(t, "the stream is removed", func() bool {
								e, _, _ := b.catalog.View.Stream(s)
								return e == nil
							})
							if when != "before the hold" {
								kept = 7
							}
							if n := b.chunksIn(s.Basin, source); n != kept {
								t.Errorf("%d chunks of the source are left, want %d", n, kept)
							}
						}
					}
					switch when {
					case "before the hold":
						m.begin[holdKey] = act
					case "behind the hold":
						m.end[holdKey] = act
					case "before the entry":
						m.begin[forkKey] = act
					}
					var at *uint64
					if explicit {
						at = new(uint64)
						*at = 4
					}
					f := protocol.StreamRef{Basin: s.Basin, Stream: "f"}
					err := a.tryFork(s, "f", at, protocol.StreamConfig{})
					if what == "delete" && when != "before the entry" {
						if code := protocol.CodeOf(err); code != protocol.CodeStreamNotFound && code != protocol.CodeStreamDeletionPending && code != protocol.CodeUnavailable {
							t.Fatalf("the fork of a deleted stream: %v", err)
						}
						b.released(s.Basin, source)
						a.released(s.Basin, source)
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					want := "s0 s1 s2 s3"
					switch {
					case when != "before the entry" && explicit:
						want = "s3"
					case when != "before the entry": // it begins anew
						want = "s3 s4 t0 !"
					case !explicit:
						want += " s4"
					}
					for _, h := range []*harness{a, b} {
						h.wantBodies(f, 0, want)
						h.whole(f)
					}
					if err := b.DeleteStream(t.Context(), f); err != nil {
						t.Fatal(err)
					}
					if what == "delete" {
						b.released(s.Basin, source)
					}
				})
			}
		}
	}
}

// A janitor that has decided to remove records and is stopped does harm to no fork that is made before it goes on.
func TestForkBesideAPausedJanitor(t *testing.T) {
	t.Run("trim", func(t *testing.T) {
		a, b := two(t)
		s := shared(t, a)
		a.fill(s, "s", 5)
		a.pauseJanitor()
		b.pauseJanitor()
		b.mustAppend(s, protocol.TrimRecord(3))
		hd := b.handle(s)
		defer hd.Close()
		if _, err := hd.Tail(t.Context()); err != nil {
			t.Fatal(err)
		}
		trim := b.janitor.noteTrim(hd.st)
		now, err := b.janitor.settle(t.Context())
		if err != nil || trim != 3 {
			t.Fatal(trim, err)
		}
		if needed, err := b.janitor.needed(s.Basin, hd.st.id, now); err != nil || len(needed) > 0 {
			t.Fatal(needed, err)
		}
		f := a.fork(s, "f", -1)
		at, _, err := hd.st.seek(t.Context(), trim, bySeqNum)
		if err != nil {
			t.Fatal(err)
		}
		if err := hd.st.log.purge(t.Context(), hd.st.subject, at); err != nil {
			t.Fatal(err)
		}
		if fork := a.whole(f); fork.Trim != 3 {
			t.Errorf("the fork begins at %d", fork.Trim)
		}
		a.wantBodies(f, 0, "s3 s4 !")
	})
	t.Run("expiry by a clock that is ahead", func(t *testing.T) {
		a, b := two(t)
		s := a.stream(a.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{RetentionPolicy: &protocol.RetentionPolicy{AgeSecs: 600}})
		a.fill(s, "s", 3)
		if err := b.catalog.Settle(t.Context(), catalog.Millis(time.Now().Add(time.Hour))); err != nil {
			t.Fatal(err)
		}
		f := a.fork(s, "f", -1)
		if fork := a.whole(f); fork.Trim != 3 || len(fork.Segments) != 0 {
			t.Errorf("the fork is %+v", fork)
		}
		long := protocol.StreamConfig{RetentionPolicy: &protocol.RetentionPolicy{AgeSecs: 2 * 3600}}
		kept := a.stream(s.Basin, "kept", long)
		a.fill(kept, "k", 3)
		g := a.fork(kept, "g", -1)
		a.wantBodies(g, 0, "k0 k1 k2")
		if err := b.catalog.Settle(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the other broker knows", func() bool { return a.catalog.View.Horizon() == b.catalog.View.Horizon() })
		if h := a.catalog.View.Horizon(); h < catalog.Millis(time.Now()) {
			t.Errorf("the horizon fell to %d", h)
		}
		// The records that the fork itself shares have expired by that clock.
		late := protocol.StreamConfig{RetentionPolicy: &protocol.RetentionPolicy{AgeSecs: 600}}
		if err := a.tryFork(kept, "late", nil, late); err != nil {
			t.Fatal(err)
		}
		late2 := a.fork(protocol.StreamRef{Basin: s.Basin, Stream: "late"}, "late2", -1)
		if fork := a.whole(late2); fork.Trim != 3 {
			t.Errorf("the fork of a fork is %+v", fork)
		}
	})
}

// A janitor whose view of the catalog is behind removes nothing until it has come up.
func TestForkBesideAJanitorThatIsBehind(t *testing.T) {
	a, b := two(t)
	s := shared(t, b)
	b.fill(s, "s", 3)  // b owns the log
	b.reaper.mu.Lock() // what comes to b waits at the next stream with deadlines
	locked := true
	unlock := func() {
		if locked {
			locked = false
			b.reaper.mu.Unlock()
		}
	}
	defer unlock()
	min := uint64(3600)
	if _, _, err := a.CreateStream(t.Context(), s.Basin, protocol.CreateStreamRequest{Stream: "blocks", Config: protocol.StreamConfig{DeleteOnEmptyMinAge: &min}}); err != nil {
		t.Fatal(err)
	}
	if err := a.tryFork(s, "f", nil, keepForever); err != nil {
		t.Fatal(err)
	}
	if b.catalog.View.HasForks(s.Basin, b.entryOf(s).ID) {
		t.Fatal("the fork is known")
	}
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := b.janitor.settle(short); protocol.CodeOf(err) != protocol.CodeUnavailable {
		t.Errorf("a janitor that is behind: %v", err)
	}
	unlock()
	now, err := b.janitor.settle(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if needed, err := b.janitor.needed(s.Basin, b.entryOf(s).ID, now); err != nil || len(needed) != 1 {
		t.Errorf("needed: %v, %v", needed, err)
	}
}

// Holds that are left over are removed, and a fork that is being made all the same fails then.
func TestLeftOverHold(t *testing.T) {
	a, b := two(t)
	s := shared(t, a)
	a.fill(s, "s", 3)
	source := a.entryOf(s)
	begin := func(name string) (*catalog.StoredHold, *catalog.StreamRecord) {
		t.Helper()
		ref := protocol.StreamRef{Basin: s.Basin, Stream: protocol.StreamName(name)}
		hd := a.handle(s)
		defer hd.Close()
		f, _, err := hd.forkAt(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		rec := a.forkRecord(ref, source, protocol.CreateStreamRequest{Stream: ref.Stream}, "", f)
		reserved, err := a.catalog.Reserve(t.Context(), catalog.StreamKey(ref))
		if err != nil {
			t.Fatal(err)
		}
		hold, err := a.catalog.PutHold(t.Context(), s.Basin, catalog.Hold{Name: ref.Stream, ID: rec.ID, Reserved: reserved, Fork: f})
		if err != nil {
			t.Fatal(err)
		}
		return hold, rec
	}
	finish := func(hold *catalog.StoredHold, rec *catalog.StreamRecord) error {
		rec.Log = source.Log()
		_, err := a.catalog.Write(t.Context(), catalog.StreamKey(protocol.StreamRef{Basin: s.Basin, Stream: rec.Name}), rec, hold.Reserved)
		return err
	}
	// One that is found by another broker.
	hold, rec := begin("f")
	eventually(t, "the other broker has the hold", func() bool { return len(b.catalog.View.UnusedHolds()) == 1 })
	eventually(t, "the hold is removed", func() bool {
		b.dropUnused(t.Context(), hold)
		return len(b.catalog.View.UnusedHolds()) == 0
	})
	if err := finish(hold, rec); protocol.CodeOf(err) != protocol.CodeTransactionConflict {
		t.Errorf("a fork was made without its hold: %v", err)
	}
	// One whose fork is there.
	hold, rec = begin("g")
	if err := finish(hold, rec); err != nil {
		t.Fatal(err)
	}
	held := func() (held bool) {
		eventually(t, "the bucket is read", func() bool { // a request that its connection lost has no answer
			_, err := b.catalog.Bucket().Get(t.Context(), catalog.HoldKey(s.Basin, rec.ID))
			held = err == nil
			return held || errors.Is(err, jetstream.ErrKeyNotFound)
		})
		return held
	}
	b.dropUnused(t.Context(), hold)
	if !held() {
		t.Error("the hold of a fork was removed")
	}
	g := protocol.StreamRef{Basin: s.Basin, Stream: "g"}
	b.wantBodies(g, 0, "s0 s1 s2")
	// One whose fork was removed, and whose name has another stream now.
	if err := a.catalog.LatestStream(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if err := a.catalog.Remove(t.Context(), catalog.StreamKey(g), a.entryOf(g).Revision); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the entry is gone", func() bool {
		e, _, _ := b.catalog.View.Stream(g)
		return e == nil
	})
	b.stream(s.Basin, "g", keepForever)
	eventually(t, "the hold of the removed fork is removed", func() bool {
		b.dropUnused(t.Context(), hold)
		return !held()
	})
	// The janitor finds one, in its own time.
	_, _ = begin("h")
	eventually(t, "the other broker has the hold", func() bool { return len(b.catalog.View.UnusedHolds()) == 1 })
	b.stopJanitor()
	b.janitor.sweepHolds(t.Context())
	if len(b.catalog.View.UnusedHolds()) != 1 {
		t.Error("the hold was removed at once")
	}
	for id, since := range b.janitor.holds.since {
		b.janitor.holds.since[id] = since.Add(-unusedFor)
	}
	eventually(t, "the janitor removes the hold", func() bool {
		b.janitor.holds.looked = time.Time{}
		b.janitor.sweepHolds(t.Context())
		return len(b.catalog.View.UnusedHolds()) == 0
	})
}

// What is appended while an expired stream is sealed stays.
func TestAppendsBesideTheSealOfAnExpiredStream(t *testing.T) {
	h := newHarness(t)
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	h.mustAppend(ref, body("old"))
	e := h.entryOf(ref)
	l, err := h.logOf(t.Context(), ref.Basin, e.Log())
	if err != nil {
		t.Fatal(err)
	}
	newest, err := l.getLast(t.Context(), l.subjectOf(e))
	if err != nil {
		t.Fatal(err)
	}
	h.mustAppend(ref, body("new 0"))
	h.mustAppend(ref, body("new 1"))
	keep, err := h.janitor.seal(t.Context(), l, e, newest.seq)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.purge(t.Context(), l.subjectOf(e), keep); err != nil {
		t.Fatal(err)
	}
	h.wantBodies(ref, 1, "new 0 new 1")
	if _, err := l.getNext(t.Context(), l.subjectOf(e), js.Seq(1)); err != nil {
		t.Fatal(err)
	}
}
