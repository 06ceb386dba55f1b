package broker

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// newRegistry holds the metrics of one broker, those of its process included.
func newRegistry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector())
	return reg
}

// lateHistogram is a histogram that is not shown before its first observation (control plane 9.1).
type lateHistogram struct {
	prometheus.Histogram
	seen atomic.Bool
}

func (h *lateHistogram) Observe(v float64) {
	h.Histogram.Observe(v)
	if !h.seen.Load() {
		h.seen.Store(true)
	}
}

// Collect implements [prometheus.Collector].
func (h *lateHistogram) Collect(ch chan<- prometheus.Metric) {
	if h.seen.Load() {
		h.Histogram.Collect(ch)
	}
}

// appendMetrics are the four histograms of control plane 9.1; they count the appends of every door.
type appendMetrics struct {
	permit, ack, records, bytes *lateHistogram
}

func newAppendMetrics(reg *prometheus.Registry) *appendMetrics {
	seconds := []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5}
	histogram := func(name, help string, buckets []float64) *lateHistogram {
		h := &lateHistogram{Histogram: prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})}
		reg.MustRegister(h)
		return h
	}
	return &appendMetrics{
		permit:  histogram("s2_append_permit_latency_seconds", "Time that an append waited for admission.", seconds),
		ack:     histogram("s2_append_ack_latency_seconds", "Time from the admission of an append to its durable ack.", seconds),
		records: histogram("s2_append_batch_records", "Records of an append.", []float64{1, 10, 50, 100, 250, 500, 1000}),
		bytes: histogram("s2_append_batch_bytes", "Metered bytes of an append.",
			[]float64{512, 1024, 4096, 16384, 65536, 262144, 524288, 1048576}),
	}
}
