package adapter

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/adapter/internal/catalog"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/internal/phases"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

var (
	// errStreamDeleted is the error of a deleted stream's handles once its sequencer has ended it.
	errStreamDeleted = protocol.Errorf(protocol.CodeUnavailable, "the stream was deleted")
	errDraining      = protocol.Errorf(protocol.CodeServerDraining, "the broker is shutting down; nothing was stored")
)

// stream is one loaded stream. The sequencer's goroutine owns the fields in the second block; load writes them before
// ready is closed, when nothing can be queued yet.
type stream struct {
	log      *log
	ref      protocol.StreamRef
	slot     uint8 // of its basin, see slotOf
	id       layout.StreamID
	subject  string
	cipher   protocol.Cipher // fixed at the stream's creation
	settings atomic.Pointer[settings]
	checks   *catalog.CheckTime
	ready    chan struct{} // closed when loaded
	loadErr  error         // read after ready

	pendingState state                              // after everything that was accepted
	durable      state                              // after everything that is durable
	waiting      streamQueue                        // its requests that are not decided
	open         *pending                           // the chunk that appends join in this turn
	newest       *pending                           // the newest chunk that is not durable yet
	broken       error                              // why the stored state cannot be used
	turn         uint64                             // the sequencer's turn as owner in which the state was read
	asking       uint64                             // the turn in which it is being read
	tap          func(protocol.Records) (kept bool) // see Options.Tap; may be nil

	ended atomic.Bool // the stream is being removed: it takes no append in any state

	live  live
	index index

	fork     *catalog.Fork // nil: it shares nothing; never changes
	segments segments

	reads reads
	uses  uses // guarded by log.mu: only the methods of log touch it
}

func (st *stream) acquire() { st.log.acquire(st) }

func (st *stream) release() { st.log.release(st) }

// load reads the stream's newest chunk. A failure is not remembered: the stream is taken out, and the next one to ask
// loads again. A chunk that was read while another server's writes made states stale is read again.
func (st *stream) load(ctx context.Context) {
	for {
		reloads, turn := st.log.countReloads(), st.log.turn.Load()
		var last storedChunk
		var err error
		if turn != 0 {
			// The stream may have been loaded before in this turn, and have got chunks that some servers do not know yet.
			last, err = st.log.newestBeyond(ctx, st.subject, js.Seq(st.log.reached.Load()))
			st.turn = turn
		} else {
			last, err = st.log.getLast(ctx, st.subject)
		}
		if errors.Is(err, js.ErrNotFound) {
			last, err = storedChunk{}, st.mayBeEmpty(ctx)
		}
		if st.log.finishLoad(st, last, err, reloads) {
			return
		}
	}
}

// mayBeEmpty fails if the stream was deleted: its chunks may be gone, so that it looks like one that nothing was ever appended to. Another server may have
// done that, whose change of the catalog has not come yet.
func (st *stream) mayBeEmpty(ctx context.Context) error {
	if err := st.log.a.catalog.LatestStream(ctx, st.ref); err != nil {
		return err
	}
	if !st.isKnown() {
		return errStreamDeleted
	}
	return nil
}

// isKnown reports whether the stream is in the catalog, where several servers share it as one that is not deleted.
func (st *stream) isKnown() bool {
	e, _, _ := st.log.a.catalog.View.Stream(st.ref)
	return e != nil && e.ID == st.id && !(st.log.a.opts.Shared && e.Deleting())
}

// begin sets the state that the stream's newest chunk carries, before the stream is ready.
func (st *stream) begin(last *storedChunk) {
	if last.seq == 0 {
		*last = base(st.fork)
	}
	st.reads.raise(last.lastAppend().At)
	st.pendingState = stateOf(last)
	st.durable = st.pendingState
	var closed error
	if st.pendingState.terminal {
		closed = errStreamDeleted
	}
	st.live.begin(last.Tail(), last.Trim, last.seq, st.durable.isClosed(), closed)
	if last.seq != 0 {
		st.index.add(indexEntryOf(last.seq, &last.Chunk))
	}
}

// purgeTrimmed removes the chunks that lie wholly below a durable trim point, but never the newest one. now is the result of janitor.settle since then.
func (st *stream) purgeTrimmed(ctx context.Context, trim, now uint64) error {
	newest := st.live.newest()
	if trim == 0 || trim == protocol.TerminalTrimPoint || newest == 0 {
		return nil
	}
	switch {
	case !st.log.mine():
		return errNotOwner
	case !st.log.sure():
		return errUnsure
	}
	needed, err := st.log.a.janitor.needed(st.ref.Basin, st.id, now)
	if err != nil {
		return err
	}
	if len(needed) > 0 {
		trim = min(trim, needed[0].From) // the chunks behind are removed one by one, see janitor.checkForked
	}
	at, _, err := st.seek(ctx, trim, bySeqNum)
	if err != nil {
		return err
	}
	if at == 0 {
		at = newest
	}
	if !st.log.sure() {
		return errUnsure
	}
	if err := st.log.purge(ctx, st.subject, min(at, newest)); err != nil {
		return err
	}
	st.checks.At.Before(0) // the first chunk now may have expired before
	return nil
}

