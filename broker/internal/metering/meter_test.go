package metering

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/protocol"
)

const basin = protocol.BasinName("alpha-basin")

// appended counts one unary append.
func (r *rig) appended(conn *ConnectionMinute, bytes uint64) {
	r.Of(basin).Appended(conn, protocol.StorageExpress, bytes, time.Now())
}

// TestBuckets: control plane 6.4, and 6.5 for what one append operation is.
func TestBuckets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which begins at midnight, 1 January 2000, UTC
		r := newRig(t)
		began := time.Now()
		var conn, other ConnectionMinute
		for range 3 { // a minute of appends on one connection is one operation
			r.appended(&conn, 10)
		}
		r.appended(&other, 5)
		time.Sleep(59 * time.Second)
		r.appended(&conn, 1)
		time.Sleep(time.Second)
		r.appended(&conn, 100)
		time.Sleep(time.Hour)
		r.appended(&conn, 1000)
		r.Of(basin).Appended(&other, protocol.StorageStandard, 7, time.Now())
		at := func(d time.Duration) int64 { return began.Add(d).Unix() }
		end := time.Now().Add(time.Second)
		for _, test := range []struct {
			set      protocol.MetricSet
			interval protocol.MetricInterval
			name     string
			want     map[int64]float64
		}{
			{protocol.MetricAppendOps, "", "express", map[int64]float64{at(0): 2, at(time.Minute): 1, at(61 * time.Minute): 1}},
			{protocol.MetricAppendOps, protocol.IntervalHour, "express", map[int64]float64{at(0): 3, at(time.Hour): 1}},
			{protocol.MetricAppendOps, protocol.IntervalDay, "express", map[int64]float64{at(0): 4}},
			{protocol.MetricAppendThroughput, "", "express", map[int64]float64{at(0): 36, at(time.Minute): 100, at(61 * time.Minute): 1000}},
			{protocol.MetricAppendThroughput, protocol.IntervalDay, "standard", map[int64]float64{at(0): 7}},
			{protocol.MetricAppendOps, protocol.IntervalDay, "standard", map[int64]float64{at(0): 1}},
			{protocol.MetricReadOps, "", "unary", map[int64]float64{}},
		} {
			r.same(string(test.set)+" "+string(test.interval), r.points(basin, test.name, ask(test.set, began, end, test.interval)), test.want)
		}
		// The beginning is inclusive, the end exclusive, and what they cut off is whole buckets.
		r.same("cut", r.points(basin, "express", ask(protocol.MetricAppendThroughput, began.Add(time.Second), began.Add(61*time.Minute), "")),
			map[int64]float64{at(time.Minute): 100})
		r.same("last bucket", r.points(basin, "express", ask(protocol.MetricAppendThroughput, began.Add(time.Hour), began.Add(time.Hour+time.Second), protocol.IntervalHour)),
			map[int64]float64{at(time.Hour): 1000})
		r.same("nothing", r.points(basin, "express", ask(protocol.MetricAppendThroughput, began, began, "")), map[int64]float64{})
		r.same("another basin", r.points("beta-basin", "express", ask(protocol.MetricAppendThroughput, began, end, "")), map[int64]float64{})
		metrics, err := r.Basin(t.Context(), basin, ask(protocol.MetricAppendOps, began, end, ""))
		if err != nil || metrics[0].Interval != protocol.IntervalMinute || metrics[0].Unit != protocol.UnitOperations || len(metrics) != 2 {
			t.Fatalf("got %+v, %v", metrics, err)
		}
	})
}

