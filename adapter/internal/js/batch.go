package js

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/nats-io/nats.go"
)

// A Batch is a batched direct get under way. It is for one goroutine, which must close it.
//
// Each message of an answer names the one before it, and the end names the last one, so that a lost message is noticed. What
// is behind it does not count then: it comes again when the request is repeated for what is missing. Messages that come twice
// count once.
type Batch struct {
	g      *Getter
	token  uint64
	ch     chan *nats.Msg
	ahead  int64 // of the budget for reading ahead
	stream string
	req    Request
	last   Seq   // of the messages taken; 0: none
	end    error // io.EOF, ErrNotFound or a failure, once the answer is complete
}

// Batch asks a stream for messages, as soon as the budget of the getter has room for them. They count until they have arrived.
func (g *Getter) Batch(ctx context.Context, stream string, r Request) (*Batch, error) {
	if err := g.budget.Acquire(ctx, r.cost()); err != nil {
		return nil, err
	}
	return g.begin(stream, &r, r.cost(), 0)
}

// Ahead is Batch for a caller that does not need the messages yet: nil when the budget for that has no room now. They count until
// Close.
func (g *Getter) Ahead(stream string, r Request) (*Batch, error) {
	if !g.ahead.TryAcquire(r.cost()) {
		return nil, nil
	}
	return g.begin(stream, &r, 0, r.cost())
}

func (g *Getter) begin(stream string, r *Request, cost, ahead int64) (*Batch, error) {
	b := &Batch{g: g, ahead: ahead, stream: stream, req: *r}
	b.token, b.ch = g.open(r.Count+1, cost)
	if err := b.ask(); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// ask requests what has not come yet.
func (b *Batch) ask() error {
	seq := max(b.req.Seq, b.last+1)
	return b.g.request(b.stream, b.token, NextRequest(b.req.Subject, seq, b.req.Count, b.req.MaxBytes))
}

// Next returns the next message. It fails with io.EOF after the last one, and with [ErrNotFound] when there was none.
func (b *Batch) Next(ctx context.Context) (*nats.Msg, error) {
	for b.end == nil {
		m, err := b.g.await(ctx, b.stream, b.ch, b.ask)
		if err != nil {
			return nil, err
		}
		if b.take(m) {
			return m, nil
		}
	}
	return nil, b.end
}

// Ready is Next for a caller that does not wait: nil and no error when the next message has not come yet.
func (b *Batch) Ready() (*nats.Msg, error) {
	for b.end == nil {
		select {
		case m := <-b.ch:
			switch {
			case absent(m): // of a repeated request: Next makes it again
				return nil, nil
			case b.take(m):
				return m, nil
			}
		default:
			return nil, nil
		}
	}
	return nil, b.end
}

// take reports whether m is the answer's next message. It notes the end of the answer.
func (b *Batch) take(m *nats.Msg) bool {
	end, err := answerStatus(m)
	switch {
	case !end:
		seq, err := SeqOf(m)
		if err == nil && (seq <= b.last || before(m) > b.last) {
			return false
		}
		b.last = max(b.last, seq)
		return true // without a sequence too: the caller reports it
	case err == nil && before(m) > b.last:
		// The messages before this end were lost.
	case err == nil, errors.Is(err, ErrNotFound) && b.last > 0:
		b.end = io.EOF
	default:
		b.end = err
	}
	return false
}

// before is the sequence of the message before m in a batched answer; 0: there is none.
func before(m *nats.Msg) Seq {
	seq, err := strconv.ParseUint(LastValue(m.Header, "Nats-Last-Sequence"), 10, 64)
	if err != nil {
		return 0
	}
	return Seq(seq)
}

// Close gives up the request under way.
func (b *Batch) Close() {
	b.g.close(b.token, b.ch)
	b.g.ahead.Release(b.ahead)
	b.ahead = 0
}

// All makes a batched get and yields all its messages. none says that there is no message at or after the place asked for.
func (g *Getter) All(ctx context.Context, stream string, r Request, yield func(*nats.Msg) error) (none bool, err error) {
	b, err := g.Batch(ctx, stream, r)
	if err != nil {
		return false, err
	}
	defer b.Close()
	for {
		m, err := b.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return false, nil
		case errors.Is(err, ErrNotFound):
			return true, nil
		case err != nil:
			return false, err
		}
		if err := yield(m); err != nil {
			return false, err
		}
	}
}

// LastValue is the last value of a header: stored headers come before those that JetStream adds.
func LastValue(h nats.Header, key string) string {
	v := h[key]
	if len(v) == 0 {
		return ""
	}
	return v[len(v)-1]
}

// SeqOf is the sequence of a message that a direct get returned.
func SeqOf(m *nats.Msg) (Seq, error) {
	seq, err := strconv.ParseUint(LastValue(m.Header, "Nats-Sequence"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("sequence: %w", err)
	}
	return Seq(seq), nil
}

// Pending reports roughly how many messages of a subject or wildcard a stream holds at or after a sequence: a replica that is
// behind does not know the newest.
func (g *Getter) Pending(ctx context.Context, stream, filter string, seq Seq) (messages uint64, err error) {
	none, err := g.All(ctx, stream, Request{Subject: filter, Seq: seq, Count: 1, MaxBytes: 1}, func(m *nats.Msg) (err error) {
		messages, err = strconv.ParseUint(LastValue(m.Header, "Nats-Num-Pending"), 10, 64)
		messages++ // with the message itself
		return err
	})
	if none {
		return 0, nil
	}
	return messages, err
}

// SubjectOf is the subject of a message that a direct get returned.
func SubjectOf(m *nats.Msg) string { return LastValue(m.Header, "Nats-Subject") }

// TimeOf is when JetStream stored a message that a direct get returned, RFC 3339.
func TimeOf(m *nats.Msg) string { return LastValue(m.Header, "Nats-Time-Stamp") }
