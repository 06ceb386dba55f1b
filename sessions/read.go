package sessions

import (
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/weirstream/weir/protocol"
)

// ReadOptions tunes a read session; the zero value is the specified behaviour.
type ReadOptions struct {
	// HeartbeatGap draws the time to the next heartbeat, above 0; nil draws uniformly from
	// [protocol.MinHeartbeatGap, protocol.MaxHeartbeatGap) (data plane 4.8).
	HeartbeatGap func() time.Duration
	// Lean, if set, reports whether memory is short: then stored records come in batches of at most [leanBatchBytes], where
	// they were stored in such, and nothing is read ahead.
	Lean func() bool
}

// leanBatchBytes bounds a batch while memory is short; one run as it was stored may be larger.
const leanBatchBytes = 64 << 10

func (r *Read) lean() bool { return r.opts.Lean != nil && r.opts.Lean() }

// errReadClosed is the error of Next after Close, and when Close interrupts it.
var errReadClosed = protocol.Errorf(protocol.CodeClientHangup, "the read session was closed")

// Read is a read session: the state machine of data plane 4.5. It has no goroutine of its own; Next moves it on.
//
// The machine is in one of three states, which its fields say:
//
//	next < tail.SeqNum, feed == nil   catching up: stored records of [next, tail.SeqNum) are still to be looked at
//	next == tail.SeqNum, feed == nil  at the known tail: end, or attach to the live feed
//	feed != nil                       following
//
// err ends it, in any state.
type Read struct {
	// life ends when the session does. It interrupts a Next that waits, which a lock cannot.
	life   context.Context //nolint:containedctx // lives as long as one request
	cancel context.CancelFunc

	// turn is held by Next while it runs and by Close while it releases. It guards everything below: cursors and
	// feeds are for one goroutine, so Close cancels life, waits for Next to give up, and only then closes them.
	turn sync.Mutex

	stream Stream
	owned  bool // stream is closed with the session
	opts   ReadOptions

	next      uint64            // seq_num of the next record to look at
	tail      protocol.Position // known durable tail
	limit     protocol.Limit    // the rest of it
	mayFollow bool
	tellTail  bool           // a stored batch that reaches the known tail carries it
	ended     bool           // nothing is delivered: the limit is zero
	wait      *time.Duration // nil: for ever
	deadline  time.Time      // of the wait window; zero while it is not armed (data plane 4.7)

	cursor  Cursor           // open while catching up
	carry   protocol.Records // run taken from the cursor that did not fit into the last batch
	builder batchBuilder

	feed   Feed
	beatAt time.Time // when the next heartbeat is due, while following
	alarm  alarm

	err error // why the session is over; nil while it is not
}

var _ protocol.ReadSession = (*Read)(nil)

// OpenRead opens a read session: it checks the request, takes the durable tail once and resolves the start (data
// plane 4.2). ctx bounds the opening only.
//
// The session owns s from then on and closes it when it ends or is closed. When OpenRead fails, s is still the
// caller's to close.
//
// Codes: invalid for a request that contradicts itself; unwritten, with the tail, for a start beyond the tail, or at
// the tail when the request may not follow, unless its limit is zero; those of the stream.
func OpenRead(ctx context.Context, s Stream, req protocol.ReadRequest, opts ReadOptions) (*Read, error) {
	r, err := newRead(ctx, s, req, opts)
	if err != nil {
		return nil, err
	}
	r.owned, r.tellTail = true, true
	return r, nil
}

