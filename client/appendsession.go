package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
)

const (
	// pingEvery is how often a session says that it is alive, and asks the same of the server.
	pingEvery = 10 * time.Second
	// appendSilence is how long a server may send nothing, although it is asked every pingEvery.
	appendSilence = 25 * time.Second
	// maxUnreceived bounds the acks that wait for Recv; Submit waits beyond.
	maxUnreceived = 1 << 16
	// A producer's session that was lost is opened again after these waits.
	resumeBackoffMin = 50 * time.Millisecond
	resumeBackoffMax = 2 * time.Second
)

// appendSession is a pipelined append over one server; and over another, if the first is lost while nothing is
// unanswered, or if a producer makes it safe to send the unanswered inputs again.
type appendSession struct {
	c    *Client
	ref  protocol.StreamRef
	opts protocol.RecordOptions

	mu       sync.Mutex // guards the fields below
	changed  chan struct{}
	attempt  *appendAttempt // nil while there is no server
	inflight []flying       // the unanswered inputs, in order
	bytes    int            // the sum of their sizes
	acks     []protocol.AppendAck
	ended    bool      // no input follows
	failed   error     // the input that could not be sent; returned after the acks of those before it
	final    error     // Recv's result after the last ack
	opening  bool      // the session is being opened anew
	parked   bool      // nothing is sent until the client has left a server
	giveUp   time.Time // when a session with a producer that makes no progress is given up; zero while it does
}

// flying is an unanswered input.
type flying struct {
	head nats.Header
	body []byte // kept until it is answered: another server may have to get it
	size int    // in the window
}

// appendAttempt is the part of a session that one server serves.
type appendAttempt struct {
	*subscription
	subject string
	window  int
	sent    uint64 // number of the last input sent; guarded by the session's mu, as the next three
	bytes   int    // of the inputs that were sent and are not answered
	acked   uint64 // number of the last input answered
	waits   bool   // some are not answered
	quit    chan struct{}
}

// OpenAppendSession implements [protocol.RecordService]; the package's comment describes the loss of its server.
func (c *Client) OpenAppendSession(ctx context.Context, ref protocol.StreamRef, opts ...protocol.RecordOption) (protocol.AppendSession, error) {
	s := &appendSession{c: c, ref: ref, opts: protocol.MakeRecordOptions(opts...), changed: make(chan struct{})}
	l, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.startLocked(l)
	return s, nil
}

// open asks a server for a session.
func (s *appendSession) open(ctx context.Context) (*appendAttempt, error) {
	ctx, cancel := s.c.bound(ctx, 0)
	defer cancel()
	if err := s.c.gate.wait(ctx); err != nil {
		return nil, protocol.AsError(err)
	}
	head := protobufHeaders()
	head[protocol.HeaderSession] = []string{protocol.SessionAppend}
	addOptions(head, s.opts)
	m, err := s.c.ask(ctx, s.c.subjects.Records("append", s.ref), head, nil)
	if err != nil {
		return nil, err
	}
	var opened protocol.SessionOpened
	if err := json.Unmarshal(m.Data, &opened); err != nil || opened.Subject == "" {
		return nil, badAnswer("opening of a session", err)
	}
	l, err := s.c.newSubscription(opened.Window/protocol.NATSFrameCost + 64)
	if err != nil {
		return nil, err
	}
	return &appendAttempt{subscription: l, subject: opened.Subject, window: opened.Window, quit: make(chan struct{})}, nil
}

func (s *appendSession) startLocked(l *appendAttempt) {
	s.attempt = l
	_ = s.pingLocked() // tells the server where to answer; if it is lost, the first input does
	go s.run(l)
}

// Submit implements [protocol.AppendSession].
func (s *appendSession) Submit(ctx context.Context, in protocol.AppendInput) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := inputSize(&in)
	for {
		switch {
		case s.ended && (s.final == nil || errors.Is(s.final, io.EOF)):
			return errEnded
		case s.final != nil:
			return s.final
		case s.attempt == nil && !s.opening && len(s.inflight) == 0:
			if err := s.reopenLocked(ctx); err != nil {
				return err
			}
			continue
		case s.attempt != nil && (s.bytes == 0 || s.bytes+size <= s.attempt.window) && len(s.acks) < maxUnreceived && !s.fullLocked():
			s.opts.Number(&in)
			s.pushLocked(ctx, protocol.MarshalAppendInput(&in))
			return nil
		}
		if err := s.waitLocked(ctx); err != nil {
			return err
		}
	}
}