// TestReads: records delivered count, not those asked for, and a session counts for each minute in which it delivers.
func TestReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		began := time.Now()
		var conn ConnectionMinute
		s := r.Of(basin)
		s.read(30)
		s.read(0)
		s.delivered(&conn, 0)
		s.delivered(&conn, 40)
		time.Sleep(10 * time.Minute) // in silence
		s.delivered(&conn, 2)
		q := ask(protocol.MetricReadOps, began, time.Now().Add(time.Minute), protocol.IntervalHour)
		r.same("unary", r.points(basin, "unary", q), map[int64]float64{began.Unix(): 2})
		r.same("streaming", r.points(basin, "streaming", q), map[int64]float64{began.Unix(): 2})
		q.Set = protocol.MetricReadThroughput
		r.same("bytes", r.points(basin, "read_throughput", q), map[int64]float64{began.Unix(): 72})
	})
}

func TestOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		began := time.Now()
		r.Operation(protocol.OpCreateBasin)
		r.Operation(protocol.OpCreateBasin)
		r.Of(basin).operation(protocol.OpListStreams)
		q := ask(protocol.MetricAccountOps, began, began.Add(time.Minute), "")
		metrics, err := r.Account(t.Context(), q)
		if err != nil || len(metrics) != 1 || metrics[0].Name != "create-basin" || metrics[0].Interval != protocol.IntervalHour || metrics[0].Points[0].Value != 2 {
			t.Fatalf("got %+v, %v", metrics, err)
		}
		q.Set = protocol.MetricBasinOps
		metrics, err = r.Basin(t.Context(), basin, q)
		if err != nil || len(metrics) != 1 || metrics[0].Name != "list-streams" || metrics[0].Unit != protocol.UnitOperations {
			t.Fatalf("got %+v, %v", metrics, err)
		}
	})
}

// TestRestart: what was counted before a restart in peace is all there, what a killed process counted up to its last
// write, and nothing counts twice however often it is written.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		began := time.Now()
		var conn ConnectionMinute
		total := func() (sum float64) {
			for _, v := range r.points(basin, "express", ask(protocol.MetricAppendThroughput, began, time.Now().Add(time.Second), "")) {
				sum += v
			}
			return sum
		}
		check := func(what string, want float64) {
			t.Helper()
			if got := total(); got != want {
				t.Fatalf("%s: got %v, want %v", what, got, want)
			}
		}
		r.appended(&conn, 1)
		check("at once", 1)
		r.restart()
		check("after a restart", 1)
		r.appended(&conn, 10)
		time.Sleep(flushEvery + time.Second)
		r.appended(&conn, 100)
		check("before the kill", 111)
		r.kill()
		r.start()
		check("after a kill", 11) // the last write is at most flushEvery old
		time.Sleep(3 * flushEvery)
		check("and later", 11)

		// A write whose answer is lost is done again.
		r.appended(&conn, 1000)
		r.store.set(true, -1)
		time.Sleep(3 * flushEvery)
		if r.Failures() == 0 {
			t.Fatal("no failure was counted")
		}
		r.store.set(false, -1)
		time.Sleep(flushEvery)
		check("after an outage", 1011)
		if err := r.flush(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		r.restart()
		check("after an outage and a restart", 1011)

		// Another broker on the same store.
		two := New(r.Meter.log, Prices{})
		two.Start(r.store, r.sizes)
		two.Of(basin).Appended(&conn, protocol.StorageExpress, 10_000, time.Now())
		if err := two.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		check("two brokers", 11_011)
	})
}

// TestClockSetBack: the clock went ahead, hours were over and forgotten, and then it was set right: what they had stays.
func TestClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		began := time.Now()
		var conn ConnectionMinute
		r.appended(&conn, 1)
		for range 2 { // written, and then forgotten
			if err := r.flush(t.Context(), began.Add(2*time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		r.appended(&conn, 10)
		q := ask(protocol.MetricAppendThroughput, began, began.Add(time.Minute), "")
		r.same("in memory", r.points(basin, "express", q), map[int64]float64{began.Unix(): 11})
		time.Sleep(2 * flushEvery)
		r.same("written", r.points(basin, "express", q), map[int64]float64{began.Unix(): 11})
		r.restart()
		r.same("after a restart", r.points(basin, "express", q), map[int64]float64{began.Unix(): 11})
	})
}

