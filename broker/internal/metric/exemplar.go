package metric

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// Exemplar names the trace of ctx, for operators who look from a latency for a request that had it; nil if no sampled trace
// is there. Scrapers get exemplars that ask for OpenMetrics.
func Exemplar(ctx context.Context) prometheus.Labels {
	span := trace.SpanContextFromContext(ctx)
	if !span.IsSampled() {
		return nil
	}
	return prometheus.Labels{"trace_id": span.TraceID().String(), "span_id": span.SpanID().String()}
}

// Observe counts v, with the trace of ctx as its exemplar.
func Observe(ctx context.Context, o prometheus.Observer, v float64) { ObserveWith(o, v, Exemplar(ctx)) }

// ObserveWith counts v with an exemplar, which may be nil.
func ObserveWith(o prometheus.Observer, v float64, exemplar prometheus.Labels) {
	if e, ok := o.(prometheus.ExemplarObserver); ok && exemplar != nil {
		e.ObserveWithExemplar(v, exemplar)
		return
	}
	o.Observe(v)
}
