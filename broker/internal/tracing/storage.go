package tracing

import (
	"context"
	"errors"
	"io"

	"go.opentelemetry.io/otel/trace"

	"github.com/weirstream/weir/protocol"
)

// Seek begins the span of a search by timestamp, if it is part of a request or a session that is traced; end it with the
// seq_num that was found.
func (t *Tracer) Seek(ctx context.Context) (_ context.Context, end func(seqNum uint64, err error)) {
	if t == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, func(uint64, error) {}
	}
	ctx, span := t.tracer.Start(ctx, "read.seek")
	return ctx, func(seqNum uint64, err error) {
		span.SetAttributes(attrSeqNum.Int64(int64(seqNum)))
		finish(span, err)
	}
}

// Fetch begins the span of reading stored records, if it is part of a request or a session that is traced; end it with the
// records that were read. io.EOF is no failure.
func (t *Tracer) Fetch(ctx context.Context) (_ context.Context, end func(protocol.Records, error)) {
	if t == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, func(protocol.Records, error) {}
	}
	ctx, span := t.tracer.Start(ctx, "read.fetch")
	return ctx, func(records protocol.Records, err error) {
		if errors.Is(err, io.EOF) {
			err = nil
		}
		if err == nil {
			span.SetAttributes(recordsSize(records)...)
		}
		finish(span, err)
	}
}
