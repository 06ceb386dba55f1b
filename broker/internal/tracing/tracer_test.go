package tracing

import (
	"context"
	"net/http/httptest"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/weirstream/weir/protocol"
)

// TestOffCostsNothing: without a provider nothing is wrapped and nothing allocated.
func TestOffCostsNothing(t *testing.T) {
	off := New(nil, "")
	svc := protocol.Service(service{})
	if off.InProcess(svc) != svc || off.Door(svc) != svc {
		t.Error("a service is wrapped")
	}
	ctx, r := t.Context(), httptest.NewRequest("GET", "/", nil)
	head := map[string][]string{"traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}
	if n := testing.AllocsPerRun(100, func() {
		if got, end := off.HTTP(r, "/"); got != r {
			t.Error("the request has changed")
		} else {
			end(200, "")
		}
		got, end := off.NATS(ctx, "append", "s2.v1.append.b.s", head)
		end(nil)
		if got != ctx || off.Received(ctx, head) != ctx {
			t.Error("the context has changed")
		}
		_, fetched := off.Fetch(ctx)
		fetched(protocol.Records{}, nil)
		_, found := off.Seek(ctx)
		found(0, nil)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestReceived: the context of a message is found whatever the case of its header's first letter, and nonsense is ignored.
func TestReceived(t *testing.T) {
	on := New(sdktrace.NewTracerProvider(), "")
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, c := range []struct {
		name  string
		head  map[string][]string
		valid bool
	}{
		{"lower case", map[string][]string{"traceparent": {parent}, "tracestate": {"a=b"}}, true},
		{"as HTTP has it", map[string][]string{"Traceparent": {parent}, "Tracestate": {"a=b"}}, true},
		{"none", map[string][]string{"other": {parent}}, false},
		{"empty", map[string][]string{"traceparent": {}}, false},
		{"nonsense", map[string][]string{"traceparent": {"01-zz"}}, false},
	} {
		got := trace.SpanContextFromContext(on.Received(t.Context(), c.head))
		if got.IsValid() != c.valid || c.valid && (got.TraceID().String() != parent[3:35] || !got.IsSampled() || got.TraceState().Get("a") != "b") {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// BenchmarkSpan is what a span of a request costs, by whether the sampler takes it.
func BenchmarkSpan(b *testing.B) {
	for name, sampler := range map[string]sdktrace.Sampler{"dropped": sdktrace.NeverSample(), "recorded": sdktrace.AlwaysSample()} {
		b.Run(name, func(b *testing.B) {
			on := New(sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler)), "")
			b.ReportAllocs()
			for b.Loop() {
				_, end := on.NATS(context.Background(), "append", "s2.v1.append.b.s", nil)
				end(nil)
			}
		})
	}
}
