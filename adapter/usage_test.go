package adapter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// values returns what a pattern of the store yields, newest last.
func usageValues(t *testing.T, u *UsageStore, pattern string) map[string]string {
	t.Helper()
	got := map[string]string{}
	if err := u.Scan(t.Context(), pattern, func(name string, value []byte) { got[name] = string(value) }); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestUsageStore(t *testing.T) {
	h := newHarness(t)
	u := h.UsageStore()
	check := func(pattern string, want map[string]string) {
		t.Helper()
		if got := usageValues(t, u, pattern); !maps.Equal(got, want) {
			t.Fatalf("%s: got %v, want %v", pattern, got, want)
		}
	}
	check("h.>", map[string]string{})
	check("s.some-basin.>", map[string]string{})
	if err := u.Remove(t.Context(), "h.alpha-basin.1.>"); err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(u.Put(t.Context(), "h.alpha-basin.1.me", []byte("one")))
	must(u.Put(t.Context(), "h.alpha-basin.1.me", []byte("two"))) // in its place
	must(u.Put(t.Context(), "h.alpha-basin.2.me", []byte("three")))
	must(u.Put(t.Context(), "h._.2.me", []byte("account")))
	must(u.Put(t.Context(), "s.alpha-basin.ff00.2.me", []byte("sample")))
	must(u.Create(t.Context(), "d.alpha-basin.0.all", []byte("day")))
	if err := u.Create(t.Context(), "d.alpha-basin.0.all", []byte("another")); !errors.Is(err, ErrUsageExists) {
		t.Fatalf("got %v", err)
	}
	check("h.alpha-basin.>", map[string]string{"h.alpha-basin.1.me": "two", "h.alpha-basin.2.me": "three"})
	check("d.alpha-basin.>", map[string]string{"d.alpha-basin.0.all": "day"})
	check("s.alpha-basin.ff00.>", map[string]string{"s.alpha-basin.ff00.2.me": "sample"})
	h.reopen()
	u = h.UsageStore()
	must(u.Remove(t.Context(), "h.alpha-basin.1.>"))
	check("h.>", map[string]string{"h.alpha-basin.2.me": "three", "h._.2.me": "account"})

	want := map[string]string{}
	for i := range 3 * usageBatch {
		name, value := fmt.Sprintf("x.alpha-basin.%d.me", i), fmt.Sprint(i)
		must(u.Put(t.Context(), name, []byte(value)))
		want[name] = value
	}
	check("x.>", want)
	info, err := h.js.Stream(t.Context(), "S2_USAGE")
	must(err)
	if c := info.CachedInfo().Config; c.MaxBytes != usageBytes || c.MaxAge != usageAge || c.MaxMsgsPerSubject != 1 {
		t.Fatalf("got %+v", c)
	}
}

// TestUsageInASmallStore: where not all can be reserved there is less, and where nothing can, the error says so.
func TestUsageInASmallStore(t *testing.T) {
	h := newHarness(t, func(o *Options) { o.Memory = true }) // for which the harness has 1 GiB
	if _, err := h.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "FILL", Subjects: []string{"fill"}, Storage: jetstream.MemoryStorage,
		MaxBytes: 700 << 20}); err != nil {
		t.Fatal(err)
	}
	var sizes []int64
	for i := range 5 {
		s := usageStream{name: fmt.Sprintf("FILL_%d", i), subjects: []string{fmt.Sprintf("fill.%d.>", i)}}
		if err := h.UsageStore().create(t.Context(), &s); err != nil {
			if !strings.Contains(err.Error(), "insufficient") {
				t.Fatal(err)
			}
			break
		}
		info, err := h.js.Stream(t.Context(), s.name)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, info.CachedInfo().Config.MaxBytes)
	}
	if !slices.Equal(sizes, []int64{256 << 20, 64 << 20, 4 << 20}) {
		t.Fatalf("got %v", sizes)
	}
}

// sized collects what the observer hears.
type sized struct {
	mu    sync.Mutex
	sizes map[protocol.StreamRef]uint64
	gone  []protocol.BasinName
	syncs int
}

