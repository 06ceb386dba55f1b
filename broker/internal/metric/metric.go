package metric

import (
	"slices"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// find returns a definition. That it is missing, or of another kind, is a mistake in the program.
func find(name string, kind Kind) Definition {
	i := slices.IndexFunc(Table, func(d Definition) bool { return d.Name == name })
	if i < 0 || Table[i].Kind != kind {
		panic("metric: " + name + " is no " + string(kind) + " of the table") //nolint:forbidigo // a broken invariant
	}
	return Table[i]
}

// NewCounter registers a counter of the table.
func NewCounter(reg prometheus.Registerer, name string) *prometheus.CounterVec {
	d := find(name, Counter)
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: d.Name, Help: d.Help}, d.Labels)
	reg.MustRegister(v)
	return v
}

// NewGauge registers a gauge of the table.
func NewGauge(reg prometheus.Registerer, name string) *prometheus.GaugeVec {
	d := find(name, Gauge)
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: d.Name, Help: d.Help}, d.Labels)
	reg.MustRegister(v)
	return v
}

// NewHistogram registers a histogram of the table.
func NewHistogram(reg prometheus.Registerer, name string) *prometheus.HistogramVec {
	d := find(name, Histogram)
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: d.Name, Help: d.Help, Buckets: d.Buckets}, d.Labels)
	reg.MustRegister(v)
	return v
}

// LateHistogram is a histogram without labels that is not shown before its first observation (control plane 9.1).
type LateHistogram struct {
	prometheus.Histogram
	seen atomic.Bool
}

// NewLateHistogram registers a histogram of the table that has no labels.
func NewLateHistogram(reg prometheus.Registerer, name string) *LateHistogram {
	d := find(name, Histogram)
	h := &LateHistogram{Histogram: prometheus.NewHistogram(prometheus.HistogramOpts{Name: d.Name, Help: d.Help, Buckets: d.Buckets})}
	reg.MustRegister(h)
	return h
}

// Observe implements [prometheus.Histogram].
func (h *LateHistogram) Observe(v float64) {
	h.Histogram.Observe(v)
	if !h.seen.Load() {
		h.seen.Store(true)
	}
}

// ObserveWithExemplar implements [prometheus.ExemplarObserver].
func (h *LateHistogram) ObserveWithExemplar(v float64, exemplar prometheus.Labels) {
	ObserveWith(h.Histogram, v, exemplar)
	if !h.seen.Load() {
		h.seen.Store(true)
	}
}

// Collect implements [prometheus.Collector].
func (h *LateHistogram) Collect(ch chan<- prometheus.Metric) {
	if h.seen.Load() {
		h.Histogram.Collect(ch)
	}
}

// Snapshot is a collector of gauges and counters without labels that are looked up when they are scraped.
type Snapshot struct {
	kinds map[string]prometheus.ValueType
	descs map[string]*prometheus.Desc
	take  func(show func(name string, value float64))
}

// NewSnapshot registers the named metrics of the table. take shows each that it knows a value of, once.
func NewSnapshot(reg prometheus.Registerer, names []string, take func(show func(name string, value float64))) *Snapshot {
	s := &Snapshot{map[string]prometheus.ValueType{}, map[string]*prometheus.Desc{}, take}
	for _, name := range names {
		kind, value := Gauge, prometheus.GaugeValue
		if i := slices.IndexFunc(Table, func(d Definition) bool { return d.Name == name }); i >= 0 && Table[i].Kind == Counter {
			kind, value = Counter, prometheus.CounterValue
		}
		d := find(name, kind)
		s.kinds[name], s.descs[name] = value, prometheus.NewDesc(d.Name, d.Help, nil, nil)
	}
	reg.MustRegister(s)
	return s
}

// Describe implements [prometheus.Collector].
func (s *Snapshot) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range s.descs {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (s *Snapshot) Collect(ch chan<- prometheus.Metric) {
	s.take(func(name string, value float64) {
		ch <- prometheus.MustNewConstMetric(s.descs[name], s.kinds[name], value)
	})
}
