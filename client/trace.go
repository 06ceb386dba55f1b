package client

import (
	"context"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// addTrace adds the trace of ctx, if it has one, to the headers of a message, as W3C Trace Context says: the broker's spans become
// children of the caller's.
func addTrace(ctx context.Context, head nats.Header) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return
	}
	// Not into head itself: a map that goes into an interface is on the heap, for callers without a trace as well.
	fields := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, fields)
	for name, value := range fields {
		head[name] = []string{value}
	}
}