var errEnded = protocol.Errorf(protocol.CodeInvalid, "the session takes no input after its end was announced")

// reopenLocked opens the session on a new server. It gives the lock back meanwhile.
func (s *appendSession) reopenLocked(ctx context.Context) error {
	s.opening = true
	s.mu.Unlock()
	l, err := s.open(ctx)
	s.mu.Lock()
	s.opening = false
	s.notifyLocked()
	switch {
	case err != nil && ctx.Err() != nil:
		return err // this call's time is up; another may try
	case err != nil:
		s.endLocked(err)
		return err
	case s.final != nil || s.ended: // closed meanwhile
		l.close()
		return nil //nolint:nilerr // the session has ended; Recv has the reason
	}
	s.startLocked(l)
	return nil
}

// inputSize is an input's size in the window, but for its producer's number.
func inputSize(in *protocol.AppendInput) int {
	return int(in.MeteredSize()) + 8*len(in.Records) + protocol.NATSFrameCost // the broker refuses large inputs
}

// fullLocked reports whether a producer has as many unanswered inputs as the stream remembers.
func (s *appendSession) fullLocked() bool {
	return s.opts.Producer != nil && len(s.inflight) >= protocol.ProducerWindow
}

// pumpLocked sends the inputs that this attempt's server has not got, as far as its window goes.
func (s *appendSession) pumpLocked() {
	if s.attempt != nil && (s.parked || s.c.gate.park(s.unpark)) {
		s.parked = true
		return
	}
	for l := s.attempt; l != nil && l == s.attempt && l.unsent(s) > 0; {
		next := &s.inflight[len(s.inflight)-l.unsent(s)]
		if l.bytes > 0 && l.bytes+next.size > l.window {
			return
		}
		if err := s.sendLocked(l, next); err != nil {
			if s.opts.Producer != nil && errors.Is(err, nats.ErrReconnectBufExceeded) {
				s.lostLocked(err)
				return
			}
			// Not sent for sure. Inputs that were sent before are still answered; the reason follows.
			s.failed = s.c.failure(l.subject, len(next.body), err)
			unsent := l.unsent(s)
			for _, f := range s.inflight[len(s.inflight)-unsent:] {
				s.bytes -= f.size
			}
			s.inflight = s.inflight[:len(s.inflight)-unsent]
			s.finishLocked()
			return
		}
		if l.sent++; !l.waits {
			l.waits = true
			s.c.gate.session()
		}
		l.bytes += next.size
	}
	if s.ended && s.attempt != nil {
		if err := s.controlLocked(protocol.FrameEnd); err != nil {
			s.lostLocked(err)
		}
	}
}

// unpark goes on once the client has left a server.
func (s *appendSession) unpark() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parked = false
	s.pumpLocked()
}

// answeredLocked notes that nothing of an attempt is unanswered, or ever will be answered.
func (s *appendSession) answeredLocked(l *appendAttempt) {
	if l.waits {
		l.waits = false
		s.c.gate.answered()
	}
}

// unsent is how many inputs the attempt's server has not got: the last ones.
func (l *appendAttempt) unsent(s *appendSession) int {
	return len(s.inflight) - int(l.sent-l.acked)
}

// pushLocked puts an input behind those that are unanswered, and sends it.
func (s *appendSession) pushLocked(ctx context.Context, body []byte) {
	head := nats.Header{
		protocol.HeaderContentType: {protocol.MediaProtobuf},
		protocol.HeaderAccept:      {protocol.MediaProtobuf},
	}
	addTrace(ctx, head)
	f := flying{head: head, body: body, size: len(body) + protocol.NATSFrameCost}
	s.inflight = append(s.inflight, f)
	s.bytes += f.size
	s.pumpLocked()
}

func (s *appendSession) sendLocked(l *appendAttempt, f *flying) error {
	f.head[protocol.HeaderSeq] = []string{strconv.FormatUint(l.sent+1, 10)}
	return l.nc.PublishMsg(&nats.Msg{Subject: l.subject, Reply: l.inbox, Data: f.body, Header: f.head})
}

// Recv implements [protocol.AppendSession].
func (s *appendSession) Recv(ctx context.Context) (protocol.AppendAck, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if len(s.acks) > 0 {
			ack := s.acks[0]
			s.acks = s.acks[1:]
			s.notifyLocked()
			return ack, nil
		}
		if s.final != nil {
			return protocol.AppendAck{}, s.final
		}
		if err := s.waitLocked(ctx); err != nil {
			return protocol.AppendAck{}, err
		}
	}
}

