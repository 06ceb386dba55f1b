package client

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
)

const (
	// readWindow is the bytes that a session lets the server send without an acknowledgement, when there are few sessions.
	readWindow = 1 << 20
	// minReadWindow is the least that a session asks for, and readWindows the most for all sessions together, well
	// below the 64 MiB at which a NATS server drops a slow connection.
	minReadWindow = 64 << 10
	readWindows   = 32 << 20

	// readSilence is how long a session waits for a frame before it looks for another server (data plane 10); a server
	// sends heartbeats at least every 15 s.
	readSilence = 20 * time.Second

	// A resumption is tried again after a random part of a time that doubles from the first to the last of these.
	minBackOff = 100 * time.Millisecond
	maxBackOff = 5 * time.Second
	// maxToldFailures is how often in a row a broker may fail a session before the session gives up. That no broker
	// is there does not count; see Options.ResumeFor.
	maxToldFailures = 4
)

// readSession is a read over one server after another. All fields below mu belong to the goroutine in Next.
type readSession struct {
	c    *Client
	ref  protocol.StreamRef
	opts protocol.RecordOptions

	life  context.Context //nolint:containedctx // ends with Close; this object lives no longer
	close context.CancelFunc
	mu    sync.Mutex // guards cur
	cur   *readAttempt

	prog   progress
	first  *nats.Msg // a message that was received while opening
	unread string    // where to acknowledge the frame that Next returned last
	final  error

	troubleSince time.Time // when the current row of failures began; zero when there is none
	failures     int       // attempts in it
	told         int       // failures that a broker reported in it
	lastTrouble  error
}

// readAttempt is the part of a session that one server serves.
type readAttempt struct {
	*subscription
	control string // takes a cancellation
	seq     uint64 // number of the last frame received
}

