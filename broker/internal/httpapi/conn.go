package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// conn is a connection of a [Listener]: HTTP as it is on the wire, without TLS.
type conn struct {
	net.Conn
	from *Listener

	// gone ends when the connection is of no use any more. A client that has shut its sending side may still read.
	gone  context.Context //nolint:containedctx // lives as long as the connection
	leave context.CancelFunc

	mu      sync.Mutex // guards the fields below; never held while the connection is read or written
	serving bool       // a request is being served, as the server of HTTP/1.1 reports
	unread  bool       // bytes were read since the last write: a request, or the beginning of one
	lines   requestLines
	closed  bool

	writing  sync.Mutex // guards the writing of frames, and out
	out      frameTracker
	wantAway atomic.Bool // a GOAWAY is to be written
	http2    atomic.Bool // the server has answered in HTTP/2
}

// Read implements [net.Conn]. Bytes that arrive when the connection was closed as idle are not handed to the server.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.leave()
	}
	if n == 0 {
		c.explain(err)
		return n, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	c.unread = true
	c.lines.mend(p[:n])
	return n, err
}

// explain answers a client that speaks HTTP to a port with TLS with the reason, as net/http does.
func (c *conn) explain(err error) {
	var head tls.RecordHeaderError
	if errors.As(err, &head) && head.Conn != nil {
		switch string(head.RecordHeader[:]) {
		case "GET /", "HEAD ", "POST ", "PUT /", "PATCH", "DELET", "OPTIO":
			_, _ = io.WriteString(head.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nThe client sent an HTTP request to an HTTPS server.\n")
		}
	}
}

// Write implements [net.Conn].
func (c *conn) Write(p []byte) (n int, err error) {
	c.mu.Lock()
	c.unread = false
	c.mu.Unlock()
	c.writing.Lock()
	n, err = c.Conn.Write(p)
	if c.out.track(p[:n]) {
		c.http2.Store(true)
	}
	c.writing.Unlock()
	if err != nil {
		c.leave()
	}
	if err == nil && c.wantAway.Load() {
		c.tryGoAway()
	}
	return n, err
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.leave()
	c.from.remove(c)
	return c.Conn.Close()
}

// CloseWrite ends the answers, so that the client still reads them when it sends data that is not read.
func (c *conn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(nc net.Conn) error {
	if half, ok := nc.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

func (c *conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func (c *conn) setState(state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.serving = state == http.StateActive; state == http.StateIdle {
		c.lines.next()
	}
}

// closeIfIdle closes a connection on which no request is served and of which no part of a request has been read.
func (c *conn) closeIfIdle() {
	c.mu.Lock()
	idle := !c.serving && !c.unread
	c.closed = c.closed || idle
	c.mu.Unlock()
	if idle {
		_ = c.Close() // it goes in any case
	}
}

func (c *conn) speaksHTTP2() bool { return c.http2.Load() }

// goAway writes a GOAWAY as soon as it may stand between two frames, if this is HTTP/2.
func (c *conn) goAway() {
	c.wantAway.Store(true)
	c.tryGoAway()
}

// tryGoAway writes the GOAWAY that is wanted, unless it is not its time. A writer that holds the lock meanwhile looks for
// it afterwards.
func (c *conn) tryGoAway() {
	if !c.writing.TryLock() {
		return
	}
	defer c.writing.Unlock()
	if c.out.between() && c.wantAway.CompareAndSwap(true, false) {
		_, _ = c.Conn.Write(goAwayFrame) // an error here fails the next write too
	}
}

// stallConn fails a write when its client takes nothing at all for writeStall: nothing else ends a write to a client of
// HTTP/1.1 that has stopped to read and still answers to TCP.
type stallConn struct{ net.Conn }

// CloseWrite ends the output of the connection.
func (c *stallConn) CloseWrite() error { return closeWrite(c.Conn) }

const writePiece = 256 << 10

// Write writes piece by piece, so that the deadline is one on progress.
func (c *stallConn) Write(p []byte) (written int, err error) {
	for {
		piece := p[written:min(len(p), written+writePiece)]
		if err := c.SetWriteDeadline(time.Now().Add(writeStall)); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(piece)
		written += n
		if err != nil || written == len(p) {
			return written, err
		}
	}
}

// connKey is the key of the [conn] in the context of its requests.
type connKey struct{}

// withConn puts a connection into the context of its requests.
func withConn(ctx context.Context, nc net.Conn) context.Context {
	if c, ok := nc.(*conn); ok {
		return context.WithValue(ctx, connKey{}, c)
	}
	return ctx
}
