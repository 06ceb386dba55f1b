package metering

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/protocol"
)

// beside is another process on the store of a rig.
func (r *rig) beside(part int) *rig {
	other := &rig{t: r.t, store: r.store, sizes: &fakeSizes{basins: map[protocol.BasinName]uint64{}, part: part}}
	other.Meter = New(slog.New(slog.DiscardHandler), Prices{Stored: 720})
	other.Meter.Start(other.store, other.sizes)
	r.t.Cleanup(other.kill)
	return other
}

// Where several processes know a part of a basin each, its size is the sum of the newest sizes of the parts, whoever recorded them.
func TestStorageInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := newRig(t)
		one.sizes.part = 1
		two := one.beside(2)
		began := time.Now()
		last := func(r *rig) float64 {
			t.Helper()
			got := r.points(basin, "storage", ask(protocol.MetricStorage, began, time.Now().Add(time.Second), ""))
			if len(got) == 0 {
				return -1
			}
			return got[slices.Max(slices.Collect(maps.Keys(got)))]
		}
		want := func(what string, bytes float64, rigs ...*rig) {
			t.Helper()
			for i, r := range rigs {
				if got := last(r); got != bytes {
					t.Fatalf("%s: process %d tells %v, want %v", what, i, got, bytes)
				}
			}
		}
		one.sizes.set(basin, 100)
		two.sizes.set(basin, 10)
		time.Sleep(2 * sampleEvery)
		want("both", 110, one, two)
		two.sizes.set(basin, 20)
		want("the process that knows, at once", 120, two)
		time.Sleep(2 * sampleEvery)
		want("both later", 120, one, two)
		one.kill()
		one.Meter.done = make(chan struct{}) // the rig ends it again
		close(one.Meter.done)
		time.Sleep(3 * time.Hour)
		want("a part that no process knows", 120, two)
		two.sizes.mu.Lock()
		two.sizes.more = map[int]uint64{1: 150}
		two.sizes.mu.Unlock()
		time.Sleep(2 * sampleEvery)
		want("after a change of the owner", 170, two)
		days := 3
		time.Sleep(time.Duration(days) * 24 * time.Hour)
		want("rolled up", 170, two)
		if n := two.store.count(DayKind); n < days-1 {
			t.Errorf("%d days are rolled up", n)
		}
		// A GiB costs a dollar an hour.
		two.sizes.set(basin, gib)
		two.sizes.mu.Lock()
		two.sizes.more = map[int]uint64{1: gib / 2}
		two.sizes.mu.Unlock()
		time.Sleep(3 * time.Hour)
		hour := time.Now().Truncate(time.Hour).Add(-time.Hour)
		metrics, err := two.Account(context.Background(), ask(protocol.MetricBillableUsage, hour, hour.Add(time.Hour), protocol.IntervalHour))
		two.same("price", two.pointsOf(metrics, err, "total"), map[int64]float64{hour.Unix(): 1.5})
	})
}

// One process rolls days up, and another one from when it is its turn.
func TestRollUpByOneProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.sizes.another = true
		var conn ConnectionMinute
		r.appended(&conn, 1)
		time.Sleep(48 * time.Hour)
		if n := r.store.count(DayKind); n != 0 {
			t.Fatalf("%d days were rolled up by a process that has not to", n)
		}
		r.sizes.mu.Lock()
		r.sizes.another = false
		r.sizes.mu.Unlock()
		time.Sleep(2 * flushEvery)
		if n := r.store.count(DayKind); n != 1 {
			t.Fatalf("%d days were rolled up", n)
		}
	})
}
