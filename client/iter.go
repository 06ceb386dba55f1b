package client

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/weirstream/weir/protocol"
)

// Batches reads a stream as a session and yields its batches, without heartbeats, until the read is over, ctx ends, or
// the loop is left. An error is yielded once, as the last element.
func (c *Client) Batches(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest) iter.Seq2[protocol.ReadBatch, error] {
	return func(yield func(protocol.ReadBatch, error) bool) {
		session, err := c.OpenReadSession(ctx, ref, req)
		if err != nil {
			yield(protocol.ReadBatch{}, err)
			return
		}
		defer session.Close()
		for {
			batch, err := session.Next(ctx)
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				yield(protocol.ReadBatch{}, err)
				return
			case batch.Records.Len() > 0 && !yield(batch, nil):
				return
			}
		}
	}
}

// Records is [Client.Batches] record by record. Command records are among them; see
// [protocol.SequencedRecord.IsCommand].
func (c *Client) Records(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest) iter.Seq2[protocol.SequencedRecord, error] {
	return func(yield func(protocol.SequencedRecord, error) bool) {
		for batch, err := range c.Batches(ctx, ref, req) {
			if err != nil {
				yield(protocol.SequencedRecord{}, err)
				return
			}
			for rec := range batch.Records.All() {
				if !yield(rec, nil) {
					return
				}
			}
		}
	}
}
