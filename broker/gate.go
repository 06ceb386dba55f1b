package broker

import (
	"context"
	"sync"

	"github.com/weirstream/weir/protocol"
)

// errDraining is what every request gets once the broker is stopping. Its code promises that nothing was done.
func errDraining() error {
	return protocol.Errorf(protocol.CodeServerDraining, "the broker is stopping; try again on another one or later")
}

// gate counts the calls that are inside the service and, once closed, lets no more in. Sessions register what ends
// them.
type gate struct {
	// drain ends when the gate closes; calls that wait for something new to happen stop waiting then.
	drain context.Context
	close context.CancelFunc

	mu     sync.Mutex // guards the fields below
	closed bool
	inside int
	empty  chan struct{} // closed when the gate is closed and nobody is inside
	enders map[ender]struct{}
}

// ender is a session that can be told that the broker is stopping. End is called at most once, outside the gate's
// lock.
type ender interface{ end() }

func newGate() *gate {
	g := &gate{empty: make(chan struct{}), enders: map[ender]struct{}{}}
	g.drain, g.close = context.WithCancel(context.Background())
	return g
}

// enter lets a call in, or fails with server_draining. The caller must call leave.
func (g *gate) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return errDraining()
	}
	g.inside++
	return nil
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.checkEmptyLocked()
}

func (g *gate) checkEmptyLocked() {
	if g.closed && g.inside == 0 {
		close(g.empty)
	}
}

// add registers a session; it fails with server_draining when the gate is closed already.
func (g *gate) add(e ender) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return errDraining()
	}
	g.enders[e] = struct{}{}
	return nil
}

func (g *gate) remove(e ender) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.enders, e)
}

// shut refuses every further call and tells the sessions to end. It does not wait.
func (g *gate) shut() {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return
	}
	g.closed = true
	g.checkEmptyLocked()
	ends := g.enders
	g.enders = map[ender]struct{}{}
	g.mu.Unlock()

	g.close()
	for e := range ends {
		e.end()
	}
}

// wait returns when no call is inside a gate that was shut, or with ctx's error.
func (g *gate) wait(ctx context.Context) error {
	select {
	case <-g.empty:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// bind returns a context that ends with ctx or when the gate is shut, for calls that may wait long for something to
// happen.
func (g *gate) bind(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(g.drain, func() { cancel(errDraining()) })
	return ctx, func() { stop(); cancel(nil) }
}