// OpenReadSession implements [protocol.RecordService]. The session resumes by itself; see the package.
func (c *Client) OpenReadSession(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts ...protocol.RecordOption) (protocol.ReadSession, error) {
	s := &readSession{c: c, ref: ref, opts: protocol.MakeRecordOptions(opts...), prog: progress{req: req}}
	s.life, s.close = context.WithCancel(context.Background())
	c.readers.Add(1)
	if err := s.open(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	if err := s.hold(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// hold waits for the first frame of a session that begins at the tail, wherever that is: a heartbeat that comes at once.
// Should the connection fail now, it is known where to read on.
func (s *readSession) hold(ctx context.Context) error {
	if s.prog.req.Start.Kind != protocol.StartTailOffset && !s.prog.req.Clamp {
		return nil
	}
	ctx, cancel := s.c.bound(ctx, 0)
	defer cancel()
	m, err := s.cur.receive(ctx)
	if err != nil {
		return s.c.failure(s.cur.inbox, 0, err)
	}
	s.first = m
	return nil
}

// window shares the bytes that may be on their way between the client's sessions.
func (c *Client) window() int {
	return min(max(readWindows/int(max(c.readers.Load(), 1)), minReadWindow), readWindow)
}

// open asks a server to serve the session from where it stands.
func (s *readSession) open(ctx context.Context) error {
	ctx, cancel := s.c.bound(ctx, 0)
	defer cancel()
	if err := s.c.gate.wait(ctx); err != nil {
		return protocol.AsError(err)
	}
	if err := s.c.gate.enter(ctx); err != nil {
		return protocol.AsError(err)
	}
	defer s.c.gate.exit()
	window := s.c.window()
	l, err := s.c.newSubscription(window/protocol.NATSFrameCost + 16)
	if err != nil {
		return err
	}
	req := s.prog.next(time.Now())
	head := protobufHeaders()
	head[protocol.HeaderSession] = []string{protocol.SessionRead}
	head[protocol.HeaderWindow] = []string{strconv.Itoa(window)}
	s.c.introduce(head)
	addTrace(ctx, head)
	addOptions(head, s.opts)
	subject := s.c.subjects.Records("read", s.ref)
	body := protocol.EncodeReadRequestJSON(&req)
	ctx, done := s.c.opts.Refusals.bind(ctx, subject)
	defer done()
	err = s.c.nc.PublishMsg(&nats.Msg{Subject: subject, Reply: l.inbox, Header: head, Data: body})
	var m *nats.Msg
	if err == nil {
		m, err = l.receive(ctx)
	}
	switch {
	case err != nil:
		err = s.c.failed(ctx, subject, len(body), err)
	case noResponders(m):
		err = errNobody(subject)
	default:
		s.c.gate.heed(m)
		if e := failureOf(m); e != nil {
			err = e
		} else if m.Header.Get(protocol.HeaderFrame) != protocol.FrameOpen {
			err = badAnswer("opening frame", nil)
		}
	}
	if err != nil {
		l.close()
		return err
	}
	s.take(&readAttempt{subscription: l, control: m.Reply})
	return nil
}

// take makes an attempt the current one, unless the session was closed meanwhile.
func (s *readSession) take(a *readAttempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() != nil {
		a.abandon()
		return
	}
	s.cur = a
}

// drop gives the current attempt up.
func (s *readSession) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cur != nil {
		s.cur.abandon()
		s.cur = nil
	}
	s.first, s.unread = nil, ""
}

func (a *readAttempt) abandon() {
	// If this is lost the server notices that nothing is acknowledged.
	_ = a.nc.PublishMsg(&nats.Msg{Subject: a.control, Header: nats.Header{protocol.HeaderFrame: {protocol.FrameCancel}}})
	a.close()
}

// Close implements [protocol.ReadSession].
func (s *readSession) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() != nil {
		return nil
	}
	s.close()
	s.c.readers.Add(-1)
	if s.cur != nil {
		s.cur.abandon()
		s.cur = nil
	}
	return nil
}

var errClosed = protocol.Errorf(protocol.CodeClientHangup, "the session was closed")

// Next implements [protocol.ReadSession]. That ctx ends does not end the session.
func (s *readSession) Next(ctx context.Context) (protocol.ReadBatch, error) {
	if s.final != nil {
		return protocol.ReadBatch{}, s.final
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	s.acknowledge()
	for {
		batch, err := s.receive(ctx)
		if err == nil {
			return batch, nil
		}
		if ctx.Err() != nil {
			if s.life.Err() != nil {
				s.final = errClosed
				return protocol.ReadBatch{}, errClosed
			}
			return protocol.ReadBatch{}, protocol.AsError(ctx.Err())
		}
		var t *trouble
		if !errors.As(err, &t) {
			s.final = err
			s.drop()
			return protocol.ReadBatch{}, err
		}
		if err := s.recover(ctx, t); err != nil && ctx.Err() == nil {
			s.final = err
			return protocol.ReadBatch{}, err
		}
	}
}

// acknowledge tells the server that the caller is done with the frame that it got last.
func (s *readSession) acknowledge() {
	if s.unread != "" {
		_ = s.c.nc.Publish(s.unread, nil) // if this is lost, a later acknowledgement covers it
		s.unread = ""
	}
}

// trouble is a failure after which a session may resume.
type trouble struct {
	cause error
	told  bool // a broker said so
}

func (t *trouble) Error() string { return t.cause.Error() }

// receive returns the next batch of the current attempt. A [*trouble] asks for another attempt; io.EOF and all other
// errors are final, but for those of ctx.
func (s *readSession) receive(ctx context.Context) (protocol.ReadBatch, error) {
	s.mu.Lock()
	a := s.cur
	s.mu.Unlock()
	if a == nil {
		if ctx.Err() != nil {
			return protocol.ReadBatch{}, ctx.Err()
		}
		return protocol.ReadBatch{}, &trouble{cause: errSilent}
	}
	m := s.first
	s.first = nil
	if m == nil {
		var err error
		if m, err = a.await(ctx); err != nil {
			return protocol.ReadBatch{}, err
		}
	}
	return s.frame(a, m)
}

var errSilent = protocol.Errorf(protocol.CodeUnavailable, "the server fell silent")

// await returns the attempt's next message, or the error that [readSession.receive] gives.
func (a *readAttempt) await(ctx context.Context) (*nats.Msg, error) {
	select {
	case m := <-a.msgs: // the common case costs no timer
		return m, nil
	default:
	}
	quiet, cancel := context.WithTimeout(ctx, readSilence)
	defer cancel()
	m, err := a.receive(quiet)
	switch {
	case err == nil:
		return m, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, nats.ErrConnectionClosed):
		return nil, errConnection(err)
	case errors.Is(err, nats.ErrDisconnected):
		return nil, &trouble{cause: errConnection(err)}
	}
	return nil, &trouble{cause: errSilent}
}

// frame interprets a message of the session.
func (s *readSession) frame(a *readAttempt, m *nats.Msg) (protocol.ReadBatch, error) {
	seq, err := strconv.ParseUint(m.Header.Get(protocol.HeaderSeq), 10, 64)
	if err != nil || seq != a.seq+1 {
		return protocol.ReadBatch{}, &trouble{cause: protocol.Errorf(protocol.CodeUnavailable, "a frame was lost: expected %d, got %d", a.seq+1, seq)}
	}
	a.seq = seq
	if m.Header.Get(protocol.HeaderFrame) == protocol.FrameEnd {
		s.c.gate.heed(m)
		e := failureOf(m)
		switch {
		case e == nil:
			return protocol.ReadBatch{}, io.EOF
		case e.Retryable() || e.Code == protocol.CodeClientHangup: // the latter: this reader was slow
			return protocol.ReadBatch{}, &trouble{cause: e, told: true}
		}
		return protocol.ReadBatch{}, e
	}
	batch, err := protocol.UnmarshalReadBatch(m.Data)
	if err != nil {
		return protocol.ReadBatch{}, badAnswer("batch", err)
	}
	s.prog.batch(&batch, time.Now())
	s.unread = m.Reply
	s.troubleSince, s.failures, s.told = time.Time{}, 0, 0
	return batch, nil
}

// recover opens the session anew after t. An error other than that of ctx is final.
func (s *readSession) recover(ctx context.Context, t *trouble) error {
	s.drop()
	if s.prog.pinned && s.prog.exhausted() {
		return io.EOF // only the word that this is the end was lost
	}
	for {
		if err := s.giveUp(t); err != nil {
			return err
		}
		if err := s.backOff(ctx); err != nil {
			return err
		}
		err := s.open(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		e := protocol.AsError(err)
		switch {
		case s.prog.endsAt(e, time.Now()):
			return io.EOF
		case s.c.nc.IsClosed():
			return e
		case e.Code == protocol.CodeUnavailable, e.Code == protocol.CodeRequestTimeout, e.Code == protocol.CodeServerDraining:
			t = &trouble{cause: e}
		case e.Retryable():
			t = &trouble{cause: e, told: true}
		default:
			return e
		}
	}
}

// giveUp notes a trouble and returns its cause when it is one too many.
func (s *readSession) giveUp(t *trouble) error {
	now := time.Now()
	if s.troubleSince.IsZero() {
		s.troubleSince = now
	}
	if t.told {
		s.told++
	}
	if t.cause != errSilent || s.lastTrouble == nil { //nolint:errorlint // it is never wrapped
		s.lastTrouble = t.cause
	}
	if s.told >= maxToldFailures || now.Sub(s.troubleSince) > s.c.opts.ResumeFor {
		return s.lastTrouble
	}
	return nil
}

// backOff waits before the next attempt, at random so that the readers of a lost server do not come back all at once.
func (s *readSession) backOff(ctx context.Context) error {
	limit := min(minBackOff<<min(s.failures, 10), maxBackOff)
	s.failures++
	return pause(ctx, rand.N(limit))
}
