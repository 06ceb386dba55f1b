package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/s2s"
)

// lingerTime is how long the end of an append session over HTTP/1.1 reads on: a connection that is closed with bytes
// unread is reset, which may destroy the terminal frame on its way.
const lingerTime = 500 * time.Millisecond

// s2sAppend takes a client's inputs in s2s frames and answers in their order (data plane 3.8, 8.9).
//
// Two goroutines meet here: feed reads the request's body and submits, and this one receives the acks and writes them.
// The end of the input, clean or not, is answered behind the acks of everything before it.
func (c *call) s2sAppend(ref protocol.StreamRef, opts []protocol.RecordOption) error {
	if coding, _ := c.contentEncoding(); coding != s2s.NoCompression {
		return protocol.Errorf(protocol.CodeBadHeader, "content-encoding: the frames of a session are compressed one by one, not the body")
	}
	s := &appendSession{call: c, deadline: newReadDeadline(c.rc)}
	s.inputs = inputs{freed: make(chan struct{}, 1)}
	dst, err := c.openAppend(ref, append(opts, protocol.WithSettled(s.inputs.settled)))
	if err != nil {
		return err
	}
	s.dst, s.inputs.place = dst, c.place
	defer c.h.metrics.session("s2s_append")()
	s.out = frames{call: c, compression: s2s.Negotiate(c.r.Header["Accept-Encoding"])}
	if err := c.openDuplex(); err != nil {
		return dst.Close()
	}
	if err = s.run(); err != nil {
		s.out.terminal(err) // it is lost if the client is disconnected
	}
	s.linger()
	return nil
}

func (c *call) openAppend(ref protocol.StreamRef, opts []protocol.RecordOption) (protocol.AppendSession, error) {
	if err := c.becomeSession(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.context(), c.h.opts.RequestTimeout)
	defer cancel()
	dst, err := c.svc.OpenAppendSession(ctx, ref, opts...)
	if err != nil {
		return nil, door.CauseOf(ctx, err)
	}
	return dst, nil
}

// openDuplex begins an answer that goes out while the request comes in.
func (c *call) openDuplex() error {
	// Servers that have no such switch are either always in full duplex, as HTTP/2 is, or recorders in tests.
	if err := c.rc.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if c.r.Header.Get("Expect") != "" {
		c.w.WriteHeader(http.StatusContinue) // the head of the answer would keep the server from saying it later
	}
	if c.r.ProtoMajor == 1 {
		// The session may end before the request's body does, and then the connection cannot be used again.
		c.w.Header()["Connection"] = []string{"close"}
	}
	return c.openSession(contentS2S)
}

// appendSession is one append session.
type appendSession struct {
	call     *call
	dst      protocol.AppendSession
	out      frames
	deadline *readDeadline
	inputs   inputs
}

// run serves the session until its end; nil is a clean one.
func (s *appendSession) run() error {
	ctx, stop := context.WithCancel(context.WithoutCancel(s.call.context()))
	defer stop()
	// The request's context also ends when the deadline ends a read: then the acks and the reason are still to be written.
	forget := context.AfterFunc(s.call.context(), func() {
		if !s.deadline.ended() {
			stop()
		}
	})
	defer forget()
	// A draining door ends the input, and its reason is written behind the acks of the inputs that were taken.
	unhook := context.AfterFunc(s.call.h.drained, s.deadline.kick)
	defer unhook()

	fed := make(chan error, 1)
	go func() { fed <- s.feed(ctx) }()
	err := s.answer(ctx)
	// A failure that the service reported ends the session in any state of the input; on a clean end of the answers the
	// input has ended before, and says why.
	stop()
	s.deadline.kick()
	if inputErr := <-fed; err == nil {
		err = inputErr
	}
	return errors.Join(err, s.dst.Close())
}

// feed submits inputs until they end. It returns why they ended: nil for the client's end.
func (s *appendSession) feed(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, s.dst.CloseSend()) }()
	defer s.call.recoverInto(&err)
	in := newFrameReader(s.call.r.Body, s.deadline, s.call.h.opts.BodyTimeout, func(bytes int, patience time.Duration) error {
		return s.inputs.charge(ctx, bytes, patience)
	})
	defer in.free()
	for {
		if s.call.h.drained.Err() != nil {
			return door.ErrDraining()
		}
		msg, buf, charged, err := in.next()
		switch {
		case err == io.EOF: //nolint:errorlint // the reader gives io.EOF itself
			return nil
		case err != nil && s.call.h.drained.Err() != nil:
			return door.ErrDraining()
		case err != nil:
			return err
		}
		input, err := protocol.UnmarshalAppendInput(msg)
		if err != nil {
			return protocol.Wrap(protocol.CodeBadFrame, err, protocol.AsError(err).Message)
		}
		s.inputs.add(buf, charged)
		if err := s.dst.Submit(ctx, input); err != nil {
			return door.CauseOf(ctx, err)
		}
	}
}

