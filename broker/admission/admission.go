// Package admission bounds what a door is busy with. A door takes a place for each request and session, and room for the
// bytes that they hold, before it does anything for them; what is beyond the limits is refused, not kept waiting.
package admission

import (
	"context"
	"sync"

	"github.com/weirstream/weir/protocol"
)

// Limits bound one door. The zero value works.
type Limits struct {
	Requests int     // unary requests being served; 0 means 4096
	Bytes    int64   // of requests and session inputs in flight; 0 means 256 MiB
	Sessions int     // open sessions; 0 means 16384
	Budget   *Budget // what the door holds together with others; nil for no bound
}

const (
	defaultRequests = 4096
	defaultBytes    = 256 << 20
	defaultSessions = 16384
)

// Desk counts what a door is busy with, and lets a door that drains wait for it. Make one with [New]; all methods may be
// called at once. The errors have code server_draining or rate_limited.
type Desk struct {
	limits Limits

	mu       sync.Mutex // guards what follows
	draining bool
	requests int
	bytes    int64
	sessions int
	idle     chan struct{} // closed when draining and nothing is left
}

// New makes a desk with nothing on it.
func New(limits Limits) *Desk {
	if limits.Requests <= 0 {
		limits.Requests = defaultRequests
	}
	if limits.Bytes <= 0 {
		limits.Bytes = defaultBytes
	}
	if limits.Sessions <= 0 {
		limits.Sessions = defaultSessions
	}
	return &Desk{limits: limits, idle: make(chan struct{})}
}

// Request takes a place for one unary request with a body of so many bytes, as far as they are known. A single request
// passes whatever its size.
func (d *Desk) Request(bytes int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.draining:
		return ErrDraining()
	case d.requests >= d.limits.Requests:
		return protocol.Errorf(protocol.CodeRateLimited, "this server has %d requests in flight, its limit", d.requests)
	case d.requests > 0 && d.bytes+int64(bytes) > d.limits.Bytes:
		return d.errBytesLocked()
	case !d.limits.Budget.takeBytes(bytes):
		return protocol.Errorf(protocol.CodeRateLimited, "this server has as many bytes of requests in flight as it takes at a time")
	}
	d.requests++
	d.bytes += int64(bytes)
	return nil
}

func (d *Desk) errBytesLocked() error {
	return protocol.Errorf(protocol.CodeRateLimited, "this server has %d bytes of requests in flight, its limit is %d", d.bytes, d.limits.Bytes)
}

// RequestDone gives back what Request took.
func (d *Desk) RequestDone(bytes int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.requests--
	d.bytes -= int64(bytes)
	d.limits.Budget.giveBytes(bytes)
	d.checkIdleLocked()
}

// Session takes a place for a session.
func (d *Desk) Session() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.draining:
		return ErrDraining()
	case d.sessions >= d.limits.Sessions:
		return protocol.Errorf(protocol.CodeRateLimited, "this server has %d sessions open, its limit", d.sessions)
	case !d.limits.Budget.takeSession():
		return protocol.Errorf(protocol.CodeRateLimited, "this server has as many sessions open as it takes at a time")
	}
	d.sessions++
	return nil
}

// SessionDone gives back what Session took.
func (d *Desk) SessionDone() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sessions--
	d.limits.Budget.giveSession()
	d.checkIdleLocked()
}

// Grow takes room for bytes that have come for a request or session which has a place. It never waits: bodies that wait
// for each other's room would wait for ever.
func (d *Desk) Grow(bytes int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bytes+int64(bytes) > d.limits.Bytes || !d.limits.Budget.takeBytes(bytes) {
		return d.errBytesLocked()
	}
	d.bytes += int64(bytes)
	return nil
}

// Shrink gives back what Grow took.
func (d *Desk) Shrink(bytes int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bytes -= int64(bytes)
	d.limits.Budget.giveBytes(bytes)
}

// Drain refuses everything new from now on. It may be called again.
func (d *Desk) Drain() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.draining = true
	d.checkIdleLocked()
}

// Draining reports whether Drain was called.
func (d *Desk) Draining() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.draining
}

func (d *Desk) checkIdleLocked() {
	if !d.draining || d.requests > 0 || d.sessions > 0 {
		return
	}
	select {
	case <-d.idle:
	default:
		close(d.idle)
	}
}

// Wait waits, after Drain, until nothing is left or ctx ends, whose error it returns.
func (d *Desk) Wait(ctx context.Context) error {
	select {
	case <-d.idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ErrDraining refuses what comes to a door that drains, and ends the sessions that it has.
func ErrDraining() *protocol.Error {
	return protocol.Errorf(protocol.CodeServerDraining, "this server is stopping: ask again, another may answer")
}
