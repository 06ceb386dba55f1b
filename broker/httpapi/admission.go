package httpapi

import (
	"context"
	"sync"

	"github.com/weirstream/weir/protocol"
)

// admission counts what the door is busy with, bounds it, and lets a draining door wait for it. A session holds a place
// among the requests too, which the bound on sessions makes up for.
type admission struct {
	maxRequests int
	maxBytes    int64
	maxSessions int

	mu       sync.Mutex // guards what follows
	draining bool
	requests int // sessions included
	bytes    int64
	sessions int
	idle     chan struct{} // closed when draining and nothing is left; made by drain
}

// request takes a place for a request. The code of the error is server_draining or rate_limited.
func (a *admission) request() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.draining:
		return errDraining()
	case a.requests-a.sessions >= a.maxRequests:
		return protocol.Errorf(protocol.CodeRateLimited, "this server has %d requests in flight, its limit", a.requests-a.sessions)
	}
	a.requests++
	return nil
}

func (a *admission) requestDone() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests--
	a.checkIdleLocked()
}

// session turns a request into a session. The code of the error is server_draining or rate_limited.
func (a *admission) session() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.draining:
		return errDraining()
	case a.sessions >= a.maxSessions:
		return protocol.Errorf(protocol.CodeRateLimited, "this server has %d sessions open, its limit", a.sessions)
	}
	a.sessions++
	return nil
}

func (a *admission) sessionDone() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sessions--
}

// grow takes room for more bytes of a body. It never waits: bodies that wait for each other's room would wait for
// ever. The code of the error is rate_limited.
func (a *admission) grow(bytes int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bytes+int64(bytes) > a.maxBytes {
		return protocol.Errorf(protocol.CodeRateLimited, "this server has %d bytes of requests in flight, its limit is %d",
			a.bytes, a.maxBytes)
	}
	a.bytes += int64(bytes)
	return nil
}

func (a *admission) shrink(bytes int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bytes -= int64(bytes)
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

func (a *admission) isDraining() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.draining
}

func (a *admission) checkIdleLocked() {
	if !a.draining || a.requests > 0 {
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

func errDraining() error {
	return protocol.Errorf(protocol.CodeServerDraining, "this server is stopping: ask again, another may answer")
}