// answer writes acks until the service has no more: nil stands for the end of the inputs.
func (s *appendSession) answer(ctx context.Context) (err error) {
	defer s.call.recoverInto(&err)
	var msg []byte
	for {
		ack, err := s.dst.Recv(ctx)
		if err == io.EOF { //nolint:errorlint // the contract says io.EOF itself
			return nil
		}
		if err != nil {
			return err
		}
		s.inputs.answered()
		msg = protocol.AppendAppendAck(msg[:0], ack)
		if err := s.out.message(msg); err != nil {
			return err
		}
	}
}

// linger leaves net/http a moment for the bytes that the client still sends over HTTP/1.1. It reads that after the end of the
// answer has left, so that a client gets to see the end, and one that waits for it before it ends its own side does not wait.
func (s *appendSession) linger() {
	if s.call.r.ProtoMajor == 1 {
		_ = s.call.rc.SetReadDeadline(time.Now().Add(lingerTime))
	}
}

// inputs holds the memory of inputs until they are settled, in their order, and charges it to the session's place.
type inputs struct {
	place *door.Place
	freed chan struct{} // has an element when memory was given back

	mu    sync.Mutex // guards the fields below
	queue []pendingInput
	head  int // the first that is not settled
	done  int // inputs that were settled
	acked int // inputs whose ack Recv gave
}

type pendingInput struct {
	buf     *[]byte
	charged int
}

const (
	// roomWait is how long an input waits for room before it is begun.
	roomWait = 10 * time.Second
	// noPatience is for an input that was begun.
	noPatience = time.Duration(0)
	// roomStep is how often it looks.
	roomStep = 20 * time.Millisecond
)

// charge charges the memory of an input that is being received. Where there is no room it waits for inputs of the session itself
// to settle, and as long as patience when there are none; then the code of the error is rate_limited. An input that was not begun can
// wait for roomWait: the session holds nothing then that others wait for.
func (q *inputs) charge(ctx context.Context, bytes int, patience time.Duration) error {
	var tick <-chan time.Time
	for waited := time.Duration(0); ; waited += roomStep {
		err := q.place.Grow(bytes)
		if err == nil || q.pending() == 0 && waited >= patience {
			return err
		}
		if tick == nil {
			t := time.NewTicker(roomStep)
			defer t.Stop()
			tick = t.C
		}
		select {
		case <-q.freed:
		case <-tick:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (q *inputs) pending() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.queue) - q.head
}

// add takes the memory of an input that is about to be submitted.
func (q *inputs) add(b *[]byte, charged int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.head > 64 && 2*q.head > len(q.queue) {
		n := copy(q.queue, q.queue[q.head:])
		clear(q.queue[n:])
		q.queue, q.head = q.queue[:n], 0
	}
	q.queue = append(q.queue, pendingInput{b, charged})
}

// settled gives back the memory of the next input. The memory of an input that failed is left to the collector: the service
// may still use it.
func (q *inputs) settled(failure error) {
	q.mu.Lock()
	q.done++
	in := q.takeLocked()
	q.mu.Unlock()
	if failure == nil {
		q.reuse(in)
	}
	q.giveBack(in)
}

// answered gives back the memory of an input whose ack has come, if the service has not reported that it is settled.
func (q *inputs) answered() {
	q.mu.Lock()
	q.acked++
	var in pendingInput
	if q.acked > q.done {
		q.done++
		in = q.takeLocked()
	}
	q.mu.Unlock()
	q.reuse(in)
	q.giveBack(in)
}

func (q *inputs) takeLocked() (in pendingInput) {
	if q.head < len(q.queue) {
		in, q.queue[q.head] = q.queue[q.head], pendingInput{}
		q.head++
	}
	return in
}

// reuse keeps the memory of an input for another one.
func (*inputs) reuse(in pendingInput) {
	if in.buf != nil {
		putBuffer(in.buf)
	}
}

// giveBack makes the room of an input free.
func (q *inputs) giveBack(in pendingInput) {
	if in.buf == nil {
		return
	}
	q.place.Shrink(in.charged)
	select {
	case q.freed <- struct{}{}:
	default:
	}
}
