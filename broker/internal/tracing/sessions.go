package tracing

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"

	"github.com/weirstream/weir/internal/phases"
	"github.com/weirstream/weir/protocol"
)

// The span of a session lasts as long as the session. It is exported at its end, so inputs of append sessions have traces
// of their own, with a link to the session: they show while it goes on, and the sampler decides on each of them.

// session begins the span of a session.
func (t *Tracer) session(ctx context.Context, name string, ref protocol.StreamRef) (context.Context, trace.Span) {
	return t.start(ctx, name, attrBasin.String(string(ref.Basin)), attrStream.String(string(ref.Stream)))
}

func (s service) OpenAppendSession(ctx context.Context, ref protocol.StreamRef, opts ...protocol.RecordOption) (protocol.AppendSession, error) {
	opener := trace.SpanContextFromContext(ctx)
	ctx, span := s.t.session(ctx, "append_session", ref)
	inner, err := s.Service.OpenAppendSession(ctx, ref, opts...)
	if err != nil {
		finish(span, err)
		return nil, err
	}
	return &appendSession{AppendSession: inner, t: s.t, ref: ref, span: span, opener: opener}, nil
}

// appendSession is an append session that is traced.
type appendSession struct {
	protocol.AppendSession
	t      *Tracer
	ref    protocol.StreamRef
	span   trace.Span
	opener trace.SpanContext // of the opener of the session, which contexts of inputs may have inherited

	mu      sync.Mutex // guards the fields below
	waiting []*input   // inputs without an answer, in their order; the session bounds them
	inputs  int64
	over    bool // the span has ended
}

// input is one that was submitted.
type input struct {
	ctx   context.Context //nolint:containedctx // the trace that the phases belong to
	span  trace.Span
	times *phases.Times // nil if it is not recorded
}

// begin begins the span of an input: in the trace that came with it, or else in one of its own.
func (a *appendSession) begin(ctx context.Context, in *protocol.AppendInput) *input {
	opts := []trace.SpanStartOption{trace.WithLinks(trace.Link{SpanContext: a.span.SpanContext()})}
	if came := trace.SpanContextFromContext(ctx); !came.IsValid() || came.Equal(a.opener) {
		opts = append(opts, trace.WithNewRoot())
	}
	i := &input{}
	i.ctx, i.span = a.t.tracer.Start(ctx, "append", opts...)
	if i.span.IsRecording() {
		i.times = &phases.Times{}
		i.span.SetAttributes(attrBasin.String(string(a.ref.Basin)), attrStream.String(string(a.ref.Stream)))
		i.span.SetAttributes(inputSize(in)...)
	}
	return i
}

func (a *appendSession) end(i *input, ack protocol.AppendAck, err error) {
	if i.times != nil {
		a.t.phases(i.ctx, i.times.At())
		if err == nil {
			i.span.SetAttributes(attrSeqNum.Int64(int64(ack.Start.SeqNum)))
		}
	}
	finish(i.span, err)
}

func (a *appendSession) Submit(ctx context.Context, in protocol.AppendInput) error {
	i := a.begin(ctx, &in)
	ctx = i.ctx
	if i.times != nil {
		ctx = phases.With(ctx, i.times)
	}
	a.mu.Lock() // the ack may come before Submit returns
	a.waiting = append(a.waiting, i)
	a.inputs++
	a.mu.Unlock()
	err := a.AppendSession.Submit(ctx, in)
	if err != nil { // it was not handed over, and the session may go on
		a.mu.Lock()
		n := len(a.waiting)
		a.waiting = slices.DeleteFunc(a.waiting, func(w *input) bool { return w == i })
		mine := len(a.waiting) < n
		a.mu.Unlock()
		if mine {
			a.end(i, protocol.AppendAck{}, err)
		}
	}
	return err
}

func (a *appendSession) Recv(ctx context.Context) (protocol.AppendAck, error) {
	ack, err := a.AppendSession.Recv(ctx)
	switch {
	case err == nil:
		a.mu.Lock()
		var i *input
		if len(a.waiting) > 0 {
			i, a.waiting = a.waiting[0], a.waiting[1:]
		}
		a.mu.Unlock()
		if i != nil {
			a.end(i, ack, nil)
		}
	case !errors.Is(err, io.EOF) && ctx.Err() == nil:
		a.finish(err)
	}
	return ack, err
}

func (a *appendSession) Close() error {
	err := a.AppendSession.Close()
	a.finish(nil)
	return err
}

// errUnanswered is the outcome of inputs that no caller waits for any more.
var errUnanswered error = protocol.Errorf(protocol.CodeClientHangup, "the session was closed before the answer")

// finish ends the remaining spans: those of inputs without an answer, and that of the session.
func (a *appendSession) finish(err error) {
	a.mu.Lock()
	left, again, inputs := a.waiting, a.over, a.inputs
	a.waiting, a.over = nil, true
	a.mu.Unlock()
	for _, i := range left {
		a.end(i, protocol.AppendAck{}, cmp.Or(err, errUnanswered))
	}
	if !again {
		a.span.SetAttributes(attrInputs.Int64(inputs))
		finish(a.span, err)
	}
}

func (s service) OpenReadSession(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts ...protocol.RecordOption) (protocol.ReadSession, error) {
	ctx, span := s.t.session(ctx, "read_session", ref)
	inner, err := s.Service.OpenReadSession(ctx, ref, req, opts...)
	if err != nil {
		finish(span, err)
		return nil, err
	}
	return &readSession{ReadSession: inner, span: span}, nil
}

// readSession is a read session that is traced.
type readSession struct {
	protocol.ReadSession
	span           trace.Span
	records, bytes atomic.Int64 // delivered
	over           sync.Once
}

func (r *readSession) Next(ctx context.Context) (protocol.ReadBatch, error) {
	if r.span.IsRecording() {
		ctx = trace.ContextWithSpan(ctx, r.span)
	}
	batch, err := r.ReadSession.Next(ctx)
	switch {
	case err == nil:
		r.records.Add(int64(batch.Records.Len()))
		r.bytes.Add(int64(batch.Records.MeteredSize()))
	case !errors.Is(err, io.EOF) && ctx.Err() == nil:
		r.finish(err)
	}
	return batch, err
}

func (r *readSession) Close() error {
	err := r.ReadSession.Close()
	r.finish(nil)
	return err
}

func (r *readSession) finish(err error) {
	r.over.Do(func() {
		r.span.SetAttributes(attrRecords.Int64(r.records.Load()), attrBytes.Int64(r.bytes.Load()))
		finish(r.span, err)
	})
}
