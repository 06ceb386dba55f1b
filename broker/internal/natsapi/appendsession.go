package natsapi

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/protocol"
)

const (
	// appendWindow is how many bytes of inputs a client may have unanswered; a single input may be larger.
	appendWindow = 4 << 20
	// meetTime is how long a client that has opened a session may take to say where its answers go, when the server stops.
	meetTime = 250 * time.Millisecond
	// silenceTimeout is how long a client may send nothing; pings count.
	silenceTimeout = 45 * time.Second
)

// appendSession feeds a client's inputs to the service in their order and answers in that order.
//
// Three goroutines meet here. The door's callback files inputs in queue. feed takes them from there and submits them. answer
// receives the acks and sends them. The end of the input, clean or not, is the last entry of the queue: so everything before
// it is still stored and acknowledged, and only then is the end answered (data plane 3.8).
type appendSession struct {
	door  *Door
	place *door.Place
	id    string
	ref   protocol.StreamRef
	enc   encoding
	dst   protocol.AppendSession

	ctx  context.Context //nolint:containedctx // the session's life; this object lives no longer
	stop context.CancelCauseFunc

	mu       sync.Mutex // guards the fields below
	inbox    string     // where answers go: the last reply subject that the client named
	queue    []input
	received uint64 // number of the last input received
	answered uint64 // number of the last input answered
	bytes    int    // of the inputs received and not answered
	sizes    []int  // of each of them, in order
	over     bool   // the end of the input has been filed
	met      bool   // the client has said where its answers go
	leaving  bool   // the session is to leave once that is so
	silence  *time.Timer

	filed chan struct{} // has an element when the queue may have
}

// input is an entry of the queue: a message, or the end of the input with the failure that caused it, if any.
type input struct {
	m   *nats.Msg
	ctl *controls // of m
	end bool
	err error
}

func openAppendSession(ctx context.Context, c *call, ref protocol.StreamRef, opts []protocol.RecordOption) (reply, error) {
	d := c.door
	if c.inbox == "" {
		return reply{}, protocol.Errorf(protocol.CodeBadHeader, "a session needs a reply subject")
	}
	place, err := d.admit.Session(c.client)
	if err != nil {
		return reply{}, err
	}
	dst, err := c.svc.OpenAppendSession(ctx, ref, opts...)
	if err != nil {
		place.Leave()
		return reply{}, err
	}
	s := &appendSession{
		door: d, place: place, id: rand.Text(), ref: ref, enc: c.encoding(), dst: dst, inbox: c.inbox, filed: make(chan struct{}, 1),
	}
	s.ctx, s.stop = context.WithCancelCause(context.Background())
	s.silence = time.AfterFunc(silenceTimeout, func() {
		s.finish(protocol.Errorf(protocol.CodeClientHangup, "the client sent nothing for %v", silenceTimeout))
	})
	if !d.sessions.add(s.id, s) {
		s.giveBack()
		place.Leave()
		return reply{}, errors.Join(door.ErrDraining(), dst.Close())
	}
	go s.run()
	body, err := json.Marshal(protocol.SessionOpened{
		Subject: d.subjects.Session(d.id, s.id) + ".in", ID: s.id, Window: appendWindow,
	})
	head := contentType(protocol.MediaJSON)
	head[protocol.HeaderFrame] = []string{protocol.FrameOpen}
	return reply{head: head, body: body}, err
}

func (s *appendSession) drain() { s.finish(door.ErrDraining()) }

// leave waits a moment for a client that has just opened the session: the end would not find it.
func (s *appendSession) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.met {
		s.leaveLocked()
		return
	}
	s.leaving = true
	time.AfterFunc(meetTime, s.drain)
}

func (s *appendSession) leaveLocked() {
	if !s.over {
		clear(s.queue)
		s.queue = s.queue[:0]
		s.finishLocked(door.ErrDraining())
	}
}
func (s *appendSession) cancel(cause error) { s.stop(cause) }

