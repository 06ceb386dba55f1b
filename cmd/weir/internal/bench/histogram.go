package bench

import (
	"math/bits"
	"time"
)

// Histogram counts latencies in buckets whose width is at most 1/64 of their value, up to 2^41 ns (36 minutes), so that
// a percentile is off by less than 2 % for any number of samples. The zero value is empty. It is for one goroutine.
type Histogram struct {
	counts [buckets]uint64
	n      uint64
	min    time.Duration
	max    time.Duration
}

const (
	subBits = 6 // 64 buckets for each power of two
	maxBits = 41
	buckets = (maxBits - subBits + 1) << subBits
)

// bucket maps a value to its bucket: values below 64 ns have one each, the rest 64 for each power of two.
func bucket(ns uint64) int {
	ns = min(ns, 1<<maxBits-1)
	if ns < 1<<subBits {
		return int(ns)
	}
	shift := bits.Len64(ns) - 1 - subBits
	return (shift+1)<<subBits + int(ns>>shift) - 1<<subBits
}

// ceiling is the largest value of a bucket.
func ceiling(b int) time.Duration {
	if b < 1<<subBits {
		return time.Duration(b)
	}
	shift := b>>subBits - 1
	return time.Duration((uint64(b&(1<<subBits-1))+1<<subBits+1)<<shift - 1)
}

// Record counts a latency n times. Negative ones count as 0.
func (h *Histogram) Record(d time.Duration, n int) {
	d = max(d, 0)
	if h.n == 0 || d < h.min {
		h.min = d
	}
	h.max = max(h.max, d)
	h.n += uint64(n)
	h.counts[bucket(uint64(d))] += uint64(n)
}

// Add counts the samples of another histogram as well.
func (h *Histogram) Add(other *Histogram) {
	if other.n == 0 {
		return
	}
	if h.n == 0 || other.min < h.min {
		h.min = other.min
	}
	h.max = max(h.max, other.max)
	h.n += other.n
	for b, n := range other.counts {
		h.counts[b] += n
	}
}

// Percentile is a latency that at least the given share of the samples did not exceed; p is from 0 to 1. It is 0
// without samples.
func (h *Histogram) Percentile(p float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	rank := max(1, uint64(p*float64(h.n)+0.5))
	var seen uint64
	for b, c := range h.counts {
		if seen += c; seen >= rank {
			return min(ceiling(b), h.max)
		}
	}
	return h.max
}

// Latency is a report's summary of a histogram, in milliseconds.
type Latency struct {
	Min  float64 `json:"min"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

// Latency sums the histogram up; nil without samples.
func (h *Histogram) Latency() *Latency {
	if h.n == 0 {
		return nil
	}
	ms := func(d time.Duration) float64 { return float64(d.Nanoseconds()/1000) / 1000 }
	return &Latency{ms(h.min), ms(h.Percentile(0.5)), ms(h.Percentile(0.9)), ms(h.Percentile(0.99)), ms(h.Percentile(0.999)), ms(h.max)}
}
