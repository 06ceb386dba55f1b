package sessions

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/weirstream/weir/internal/phases"
	"github.com/weirstream/weir/protocol"
)

const (
	defaultAppendBytes   = 8 << 20
	defaultAppendPending = 256
)

// AppendOptions bounds the inputs that an append session holds; the zero value works.
type AppendOptions struct {
	// MaxInflightBytes bounds the metered bytes of inputs that were handed over and are not answered; default 8 MiB.
	// One input passes regardless of its size.
	MaxInflightBytes uint64
	// MaxPending bounds the inputs that were submitted and whose acks Recv has not returned yet; default 256. It
	// bounds the queue of acks when the caller receives none.
	MaxPending int
	// Settled, if set, is called for each input that was handed over, in their order, once it is stored or has failed; with
	// nil nothing uses the memory of the input any more. It must not block.
	Settled func(error)
	// Number, if set, is called for each input in their order, before it is checked: it numbers the appends of a producer.
	Number func(*protocol.AppendInput)
}

var (
	errAppendClosed = protocol.Errorf(protocol.CodeClientHangup, "the append session was closed")
	errInputClosed  = protocol.Errorf(protocol.CodeInvalid, "the append session takes no input after its input was closed")
)

// Append is an append session (data plane 3.8): inputs are sequenced in the order of the Submit calls, pipelined, and
// answered in that order. It has no goroutine of its own.
//
// The first input that fails poisons the session: no later one is stored, Recv returns the acks of the earlier ones
// and then the failure. An input that is invalid, or that the stream does not take, stops the input in the same way,
// once all before it are answered.
type Append struct {
	stream   Stream
	appender Appender
	opts     AppendOptions

	// life ends with Close. Inputs that are queued in the appender and not sequenced yet are then dropped.
	life   context.Context //nolint:containedctx // lives as long as one conversation
	cancel context.CancelFunc

	// turn holds a token while a Submit runs, so that inputs keep the order of the calls (waiting senders are served
	// in order), and one Submit at a time waits for room.
	turn chan struct{}
	// room has a token when there may be room for the Submit that waits.
	room chan struct{}
	// wake has a token when there may be something to receive.
	wake chan struct{}
	// over is closed once no further input is taken: a failure, CloseSend or Close.
	over chan struct{}

	mu        sync.Mutex           // guards the fields below; nothing foreign is called with it held
	bytes     uint64               // metered, of unanswered inputs
	unsettled int                  // inputs handed over, or about to be, that have no answer
	pending   int                  // inputs whose ack Recv has not returned
	answered  []protocol.AppendAck // acks in order, filled by the stream
	ready     []protocol.AppendAck // acks before those in answered; Recv takes from its front
	spare     []protocol.AppendAck // the memory under ready, for answered once ready is empty
	failure   error                // of the first input that failed; returned by Recv after the acks
	end       error                // io.EOF, or why input stopped; returned by Recv once every input is answered
	closed    bool
	overOnce  bool // over is closed
}

var _ protocol.AppendSession = (*Append)(nil)

// OpenAppend opens an append session. The session owns s from then on: Close closes it.
func OpenAppend(s Stream, opts AppendOptions) *Append {
	if opts.MaxInflightBytes == 0 {
		opts.MaxInflightBytes = defaultAppendBytes
	}
	if opts.MaxPending <= 0 {
		opts.MaxPending = defaultAppendPending
	}
	a := &Append{
		stream:   s,
		appender: s.Appender(),
		opts:     opts,
		turn:     make(chan struct{}, 1),
		room:     make(chan struct{}, 1),
		wake:     make(chan struct{}, 1),
		over:     make(chan struct{}),
	}
	a.life, a.cancel = context.WithCancel(context.Background())
	return a
}

// Submit hands an input over, and blocks while the session or the broker has too many bytes in flight, until ctx
// ends. Calls from several goroutines are taken in their order. The ack comes from Recv, and the input's bytes must
// not be written before it.
//
// When ctx ends while Submit waits, its error is returned, nothing was handed over and the session goes on. (When it
// ends at the very moment of the hand-over the input may be dropped after all, which poisons the session.)
// An invalid input is returned as code invalid, at once and, after the acks of all earlier inputs, by Recv; it ends
// the input. After the end of the input, for any reason, Submit fails at once and nothing is stored; the
// reason comes from Recv.
func (a *Append) Submit(ctx context.Context, in protocol.AppendInput) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-a.over:
		return a.refusal()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := a.refusal(); err != nil {
		return err
	}
	if a.opts.Number != nil {
		numbered := in // a copy, so that the other inputs stay off the heap
		a.opts.Number(&numbered)
		in = numbered
	}
	if err := in.Validate(); err != nil {
		a.stop(err)
		return err
	}
	// An input weighs at least 8: it has a record.
	size := in.MeteredSize()
	if err := a.reserve(ctx, size); err != nil {
		return err
	}
	return a.handOver(ctx, in, size)
}