// TestRollUp: a day that is over becomes one value, however it is interrupted, and minutes stay right.
func TestRollUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		began := time.Now()
		var conn ConnectionMinute
		want := map[int64]float64{}
		count := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(17 * time.Minute) {
				r.appended(&conn, 3)
				want[time.Now().Truncate(time.Minute).Unix()] += 3
			}
		}
		check := func(what string) {
			t.Helper()
			r.same(what, r.points(basin, "express", ask(protocol.MetricAppendThroughput, began, time.Now().Add(time.Second), "")), want)
		}
		count(13 * time.Hour)
		r.restart()
		count(12 * time.Hour)
		if days := r.store.count(DayKind); days != 0 {
			t.Fatalf("%d days were rolled up too early", days)
		}
		check("before")
		hours := r.store.count(HourKind)
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Hour)
		for writes := range 30 { // the process dies after so many steps of the work, and is started again
			r.Meter = New(r.log, Prices{})
			r.Meter.store, r.Meter.sizes = r.store, r.sizes
			r.store.set(false, writes)
			_ = r.rollUp(t.Context(), time.Now())
			r.store.set(false, -1)
			check("interrupted")
		}
		r.start()
		count(10 * time.Hour)
		check("after")
		if days := r.store.count(DayKind); days != 1 {
			t.Fatalf("%d days were rolled up, want 1", days)
		}
		if now := r.store.count(HourKind); now >= hours {
			t.Fatalf("%d hours before, %d after", hours, now)
		}
		count(28 * 24 * time.Hour) // at last the range is at its limit
		began = time.Now().Add(-29 * 24 * time.Hour).Truncate(time.Minute)
		for at := range want {
			if at < began.Unix() {
				delete(want, at)
			}
		}
		check("after a month")
		sum := 0.0
		for _, v := range want {
			sum += v
		}
		got := 0.0
		for _, v := range r.points(basin, "express", ask(protocol.MetricAppendThroughput, began.Truncate(24*time.Hour), time.Now().Add(time.Second), protocol.IntervalDay)) {
			got += v
		}
		if got < sum { // the first day is told whole
			t.Fatalf("days add up to %v, minutes to %v", got, sum)
		}
	})
}

// TestIdleBasins: counters of basins that nobody uses are given back, and a holder from before still counts.
func TestIdleBasins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		began := time.Now()
		var conn ConnectionMinute
		held := r.Of(basin)
		held.Appended(&conn, protocol.StorageExpress, 1, time.Now())
		time.Sleep(30 * time.Hour)
		if _, ok := r.scopes.Load(string(basin)); ok {
			t.Fatal("an idle basin is kept in memory")
		}
		held.Appended(&conn, protocol.StorageExpress, 2, time.Now())
		second := time.Now().Truncate(time.Minute).Unix()
		r.same("both", r.points(basin, "express", ask(protocol.MetricAppendThroughput, began, time.Now().Add(time.Second), "")),
			map[int64]float64{began.Unix(): 1, second: 2})
	})
}

func TestStorageOfBasins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		began := time.Now()
		r.sizes.set(basin, 100)
		time.Sleep(90 * time.Second)
		r.sizes.set(basin, 200)
		time.Sleep(2 * time.Hour)
		puts := r.store.written()
		time.Sleep(10 * time.Hour)
		if now := r.store.written(); now != puts {
			t.Fatalf("an idle basin was written %d times", now-puts)
		}
		r.restart()
		r.sizes.set(basin, 300)
		got := r.points(basin, "storage", ask(protocol.MetricStorage, began, time.Now(), protocol.IntervalHour))
		var sizes []float64
		for _, at := range slices.Sorted(func(yield func(int64) bool) {
			for at := range got {
				if !yield(at) {
					return
				}
			}
		}) {
			sizes = append(sizes, got[at])
		}
		if !slices.Equal(sizes, []float64{200, 300}) { // the last of the hour, and the present
			t.Fatalf("got %v", got)
		}
		r.same("long ago", r.points(basin, "storage", ask(protocol.MetricStorage, began.Add(-time.Hour), began, "")), map[int64]float64{})
	})
}

func TestStorageOfStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		began := time.Now()
		ref := protocol.StreamRef{Basin: basin, Stream: "a/b"}
		r.sizes.streams[ref] = 30
		r.Sample(ref, 10, time.Now())
		r.Sample(ref, 11, time.Now().Add(time.Second)) // one a minute, the latest
		time.Sleep(time.Minute)
		r.Sample(ref, 20, time.Now())
		time.Sleep(time.Minute)
		second := time.Now()
		stream := func(end time.Time) map[int64]float64 {
			metrics, err := r.Stream(t.Context(), ref, ask(protocol.MetricStorage, began, end, ""))
			return r.pointsOf(metrics, err, "storage")
		}
		want := map[int64]float64{began.Unix(): 11, began.Unix() + 60: 20, second.Unix() - 1: 30}
		r.same("now", stream(second), want)
		r.restart()
		r.same("after a restart", stream(second), want)
		time.Sleep(10 * time.Hour)
		delete(want, second.Unix()-1)
		r.same("later", stream(second), want) // the present is no part of the past
		metrics, err := r.Stream(t.Context(), protocol.StreamRef{Basin: basin, Stream: "none"}, ask(protocol.MetricStorage, began, time.Now(), ""))
		r.same("unknown", r.pointsOf(metrics, err, "storage"), map[int64]float64{})
		for i := range maxSampled + 10 {
			r.Sample(protocol.StreamRef{Basin: basin, Stream: protocol.StreamName(rune(0x100 + i))}, 1, time.Now())
		}
		if n := len(r.samples.streams); n != maxSampled {
			t.Fatalf("%d streams are sampled", n)
		}
	})
}

// TestActiveBasins: basins that had a stream in the period, row A.21/379.
func TestActiveBasins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		began := time.Now()
		time.Sleep(24 * time.Hour)
		r.sizes.since["there-now"] = time.Now()
		r.StreamsGone("gone-basin", began.Add(5*time.Hour), began.Add(20*time.Hour))
		check := func(what string, from, to time.Duration, want ...string) {
			t.Helper()
			metrics, err := r.Account(t.Context(), ask(protocol.MetricActiveBasins, began.Add(from), began.Add(to), "day"))
			if err != nil || len(metrics) != 1 || metrics[0].Kind != protocol.MetricLabel || metrics[0].Name != "active_basins" ||
				!slices.Equal(metrics[0].Labels, want) {
				t.Fatalf("%s: got %+v, %v, want %v", what, metrics, err, want)
			}
		}
		for range 2 {
			check("all", 0, 24*time.Hour+time.Minute, "gone-basin", "there-now")
			check("before both", 0, time.Hour)
			check("while it existed", 6*time.Hour, 7*time.Hour, "gone-basin")
			check("between", 21*time.Hour, 23*time.Hour)
			check("an empty range", 6*time.Hour, 6*time.Hour)
			r.restart()
		}
	})
}

func TestUnreadableStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		now := time.Now()
		var conn ConnectionMinute
		r.appended(&conn, 5)
		r.restart()
		// A value that is damaged is left out; a store that does not answer is no empty answer.
		if err := r.store.Put(t.Context(), Key{HourKind, string(basin), seconds(now) / 3600, "other"}, []byte{1, 200}); err != nil {
			t.Fatal(err)
		}
		q := ask(protocol.MetricAppendThroughput, now, now.Add(time.Minute), "")
		r.same("damaged", r.points(basin, "express", q), map[int64]float64{now.Unix(): 5})
		r.store.set(true, -1)
		if _, err := r.Basin(context.Background(), basin, q); protocol.CodeOf(err) != protocol.CodeUnavailable {
			t.Fatalf("got %v", err)
		}
		r.store.set(false, -1)
	})
}
