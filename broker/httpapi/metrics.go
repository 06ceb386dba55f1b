package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics counts what the door does.
type metrics struct {
	requests *prometheus.CounterVec   // by route and status
	latency  *prometheus.HistogramVec // by route, of unary requests
	sessions *prometheus.GaugeVec     // open, by kind
	sent     prometheus.Counter
	show     http.Handler
}

// unroutedName stands in the metrics for requests that no route takes.
const unroutedName = "none"

func newMetrics(reg *prometheus.Registry) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_http_requests_total", Help: "HTTP requests and sessions that ended, by route and status.",
		}, []string{"route", "status"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "weir_http_request_seconds", Help: "Time from the head of a unary request to the end of its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"route"}),
		sessions: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_http_sessions", Help: "Sessions that are open, by kind.",
		}, []string{"kind"}),
		sent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_http_sent_bytes_total", Help: "Bytes of the bodies of answers.",
		}),
		show: promhttp.HandlerFor(reg, promhttp.HandlerOpts{DisableCompression: true}),
	}
	reg.MustRegister(m.requests, m.latency, m.sessions, m.sent)
	return m
}

// session counts an open session; call what it returns at its end.
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
		m.latency.WithLabelValues(route).Observe(took.Seconds())
	}
}
