package broker

import (
	"context"

	"github.com/weirstream/weir/broker/internal/tracing"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/sessions"
)

// tracedStream is a stream whose reads of the storage are traced, within requests and sessions that are.
type tracedStream struct {
	sessions.Stream
	tracer *tracing.Tracer
}

func (s tracedStream) SeekTimestamp(ctx context.Context, ts uint64, tail protocol.Position) (uint64, error) {
	ctx, end := s.tracer.Seek(ctx)
	seqNum, err := s.Stream.SeekTimestamp(ctx, ts, tail)
	end(seqNum, err)
	return seqNum, err
}

func (s tracedStream) Scan(from, to uint64) sessions.Cursor {
	return tracedCursor{s.Stream.Scan(from, to), s.tracer}
}

type tracedCursor struct {
	sessions.Cursor
	tracer *tracing.Tracer
}

func (c tracedCursor) Next(ctx context.Context) (protocol.Records, error) {
	ctx, end := c.tracer.Fetch(ctx)
	records, err := c.Cursor.Next(ctx)
	end(records, err)
	return records, err
}
