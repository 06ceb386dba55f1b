package httpclient

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/weirstream/weir/protocol"
)

// maxQueuedBytes is how many bytes of frames wait to be sent before Submit does.
const maxQueuedBytes = 4 << 20

// appendSession is an append session over s2s. It is the body of its own request: the transport reads the inputs
// that Submit queues. A goroutine of its own receives acks.
type appendSession struct {
	x        *exchange
	received chan struct{} // closed when the receiver has ended
	opts     protocol.RecordOptions

	mu      sync.Mutex // guards the fields below
	changed chan struct{}
	queue   []byte // frames to be sent
	inputs  int    // handed over and not acknowledged
	acks    []protocol.AppendAck
	ended   bool  // no input follows
	over    bool  // the server takes no more
	final   error // Recv's result after the last ack
}

// OpenAppendSession implements [protocol.RecordService].
func (c *Client) OpenAppendSession(ctx context.Context, ref protocol.StreamRef, opts ...protocol.RecordOption) (protocol.AppendSession, error) {
	s := &appendSession{opts: protocol.MakeRecordOptions(opts...), changed: make(chan struct{}), received: make(chan struct{})}
	x, err := c.openSession(ctx, http.MethodPost, recordsPath(ref), ref, opts, (*requestBody)(s))
	if err != nil {
		s.end(err) // over HTTP/1.1 the transport may still wait for the body of the request that was refused
		return nil, err
	}
	s.x = x
	go s.receive()
	return s, nil
}

var errEnded = protocol.Errorf(protocol.CodeInvalid, "the session takes no input any more")

// Submit implements [protocol.AppendSession].
func (s *appendSession) Submit(ctx context.Context, in protocol.AppendInput) error {
	s.opts.Number(&in)
	message := protocol.MarshalAppendInput(&in)
	if len(message) > MaxPayloadBytes {
		return protocol.Errorf(protocol.CodeInvalid, "the input has %d bytes, more than a frame holds", len(message))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.ended && !s.over && len(s.queue) > maxQueuedBytes {
		if err := s.waitLocked(ctx); err != nil {
			return err
		}
	}
	if s.ended || s.over {
		return errEnded
	}
	s.queue = append(s.queue, EncodeFrame(0, message)...)
	s.inputs++
	s.notifyLocked()
	return nil
}

// Recv implements [protocol.AppendSession].
func (s *appendSession) Recv(ctx context.Context) (protocol.AppendAck, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.acks) == 0 && s.final == nil {
		if err := s.waitLocked(ctx); err != nil {
			return protocol.AppendAck{}, err
		}
	}
	if len(s.acks) == 0 {
		return protocol.AppendAck{}, s.final
	}
	ack := s.acks[0]
	s.acks = s.acks[1:]
	return ack, nil
}

// CloseSend implements [protocol.AppendSession].
func (s *appendSession) CloseSend() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.notifyLocked()
	return nil
}

// Close implements [protocol.AppendSession].
func (s *appendSession) Close() error {
	s.end(errClosed)
	s.x.end()
	<-s.received
	return nil
}

func (s *appendSession) receive() {
	defer close(s.received)
	r := bufio.NewReader(s.x.resp.Body)
	for {
		message, err := s.x.message(r)
		if err != nil {
			s.end(err)
			return
		}
		ack, err := protocol.UnmarshalAppendAck(message)
		if err != nil {
			s.end(wrong("an ack cannot be decoded: %v", err))
			return
		}
		s.mu.Lock()
		s.acks = append(s.acks, ack)
		s.inputs--
		excess := s.inputs < 0
		s.notifyLocked()
		s.mu.Unlock()
		if excess {
			s.end(wrong("there are more acks than inputs"))
			return
		}
	}
}

// end ends the session for good, unless it has ended before.
func (s *appendSession) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(err, io.EOF) && (s.inputs > 0 || !s.ended) {
		err = wrong("a session ended cleanly before its client did, with %d inputs unanswered", s.inputs)
	}
	if s.final == nil {
		s.final = err
	}
	s.over, s.queue = true, nil
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

// requestBody is a session as the body of its request.
type requestBody appendSession

// Read gives the queued frames. It ends when the session takes no more input.
func (b *requestBody) Read(p []byte) (int, error) {
	s := (*appendSession)(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) == 0 && !s.ended && !s.over {
		_ = s.waitLocked(context.Background())
	}
	if len(s.queue) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.queue)
	if s.queue = s.queue[n:]; len(s.queue) == 0 {
		s.queue = nil
	}
	s.notifyLocked()
	return n, nil
}

// Close is the transport's word that it reads no more: the answer is complete or broken.
func (b *requestBody) Close() error {
	s := (*appendSession)(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.over = true
		s.notifyLocked()
	}
	return nil
}
