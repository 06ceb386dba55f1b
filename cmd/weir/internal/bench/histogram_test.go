package bench

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestPercentiles: off by less than 2 % against the sorted samples.
func TestPercentiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var h Histogram
	var all []time.Duration
	for range 20_000 {
		d := time.Duration(rng.ExpFloat64() * float64(3*time.Millisecond))
		h.Record(d, 1)
		all = append(all, d)
	}
	slices.Sort(all)
	for _, p := range []float64{0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		exact := all[max(0, int(p*float64(len(all))+0.5)-1)]
		if got := h.Percentile(p); got < exact || float64(got) > 1.02*float64(exact)+1 {
			t.Errorf("p%g is %v, exactly %v", 100*p, got, exact)
		}
	}
	if h.min != all[0] || h.max != all[len(all)-1] {
		t.Errorf("min %v, max %v", h.min, h.max)
	}
}

// TestBuckets: every value lies in its bucket, and buckets follow each other without a gap.
func TestBuckets(t *testing.T) {
	for b := range buckets - 1 {
		if got := bucket(uint64(ceiling(b))); got != b {
			t.Fatalf("the end of bucket %d lies in %d", b, got)
		}
		if got := bucket(uint64(ceiling(b)) + 1); got != b+1 {
			t.Fatalf("after bucket %d comes %d", b, got)
		}
	}
}

func TestHistogramEnds(t *testing.T) {
	var h Histogram
	if h.Latency() != nil || h.Percentile(0.5) != 0 {
		t.Error("an empty histogram has latencies")
	}
	h.Record(-time.Second, 2)
	h.Record(24*time.Hour, 1)
	if l := h.Latency(); l.Min != 0 || l.P50 != 0 || l.Max != 86_400_000 {
		t.Errorf("%+v", l)
	}
}