// Stream is a handle to an opened stream; see sessions.Stream for the contract of its methods.
type Stream struct {
	st     *stream
	closed atomic.Bool
	endUse func() // see stream.use; nil if it is no use
	// found is the chunk that the last SeekTimestamp ended at: the scan that follows begins with it.
	found atomic.Pointer[storedChunk]
}

// Cipher is the cipher of the stream's records, fixed at its creation. Those of an encrypted stream are moved
// through the handle that [Stream.WithKey] gives.
func (h *Stream) Cipher() protocol.Cipher { return h.st.cipher }

// Class is the stream's storage class, as configured now.
func (h *Stream) Class() protocol.StorageClass { return h.st.settings.Load().class }

// Tail returns the durable tail.
func (h *Stream) Tail(ctx context.Context) (protocol.StreamTail, error) {
	if err := h.st.refresh(ctx); err != nil {
		return protocol.StreamTail{}, err
	}
	tail, trim, closed := h.st.live.position()
	if closed != nil {
		return tail, closed
	}
	if trim == protocol.TerminalTrimPoint {
		return tail, errDeleting
	}
	return tail, nil
}

// Follow attaches to the live feed exactly at from.
func (h *Stream) Follow(ctx context.Context, from uint64) (*Feed, protocol.Position, error) {
	if h.st.log.a.opts.Shared {
		return h.st.followShared(ctx, from)
	}
	return h.st.live.follow(from)
}

// Close gives the handle back.
func (h *Stream) Close() {
	if h.closed.CompareAndSwap(false, true) {
		if h.endUse != nil {
			h.endUse()
		}
		h.st.release()
	}
}

// Appender is an ordered sequence of appends; see sessions.Appender. The sequencer's goroutine owns its fields.
type Appender struct {
	st     *stream
	failed bool   // an input failed, or will if it is not decided again: none after it is sequenced
	dead   bool   // an input was answered with a failure: that stays
	end    uint64 // tail's seq_num after the last accepted input
	id     uint64 // towards the owner of the log; 0: nothing was forwarded
	sent   int    // inputs that were forwarded and are not answered
}

// Appender opens an ordered sequence of appends.
func (h *Stream) Appender() *Appender { return &Appender{st: h.st} }

// Submit waits for room in the budget and queues the input for the sequencer.
func (l *Appender) Submit(ctx context.Context, in protocol.AppendInput, done func(protocol.AppendAck, error)) error {
	return l.submit(ctx, in, nil, done)
}

// submit queues the input after transform, unless that is nil, has given its records the form in which they are stored.
func (l *Appender) submit(ctx context.Context, in protocol.AppendInput, transform func([]protocol.Record) ([]protocol.Record, error), done func(protocol.AppendAck, error)) error {
	cost := int64(max(1, in.MeteredSize()))
	if err := l.st.log.a.budget.acquire(ctx, l.st.ref.Basin, cost); err != nil {
		return err
	}
	var err error
	if transform != nil {
		if in.Records, err = transform(in.Records); err != nil {
			l.st.log.a.budget.release(l.st.ref.Basin, cost)
			return err
		}
	}
	times := phases.From(ctx)
	if times != nil {
		times.Begin(time.Now())
	}
	r := &request{ctx: ctx, st: l.st, appender: l, in: in, cost: cost, done: done, times: times}
	if in.Producer != nil {
		key := chunk.KeyOfProducer(in.Producer.ID)
		r.producer = &key
	}
	err = l.st.post(r)
	if err != nil {
		l.st.log.a.budget.release(l.st.ref.Basin, cost)
	}
	return err
}

// post hands a request to the log's sequencer; the stream stays loaded until it is answered.
func (st *stream) post(r *request) error {
	st.acquire()
	err := st.log.seq.in.post(r)
	if err != nil {
		st.release()
	}
	return err
}

// ask hands one of the adapter's own requests to the sequencer and waits for the answer.
func (st *stream) ask(ctx context.Context, kind requestKind) error {
	done := make(chan error, 1)
	err := st.post(&request{ctx: ctx, st: st, kind: kind, done: func(_ protocol.AppendAck, err error) { done <- err }})
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
