package sessions

import (
	"context"
	"errors"
	"io"

	"github.com/weirstream/weir/protocol"
)

// ReadUnary reads one batch, possibly empty (data plane 4.11): stored records, as many as the limits admit, at most
// [protocol.MaxBatchRecords] and [protocol.MaxBatchBytes]; or, if there are none, the first append batch that comes
// within the request's wait, which is at most [protocol.MaxUnaryWait]. The batch has a tail only if it came live.
// A failure gives no records. The caller keeps s and closes it.
//
// Codes: as [OpenRead].
func ReadUnary(ctx context.Context, s Stream, req protocol.ReadRequest) (protocol.ReadBatch, error) {
	r, err := newRead(ctx, s, unaryRequest(req), ReadOptions{})
	if err != nil {
		return protocol.ReadBatch{}, err
	}
	defer func() { _ = r.Close() }()
	var got batchBuilder
	for {
		batch, err := r.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return protocol.ReadBatch{Records: got.take()}, nil
		case err != nil:
			return protocol.ReadBatch{}, err
		case batch.Heartbeat():
			if got.count > 0 {
				return protocol.ReadBatch{Records: got.take()}, nil
			}
		case batch.Tail != nil:
			// Live, so nothing was collected before: the heartbeat ahead of it would have returned that.
			return batch, nil
		default:
			got.add(batch.Records)
		}
	}
}

// unaryRequest puts the caps of unary reads on a request, which makes it bounded.
func unaryRequest(req protocol.ReadRequest) protocol.ReadRequest {
	req.Count = capped(req.Count, protocol.MaxBatchRecords)
	req.Bytes = capped(req.Bytes, protocol.MaxBatchBytes)
	if req.Wait != nil {
		wait := min(*req.Wait, protocol.MaxUnaryWait)
		req.Wait = &wait
	}
	return req
}

func capped(n *uint64, most uint64) *uint64 {
	if n != nil {
		most = min(*n, most)
	}
	return &most
}

// AppendUnary checks an input, appends it and waits for its ack. The caller keeps s, and may close it when
// AppendUnary has returned.
//
// When ctx ends first, AppendUnary returns its error at once and the outcome is unknown: an append that was handed
// over may still become durable, and its bytes stay in use until then, so they must not be written again.
//
// Codes: invalid; condition_failed; those of the stream.
func AppendUnary(ctx context.Context, s Stream, in protocol.AppendInput) (protocol.AppendAck, error) {
	if err := in.Validate(); err != nil {
		return protocol.AppendAck{}, err
	}
	type outcome struct {
		ack protocol.AppendAck
		err error
	}
	// Buffered: the outcome of an append that no caller waits for any more must not block the stream.
	done := make(chan outcome, 1)
	err := s.Appender().Submit(ctx, in, func(ack protocol.AppendAck, err error) { done <- outcome{ack, err} })
	if err != nil {
		return protocol.AppendAck{}, err
	}
	select {
	case o := <-done:
		return o.ack, o.err
	case <-ctx.Done():
	}
	select {
	case o := <-done: // both came at once: a known answer is worth more
		return o.ack, o.err
	default:
		return protocol.AppendAck{}, ctx.Err()
	}
}
