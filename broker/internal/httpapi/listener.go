package httpapi

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

// Listener hands out connections that a stopping server can say goodbye to without losing a request:
//
//   - Those of HTTP/2 get a GOAWAY for no stream in particular (RFC 9113, section 6.8): clients open no further stream,
//     and those that are on their way are still served. The second GOAWAY, with the last stream, comes from
//     [http.Server.Shutdown].
//   - Those of HTTP/1.1 get "Connection: close" with the answers of a draining [Handler], and are closed by the server
//     then. One that stays silent is closed only while no byte of a request has been read from it, which the server itself
//     cannot tell.
//
// With a TLS configuration it does the handshake, so that the bytes that it counts are those of HTTP. The server recognizes
// HTTP/2 by its preface, with TLS and without.
type Listener struct {
	net.Listener
	tls *tls.Config

	mu    sync.Mutex // guards conns and left
	conns map[*conn]struct{}
	left  chan struct{} // closed and replaced when a connection has ended
}

// NewListener wraps ln. config may be nil; its protocols are set here.
func NewListener(ln net.Listener, config *tls.Config) *Listener {
	if config != nil {
		config = config.Clone()
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	return &Listener{Listener: ln, tls: config, conns: map[*conn]struct{}{}, left: make(chan struct{})}
}

// Accept implements [net.Listener].
func (l *Listener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: &stallConn{Conn: raw}, from: l}
	c.gone, c.leave = context.WithCancel(context.Background())
	if l.tls != nil {
		c.Conn = tls.Server(c.Conn, l.tls)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = struct{}{}
	return c, nil
}

func (l *Listener) remove(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.conns[c]; ok {
		delete(l.conns, c)
		close(l.left)
		l.left = make(chan struct{})
	}
}

// open returns the connections that are open, and a channel that is closed when one of them has ended.
func (l *Listener) open() ([]*conn, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*conn, 0, len(l.conns))
	for c := range l.conns {
		all = append(all, c)
	}
	return all, l.left
}

// Connections is how many connections are open.
func (l *Listener) Connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// GoAway asks the clients of HTTP/2 to open no further stream. It does not wait for them.
func (l *Listener) GoAway() {
	all, _ := l.open()
	for _, c := range all {
		c.goAway()
	}
}

// lastAnswers is how long a request may take whose first byte was read at the end of the moment.
const lastAnswers = time.Second

// Leave gives the clients a moment to go, and then closes the connections of HTTP/1.1 that carry no request. It returns
// when no other connection of HTTP/1.1 is left either, at most lastAnswers later, or when ctx ends.
func (l *Listener) Leave(ctx context.Context, moment time.Duration) {
	timer := time.NewTimer(moment)
	defer timer.Stop()
	over := timer.C
	var limit <-chan time.Time
	for {
		all, left := l.open()
		waiting := false
		for _, c := range all {
			if over == nil && !c.speaksHTTP2() {
				c.closeIfIdle()
			}
			waiting = waiting || over != nil || !c.speaksHTTP2() && !c.isClosed()
		}
		if !waiting {
			return
		}
		select {
		case <-left:
		case <-over:
			over = nil
			limit = time.After(lastAnswers)
		case <-limit:
			return
		case <-ctx.Done():
			return
		}
	}
}

// connState is the hook by which a server reports the state of a connection of HTTP/1.1.
func connState(nc net.Conn, state http.ConnState) {
	if c, ok := nc.(*conn); ok {
		c.setState(state)
	}
}
