package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/weirstream/weir/broker/internal/metric"
)

// metrics counts the work of the door.
type metrics struct {
	requests *prometheus.CounterVec   // by route and status
	latency  *prometheus.HistogramVec // by route, of unary requests
	sessions *prometheus.GaugeVec     // open, by kind
	sent     prometheus.Counter
	show     http.Handler
	making   chan struct{} // has an element for each answer of /metrics that is being made
}

// maxScrapes bounds the answers of /metrics that are made at a time; more wait.
const maxScrapes = 2

// unroutedName stands in the metrics for requests that no route takes.
const unroutedName = "none"

func newMetrics(reg *prometheus.Registry) *metrics {
	m := &metrics{
		requests: metric.NewCounter(reg, "weir_http_requests_total"),
		latency:  metric.NewHistogram(reg, "weir_http_request_seconds"),
		sessions: metric.NewGauge(reg, "weir_http_sessions"),
		sent:     metric.NewCounter(reg, "weir_http_sent_bytes_total").WithLabelValues(),
		show:     promhttp.HandlerFor(reg, promhttp.HandlerOpts{DisableCompression: true, EnableOpenMetrics: true}),
		making:   make(chan struct{}, maxScrapes),
	}
	return m
}

// make makes an answer of /metrics, unless the request ends before its turn comes.
func (m *metrics) make(w http.ResponseWriter, r *http.Request) bool {
	select {
	case m.making <- struct{}{}:
	case <-r.Context().Done():
		return false
	}
	defer func() { <-m.making }()
	m.show.ServeHTTP(w, r)
	return true
}

// session counts an open session; call end at its end.
func (m *metrics) session(kind string) (end func()) {
	g := m.sessions.WithLabelValues(kind)
	g.Inc()
	return g.Dec
}

// done counts a request that is over.
func (m *metrics) done(route string, c *call, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(c.status)).Inc()
	m.sent.Add(float64(c.sent))
	if !c.session {
		metric.Observe(c.r.Context(), m.latency.WithLabelValues(route), took.Seconds())
	}
}
