package broker_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/protocol"
)

// spans are those that a broker and its callers have ended.
type spans struct {
	recorder *tracetest.SpanRecorder
	provider *sdktrace.TracerProvider
}

func record(opts ...sdktrace.TracerProviderOption) spans {
	s := spans{recorder: tracetest.NewSpanRecorder()}
	s.provider = sdktrace.NewTracerProvider(append(opts, sdktrace.WithSpanProcessor(s.recorder))...)
	return s
}

// call runs f under a span of its own, as a caller that traces does, and returns the span's trace.
func (s spans) call(t *testing.T, f func(context.Context)) trace.SpanContext {
	t.Helper()
	ctx, span := s.provider.Tracer("test").Start(t.Context(), "caller")
	defer span.End()
	f(ctx)
	return span.SpanContext()
}

// children are the ended spans below one, in the order of their beginnings.
func (s spans) children(of trace.SpanContext) (out []sdktrace.ReadOnlySpan) {
	for _, span := range s.recorder.Ended() {
		if span.Parent().SpanID() == of.SpanID() && span.SpanContext().TraceID() == of.TraceID() {
			out = append(out, span)
		}
	}
	slices.SortStableFunc(out, func(a, b sdktrace.ReadOnlySpan) int { return a.StartTime().Compare(b.StartTime()) })
	return out
}

// child is the only one that is called name; of those of fetches, which may be several, the first.
func (s spans) child(t *testing.T, of trace.SpanContext, name string) sdktrace.ReadOnlySpan {
	t.Helper()
	var found sdktrace.ReadOnlySpan
	for _, span := range s.children(of) {
		if span.Name() == name {
			if found != nil && name == "read.fetch" {
				continue
			}
			if found != nil {
				t.Fatalf("there are two spans %s", name)
			}
			found = span
		}
	}
	if found == nil {
		t.Fatalf("no span %s among %v", name, names(s.children(of)))
	}
	return found
}

func names(spans []sdktrace.ReadOnlySpan) (out []string) {
	for _, span := range spans {
		out = append(out, span.Name())
	}
	return out
}

func attr(span sdktrace.ReadOnlySpan, key string) string {
	for _, a := range span.Attributes() {
		if string(a.Key) == key {
			return a.Value.String()
		}
	}
	return ""
}

// wantPhases checks that a span has the phases of an append, one behind the other.
func (s spans) wantPhases(t *testing.T, of sdktrace.ReadOnlySpan) {
	t.Helper()
	phases := s.children(of.SpanContext())
	if got := strings.Join(names(phases), " "); got != "append.queue append.publish append.store append.sync" {
		t.Errorf("%s has the phases %q", of.Name(), got)
		return
	}
	for i, phase := range phases {
		if i > 0 && !phase.StartTime().Equal(phases[i-1].EndTime()) {
			t.Errorf("%s begins at %v, and the phase before it ends at %v", phase.Name(), phase.StartTime(), phases[i-1].EndTime())
		}
		if phase.EndTime().Before(phase.StartTime()) || phase.EndTime().After(of.EndTime()) || phase.StartTime().Before(of.StartTime()) {
			t.Errorf("%s lies outside of %s", phase.Name(), of.Name())
		}
	}
	if attr(phases[2], "weir.log") == "" || attr(phases[2], "weir.chunk_sequence") == "" {
		t.Error("the store's span does not say where the chunk is")
	}
}

