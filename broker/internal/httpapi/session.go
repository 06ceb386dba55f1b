package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/protocol"
)

// openSession begins the answer of a session: its head leaves at once, and nothing on the way may buffer or change the rest
// (data plane 8.8, 8.9).
func (c *call) openSession(contentType []string) error {
	head := c.w.Header()
	head["Content-Type"] = contentType
	head["Cache-Control"] = neverCache
	head["X-Accel-Buffering"] = unbuffered
	c.status, c.session = http.StatusOK, true
	c.w.WriteHeader(http.StatusOK)
	return c.flush()
}

func (c *call) flush() error {
	c.writes.begin()
	err := c.rc.Flush()
	c.writes.done()
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}

// write writes pieces of a body, as long as the client makes progress in taking them.
func (c *call) write(pieces ...[]byte) error {
	for _, p := range pieces {
		for len(p) > 0 {
			c.writes.begin()
			if c.hold != nil {
				c.hold.Progress()
			}
			n, err := c.w.Write(p[:min(len(p), answerPiece)])
			c.writes.done()
			c.sent += n
			if err != nil {
				return clientGone(err)
			}
			p = p[n:]
		}
	}
	return nil
}

// clientGone is the failure to write to a client.
func clientGone(err error) error {
	return protocol.Wrap(protocol.CodeClientHangup, err, "the client does not take the answer any more")
}

// readLoop delivers a read session's batches until it ends; nil stands for its clean end. The session has been opened
// with the request's context, and is closed here.
func (c *call) readLoop(src protocol.ReadSession, kind string, deliver func(protocol.ReadBatch) error) (err error) {
	defer c.h.metrics.session(kind)()
	defer func() { err = errors.Join(err, src.Close()) }()
	defer c.recoverInto(&err)
	ctx, cancel := c.bind(c.context())
	defer cancel()
	// Two batches at most: one that is delivered, and the one behind it.
	c.hold = c.h.outbox.Hold(c.client, c.writes.cut)
	ahead := c.h.outbox.Hold(c.client, c.writes.cut)
	defer func() { c.hold.Drop(); ahead.Drop() }()
	stored := true // the next batch has to be fetched from the storage, as far as is known
	for {
		if stored {
			if err := c.hold.Reserve(ctx); err != nil {
				return err
			}
		}
		next := c.next(ctx, src, c.hold)
		for next.err == nil {
			stored = next.batch.Tail == nil
			if !stored || !ahead.TryReserve() {
				if err := deliver(next.batch); err != nil {
					return err
				}
				c.hold.Drop()
				break
			}
			// The reader catches up, so the next batch is there to be fetched: that goes on while this one is written.
			fetched := make(chan outcome, 1)
			go func() { fetched <- c.next(ctx, src, ahead) }()
			err := func() (err error) {
				defer c.recoverInto(&err)
				return deliver(next.batch)
			}()
			if err != nil {
				cancel()
				<-fetched
				return err
			}
			c.hold.Drop()
			next = <-fetched
			c.hold, ahead = ahead, c.hold
		}
		if next.err == io.EOF { //nolint:errorlint // the contract says io.EOF itself
			return nil
		}
		if next.err != nil {
			return door.CauseOf(ctx, next.err)
		}
	}
}

// outcome is the result of a session's Next.
type outcome struct {
	batch protocol.ReadBatch
	err   error
}

// next gets a batch, and counts it.
func (c *call) next(ctx context.Context, src protocol.ReadSession, hold *door.Hold) (o outcome) {
	defer c.recoverInto(&o.err)
	if o.batch, o.err = src.Next(ctx); o.err != nil {
		return o
	}
	for !hold.Take(o.batch) { // a live batch, for which nothing was reserved
		if o.err = hold.Reserve(ctx); o.err != nil {
			return o
		}
	}
	return o
}

// recoverInto turns a panic in a session into its failure. Defer it.
func (c *call) recoverInto(err *error) {
	if p := recover(); p != nil {
		*err = door.Panicked(c.log(), p)
	}
}

// openRead admits and opens a read session.
func (c *call) openRead(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts []protocol.RecordOption) (protocol.ReadSession, error) {
	if err := c.becomeSession(); err != nil {
		return nil, err
	}
	open, cancel := context.WithTimeout(ctx, c.h.opts.RequestTimeout)
	defer cancel()
	src, err := c.svc.OpenReadSession(open, ref, req, append(opts, protocol.WithLean(c.h.outbox.Crowded))...)
	if err != nil {
		return nil, err
	}
	return src, nil
}
