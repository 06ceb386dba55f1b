// Package door holds what the doors share. [Limiter] bounds what a door is busy with: a door takes a place for each request
// and session, and room for the bytes that they hold, before it does anything for them. What is beyond the limits is
// refused, not kept waiting.
package door

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

// Limiter counts what a door is busy with, and lets a door that drains wait for it. Make one with [New]; all methods may be
// called at once. The errors have code server_draining or rate_limited.
type Limiter struct {
	limits Limits

	mu       sync.Mutex      // guards what follows
	draining *protocol.Error // why everything new is refused; nil while nothing is
	requests int
	bytes    int64
	sessions int
	idle     chan struct{} // closed when draining and nothing is left
}

// New makes a limiter with nothing on it.
func New(limits Limits) *Limiter {
	if limits.Requests <= 0 {
		limits.Requests = defaultRequests
	}
	if limits.Bytes <= 0 {
		limits.Bytes = defaultBytes
	}
	if limits.Sessions <= 0 {
		limits.Sessions = defaultSessions
	}
	return &Limiter{limits: limits, idle: make(chan struct{})}
}

// Request takes a place for one unary request with a body of so many bytes, as far as they are known. A single request
// passes whatever its size.
func (l *Limiter) Request(bytes int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.draining != nil:
		return l.draining
	case l.requests >= l.limits.Requests:
		return protocol.Errorf(protocol.CodeRateLimited, "this server has %d requests in flight, its limit", l.requests)
	case l.requests > 0 && l.bytes+int64(bytes) > l.limits.Bytes:
		return l.errBytesLocked()
	case !l.limits.Budget.takeBytes(bytes):
		return protocol.Errorf(protocol.CodeRateLimited, "this server has as many bytes of requests in flight as it takes at a time")
	}
	l.requests++
	l.bytes += int64(bytes)
	return nil
}

func (l *Limiter) errBytesLocked() error {
	return protocol.Errorf(protocol.CodeRateLimited, "this server has %d bytes of requests in flight, its limit is %d", l.bytes, l.limits.Bytes)
}

// RequestDone gives back what Request took.
func (l *Limiter) RequestDone(bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests--
	l.bytes -= int64(bytes)
	l.limits.Budget.giveBytes(bytes)
	l.checkIdleLocked()
}

// Session takes a place for a session.
func (l *Limiter) Session() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.draining != nil:
		return l.draining
	case l.sessions >= l.limits.Sessions:
		return protocol.Errorf(protocol.CodeRateLimited, "this server has %d sessions open, its limit", l.sessions)
	case !l.limits.Budget.takeSession():
		return protocol.Errorf(protocol.CodeRateLimited, "this server has as many sessions open as it takes at a time")
	}
	l.sessions++
	return nil
}

// SessionDone gives back what Session took.
func (l *Limiter) SessionDone() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessions--
	l.limits.Budget.giveSession()
	l.checkIdleLocked()
}

// Grow takes room for bytes that have come for a request or session which has a place. It never waits: bodies that wait
// for each other's room would wait for ever.
func (l *Limiter) Grow(bytes int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bytes+int64(bytes) > l.limits.Bytes || !l.limits.Budget.takeBytes(bytes) {
		return l.errBytesLocked()
	}
	l.bytes += int64(bytes)
	return nil
}

// Shrink gives back what Grow took.
func (l *Limiter) Shrink(bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes -= int64(bytes)
	l.limits.Budget.giveBytes(bytes)
}

// Drain refuses everything new from now on, with the reason. It may be called again; the first reason stays.
func (l *Limiter) Drain(reason *protocol.Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.draining == nil {
		l.draining = reason
	}
	l.checkIdleLocked()
}

// Draining reports whether Drain was called.
func (l *Limiter) Draining() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.draining != nil
}

func (l *Limiter) checkIdleLocked() {
	if l.draining == nil || l.requests > 0 || l.sessions > 0 {
		return
	}
	select {
	case <-l.idle:
	default:
		close(l.idle)
	}
}

// Wait waits, after Drain, until nothing is left or ctx ends, whose error it returns.
func (l *Limiter) Wait(ctx context.Context) error {
	select {
	case <-l.idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ErrDraining refuses what comes to a door that drains, and ends the sessions that it has.
func ErrDraining() *protocol.Error {
	return protocol.Errorf(protocol.CodeServerDraining, "this server is stopping: ask again, another may answer")
}