func startTraced(t *testing.T, s spans) *broker.Broker {
	t.Helper()
	b, err := broker.Start(t.Context(), onDisk(t.TempDir()), broker.WithTracerProvider(s.provider))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTracesInProcess(t *testing.T) {
	s := record()
	b := startTraced(t, s)
	defer closeBroker(t, b)
	svc := b.Service()

	made := s.call(t, func(ctx context.Context) {
		if _, _, err := svc.CreateBasin(ctx, protocol.CreateBasinRequest{Basin: events.Basin, Config: protocol.BasinConfig{CreateStreamOnAppend: true}}); err != nil {
			t.Fatal(err)
		}
	})
	create := s.child(t, made, "create_basin")
	if write := s.child(t, create.SpanContext(), "catalog.write"); attr(write, "weir.catalog_key") != "b.test-basin" {
		t.Errorf("the write of the catalog is about %q", attr(write, "weir.catalog_key"))
	}

	appendTo(t, svc, "makes the stream")
	called := s.call(t, func(ctx context.Context) {
		if _, err := svc.Append(ctx, events, input("a", "b")); err != nil {
			t.Fatal(err)
		}
		if _, err := svc.Read(ctx, events, protocol.ReadRequest{Start: protocol.FromTimestamp(1)}); err != nil {
			t.Fatal(err)
		}
		wrong := uint64(100)
		_, err := svc.Append(ctx, events, protocol.AppendInput{Records: input("c").Records, MatchSeqNum: &wrong})
		wantCode(t, "append", err, protocol.CodeConditionFailed)
	})
	calls := s.children(called)
	if got := strings.Join(names(calls), " "); got != "append read append" {
		t.Fatalf("the calls are %s", got)
	}
	s.wantPhases(t, calls[0])
	if attr(calls[0], "weir.stream") != "events" || attr(calls[0], "weir.records") != "2" || attr(calls[0], "weir.seq_num") != "1" || attr(calls[0], "weir.door") != "in_process" {
		t.Errorf("the append's attributes are %v", calls[0].Attributes())
	}
	if fetch := s.child(t, calls[1].SpanContext(), "read.fetch"); attr(fetch, "weir.seq_num") != "0" {
		t.Errorf("the fetch's attributes are %v", fetch.Attributes())
	}
	s.child(t, calls[1].SpanContext(), "read.seek")
	if got := names(s.children(calls[2].SpanContext())); !slices.Equal(got, []string{"append.queue"}) || attr(calls[2], "error.type") != "condition_failed" {
		t.Errorf("the refused append has the phases %v and the error %q", got, attr(calls[2], "error.type"))
	}
	if calls[2].Status().Description != "" {
		t.Error("a condition that does not hold counts as a failure of the broker")
	}
}

func TestTracesOverNATS(t *testing.T) {
	s := record()
	b := startTraced(t, s)
	closed := false
	defer func() {
		if !closed {
			closeBroker(t, b)
		}
	}()
	ensureBasin(t, b.Service())
	appendTo(t, b.Service(), "makes the stream")
	nc, err := b.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	svc := client.New(nc, client.Options{})

	called := s.call(t, func(ctx context.Context) {
		if _, err := svc.Append(ctx, events, input("a")); err != nil {
			t.Fatal(err)
		}
		batch, err := svc.Read(ctx, events, protocol.ReadRequest{Start: protocol.FromSeqNum(1)})
		if err != nil {
			t.Fatal(err)
		}
		if headers := batch.Records.Slice()[0].Headers; len(headers) > 0 {
			t.Errorf("the trace became headers of the record: %v", headers)
		}
	})
	served := s.child(t, called, "append")
	if served.SpanKind() != trace.SpanKindServer || !served.Parent().IsRemote() || attr(served, "messaging.system") != "nats" {
		t.Errorf("the door's span is %v, %v", served.SpanKind(), served.Attributes())
	}
	s.wantPhases(t, served)
	s.child(t, s.child(t, called, "read").SpanContext(), "read.fetch")

	// An append session: one input in the caller's trace, one without.
	var appends protocol.AppendSession
	opened := s.call(t, func(ctx context.Context) {
		if appends, err = svc.OpenAppendSession(ctx, events); err != nil {
			t.Fatal(err)
		}
	})
	submitted := s.call(t, func(ctx context.Context) {
		if err := appends.Submit(ctx, input("b")); err != nil {
			t.Fatal(err)
		}
		if _, err := appends.Recv(ctx); err != nil {
			t.Fatal(err)
		}
	})
	if err := appends.Submit(t.Context(), input("c")); err != nil {
		t.Fatal(err)
	}
	if _, err := appends.Recv(t.Context()); err != nil {
		t.Fatal(err)
	}
	reads, err := svc.OpenReadSession(t.Context(), events, protocol.ReadRequest{Start: protocol.FromSeqNum(0)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reads.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, _ = reads.Close(), appends.Close()
	closeBroker(t, b) // ends the sessions for sure
	closed = true

	session := s.child(t, s.child(t, opened, "append").SpanContext(), "append_session")
	if attr(session, "weir.inputs") != "2" {
		t.Errorf("the session's attributes are %v", session.Attributes())
	}
	s.wantPhases(t, s.child(t, submitted, "append"))
	linked := 0
	for _, span := range s.recorder.Ended() {
		for _, link := range span.Links() {
			if link.SpanContext.SpanID() == session.SpanContext().SpanID() {
				linked++
				s.wantPhases(t, span)
			}
		}
	}
	if linked != 2 {
		t.Errorf("%d inputs have a link to their session, want 2", linked)
	}
	for _, span := range s.recorder.Ended() {
		if span.Name() == "read_session" {
			if attr(span, "weir.records") != "4" {
				t.Errorf("the read session's attributes are %v", span.Attributes())
			}
			s.child(t, span.SpanContext(), "read.fetch")
			return
		}
	}
	t.Error("no span of the read session")
}

func TestTracesOverHTTP(t *testing.T) {
	s := record()
	b := startTraced(t, s)
	defer closeBroker(t, b)
	ensureBasin(t, b.Service())
	appendTo(t, b.Service(), "makes the stream")
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	ask := func(method, path, body string) int {
		r := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
		r.Header.Set("S2-Basin", string(events.Basin))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Traceparent", parent)
		w := httptest.NewRecorder()
		b.HTTPHandler().ServeHTTP(w, r)
		return w.Code
	}
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/v1/streams/events/records", `{"records":[{"body":"a"}]}`, http.StatusOK},
		{"GET", "/v1/streams/events/records?seq_num=0", "", http.StatusOK},
		{"GET", "/v1/streams/none/records/tail", "", http.StatusNotFound},
		{"GET", "/health", "", http.StatusOK},
	} {
		if got := ask(c.method, c.path, c.body); got != c.status {
			t.Fatalf("%s %s gave %d", c.method, c.path, got)
		}
	}
	var served []sdktrace.ReadOnlySpan
	for _, span := range s.recorder.Ended() {
		if span.SpanKind() == trace.SpanKindServer {
			served = append(served, span)
		}
	}
	want := []string{"POST /v1/streams/{stream}/records", "GET /v1/streams/{stream}/records", "GET /v1/streams/{stream}/records/tail"}
	if !slices.Equal(names(served), want) {
		t.Fatalf("the requests are %q", names(served))
	}
	for _, span := range served {
		if span.Parent().TraceID().String() != "0af7651916cd43dd8448eb211c80319c" || span.Parent().SpanID().String() != "b7ad6b7169203331" {
			t.Errorf("%s belongs to %v", span.Name(), span.Parent())
		}
	}
	s.wantPhases(t, served[0])
	if attr(served[0], "http.response.status_code") != "200" || attr(served[0], "weir.stream") != "events" {
		t.Errorf("the append's attributes are %v", served[0].Attributes())
	}
	s.child(t, served[1].SpanContext(), "read.fetch")
	if attr(served[2], "error.type") != "stream_not_found" {
		t.Errorf("the refused request's attributes are %v", served[2].Attributes())
	}
}

// TestSamplerDecides: what the sampler drops is neither recorded nor an exemplar.
func TestSamplerDecides(t *testing.T) {
	s := record(sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())))
	b := startTraced(t, s)
	defer closeBroker(t, b)
	ensureBasin(t, b.Service())
	appendTo(t, b.Service(), "a")
	if ended := s.recorder.Ended(); len(ended) > 0 {
		t.Errorf("recorded %v", names(ended))
	}
	if text := openMetrics(t, b); strings.Contains(text, "trace_id") {
		t.Error("there are exemplars of traces that nobody has")
	}
}

