package adapter

import (
	"context"
	"errors"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/protocol"
)

// A node that does not own a log knows its streams from what it reads: before it reports a tail, and before a follower attaches, it asks the owner where
// the stream's newest chunk stands, and fetches it if it does not know it yet. While a reader follows, the log's chunks come by a consumer
// (foreignfeed.go). A chunk that comes in so is adopted: it becomes the state of the stream.

// refresh brings the newest chunk of a stream into its state. After the call the state includes every chunk that was acknowledged before it, by any
// node.
func (st *stream) refresh(ctx context.Context) error {
	if !st.log.a.opts.Shared {
		return nil
	}
	newest, err := st.askTail(ctx)
	known := st.live.newest()
	if err == nil && newest == 0 && known > 0 {
		return errStreamDeleted // as below
	}
	if err != nil || known >= newest {
		return err
	}
	c, err := st.log.newestBeyond(ctx, st.subject, newest)
	if errors.Is(err, js.ErrNotFound) {
		return errStreamDeleted // the newest chunk of a stream goes only with the stream
	}
	if err != nil {
		return readFailure(err)
	}
	return st.adopt(ctx, &c)
}

// askTail asks the owner of the log where the stream's newest durable chunk stands.
func (st *stream) askTail(ctx context.Context) (newest js.Seq, err error) {
	r := &request{ctx: ctx, st: st, kind: tailRequest}
	done := make(chan error, 1)
	r.done = func(_ protocol.AppendAck, err error) { done <- err }
	if err := st.post(r); err != nil {
		return 0, err
	}
	select {
	case err := <-done:
		return r.newest, err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// adopt makes a chunk that another server wrote the newest of the stream, unless there is a newer one.
func (st *stream) adopt(ctx context.Context, c *storedChunk) error {
	if st.live.newest() >= c.seq {
		return nil
	}
	done := make(chan error, 1)
	err := st.post(&request{ctx: ctx, st: st, kind: adoptRequest, foreign: c, done: func(_ protocol.AppendAck, err error) { done <- err }})
	if err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// admitAdopt takes in a chunk of another node. An owner that has read the stream's state knows it.
func (s *sequencer) admitAdopt(r *request) {
	known := s.epoch != 0 && r.st.turn == s.turn
	if !known && r.st.newest == nil && r.foreign.seq > r.st.live.newest() {
		s.adopt(r.st, r.foreign)
	}
	s.answer(r, protocol.AppendAck{}, nil)
}

func (s *sequencer) adopt(st *stream, c *storedChunk) {
	before := st.durable
	st.durable = stateOf(c)
	st.pendingState = st.durable
	if c.FirstSeqNum() == before.next {
		st.index.add(indexEntryOf(c.seq, &c.Chunk))
		st.live.advance(c.Tail(), c.Trim, c.seq, st.durable.isClosed(), func(push func(protocol.Records)) {
			if c.Records.Len() > 0 {
				push(c.Records)
			}
		})
	} else { // chunks between are not here: followers read them from the log
		st.index.reset()
		st.live.reset(c.Tail(), c.Trim, c.seq, st.durable.isClosed())
	}
	if st.durable.terminal {
		st.live.close(errStreamDeleted)
	}
	if c.Expiry != 0 {
		st.checks.At.Before(c.Expiry)
	}
	st.checks.MarkWritten()
	s.upkeep.changed(st)
}