// CloseSend implements [protocol.AppendSession].
func (s *appendSession) CloseSend() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.final == nil && !s.ended {
		s.finishLocked()
	}
	return nil
}

// finishLocked announces that no input follows.
func (s *appendSession) finishLocked() {
	s.ended = true
	s.notifyLocked()
	switch {
	case s.attempt != nil:
		s.pumpLocked()
	case len(s.inflight) == 0: // lost while nothing was unanswered
		s.endLocked(s.cleanEnd())
	}
}

// cleanEnd is Recv's error after the last ack of a session whose inputs are all answered.
func (s *appendSession) cleanEnd() error {
	if s.failed != nil {
		return s.failed
	}
	return io.EOF
}

// Close implements [protocol.AppendSession].
func (s *appendSession) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.attempt != nil {
		_ = s.controlLocked(protocol.FrameCancel) // if it is lost, the server notices the silence
	}
	s.endLocked(errClosed)
	return nil
}

// controlLocked sends a message that is not an input. It carries the number of the last input, so that the server
// notices when one was lost.
func (s *appendSession) controlLocked(frame string) error {
	l := s.attempt
	return l.nc.PublishMsg(&nats.Msg{Subject: l.subject, Reply: l.inbox, Header: nats.Header{
		protocol.HeaderFrame: {frame},
		protocol.HeaderSeq:   {strconv.FormatUint(l.sent, 10)},
	}})
}

func (s *appendSession) pingLocked() error {
	if s.ended && s.attempt.unsent(s) == 0 {
		// The announcement may have been lost; to receive it twice does no harm.
		if err := s.controlLocked(protocol.FrameEnd); err != nil {
			return err
		}
	}
	return s.controlLocked(protocol.FramePing)
}

// run receives the messages of an attempt's server, until the attempt is given up.
func (s *appendSession) run(l *appendAttempt) {
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	heard := time.Now()
	for {
		select {
		case m := <-l.msgs:
			heard = time.Now()
			s.frame(l, m)
		case status := <-l.status:
			if status == nats.CLOSED {
				s.lost(l, nats.ErrConnectionClosed)
			} else {
				s.ping(l) // the answer shows the loss
			}
		case <-ticker.C:
			if time.Since(heard) > appendSilence {
				s.lost(l, errSilent)
			} else {
				s.ping(l)
			}
		case <-l.quit:
			return
		}
	}
}

func (s *appendSession) ping(l *appendAttempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.attempt != l {
		return
	}
	if err := s.pingLocked(); err != nil && !errors.Is(err, nats.ErrReconnectBufExceeded) {
		s.lostLocked(err)
	}
}

func (s *appendSession) frame(l *appendAttempt, m *nats.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.attempt != l {
		return
	}
	if noResponders(m) {
		s.lostLocked(errNobody(l.subject))
		return
	}
	s.c.gate.heed(m)
	switch m.Header.Get(protocol.HeaderFrame) {
	case protocol.FrameAck:
		s.ackLocked(l, m)
	case protocol.FramePong:
		if acked, err := strconv.ParseUint(m.Header.Get(protocol.HeaderAcked), 10, 64); err != nil || acked > l.acked {
			s.lostLocked(errors.New("an ack was lost"))
		}
	case protocol.FrameEnd:
		s.serverEndLocked(l, m)
	}
}

func (s *appendSession) ackLocked(l *appendAttempt, m *nats.Msg) {
	seq, err := strconv.ParseUint(m.Header.Get(protocol.HeaderSeq), 10, 64)
	if err != nil || seq != l.acked+1 || len(s.inflight) == 0 {
		s.lostLocked(errors.New("an ack was lost"))
		return
	}
	ack, err := protocol.UnmarshalAppendAck(m.Data)
	if err != nil {
		s.lostLocked(err)
		return
	}
	l.acked = seq
	l.bytes -= s.inflight[0].size
	s.bytes -= s.inflight[0].size
	s.inflight = s.inflight[1:]
	s.giveUp = time.Time{}
	s.acks = append(s.acks, ack)
	s.notifyLocked()
	if l.sent == l.acked {
		s.answeredLocked(l)
	}
	if l.unsent(s) > 0 {
		s.pumpLocked()
	}
}