// openMetrics is what /metrics tells a scraper that asks for OpenMetrics.
func openMetrics(t *testing.T, b *broker.Broker) string {
	t.Helper()
	r := httptest.NewRequest("GET", "http://localhost/metrics", nil)
	r.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	w := httptest.NewRecorder()
	b.HTTPHandler().ServeHTTP(w, r)
	if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, "application/openmetrics-text") {
		t.Fatalf("the content type is %s", got)
	}
	return w.Body.String()
}

// TestExemplars: the histograms of latencies name traces of requests, for scrapers that can take them.
func TestExemplars(t *testing.T) {
	s := record()
	b := startTraced(t, s)
	defer closeBroker(t, b)
	ensureBasin(t, b.Service())
	called := s.call(t, func(ctx context.Context) {
		if _, err := b.Service().Append(ctx, events, input("a")); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Service().Read(ctx, events, protocol.ReadRequest{Start: protocol.FromSeqNum(0)}); err != nil {
			t.Fatal(err)
		}
	})
	r := httptest.NewRequest("GET", "http://localhost/v1/basins", nil)
	r.Header.Set("Traceparent", "00-"+called.TraceID().String()+"-b7ad6b7169203331-01")
	b.HTTPHandler().ServeHTTP(httptest.NewRecorder(), r)

	text := openMetrics(t, b)
	for _, name := range []string{"weir_append_seconds", "weir_read_seconds", "weir_http_request_seconds", "s2_append_permit_latency_seconds", "s2_append_ack_latency_seconds"} {
		if !slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool {
			return strings.HasPrefix(line, name+"_bucket{") && strings.Contains(line, `trace_id="`+called.TraceID().String()+`"`)
		}) {
			t.Errorf("%s has no exemplar of the trace", name)
		}
	}
	if text, _ := scrape(t, b); strings.Contains(text, "trace_id") {
		t.Error("exemplars are in the format that has none")
	}
}
