// Package memnet joins HTTP clients and servers in memory, so that they fit into a testing/synctest bubble: a
// goroutine that waits on a connection is durably blocked, and deadlines go by the bubble's clock.
package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// bufferBytes is the size of a connection's buffer in each direction, like a kernel's socket buffers: a writer goes on while the
// reader is busy, and waits when the buffer is full.
const bufferBytes = 64 << 10

// Pipe makes both ends of a connection.
func Pipe() (a, b *Conn) {
	ab, ba := newHalf(), newHalf()
	return &Conn{in: ba, out: ab}, &Conn{in: ab, out: ba}
}

// Conn is one end of a connection. All methods may be called at once.
type Conn struct{ in, out *half }

var _ net.Conn = (*Conn)(nil)

func (c *Conn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *Conn) Write(p []byte) (int, error) { return c.out.write(p) }

// CloseWrite says that nothing more will be written; the other end reads the buffered bytes and then io.EOF.
func (c *Conn) CloseWrite() error {
	c.out.update(func(h *half) { h.finished = true })
	return nil
}

// Close ends both directions. The other end can still read bytes that were written before.
func (c *Conn) Close() error {
	_ = c.CloseWrite()
	c.out.update(func(h *half) { h.writerGone = true })
	c.in.update(func(h *half) { h.readerGone, h.buf = true, nil })
	return nil
}

// SetDeadline implements [net.Conn].
func (c *Conn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements [net.Conn].
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.update(func(h *half) { h.reading.set(h, t) })
	return nil
}

// SetWriteDeadline implements [net.Conn].
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.update(func(h *half) { h.writing.set(h, t) })
	return nil
}

// LocalAddr implements [net.Conn].
func (c *Conn) LocalAddr() net.Addr { return addr{} }

// RemoteAddr implements [net.Conn].
func (c *Conn) RemoteAddr() net.Addr { return addr{} }

type addr struct{}

func (addr) Network() string { return "mem" }
func (addr) String() string  { return "mem" }

// half is one direction of a connection.
type half struct {
	mu      sync.Mutex // guards the fields below
	changed sync.Cond
	buf     []byte

	finished, writerGone, readerGone bool
	reading, writing                 deadline
}

func newHalf() *half {
	h := &half{}
	h.changed.L = &h.mu
	return h
}

func (h *half) update(f func(*half)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(h)
	h.changed.Broadcast()
}

func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.readerGone:
			return 0, net.ErrClosed
		case h.reading.passed:
			return 0, os.ErrDeadlineExceeded
		case len(h.buf) > 0 || len(p) == 0:
			n := copy(p, h.buf)
			if h.buf = h.buf[n:]; len(h.buf) == 0 {
				h.buf = nil
			}
			h.changed.Broadcast()
			return n, nil
		case h.finished:
			return 0, io.EOF
		}
		h.changed.Wait()
	}
}

func (h *half) write(p []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.writerGone || h.finished:
			return n, net.ErrClosed
		case h.readerGone:
			return n, io.ErrClosedPipe
		case h.writing.passed:
			return n, os.ErrDeadlineExceeded
		}
		if room := min(bufferBytes-len(h.buf), len(p)); room > 0 {
			h.buf = append(h.buf, p[:room]...)
			p, n = p[room:], n+room
			h.changed.Broadcast()
		}
		if len(p) == 0 {
			return n, nil
		}
		h.changed.Wait()
	}
}

// deadline is a point in time of one side of a half. The half's lock guards it.
type deadline struct {
	timer  *time.Timer
	passed bool
}

func (d *deadline) set(h *half, t time.Time) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.passed = false
	if t.IsZero() {
		return
	}
	left := time.Until(t)
	if left <= 0 {
		d.passed = true
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(left, func() {
		h.update(func(*half) {
			if d.timer == timer { // a later set may have come in between
				d.passed = true
			}
		})
	})
	d.timer = timer
}
