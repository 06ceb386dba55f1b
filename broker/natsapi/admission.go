package natsapi

import (
	"context"
	"sync"

	"github.com/weirstream/weir/protocol"
)

// admission counts what the door is busy with, bounds it, and lets a stopping door wait for it.
type admission struct {
	maxRequests int
	maxBytes    int64
	maxSessions int
	budget      *Budget // shared with other doors; may be nil

	mu       sync.Mutex // guards what follows
	draining bool
	requests int
	bytes    int64
	sessions int
	idle     chan struct{} // closed when draining and nothing is left; made by drain
}

// request takes a place for one unary request with a body of so many bytes. The code of the error is
// server_draining or rate_limited.
func (a *admission) request(bytes int) *protocol.Error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.draining:
		return errDraining()
	case a.requests >= a.maxRequests:
		return protocol.Errorf(protocol.CodeRateLimited, "this server has %d requests in flight, its limit", a.requests)
	case a.requests > 0 && a.bytes+int64(bytes) > a.maxBytes:
		return protocol.Errorf(protocol.CodeRateLimited, "this server has %d bytes of requests in flight, its limit is %d", a.bytes, a.maxBytes)
	case !a.budget.takeBytes(bytes):
		return protocol.Errorf(protocol.CodeRateLimited, "this server has as many bytes of requests in flight as it takes at a time")
	}
	a.requests++
	a.bytes += int64(bytes)
	return nil
}

func (a *admission) requestDone(bytes int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests--
	a.bytes -= int64(bytes)
	a.budget.giveBytes(bytes)
	a.checkIdleLocked()
}

// session takes a place for a session. The code of the error is server_draining or rate_limited.
func (a *admission) session() *protocol.Error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.draining:
		return errDraining()
	case a.sessions >= a.maxSessions:
		return protocol.Errorf(protocol.CodeRateLimited, "this server has %d sessions open, its limit", a.sessions)
	case !a.budget.takeSession():
		return protocol.Errorf(protocol.CodeRateLimited, "this server has as many sessions open as it takes at a time")
	}
	a.sessions++
	return nil
}

func (a *admission) sessionDone() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sessions--
	a.budget.giveSession()
	a.checkIdleLocked()
}

// input takes room for a session's input and reports whether there was any.
func (a *admission) input(bytes int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bytes+int64(bytes) > a.maxBytes || !a.budget.takeBytes(bytes) {
		return false
	}
	a.bytes += int64(bytes)
	return true
}

func (a *admission) inputDone(bytes int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bytes -= int64(bytes)
	a.budget.giveBytes(bytes)
}

// drain refuses everything new from now on. It may be called again.
func (a *admission) drain() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.draining = true
	if a.idle == nil {
		a.idle = make(chan struct{})
	}
	a.checkIdleLocked()
}

func (a *admission) checkIdleLocked() {
	if !a.draining || a.requests > 0 || a.sessions > 0 {
		return
	}
	select {
	case <-a.idle:
	default:
		close(a.idle)
	}
}

// wait waits, after drain, until nothing is left or ctx ends.
func (a *admission) wait(ctx context.Context) error {
	a.mu.Lock()
	idle := a.idle
	a.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func errDraining() *protocol.Error {
	return protocol.Errorf(protocol.CodeServerDraining, "this server is stopping: ask again, another may answer")
}
