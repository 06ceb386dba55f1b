package broker

import (
	"context"
	"sync"

	"github.com/weirstream/weir/protocol"
)

// errDraining is the error of every request once the broker is stopping. Its code promises that nothing was done.
func errDraining() error {
	return protocol.Errorf(protocol.CodeServerDraining, "the broker is stopping; try again on another one or later")
}

// drainer counts the calls that are inside the service and, once closed, lets no more in. Sessions register an [ender].
type drainer struct {
	// drain ends when the drainer closes; calls that wait for something new to happen stop waiting then.
	drain context.Context //nolint:containedctx // ends when the broker drains
	close context.CancelFunc

	mu     sync.Mutex // guards the fields below
	closed bool
	inside int
	empty  chan struct{} // closed when the drainer is closed and no call is inside
	enders map[ender]struct{}
}

// ender is a session that ends because the broker is stopping. Its method end is called at most once, outside the drainer's
// lock.
type ender interface{ end() }

func newDrainer() *drainer {
	d := &drainer{empty: make(chan struct{}), enders: map[ender]struct{}{}}
	d.drain, d.close = context.WithCancel(context.Background())
	return d
}

// enter lets a call in, or fails with server_draining. The caller must call leave.
func (d *drainer) enter() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errDraining()
	}
	d.inside++
	return nil
}

func (d *drainer) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inside--
	d.checkEmptyLocked()
}

func (d *drainer) checkEmptyLocked() {
	if d.closed && d.inside == 0 {
		close(d.empty)
	}
}

// add registers a session; it fails with server_draining when the drainer is closed already.
func (d *drainer) add(e ender) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errDraining()
	}
	d.enders[e] = struct{}{}
	return nil
}

func (d *drainer) remove(e ender) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.enders, e)
}

// shut refuses every further call and asks the sessions to end. It does not wait.
func (d *drainer) shut() {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return
	}
	d.closed = true
	d.checkEmptyLocked()
	ends := d.enders
	d.enders = map[ender]struct{}{}
	d.mu.Unlock()

	d.close()
	for e := range ends {
		e.end()
	}
}

// wait returns when no call is inside a drainer that was shut, or with ctx's error.
func (d *drainer) wait(ctx context.Context) error {
	select {
	case <-d.empty:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// bind returns a context that ends with ctx or when the drainer is shut, for calls that may wait long for something to
// happen.
func (d *drainer) bind(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(d.drain, func() { cancel(errDraining()) })
	return ctx, func() { stop(); cancel(nil) }
}