func (s *sized) observer() Observer {
	s.sizes = map[protocol.StreamRef]uint64{}
	return Observer{
		StreamSized: func(ref protocol.StreamRef, bytes uint64, _ time.Time) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.sizes[ref] = bytes
		},
		StreamsDeleted: func(basin protocol.BasinName, since, until time.Time) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.gone = append(s.gone, basin)
		},
		Synced: func(chunks int, _ time.Duration) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.syncs += chunks
		},
	}
}

// basinBytes is what a basin's parts sum up to.
func (h *harness) basinBytes(basin protocol.BasinName) (bytes uint64, known bool) {
	known = h.BasinParts(h.t.Context(), basin, func(_ int, n uint64) { bytes += n })
	return bytes, known
}

// TestSizes: what is stored of a stream and a basin is told in metered bytes, as soon as it is durable, without what is
// trimmed, expired or deleted (control plane 6.2).
func TestSizes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard sized
		h := newHarness(t, func(o *Options) {
			o.Memory = true
			o.Observer = heard.observer()
		})
		b := h.basin("alpha-basin", protocol.BasinConfig{})
		age := protocol.RetentionPolicy{AgeSecs: 3600}
		kept, aged := h.stream(b, "kept", protocol.StreamConfig{}), h.stream(b, "aged", protocol.StreamConfig{RetentionPolicy: &age})
		size := func(ref protocol.StreamRef) uint64 {
			t.Helper()
			n, known, err := h.StreamBytes(t.Context(), ref)
			if err != nil || !known {
				t.Fatalf("%s: %v, %v", ref, known, err)
			}
			return n
		}
		check := func(what string, wantKept, wantAged uint64) {
			t.Helper()
			// The basin first: it must find out by itself what has changed.
			if got, known := h.basinBytes(b); got != wantKept+wantAged || !known {
				t.Fatalf("%s: the basin has %d bytes, %v, want %d", what, got, known, wantKept+wantAged)
			}
			if got := size(kept); got != wantKept {
				t.Fatalf("%s: kept has %d bytes, want %d", what, got, wantKept)
			}
			if got := size(aged); got != wantAged {
				t.Fatalf("%s: aged has %d bytes, want %d", what, got, wantAged)
			}
		}
		time.Sleep(2 * surveyEvery) // everything was looked at once
		check("empty", 0, 0)
		record := protocol.Record{Body: []byte("0123456789")}
		each := record.MeteredSize()
		for range 5 {
			h.mustAppend(kept, record, record)
			h.mustAppend(aged, record)
		}
		check("written", 10*each, 5*each)

		// A trim in the middle of a chunk counts from its record on; the trim itself is a record.
		trim := protocol.TrimRecord(5)
		h.mustAppend(kept, trim)
		check("trimmed", 5*each+trim.MeteredSize(), 5*each)

		time.Sleep(2 * sizeEvery)
		heard.mu.Lock()
		if heard.sizes[kept] != 5*each+trim.MeteredSize() || heard.sizes[aged] != 5*each {
			t.Fatalf("the observer heard %v", heard.sizes)
		}
		clear(heard.sizes)
		heard.mu.Unlock()
		time.Sleep(10 * sizeEvery)
		heard.mu.Lock()
		if len(heard.sizes) != 0 {
			t.Fatalf("streams that nobody uses were measured: %v", heard.sizes)
		}
		heard.mu.Unlock()

		time.Sleep(time.Hour)
		check("expired", 5*each+trim.MeteredSize(), 0)
		h.reopen()
		time.Sleep(2 * surveyEvery)
		check("reopened", 5*each+trim.MeteredSize(), 0)
		h.mustAppend(aged, record)
		check("written again", 5*each+trim.MeteredSize(), each)

		if err := h.DeleteStream(t.Context(), kept); err != nil {
			t.Fatal(err)
		}
		if got, _ := h.basinBytes(b); got != each {
			t.Fatalf("after the deletion the basin has %d bytes, want %d", got, each)
		}
		if _, known, _ := h.StreamBytes(t.Context(), kept); known {
			t.Fatal("a deleted stream has a size")
		}
		if names := h.BasinsWithStreams(time.Now().Add(time.Second)); len(names) != 1 || names[0] != b {
			t.Fatalf("got %v", names)
		}
		if names := h.BasinsWithStreams(time.Now().Add(-time.Hour * 24)); len(names) != 0 {
			t.Fatalf("got %v", names)
		}
		if err := h.DeleteBasin(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if len(heard.gone) != 2 {
			t.Fatalf("the observer heard of %v", heard.gone)
		}
		if names := h.BasinsWithStreams(time.Now().Add(time.Second)); len(names) != 0 {
			t.Fatalf("got %v", names)
		}
	})
}