// newRead opens a session that leaves s to its caller.
func newRead(ctx context.Context, s Stream, req protocol.ReadRequest, opts ReadOptions) (*Read, error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	tail, err := s.Tail(ctx)
	if err != nil {
		return nil, err
	}
	next := tail.SeqNum
	// A limit of zero admits no record: the read ends at once, regardless of its start (data plane 4.3).
	if !req.Limit().Exhausted() {
		if next, err = resolveStart(ctx, s, &req, tail.Position); err != nil {
			return nil, err
		}
	}
	if opts.HeartbeatGap == nil {
		opts.HeartbeatGap = randomHeartbeatGap
	}
	r := &Read{
		stream:    s,
		opts:      opts,
		next:      next,
		tail:      tail.Position,
		limit:     req.Limit(),
		mayFollow: req.MayFollow(),
	}
	if req.Wait != nil {
		wait := *req.Wait
		r.wait = &wait
	}
	r.life, r.cancel = context.WithCancel(context.Background())
	r.ended = r.limit.Exhausted()
	return r, nil
}

func randomHeartbeatGap() time.Duration {
	return protocol.MinHeartbeatGap + rand.N(protocol.MaxHeartbeatGap-protocol.MinHeartbeatGap)
}

// Next returns the next batch or heartbeat, io.EOF at a clean end, and otherwise a failure, each of which is final.
// One error is not: when ctx ends Next returns its error with nothing lost, and may be called again.
//
// Batches read from storage join stored runs up to [protocol.MaxBatchRecords] and [protocol.MaxBatchBytes]; the one that
// reaches the tail known then carries that tail, by which a reader knows that it has caught up (data plane 4.9). A live
// batch is one append batch, or the part of it that the limits admit, with the tail right after the whole. The
// batch shares its memory with storage and with other readers: it may be kept, and must not be written.
func (r *Read) Next(ctx context.Context) (protocol.ReadBatch, error) {
	r.turn.Lock()
	defer r.turn.Unlock()
	for r.err == nil {
		if err := ctx.Err(); err != nil {
			return protocol.ReadBatch{}, err
		}
		out, ok, err := r.step(ctx)
		switch {
		case ok:
			return out, nil
		case err == nil:
			// The state changed and there is nothing to deliver yet.
		case r.life.Err() != nil:
			r.finish(errReadClosed)
		case ctx.Err() != nil:
			return protocol.ReadBatch{}, ctx.Err()
		default:
			r.finish(err)
		}
	}
	return protocol.ReadBatch{}, r.err
}

// step performs the action of the state. It returns an output (ok), an error, or neither after it changed the state.
func (r *Read) step(ctx context.Context) (out protocol.ReadBatch, ok bool, err error) {
	switch {
	case r.ended:
		r.finish(io.EOF)
		return out, false, nil
	case r.feed != nil:
		return r.follow(ctx)
	case r.next < r.tail.SeqNum:
		return r.catchUp(ctx)
	}
	return r.attach(ctx)
}

// emit accounts for a batch that is about to be delivered, and ends the session when nothing more may follow it.
func (r *Read) emit(recs protocol.Records, tail *protocol.Position) protocol.ReadBatch {
	r.next = recs.Last().SeqNum + 1
	r.limit = r.limit.Spend(recs.Len(), recs.MeteredSize())
	if tail != nil {
		r.tail = *tail
	}
	if r.wait != nil {
		r.deadline = time.Now().Add(*r.wait)
	}
	if r.limit.Exhausted() {
		r.finish(io.EOF)
	}
	return protocol.ReadBatch{Records: recs, Tail: tail}
}

// Close ends the session and frees its resources. It interrupts a Next that is waiting, which then fails with code
// client_hangup, and may be called more than once.
func (r *Read) Close() error {
	r.cancel()
	r.turn.Lock()
	defer r.turn.Unlock()
	r.finish(errReadClosed)
	return nil
}

// finish ends the session for the reason err, unless it is over already.
func (r *Read) finish(err error) {
	if r.err != nil {
		return
	}
	r.err = err
	r.cancel()
	r.closeCursor()
	r.closeFeed()
	r.alarm.stop()
	if r.owned {
		r.stream.Close()
	}
}

// bind returns a context that ends with ctx and with the session, for one call into the stream.
func (r *Read) bind(ctx context.Context) (context.Context, func()) {
	if ctx.Done() == nil {
		return r.life, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(r.life, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}