// reserve waits for room and takes it.
func (a *Append) reserve(ctx context.Context, size uint64) error {
	for {
		if ok, err := a.tryReserve(size); ok || err != nil {
			return err
		}
		select {
		case <-a.room:
		case <-a.over:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (a *Append) tryReserve(size uint64) (ok bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.refusalLocked(); err != nil {
		return false, err
	}
	if a.unsettled > 0 && a.bytes+size > a.opts.MaxInflightBytes || a.pending >= a.opts.MaxPending {
		return false, nil
	}
	a.bytes += size
	a.unsettled++
	a.pending++
	return true, nil
}

// handOver gives the input to the appender. The appender heeds the context of an input until it is sequenced, so the input
// gets one that ends with ctx while Submit lasts, and afterwards only with the session.
func (a *Append) handOver(ctx context.Context, in protocol.AppendInput, size uint64) error {
	bound := &handing{Context: a.life, call: ctx}
	err := a.appender.Submit(phases.Carry(bound, ctx), in, func(ack protocol.AppendAck, err error) {
		bound.release()
		if a.opts.Settled != nil {
			a.opts.Settled(err)
		}
		a.settle(size, ack, err)
	})
	bound.callReturned()
	if err == nil {
		return nil
	}
	bound.release()
	a.giveBack(size)
	switch {
	case a.life.Err() != nil:
		return errAppendClosed
	case ctx.Err() != nil:
		return ctx.Err()
	}
	a.stop(err)
	return err
}

// giveBack undoes reserve for an input that was not handed over.
func (a *Append) giveBack(size uint64) {
	a.mu.Lock()
	a.bytes -= size
	a.unsettled--
	a.pending--
	a.mu.Unlock()
	signal(a.room)
	signal(a.wake) // it may have been the last that an end waited for
}

// settle takes the answer to an input, in the order of the inputs. It does not block.
func (a *Append) settle(size uint64, ack protocol.AppendAck, err error) {
	a.mu.Lock()
	a.bytes -= size
	a.unsettled--
	switch {
	case a.closed || a.failure != nil:
		// It is never asked for: only the first failure is returned.
	case err != nil:
		// A context's error would be taken for that of the caller of Recv.
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			err = protocol.AsError(err)
		}
		a.failure = err
		a.overLocked()
	default:
		a.answered = append(a.answered, ack)
	}
	a.mu.Unlock()
	signal(a.room)
	signal(a.wake)
}

// stop ends the input with a reason that Recv returns after the answers to all inputs handed over.
func (a *Append) stop(reason error) {
	a.mu.Lock()
	if a.end == nil {
		a.end = reason
	}
	a.overLocked()
	a.mu.Unlock()
	signal(a.wake)
}

func (a *Append) overLocked() {
	if !a.overOnce {
		a.overOnce = true
		close(a.over)
	}
}

// refusal is why no input is taken any more; nil while it is.
func (a *Append) refusal() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refusalLocked()
}

func (a *Append) refusalLocked() error {
	switch {
	case a.closed:
		return errAppendClosed
	case a.failure != nil:
		return protocol.Wrap(protocol.CodeInvalid, a.failure, "the append session takes no input after an earlier input failed")
	case a.end == nil:
		return nil
	case errors.Is(a.end, io.EOF):
		return errInputClosed
	}
	return protocol.Wrap(protocol.CodeInvalid, a.end, "the append session takes no input after one that was refused")
}

// Recv returns the next ack; after the last, the end of the session: the failure of the first input that failed, the
// reason why input stopped, or io.EOF after CloseSend. Those are final. When ctx ends, Recv returns its error and may be called
// again. After Close it fails with code client_hangup.
func (a *Append) Recv(ctx context.Context) (protocol.AppendAck, error) {
	for {
		if err := ctx.Err(); err != nil {
			return protocol.AppendAck{}, err
		}
		if ack, ok, err := a.tryRecv(); ok || err != nil {
			return ack, err
		}
		select {
		case <-a.wake:
		case <-a.life.Done():
		case <-ctx.Done():
		}
	}
}

func (a *Append) tryRecv() (ack protocol.AppendAck, ok bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return ack, false, errAppendClosed
	}
	if len(a.ready) == 0 && len(a.answered) > 0 {
		// One slice is filled while the other is emptied; then they change places.
		a.ready, a.answered, a.spare = a.answered, a.spare[:0], a.answered
	}
	switch {
	case len(a.ready) > 0:
		ack, a.ready = a.ready[0], a.ready[1:]
		a.pending--
		signal(a.room)
		signal(a.wake) // for another receiver
		return ack, true, nil
	case a.failure != nil:
		err = a.failure
	case a.end != nil && a.unsettled == 0:
		err = a.end
	default:
		return ack, false, nil
	}
	signal(a.wake)
	return ack, false, err
}

// CloseSend says that no input follows. It does not wait: inputs handed over before are still stored and
// acknowledged, a Submit that is waiting for room fails. It may be called more than once and never fails.
func (a *Append) CloseSend() error {
	a.stop(io.EOF)
	return nil
}

// Close ends the session at once and closes the stream. Inputs that were handed over may or may not be stored. A
// Submit or Recv that is waiting fails with code client_hangup. It may be called more than once and never fails.
func (a *Append) Close() error {
	a.mu.Lock()
	again := a.closed
	a.closed = true
	a.answered, a.ready, a.spare = nil, nil, nil
	a.overLocked()
	a.mu.Unlock()
	if again {
		return nil
	}
	a.cancel()
	// A Submit under way still uses the stream; it gives up now that life has ended.
	a.turn <- struct{}{}
	a.stream.Close()
	<-a.turn
	return nil
}

// signal leaves a token in c, unless there is one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
