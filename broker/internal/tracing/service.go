package tracing

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/weirstream/weir/internal/phases"
	"github.com/weirstream/weir/protocol"
)

// InProcess returns svc with a span for each call; nil stays nil.
func (t *Tracer) InProcess(svc protocol.Service) protocol.Service { return t.through(svc, true) }

// Door returns svc for a door that makes the spans of its requests itself: they get the attributes of the requests, and the
// phases of appends below them. nil stays nil.
func (t *Tracer) Door(svc protocol.Service) protocol.Service { return t.through(svc, false) }

func (t *Tracer) through(svc protocol.Service, own bool) protocol.Service {
	if t == nil || svc == nil {
		return svc
	}
	return service{svc, t, own}
}

// Behind returns the service behind one that is traced.
func Behind(svc protocol.Service) protocol.Service {
	if s, ok := svc.(service); ok {
		return s.Service
	}
	return svc
}

// service is a service whose calls are traced. Calls that it does not wrap belong to spans of doors, which name them.
type service struct {
	protocol.Service
	t   *Tracer
	own bool // no door has made the span of the call
}

// begin returns the span of a call, which is the one that the door has made or one of its own.
func (s service) begin(ctx context.Context, name string) (context.Context, trace.Span) {
	if s.own {
		return s.t.start(ctx, name, attrDoor.String("in_process"))
	}
	return ctx, trace.SpanFromContext(ctx)
}

// stream and basin begin a call that is about one.
func (s service) stream(ctx context.Context, name string, ref protocol.StreamRef) (context.Context, trace.Span) {
	ctx, span := s.begin(ctx, name)
	if span.IsRecording() {
		span.SetAttributes(attrBasin.String(string(ref.Basin)), attrStream.String(string(ref.Stream)))
	}
	return ctx, span
}

func (s service) basin(ctx context.Context, name string, basin protocol.BasinName) (context.Context, trace.Span) {
	ctx, span := s.begin(ctx, name)
	if span.IsRecording() {
		span.SetAttributes(attrBasin.String(string(basin)))
	}
	return ctx, span
}

// end ends the span of a call unless a door does.
func (s service) end(span trace.Span, err error) {
	if s.own {
		finish(span, err)
	}
}

func (s service) Append(ctx context.Context, ref protocol.StreamRef, in protocol.AppendInput, opts ...protocol.RecordOption) (ack protocol.AppendAck, err error) {
	ctx, span := s.stream(ctx, "append", ref)
	defer func() { s.end(span, err) }()
	if !span.IsRecording() {
		return s.Service.Append(ctx, ref, in, opts...)
	}
	span.SetAttributes(inputSize(&in)...)
	times := &phases.Times{}
	ack, err = s.Service.Append(phases.With(ctx, times), ref, in, opts...)
	s.t.phases(ctx, times.At())
	if err == nil {
		span.SetAttributes(attrSeqNum.Int64(int64(ack.Start.SeqNum)))
	}
	return ack, err
}

func inputSize(in *protocol.AppendInput) []attribute.KeyValue {
	return []attribute.KeyValue{attrRecords.Int(len(in.Records)), attrBytes.Int64(int64(in.MeteredSize()))}
}

// phaseNames are the spans of the phases of an append.
var phaseNames = [phases.Count]string{
	phases.Queue: "append.queue", phases.Publish: "append.publish", phases.Store: "append.store", phases.Sync: "append.sync",
}

// phases makes a span of each phase that an append has come through.
func (t *Tracer) phases(ctx context.Context, at phases.At) {
	begin := at.Begin
	for p, end := range at.End {
		if end.IsZero() || begin.IsZero() {
			return
		}
		var attrs []attribute.KeyValue
		if at.Log != "" && phases.Phase(p) == phases.Store {
			attrs = []attribute.KeyValue{attrLog.String(at.Log), attrChunk.Int64(int64(at.Sequence))}
		}
		t.phase(ctx, phaseNames[p], begin, end, attrs...)
		begin = end
	}
}

func (s service) Read(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts ...protocol.RecordOption) (batch protocol.ReadBatch, err error) {
	ctx, span := s.stream(ctx, "read", ref)
	defer func() { s.end(span, err) }()
	batch, err = s.Service.Read(ctx, ref, req, opts...)
	if err == nil && span.IsRecording() {
		span.SetAttributes(recordsSize(batch.Records)...)
	}
	return batch, err
}

func recordsSize(r protocol.Records) []attribute.KeyValue {
	attrs := []attribute.KeyValue{attrRecords.Int(r.Len()), attrBytes.Int64(int64(r.MeteredSize()))}
	if r.Len() > 0 {
		attrs = append(attrs, attrSeqNum.Int64(int64(r.First().SeqNum)))
	}
	return attrs
}

func (s service) CheckTail(ctx context.Context, ref protocol.StreamRef) (tail protocol.StreamTail, err error) {
	ctx, span := s.stream(ctx, "check_tail", ref)
	defer func() { s.end(span, err) }()
	return s.Service.CheckTail(ctx, ref)
}
