package tracing

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/weirstream/weir/protocol"
)

// scope is the name of the tracer, which exporters show as the instrumentation scope.
const scope = "github.com/weirstream/weir"

// The attributes of weir's own. Those of HTTP, messaging and errors are of OpenTelemetry's semantic conventions.
const (
	attrDoor      = attribute.Key("weir.door")
	attrBasin     = attribute.Key("weir.basin")
	attrStream    = attribute.Key("weir.stream")
	attrRecords   = attribute.Key("weir.records")
	attrBytes     = attribute.Key("weir.bytes")
	attrInputs    = attribute.Key("weir.inputs")
	attrSeqNum    = attribute.Key("weir.seq_num")
	attrLog       = attribute.Key("weir.log")
	attrChunk     = attribute.Key("weir.chunk_sequence")
	attrCatalog   = attribute.Key("weir.catalog_key")
	attrError     = attribute.Key("error.type")
	attrMethod    = attribute.Key("http.request.method")
	attrRoute     = attribute.Key("http.route")
	attrStatus    = attribute.Key("http.response.status_code")
	attrMessaging = attribute.Key("messaging.system")
	attrSubject   = attribute.Key("messaging.destination.name")
)

// Tracer makes spans; nil makes none.
type Tracer struct{ tracer trace.Tracer }

// New returns the tracer of a provider; nil for nil.
func New(provider trace.TracerProvider, version string) *Tracer {
	if provider == nil {
		return nil
	}
	return &Tracer{provider.Tracer(scope, trace.WithInstrumentationVersion(version))}
}

// server is the kind of the spans of requests.
var server = trace.WithSpanKind(trace.SpanKindServer)

// w3c reads and writes trace contexts (W3C Trace Context, level 1): traceparent and tracestate.
var w3c propagation.TraceContext

// start begins a span. Attributes are added only to one that is recorded: most are dropped by the sampler, and should cost little.
func (t *Tracer) start(ctx context.Context, name string, attrs ...attribute.KeyValue) (context.Context, trace.Span) {
	ctx, span := t.tracer.Start(ctx, name)
	if span.IsRecording() {
		span.SetAttributes(attrs...)
	}
	return ctx, span
}

// HTTP begins the span of a request. The request that it returns carries it; end it with the status of the answer, and the code
// of the failure that was answered, if there was one.
func (t *Tracer) HTTP(r *http.Request, route string) (_ *http.Request, end func(status int, failed protocol.Code)) {
	if t == nil {
		return r, func(int, protocol.Code) {}
	}
	ctx := w3c.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := t.tracer.Start(ctx, r.Method+" "+route, server)
	if !span.IsRecording() {
		return r.WithContext(ctx), func(int, protocol.Code) { span.End() }
	}
	span.SetAttributes(attrDoor.String("http"), attrMethod.String(r.Method), attrRoute.String(route))
	return r.WithContext(ctx), func(status int, failed protocol.Code) {
		span.SetAttributes(attrStatus.Int(status))
		if failed != "" {
			span.SetAttributes(attrError.String(string(failed)))
		}
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, string(failed))
		}
		span.End()
	}
}

// NATS begins the span of a request that came on a subject of an endpoint. End it with the failure that is answered, or nil.
func (t *Tracer) NATS(ctx context.Context, endpoint, subject string, head map[string][]string) (_ context.Context, end func(error)) {
	if t == nil {
		return ctx, func(error) {}
	}
	ctx, span := t.tracer.Start(t.Received(ctx, head), endpoint, server)
	if span.IsRecording() {
		span.SetAttributes(attrDoor.String("nats"), attrMessaging.String("nats"), attrSubject.String(subject))
	}
	return ctx, func(err error) { finish(span, err) }
}

// Received returns ctx with the trace context of a message's headers, if they have one.
func (t *Tracer) Received(ctx context.Context, head map[string][]string) context.Context {
	if t == nil || len(head) == 0 {
		return ctx
	}
	return w3c.Extract(ctx, headers(head))
}

// headers are those of a NATS message, whose names differ by case: the names of the standard are in lower case, and
// libraries that treat them as those of HTTP begin them with a capital.
type headers map[string][]string

func (h headers) Get(name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	if name == "traceparent" {
		name = "Traceparent"
	} else if name == "tracestate" {
		name = "Tracestate"
	}
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func (h headers) Set(name, value string) { h[name] = []string{value} }

func (h headers) Keys() []string { return nil } // no propagator of ours asks

// WritesCatalog begins the span of a write of the catalog, if it is part of a request that is traced. It is a
// function of the adapter's observer.
func (t *Tracer) WritesCatalog(ctx context.Context, key string) (done func(error)) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return func(error) {}
	}
	_, span := t.tracer.Start(ctx, "catalog.write", trace.WithAttributes(attrCatalog.String(key)))
	return func(err error) { finish(span, err) }
}

// finish ends a span with the outcome of its operation. Only a failure of the broker makes it a failed one: a condition that
// does not hold, or a stream that does not exist, is an answer.
func finish(span trace.Span, err error) {
	if err != nil {
		failure(span, err)
	}
	span.End()
}

func failure(span trace.Span, err error) {
	if !span.IsRecording() {
		return
	}
	e := protocol.AsError(err)
	span.SetAttributes(attrError.String(string(e.Code)))
	if e.Status() >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, e.Message)
	}
}

// phase makes a span of a time that has passed.
func (t *Tracer) phase(ctx context.Context, name string, begin, end time.Time, attrs ...attribute.KeyValue) {
	_, span := t.tracer.Start(ctx, name, trace.WithTimestamp(begin), trace.WithAttributes(attrs...))
	span.End(trace.WithTimestamp(end))
}
