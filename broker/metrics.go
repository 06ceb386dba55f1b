package broker

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/sessions"
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

// measured is a storage whose appends are counted.
type measured struct {
	storage
	m *appendMetrics
}

func (s measured) OpenRecords(ctx context.Context, ref protocol.StreamRef, forAppend bool) (sessions.Stream, error) {
	st, err := s.storage.OpenRecords(ctx, ref, forAppend)
	if err == nil && forAppend {
		st = measuredStream{st, s.m}
	}
	return st, err
}

type measuredStream struct {
	sessions.Stream
	m *appendMetrics
}

func (s measuredStream) Appender() sessions.Appender {
	return measuredAppender{s.Stream.Appender(), s.m}
}

type measuredAppender struct {
	sessions.Appender
	m *appendMetrics
}

func (a measuredAppender) Submit(ctx context.Context, in protocol.AppendInput, done func(protocol.AppendAck, error)) error {
	began := time.Now()
	var admitted atomic.Int64 // since began; done may come before Submit returns
	records, bytes := float64(len(in.Records)), float64(in.MeteredSize())
	err := a.Appender.Submit(ctx, in, func(ack protocol.AppendAck, err error) {
		if err == nil {
			took := time.Since(began) - time.Duration(admitted.Load())
			a.m.ack.Observe(took.Seconds())
		}
		done(ack, err)
	})
	if err == nil {
		waited := time.Since(began)
		admitted.Store(int64(waited))
		a.m.permit.Observe(waited.Seconds())
		a.m.records.Observe(records)
		a.m.bytes.Observe(bytes)
	}
	return err
}