// TestSizesBesideDamage: a stream that cannot be read keeps no other from being measured.
func TestSizesBesideDamage(t *testing.T) {
	h := newHarness(t, inMemory)
	b := h.basin("alpha-basin", protocol.BasinConfig{})
	bad, good := h.stream(b, "bad", protocol.StreamConfig{}), h.stream(b, "good", protocol.StreamConfig{})
	record := protocol.Record{Body: []byte("0123456789")}
	h.mustAppend(bad, record)
	h.mustAppend(bad, record) // of a stream that has changed once the size is known without a look
	h.mustAppend(good, record)
	if _, err := h.js.Publish(t.Context(), layout.Log{Class: protocol.StorageExpress}.Subject("s2", b, h.entry(bad).ID), []byte("no chunk")); err != nil {
		t.Fatal(err)
	}
	check := func(what string) {
		t.Helper()
		if bytes, _, _ := h.catalog.View.BasinSize(b); bytes != record.MeteredSize() {
			t.Fatalf("%s: the basin has %d bytes, want %d", what, bytes, record.MeteredSize())
		}
	}
	h.sizes.measureChanged(t.Context(), nil)
	check("changed")
	h.reopen()
	h.tail(good)    // opens the log
	h.stopJanitor() // the survey as well
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	h.sizes.survey(gone)
	if h.sizes.known() {
		t.Fatal("a survey that failed has found all sizes")
	}
	h.sizes.survey(t.Context())
	check("reopened")
	if !h.sizes.known() {
		t.Fatal("the sizes are not known")
	}
	if at := h.entry(bad).Checks.Size.Measured.Load(); at == 0 {
		t.Fatal("the damaged stream will be measured for ever")
	}
}

// A stream that does not answer is not an empty one: a day would be rolled up without what it has.
func TestUsageStoreThatDoesNotAnswer(t *testing.T) {
	h := newHarness(t)
	u := h.UsageStore()
	_, err := h.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: u.general.name, Subjects: u.general.subjects})
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Put(t.Context(), "h.alpha-basin.1.me", []byte("one")); err != nil {
		t.Fatal(err)
	}
	// It was made without direct gets, so nobody listens for them, as while a cluster elects a leader.
	err = u.Scan(t.Context(), "h.>", func(string, []byte) {})
	if protocol.CodeOf(err) != protocol.CodeStorage && protocol.CodeOf(err) != protocol.CodeUnavailable {
		t.Fatalf("got %v", err)
	}
}