// serverEndLocked takes the server's word that the session is over.
func (s *appendSession) serverEndLocked(l *appendAttempt, m *nats.Msg) {
	e := failureOf(m)
	seq, err := strconv.ParseUint(m.Header.Get(protocol.HeaderSeq), 10, 64)
	switch {
	case err != nil || seq != l.acked+1: // it knows the session no more, or acks were lost
		s.lostLocked(errors.New("the server ended the session"))
	case e == nil && (!s.ended || len(s.inflight) > 0):
		s.lostLocked(errors.New("the server ended the session without a reason"))
	case e == nil:
		s.endLocked(s.cleanEnd())
	case (len(s.inflight) == 0 || s.opts.Producer != nil) && (e.Retryable() || e.Code == protocol.CodeClientHangup):
		s.lostLocked(e) // a server that stops, or one that took the silence of a sleeping machine for our end
	case e.Code == protocol.CodeServerDraining, e.Code == protocol.CodeBadFrame && l.acked > 0:
		// It has taken none of the unanswered inputs. A bad frame is one that NATS has lost: an input is missing. The condition on acks bounds how often that is tried.
		s.resumeLocked(e)
	default:
		s.endLocked(e)
	}
}

func (s *appendSession) lost(l *appendAttempt, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.attempt == l {
		s.lostLocked(cause)
	}
}

// lostLocked gives an attempt up. With nothing unanswered that changes nothing but the server; otherwise the outcome of
// the unanswered inputs is unknown, and the session is over.
func (s *appendSession) lostLocked(cause error) {
	switch n := len(s.inflight); {
	case n == 0 && !s.ended && s.c.nc.IsClosed():
		s.endLocked(errConnection(cause)) // for good
	case n > 0 && (s.opts.Producer != nil || s.attempt != nil && s.attempt.sent == s.attempt.acked) && !s.c.nc.IsClosed():
		s.resumeLocked(cause) // an input with a producer may be repeated, and one that was not sent has to be
	case n > 0:
		s.endLocked(protocol.Wrap(protocol.CodeOther, cause,
			"the append session was lost with "+strconv.Itoa(n)+" inputs unanswered; whether they are stored is unknown: "+cause.Error()))
	case s.ended:
		s.endLocked(s.cleanEnd())
	default:
		s.dropLocked()
	}
}

// resumeLocked gives the attempt up for another one, which gets the unanswered inputs.
func (s *appendSession) resumeLocked(cause error) {
	s.dropLocked()
	s.opening = true
	if s.giveUp.IsZero() {
		s.giveUp = time.Now().Add(s.c.opts.ResumeFor)
	}
	go s.resume(s.giveUp, cause)
}

// resume opens the session on a new server and sends the unanswered inputs again: the producer's numbers show the stream
// which of them it has stored, or it is known that none is. It tries until giveUp.
func (s *appendSession) resume(giveUp time.Time, cause error) {
	ctx, cancel := context.WithDeadline(context.Background(), giveUp)
	defer cancel()
	for wait := resumeBackoffMin; ; wait = min(2*wait, resumeBackoffMax) {
		l, err := s.open(ctx)
		s.mu.Lock()
		switch {
		case s.final != nil: // closed meanwhile
			if err == nil {
				l.close()
			}
			s.mu.Unlock()
			return
		case err == nil:
			s.opening = false
			s.startLocked(l)
			s.pumpLocked()
			s.notifyLocked()
			s.mu.Unlock()
			return
		case s.c.nc.IsClosed(), ctx.Err() != nil, !protocol.AsError(err).Retryable():
			s.opening = false
			if s.opts.Producer == nil {
				s.endLocked(cause) // none of the unanswered inputs had an effect
				s.mu.Unlock()
				return
			}
			s.endLocked(protocol.Wrap(protocol.CodeOther, errors.Join(cause, err),
				"the append session was lost with "+strconv.Itoa(len(s.inflight))+" inputs unanswered; whether they are stored is unknown: "+err.Error()))
			s.mu.Unlock()
			return
		}
		changed := s.changed
		s.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-changed:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// endLocked ends the session for good, unless it has ended before.
func (s *appendSession) endLocked(err error) {
	if s.final == nil {
		s.final = err
	}
	s.dropLocked()
}

func (s *appendSession) dropLocked() {
	if s.attempt != nil {
		close(s.attempt.quit)
		s.attempt.close()
		s.answeredLocked(s.attempt)
		s.attempt = nil
	}
	s.notifyLocked()
}

func (s *appendSession) notifyLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// waitLocked waits for a change, without the lock.
func (s *appendSession) waitLocked(ctx context.Context) error {
	changed := s.changed
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return protocol.AsError(ctx.Err())
	}
}
