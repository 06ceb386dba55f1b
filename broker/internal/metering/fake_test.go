package metering

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// fakeStore keeps values in memory. With broken set every access fails; with dieAfter set, all after so many writes.
type fakeStore struct {
	mu     sync.Mutex
	values map[Key][]byte
	broken bool
	writes int // left before it breaks; negative: no limit
	puts   int
}

func newFakeStore() *fakeStore { return &fakeStore{values: map[Key][]byte{}, writes: -1} }

var errBroken = errors.New("the store is broken")

func (f *fakeStore) writeLocked() error {
	if f.broken || f.writes == 0 {
		return errBroken
	}
	f.writes--
	f.puts++
	return nil
}

func (f *fakeStore) Put(_ context.Context, key Key, value []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.writeLocked(); err != nil {
		return err
	}
	f.values[key] = slices.Clone(value)
	return nil
}

func (f *fakeStore) Create(_ context.Context, key Key, value []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.values[key]; ok {
		return ErrExists
	}
	if err := f.writeLocked(); err != nil {
		return err
	}
	f.values[key] = slices.Clone(value)
	return nil
}

func (f *fakeStore) Remove(_ context.Context, kind Kind, scope string, period uint32) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.writeLocked(); err != nil {
		return err
	}
	maps.DeleteFunc(f.values, func(k Key, _ []byte) bool { return k.Kind == kind && k.Scope == scope && k.Period == period })
	return nil
}

func (f *fakeStore) Scan(_ context.Context, kind Kind, scope string, yield func(Key, []byte)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken {
		return errBroken
	}
	for k, v := range f.values {
		if k.Kind == kind && (scope == "" || k.Scope == scope) {
			yield(k, v)
		}
	}
	return nil
}

func (f *fakeStore) set(broken bool, writes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken, f.writes = broken, writes
}

func (f *fakeStore) written() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.puts
}

func (f *fakeStore) count(kind Kind) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for k := range f.values {
		if k.Kind == kind {
			n++
		}
	}
	return n
}

// fakeSizes is what is stored, and since when there are streams.
type fakeSizes struct {
	mu      sync.Mutex
	basins  map[protocol.BasinName]uint64
	streams map[protocol.StreamRef]uint64
	since   map[protocol.BasinName]time.Time
	part    int            // of the basins, that it knows
	more    map[int]uint64 // further parts of each
	another bool           // keeps the account
}

func (f *fakeSizes) set(basin protocol.BasinName, bytes uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.basins[basin] = bytes
}

func (f *fakeSizes) remove(basin protocol.BasinName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.basins, basin)
}

func (f *fakeSizes) BasinParts(_ context.Context, basin protocol.BasinName, yield func(int, uint64)) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, ok := f.basins[basin]
	if ok {
		f.yieldLocked(n, yield)
	}
	return ok
}

func (f *fakeSizes) EachPart(yield func(protocol.BasinName, int, uint64)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, n := range f.basins {
		f.yieldLocked(n, func(part int, n uint64) { yield(name, part, n) })
	}
}

func (f *fakeSizes) yieldLocked(n uint64, yield func(int, uint64)) {
	yield(f.part, n)
	for part, n := range f.more {
		yield(part, n)
	}
}

func (f *fakeSizes) KeepsAccount() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.another
}

func (f *fakeSizes) StreamBytes(_ context.Context, ref protocol.StreamRef) (uint64, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, ok := f.streams[ref]
	return n, ok, nil
}

func (f *fakeSizes) BasinsWithStreams(t time.Time) (names []protocol.BasinName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, since := range f.since {
		if since.Before(t) {
			names = append(names, name)
		}
	}
	return names
}

// rig is a meter on a store that outlives it.
type rig struct {
	t     *testing.T
	store *fakeStore
	sizes *fakeSizes
	*Meter
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, store: newFakeStore(), sizes: &fakeSizes{basins: map[protocol.BasinName]uint64{},
		streams: map[protocol.StreamRef]uint64{}, since: map[protocol.BasinName]time.Time{}}}
	r.start()
	t.Cleanup(r.kill)
	return r
}

func (r *rig) start() {
	r.Meter = New(slog.New(slog.DiscardHandler), Prices{})
	r.Meter.Start(r.store, r.sizes)
}

// kill stops the meter without a last write.
func (r *rig) kill() {
	r.Meter.stop()
	<-r.Meter.done
}

// restart ends the meter in peace and starts another.
func (r *rig) restart() {
	r.t.Helper()
	if err := r.Meter.Close(context.Background()); err != nil {
		r.t.Fatal(err)
	}
	r.start()
}

func ask(set protocol.MetricSet, start, end time.Time, interval protocol.MetricInterval) protocol.MetricsQuery {
	from, to := seconds(start), seconds(end)
	return protocol.MetricsQuery{Set: set, Start: &from, End: &to, Interval: interval}
}

// points returns the points of one metric of a basin's set, by their seconds.
func (r *rig) points(basin protocol.BasinName, name string, q protocol.MetricsQuery) map[int64]float64 {
	r.t.Helper()
	metrics, err := r.Basin(context.Background(), basin, q)
	return r.pointsOf(metrics, err, name)
}

func (r *rig) pointsOf(metrics []protocol.Metric, err error, name string) map[int64]float64 {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
	out := map[int64]float64{}
	for _, m := range metrics {
		if m.Name != name {
			continue
		}
		last := int64(-1)
		for _, p := range m.Points {
			if p.At.Unix() <= last {
				r.t.Fatalf("%s: points are not rising: %v", name, m.Points)
			}
			last = p.At.Unix()
			out[last] = p.Value
		}
	}
	return out
}

func (r *rig) same(what string, got, want map[int64]float64) {
	r.t.Helper()
	if !maps.Equal(got, want) {
		r.t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}