// message files a message of the client. It runs in the door's callback.
func (s *appendSession) message(_ string, m *nats.Msg) {
	ctl, err := parseControls(m.Header)
	if unreadable(m) {
		err = errUnreadable()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.Reply != "" {
		s.inbox, s.met = m.Reply, true
		if s.leaving {
			defer s.leaveLocked()
		}
	}
	s.silence.Reset(silenceTimeout)
	if err != nil {
		s.finishLocked(err)
		return
	}
	if ctl.encryptionKey != nil {
		s.finishLocked(protocol.Errorf(protocol.CodeBadFrame, "%s goes with the opening of a session, for all its inputs", protocol.HeaderEncryptionKey))
		return
	}
	switch ctl.frame {
	case "", protocol.FrameInput:
		s.inputLocked(m, &ctl)
	case protocol.FramePing:
		if s.missingLocked(ctl) {
			return
		}
		s.pongLocked()
	case protocol.FrameEnd:
		if s.missingLocked(ctl) {
			return
		}
		s.finishLocked(nil)
	case protocol.FrameCancel:
		s.stop(errCancelled)
	default:
		s.finishLocked(protocol.Errorf(protocol.CodeBadFrame, "%s is %q, it may be %s, %s, %s or %s", protocol.HeaderFrame,
			protocol.Clip(ctl.frame), protocol.FrameInput, protocol.FramePing, protocol.FrameEnd, protocol.FrameCancel))
	}
}

// inputLocked files an input if it is the next one and there is room for it.
func (s *appendSession) inputLocked(m *nats.Msg, ctl *controls) {
	size := len(m.Data) + protocol.NATSFrameCost
	switch {
	case s.over:
	case ctl.seq == nil:
		s.finishLocked(protocol.Errorf(protocol.CodeBadFrame, "an input needs its number in %s", protocol.HeaderSeq))
	case *ctl.seq != s.received+1:
		s.finishLocked(protocol.Errorf(protocol.CodeBadFrame, "expected input %d, got %d: one was lost or came twice", s.received+1, *ctl.seq))
	case s.bytes > 0 && s.bytes+size > appendWindow:
		s.finishLocked(protocol.Errorf(protocol.CodeRateLimited, "input %d goes beyond the session's window of %d bytes", *ctl.seq, appendWindow))
	case s.place.Grow(size) != nil:
		s.finishLocked(protocol.Errorf(protocol.CodeRateLimited, "input %d goes beyond the bytes that this server takes at a time", *ctl.seq))
	default:
		s.received++
		s.bytes += size
		s.sizes = append(s.sizes, size)
		s.fileLocked(input{m: m, ctl: ctl})
	}
}

// missingLocked ends the session if the client has sent an input that did not arrive.
func (s *appendSession) missingLocked(ctl controls) bool {
	if ctl.seq == nil || *ctl.seq == s.received || s.over {
		return false
	}
	s.finishLocked(protocol.Errorf(protocol.CodeBadFrame, "the client's last input is %d, but %d arrived: one was lost", *ctl.seq, s.received))
	return true
}

func (s *appendSession) pongLocked() {
	s.door.publish(&nats.Msg{Subject: s.inbox, Header: nats.Header{
		protocol.HeaderFrame: {protocol.FramePong},
		protocol.HeaderSeq:   {strconv.FormatUint(s.received, 10)},
		protocol.HeaderAcked: {strconv.FormatUint(s.answered, 10)},
	}})
}

// finish ends the input: cleanly if err is nil.
func (s *appendSession) finish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finishLocked(err)
}

func (s *appendSession) finishLocked(err error) {
	if !s.over {
		s.over = true
		s.silence.Stop()
		s.fileLocked(input{end: true, err: err})
	}
}

func (s *appendSession) fileLocked(in input) {
	s.queue = append(s.queue, in)
	select {
	case s.filed <- struct{}{}:
	default:
	}
}

