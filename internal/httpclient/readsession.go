package httpclient

import (
	"bufio"
	"context"
	"net/http"
	"sync"

	"github.com/weirstream/weir/protocol"
)

// readSession is a read session over s2s. A goroutine of its own takes one batch ahead of Next.
type readSession struct {
	x       *exchange
	batches chan protocol.ReadBatch
	failed  chan struct{} // closed when failure is set
	failure error

	once   sync.Once
	closed chan struct{}
}

// OpenReadSession implements [protocol.RecordService].
func (c *Client) OpenReadSession(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts ...protocol.RecordOption) (protocol.ReadSession, error) {
	x, err := c.openSession(ctx, http.MethodGet, recordsPath(ref)+readQuery(req), ref, opts, nil)
	if err != nil {
		return nil, err
	}
	s := &readSession{x: x, batches: make(chan protocol.ReadBatch), failed: make(chan struct{}), closed: make(chan struct{})}
	go s.receive()
	return s, nil
}

func (s *readSession) receive() {
	defer close(s.failed)
	r := bufio.NewReader(s.x.resp.Body)
	for {
		message, err := s.x.message(r)
		if err != nil {
			s.failure = err
			return
		}
		batch, err := protocol.UnmarshalReadBatch(message)
		if err != nil {
			s.failure = wrong("a batch cannot be decoded: %v", err)
			return
		}
		select {
		case s.batches <- batch:
		case <-s.closed:
			return
		}
	}
}

// Next implements [protocol.ReadSession].
func (s *readSession) Next(ctx context.Context) (protocol.ReadBatch, error) {
	select {
	case <-s.closed:
		return protocol.ReadBatch{}, errClosed
	default:
	}
	select {
	case batch := <-s.batches:
		return batch, nil
	case <-s.closed:
		return protocol.ReadBatch{}, errClosed
	case <-s.failed:
		return protocol.ReadBatch{}, s.failure
	case <-ctx.Done():
		return protocol.ReadBatch{}, protocol.AsError(ctx.Err())
	}
}

var errClosed = protocol.Errorf(protocol.CodeClientHangup, "the session was closed")

// Close implements [protocol.ReadSession].
func (s *readSession) Close() error {
	s.once.Do(func() {
		close(s.closed)
		s.x.end()
		<-s.failed
	})
	return nil
}
