package metering

import (
	"maps"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/protocol"
)

// TestBillableUsage adds up by the price list: what was counted in the hour in which it was, and what was stored in every
// hour from its observation on.
func TestBillableUsage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		began := time.Now().Truncate(24 * time.Hour)
		q := ask(protocol.MetricBillableUsage, began, began.Add(48*time.Hour), protocol.IntervalHour)
		q.End = new(seconds(time.Now()))
		if metrics, err := r.Account(t.Context(), q); err != nil || len(metrics) != 0 {
			t.Fatalf("without a price list: %+v, %v", metrics, err)
		}

		r.prices = Prices{Stored: 720, Written: 2, Read: 4, Operations: 1e6}
		began = time.Now().Truncate(time.Hour).Add(time.Hour)
		time.Sleep(time.Until(began) + time.Minute)
		s := r.Of(basin)
		var conn ConnectionMinute
		s.Appended(&conn, protocol.StorageExpress, 3*gib, time.Now()) // 6 dollars, and 1 for the operation
		s.operation(protocol.OpListStreams)                           // 1
		r.Operation(protocol.OpCreateBasin)                           // 1, of the account
		r.sizes.set(basin, 2*gib)                                     // 2 an hour
		time.Sleep(2 * time.Hour)
		s.read(gib / 2) // 2, and 1 for the operation
		r.sizes.set(basin, gib)
		time.Sleep(2 * time.Hour)
		at := func(hours int) int64 { return began.Add(time.Duration(hours) * time.Hour).Unix() }
		want := map[int64]float64{at(0): 11, at(1): 2, at(2): 4, at(3): 1, at(4): 1}
		total := func(interval protocol.MetricInterval) map[int64]float64 {
			metrics, err := r.Account(t.Context(), ask(protocol.MetricBillableUsage, began.Truncate(24*time.Hour), time.Now(), interval))
			if err == nil && (len(metrics) != 1 || metrics[0].Unit != protocol.UnitUSD || metrics[0].Kind != protocol.MetricAccumulation) {
				t.Fatalf("got %+v", metrics)
			}
			points := r.pointsOf(metrics, err, "total")
			for at, usd := range points {
				points[at] = math.Round(usd*1e6) / 1e6
			}
			return points
		}
		if got := total(protocol.IntervalHour); !maps.Equal(got, want) {
			t.Errorf("by hour: got %v, want %v", got, want)
		}
		sum := 0.0
		for _, usd := range total(protocol.IntervalDay) {
			sum += usd
		}
		if sum != 19 {
			t.Errorf("by day: got %v, want 19", sum)
		}
		// A basin that is gone costs nothing any more.
		r.sizes.remove(basin)
		time.Sleep(72 * time.Hour)
		metrics, err := r.Account(t.Context(), ask(protocol.MetricBillableUsage, time.Now().Add(-24*time.Hour), time.Now(), ""))
		if points := r.pointsOf(metrics, err, "total"); len(points) != 0 {
			t.Errorf("a basin that is gone: %v", points)
		}
	})
}
