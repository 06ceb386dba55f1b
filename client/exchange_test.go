package client_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/protocol"
)

// path is the way of a client to a server, which can be cut and closed.
type path struct {
	srv    *server.Server
	closed atomic.Bool
	nc     *nats.Conn
}

func (p *path) InProcessConn() (net.Conn, error) {
	if p.closed.Load() {
		return nil, errors.New("the path is closed")
	}
	return p.srv.InProcessConn()
}

// connect gives the script a client that connects again when it is cut off.
func (s *script) connect() *path {
	s.t.Helper()
	p := &path{srv: s.srv}
	nc, err := nats.Connect("", nats.InProcessServer(p), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.PingInterval(time.Hour))
	if err != nil {
		s.t.Fatal(err)
	}
	p.nc, s.Client = nc, client.New(nc, s.opts)
	s.t.Cleanup(nc.Close)
	return p
}

// cut ends the connection, and returns when the client has noticed.
func (p *path) cut(t *testing.T) {
	t.Helper()
	before := p.nc.Stats().Reconnects
	id, err := p.nc.GetClientID()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.srv.DisconnectClientByID(id); err != nil {
		t.Fatal(err)
	}
	for !p.nc.IsReconnecting() && p.nc.Stats().Reconnects == before {
		time.Sleep(time.Millisecond)
	}
}

// appendOne appends a record beside the test.
func (s *script) appendOne() (<-chan protocol.AppendAck, <-chan error) {
	acked, failed := make(chan protocol.AppendAck, 1), make(chan error, 1)
	go func() {
		ack, err := s.Append(s.t.Context(), ref, input())
		if err != nil {
			failed <- err
			return
		}
		acked <- ack
	}()
	return acked, failed
}

// These run in real time: the client library shares timers between its connections, which a bubble of synctest does not allow.

// within returns what a channel gives, or fails.
func within[T any](t *testing.T, what string, values <-chan T, failed <-chan error) (value T) {
	t.Helper()
	select {
	case value = <-values:
	case err := <-failed:
		t.Fatalf("%s: %v", what, err)
	case <-time.After(time.Minute):
		t.Fatalf("%s: nothing within a minute", what)
	}
	return value
}

// readOne reads beside the test.
func (s *script) readOne(ctx context.Context) (<-chan protocol.ReadBatch, <-chan error) {
	read, failed := make(chan protocol.ReadBatch, 1), make(chan error, 1)
	go func() {
		batch, err := s.Read(ctx, ref, protocol.ReadRequest{})
		if err != nil {
			failed <- err
			return
		}
		read <- batch
	}()
	return read, failed
}

// A request that only reads is sent again over each new connection.
func TestReadGoesOnOverTheNextConnection(t *testing.T) {
	s := newScript(t, client.Options{Timeout: time.Hour})
	p := s.connect()
	read, failed := s.readOne(t.Context())
	var inbox string
	for range 3 {
		m, _ := s.request()
		if m.Reply == inbox {
			t.Fatal("the request was sent twice over one connection")
		}
		inbox = m.Reply
		p.cut(t)
	}
	m, _ := s.request()
	s.send(&nats.Msg{Subject: m.Reply, Data: protocol.MarshalReadBatch(&protocol.ReadBatch{Tail: tail(7)})})
	equal(t, "tail", within(t, "read", read, failed).Tail.SeqNum, 7)
	s.nothing()
}

func TestReadWithoutAnotherConnection(t *testing.T) {
	s := newScript(t, client.Options{})
	p := s.connect()
	ctx := &timeUp{t.Context(), make(chan struct{})}
	read, failed := s.readOne(ctx)
	s.request()
	p.closed.Store(true)
	p.cut(t)
	close(ctx.up)
	select {
	case batch := <-read:
		t.Fatalf("read %v", batch)
	case err := <-failed:
		equal(t, "code", codeOf(err), protocol.CodeRequestTimeout)
	}
}

// timeUp is a context whose deadline has passed when the test says so.
type timeUp struct {
	context.Context
	up chan struct{}
}

func (c *timeUp) Deadline() (time.Time, bool) { return time.Now().Add(time.Hour), true }
func (c *timeUp) Done() <-chan struct{}       { return c.up }

func (c *timeUp) Err() error {
	select {
	case <-c.up:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// A request that changes something is not sent again when its connection ends: its outcome is unknown, long before its time is up.
func TestAppendWhoseConnectionEnds(t *testing.T) {
	for name, closed := range map[string]bool{"for a moment": false, "for good": true} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, client.Options{Timeout: time.Hour})
			p := s.connect()
			acked, failed := s.appendOne()
			s.request()
			p.closed.Store(closed)
			p.cut(t)
			err := within(t, "append", failed, nil)
			equal(t, "code", codeOf(err), protocol.CodeOther)
			if protocol.AsError(err).Clean() {
				t.Errorf("%v promises that nothing is stored", err)
			}
			if len(acked) > 0 {
				t.Error("acknowledged")
			}
			s.nothing()
		})
	}
}

// The answer may come over the next connection.
func TestAnswerOverTheNextConnection(t *testing.T) {
	s := newScript(t, client.Options{Timeout: time.Hour})
	p := s.connect()
	s.GiveAnswers(time.Minute)
	acked, failed := s.appendOne()
	m, _ := s.request()
	p.cut(t)
	for !p.nc.IsConnected() {
		time.Sleep(time.Millisecond)
	}
	if err := p.nc.Flush(); err != nil { // the server knows the client's inbox
		t.Fatal(err)
	}
	time.Sleep(3 * client.LookEvery)
	s.ack(m.Reply, 1)
	equal(t, "end", within(t, "append", acked, failed).End.SeqNum, 1)
}

// A request that begins while there is no connection is sent over the next one, and has its time then.
func TestAppendWithoutAConnection(t *testing.T) {
	s := newScript(t, client.Options{Timeout: time.Hour})
	p := s.connect()
	// One look that finds another connection ends an append, and so do three that find none: one may come while the connection is being made.
	s.GiveAnswers(client.LookEvery / 2)
	p.closed.Store(true)
	p.cut(t)
	acked, failed := s.appendOne()
	time.Sleep(6 * client.LookEvery)
	s.nothing()
	p.closed.Store(false)
	m, _ := s.request()
	time.Sleep(3 * client.LookEvery)
	s.ack(m.Reply, 1)
	equal(t, "end", within(t, "append", acked, failed).End.SeqNum, 1)
}