func TestStats(t *testing.T) {
	var heard sized
	h := newHarness(t, func(o *Options) { o.Observer = heard.observer() })
	b := h.basin("alpha-basin", protocol.BasinConfig{})
	ref := h.stream(b, "one", protocol.StreamConfig{})
	h.stream(b, "two", protocol.StreamConfig{})
	st := h.handle(ref)
	defer st.Close()
	feed, _, err := st.Follow(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 * ringBatches {
		h.mustAppend(ref, protocol.Record{Body: []byte("x")})
	}
	if _, _, err := feed.Poll(); !errors.Is(err, protocol.ErrLagged) {
		t.Fatalf("got %v", err)
	}
	s := h.Stats()
	if s.Basins != 1 || s.Streams != 2 || s.Logs != 1 || s.LoadedStreams != 1 || s.Followers != 1 || s.LaggedFeeds != 1 || s.DroppedBatches != ringBatches {
		t.Fatalf("got %+v", s)
	}
	feed.Close()
	// An append is answered before its sequencer shows that the turn is over.
	eventually(t, "nothing is under way", func() bool {
		s := h.Stats()
		return s.Followers == 0 && s.QueuedAppends == 0 && s.ChunksInFlight == 0
	})
	heard.mu.Lock()
	defer heard.mu.Unlock()
	if heard.syncs != 2*ringBatches {
		t.Fatalf("%d chunks were synced, want %d", heard.syncs, 2*ringBatches)
	}
}

// TestSizeWithoutALook: the size of a stream that was made here, written once and not trimmed is known without reading it.
func TestSizeWithoutALook(t *testing.T) {
	h := newHarness(t, inMemory)
	b := h.basin("alpha-basin", protocol.BasinConfig{})
	record := protocol.Record{Body: []byte("0123456789")}
	for _, tt := range []struct {
		name   string
		change func(protocol.StreamRef)
		known  bool
	}{
		{"once", func(ref protocol.StreamRef) { h.mustAppend(ref, record) }, true},
		{"twice", func(ref protocol.StreamRef) { h.mustAppend(ref, record); h.mustAppend(ref, record) }, false},
		{"trimmed", func(ref protocol.StreamRef) { h.mustAppend(ref, record, protocol.TrimRecord(1)) }, false},
		{"expiring", func(ref protocol.StreamRef) {
			h.mustAppend(ref, record)
			h.entry(ref).Checks.At.Before(1)
		}, false},
	} {
		ref := h.stream(b, tt.name, protocol.StreamConfig{})
		tt.change(ref)
		// A measurement that looks fails.
		if _, err := h.js.Publish(t.Context(), layout.Log{Class: protocol.StorageExpress}.Subject("s2", b, h.entry(ref).ID), []byte("no chunk")); err != nil {
			t.Fatal(err)
		}
		before, _, _ := h.catalog.View.BasinSize(b)
		h.sizes.measureChanged(t.Context(), nil)
		if after, _, _ := h.catalog.View.BasinSize(b); (after-before == record.MeteredSize()) != tt.known {
			t.Errorf("%s: the basin has %d bytes, %d before", tt.name, after, before)
		}
	}
}

// The survey, which asks for two messages of a stream, leaves a stream alone that is about to be measured because it has changed.
func TestSurveyLeavesChangedStreams(t *testing.T) {
	h := newHarness(t, inMemory)
	b := h.basin("alpha-basin", protocol.BasinConfig{})
	written, empty := h.stream(b, "written", protocol.StreamConfig{}), h.stream(b, "empty", protocol.StreamConfig{})
	record := protocol.Record{Body: []byte("0123456789")}
	h.mustAppend(written, record)
	h.stopJanitor() // the survey as well
	measured := func(ref protocol.StreamRef) bool { return h.entry(ref).Checks.Size.Measured.Load() != 0 }
	h.sizes.survey(t.Context())
	if measured(written) || !measured(empty) {
		t.Fatalf("the survey measured the written stream: %v, the empty one: %v", measured(written), measured(empty))
	}
	h.sizes.measureChanged(t.Context(), nil)
	if bytes, _, _ := h.catalog.View.BasinSize(b); !measured(written) || bytes != record.MeteredSize() {
		t.Fatalf("measured: %v, the basin has %d bytes, want %d", measured(written), bytes, record.MeteredSize())
	}
}

// A compressed stream with replicas does not survive each restart (docs/upstream).
func TestUsageIsCompressedWithOneCopyOnly(t *testing.T) {
	for replicas, want := range map[int]jetstream.StoreCompression{1: jetstream.S2Compression, 3: jetstream.NoCompression} {
		s := usageStream{name: "S2_USAGE"}
		if got := s.config(&Options{Replicas: replicas}, usageBytes); got.Compression != want || got.Replicas != replicas {
			t.Errorf("with %d copies: compression %v, %d replicas", replicas, got.Compression, got.Replicas)
		}
	}
}
