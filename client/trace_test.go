package client

import (
	"testing"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"
)

func TestAddTrace(t *testing.T) {
	head := nats.Header{}
	if n := testing.AllocsPerRun(100, func() { addTrace(t.Context(), head) }); n != 0 || len(head) != 0 {
		t.Errorf("without a trace: %v allocations, headers %v", n, head)
	}
	state, err := trace.ParseTraceState("a=b")
	if err != nil {
		t.Fatal(err)
	}
	span := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled, TraceState: state,
	})
	addTrace(trace.ContextWithSpanContext(t.Context(), span), head)
	const want = "00-01000000000000000000000000000000-0200000000000000-01"
	if got := head["traceparent"]; len(got) != 1 || got[0] != want || head["tracestate"][0] != "a=b" {
		t.Errorf("headers %v", head)
	}
}
