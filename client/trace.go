package client

import (
	"context"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/propagation"
)

// addTrace adds the trace of ctx, if it has one, to the headers of a message, as W3C Trace Context says: the broker's spans become
// children of the caller's.
func addTrace(ctx context.Context, head nats.Header) {
	propagation.TraceContext{}.Inject(ctx, traceHeaders(head))
}

// traceHeaders are the headers of a message, with the names as the standard writes them: nats.go changes the case of none.
type traceHeaders nats.Header

func (h traceHeaders) Get(name string) string { return nats.Header(h).Get(name) }
func (h traceHeaders) Set(name, value string) { h[name] = []string{value} }
func (h traceHeaders) Keys() []string         { return nil } // for reading only