// take waits for the next entry of the queue.
func (s *appendSession) take() (input, error) {
	for {
		s.mu.Lock()
		if len(s.queue) > 0 {
			in := s.queue[0]
			s.queue[0] = input{} // let go of its bytes
			s.queue = s.queue[1:]
			s.mu.Unlock()
			return in, nil
		}
		s.mu.Unlock()
		select {
		case <-s.filed:
		case <-s.ctx.Done():
			return input{}, context.Cause(s.ctx)
		}
	}
}

func (s *appendSession) run() {
	defer s.place.Leave()
	defer s.door.sessions.remove(s.id)
	defer s.giveBack()

	fed := make(chan error, 1)
	go func() { fed <- s.feed() }()
	err := s.answer()
	// A failure that the service reported ends the session in any state of the input; on a clean end of the answers the
	// input has ended before, and says why.
	s.stop(nil)
	if inputErr := <-fed; err == nil {
		err = inputErr
	}
	if closeErr := s.dst.Close(); closeErr != nil {
		s.door.log.Warn("closing an append session", "stream", s.ref, "session", s.id, "error", closeErr)
	}
	s.end(err)
}

// feed submits inputs until they end. It returns why they ended: nil for the client's end.
func (s *appendSession) feed() (err error) {
	defer func() {
		if closeErr := s.dst.CloseSend(); closeErr != nil {
			s.stop(closeErr) // answer would wait for acks that do not come
		}
	}()
	defer door.Recover(s.door.log, &err)
	for {
		in, err := s.take()
		if err != nil {
			return err
		}
		if in.end {
			return in.err
		}
		batch, err := decodeInput(in.ctl, in.m.Header, in.m.Data)
		if err != nil {
			return inSession(err)
		}
		if err := s.dst.Submit(s.door.opts.Tracer.Received(s.ctx, in.m.Header), batch); err != nil {
			return door.CauseOf(s.ctx, err)
		}
	}
}

// inSession gives an input that cannot be decoded the code that it has within a session (data plane 8.9).
func inSession(err error) error {
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		switch e.Code {
		case protocol.CodeBadJSON, protocol.CodeBadProto, protocol.CodeBadHeader:
			return protocol.Errorf(protocol.CodeBadFrame, "%s", e.Message)
		}
	}
	return err
}

// answer sends acks until the service has no more: nil stands for the end of the inputs.
func (s *appendSession) answer() (err error) {
	defer door.Recover(s.door.log, &err)
	for {
		ack, err := s.dst.Recv(s.ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return door.CauseOf(s.ctx, err)
		}
		s.acknowledge(ack)
	}
}

// acknowledge sends one ack. The number moves and the ack leaves under the lock, so that a pong that carries the number
// always comes after the ack.
func (s *appendSession) acknowledge(ack protocol.AppendAck) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answered++
	size := s.sizes[0]
	s.sizes = s.sizes[1:]
	s.bytes -= size
	s.place.Shrink(size)
	head := contentType(s.enc.contentType())
	head[protocol.HeaderFrame] = []string{protocol.FrameAck}
	head[protocol.HeaderSeq] = []string{strconv.FormatUint(s.answered, 10)}
	s.door.publish(&nats.Msg{Subject: s.inbox, Header: head, Data: s.enc.ack(ack)})
}

// giveBack returns the room of inputs that were never answered.
func (s *appendSession) giveBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true // nothing is filed any more
	s.silence.Stop()
	s.stop(nil)
	s.place.Shrink(s.bytes)
	s.bytes, s.sizes, s.queue = 0, nil, nil
}

// end sends the client the reason for the session's end.
func (s *appendSession) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &nats.Msg{Subject: s.inbox, Header: nats.Header{}}
	if err != nil {
		m = errorMsg(s.inbox, door.ClientError(s.door.log, err, "stream", s.ref, "session", s.id))
	}
	m.Header[protocol.HeaderFrame] = []string{protocol.FrameEnd}
	m.Header[protocol.HeaderSeq] = []string{strconv.FormatUint(s.answered+1, 10)}
	s.door.publish(m)
}
