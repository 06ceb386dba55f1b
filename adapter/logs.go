package adapter

import (
	"context"
	"sync"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/protocol"
)

// logs is the registry of the logs that are open or being opened. A log is opened once, by a goroutine of the registry's,
// at the first request for it.
type logs struct {
	open  func(ctx context.Context, name string) (*log, error)
	ctx   context.Context //nolint:containedctx // that of the adapter's background
	tasks *sync.WaitGroup // goroutines that end with ctx

	mu       sync.Mutex                      // guards the fields below; nothing is called with it held but sequencers' inboxes
	slots    map[string]*logSlot             // by name of the JetStream stream
	removing map[protocol.BasinName]struct{} // no log of their own is opened any more
	closed   bool                            // no log and no task is begun any more
	failed   error                           // see Adapter.Fail
}

// logSlot is a log that is open or being opened.
type logSlot struct {
	ready chan struct{}
	log   *log
	err   error // read after ready
}

// opened is the log if it is open, or nil.
func (s *logSlot) opened() *log {
	select {
	case <-s.ready:
		return s.log
	default:
		return nil
	}
}

// get returns a log by the name of its JetStream stream, opening it if needed. owner is the basin that has it for itself, or
// "".
func (r *logs) get(ctx context.Context, owner protocol.BasinName, name string) (*log, error) {
	slot, err := r.slotOf(owner, name)
	if err != nil {
		return nil, err
	}
	select {
	case <-slot.ready:
		return slot.log, slot.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *logs) slotOf(owner protocol.BasinName, name string) (*logSlot, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slot, ok := r.slots[name]; ok {
		return slot, nil
	}
	if _, removing := r.removing[owner]; removing {
		return nil, basinDeleting(owner)
	}
	if r.closed {
		return nil, errDraining
	}
	slot := &logSlot{ready: make(chan struct{})}
	r.slots[name] = slot
	r.tasks.Go(func() {
		slot.log, slot.err = r.open(r.ctx, name)
		if slot.err != nil {
			r.forget(name) // the next one to ask tries again
		}
		close(slot.ready)
		if slot.err == nil {
			r.inherit(slot.log)
		}
	})
	return slot, nil
}

func (r *logs) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.slots, name)
}

// spawn starts a task that ends with the background's context; false when the registry is closed.
func (r *logs) spawn(task func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.tasks.Go(task)
	}
	return !r.closed
}

// opened returns the log if it is open, or nil.
func (r *logs) opened(name string) *log {
	r.mu.Lock()
	slot := r.slots[name]
	r.mu.Unlock()
	if slot == nil {
		return nil
	}
	return slot.opened()
}

// all returns all logs that are open.
func (r *logs) all() []*log {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*log, 0, len(r.slots))
	for _, slot := range r.slots {
		if l := slot.opened(); l != nil {
			all = append(all, l)
		}
	}
	return all
}

// names returns the names of the logs that are open or being opened.
func (r *logs) names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := make([]string, 0, len(r.slots))
	for name := range r.slots {
		names = append(names, name)
	}
	return names
}

// bar lets no log of a basin's own be opened any more, until unbar.
func (r *logs) bar(basin protocol.BasinName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.removing[basin] = struct{}{}
}

func (r *logs) unbar(basin protocol.BasinName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.removing, basin)
}

// remove closes a log, if it is open or being opened, and takes it out. Its users get reason.
func (r *logs) remove(ctx context.Context, name string, reason error) error {
	r.mu.Lock()
	slot := r.slots[name]
	r.mu.Unlock()
	if slot == nil {
		return nil
	}
	select {
	case <-slot.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	if slot.log != nil {
		settle, cancel := context.WithTimeout(ctx, js.Timeout)
		defer cancel()
		slot.log.close(settle, reason)
	}
	r.forget(name)
	return nil
}

// takeOut takes a log out that another node has deleted, and lets end close it. It does nothing if that is done, or if the registry is closed: then all logs
// are about to be closed.
func (r *logs) takeOut(l *log, end func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	slot := r.slots[l.name]
	if r.closed || slot == nil || slot.opened() != l {
		return
	}
	delete(r.slots, l.name)
	r.tasks.Go(end)
}

// shut lets nothing be begun any more; false when that was so before.
func (r *logs) shut() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.closed
	r.closed = true
	return !was
}

// fail hands a failure of the store to every log, and to those that are opened later. The first one stays.
func (r *logs) fail(err error) {
	r.mu.Lock()
	if r.failed == nil {
		r.failed = err
	}
	r.mu.Unlock()
	for _, l := range r.all() {
		l.seq.Failed(err)
	}
}

// inherit hands a failure of the store to a log that was opened while it happened.
func (r *logs) inherit(l *log) {
	r.mu.Lock()
	failed := r.failed
	r.mu.Unlock()
	if failed != nil {
		l.seq.Failed(failed)
	}
}
