package adapter

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/weirstream/weir/adapter/internal/catalog"
	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// Where several brokers share a store, the owner of a log does the background work for the streams in it, and no other node: retention, trims,
// deletions, expiry, sizes (docs/adr/0024). A broker that has its store alone does all of it.
//
// When a stream is to be looked at next, each node keeps in memory (catalog.CheckTime). What a node knows of that is right only while it owns the
// stream's log: others may have appended before. So a node that becomes the owner forgets it for all streams of the log.

var (
	// errNotOwner says that the work for a log's streams is another node's.
	errNotOwner = errors.New("another node owns the log")
	// errUnsure says that this node owns a log and is not sure of its lease at the moment.
	errUnsure = errors.New("this node is not sure that it owns the log")
)

// mine reports whether this node does the work for the log's streams.
func (l *log) mine() bool { return !l.a.opts.Shared || l.epoch.Load() != 0 }

// sure reports whether it is mine and this node is sure of that. No other node removes chunks then.
func (l *log) sure() bool {
	if !l.a.opts.Shared {
		return true
	}
	epoch := l.epoch.Load()
	return epoch != 0 && l.own.owners.Sure(l.name, epoch)
}

// tended returns the log of a basin with a number, to work for its streams. Errors: errNotOwner, errUnsure, and those of logOf.
func (a *Adapter) tended(ctx context.Context, basin protocol.BasinName, n int) (*log, error) {
	if !a.opts.Shared {
		return a.logOf(ctx, basin, n)
	}
	switch l := a.openedLog(basin, n); {
	case l == nil || !l.mine():
		return nil, errNotOwner
	case !l.sure():
		return nil, errUnsure
	default:
		return l, nil
	}
}

// tends reports whether this node does the work for a stream.
func (a *Adapter) tends(e *catalog.Entry) bool {
	if !a.opts.Shared {
		return true
	}
	l := a.openedLog(e.Basin(), e.Log())
	return l != nil && l.mine()
}

// round is a part of a walk over the catalog, in which the owner of a log is looked up once.
type round struct {
	a       *Adapter
	mine    map[layout.Log]bool
	unowned func(name string) // is called for logs that are not open; may be nil
}

// tends is Adapter.tends.
func (r *round) tends(e *catalog.Entry) bool {
	if !r.a.opts.Shared {
		return true
	}
	id, ok := layout.LogOf(e.Basin(), e.Log())
	if !ok {
		return false
	}
	mine, known := r.mine[id]
	if !known {
		name := id.Stream(r.a.opts.Prefix)
		l := r.a.logs.opened(name)
		mine = l != nil && l.mine()
		if r.mine == nil {
			r.mine = map[layout.Log]bool{}
		}
		r.mine[id] = mine
		if l == nil && r.unowned != nil {
			r.unowned(name)
		}
	}
	return mine
}

const (
	// renewAtOnce is how many entries of the catalog are looked at while it is held, when a log gets a new owner.
	renewAtOnce = 2000
	// looksPerSecond is how many of a log's streams the empty reaper looks at in a second when the log gets a new owner.
	looksPerSecond = 1000
	// openAtOnce bounds the logs without an owner that are opened in one sweep.
	openAtOnce = 16
)

// renewals lets the streams of logs that have become this node's be looked at.
type renewals struct {
	a    *Adapter
	wake chan struct{}

	mu    sync.Mutex
	begun map[*log]struct{}
}

func newRenewals(a *Adapter) *renewals {
	return &renewals{a: a, wake: make(chan struct{}, 1), begun: map[*log]struct{}{}}
}

// begin notes that this node has begun to own a log. It is called by the sequencer.
func (r *renewals) begin(l *log) {
	r.mu.Lock()
	r.begun[l] = struct{}{}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *renewals) take() map[*log]struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	begun := r.begun
	r.begun = map[*log]struct{}{}
	return begun
}

// run works until ctx ends.
func (r *renewals) run(ctx context.Context) {
	for {
		select {
		case <-r.wake:
			r.renew(ctx, r.take())
		case <-ctx.Done():
			return
		}
	}
}

// renew goes once through the catalog for all of the logs. The streams themselves are looked at later, by the tasks that do so at all times, in their pace.
// An entry that comes into the view meanwhile is handed to them as well: the log is this node's already.
func (r *renewals) renew(ctx context.Context, begun map[*log]struct{}) {
	shared, turns := map[int]struct{}{}, map[*log]uint64{}
	looks := uint64(0)
	for l := range begun {
		turns[l] = l.turn.Load()
		if l.id.Owner == "" {
			shared[l.id.Number()] = struct{}{}
			continue
		}
		for after := (protocol.StreamRef{Basin: l.id.Owner}); ctx.Err() == nil; {
			page, _ := r.a.catalog.View.StreamsAfter(after, renewAtOnce)
			if len(page) == 0 {
				break
			}
			for _, e := range page {
				if e.Log() == l.id.Number() {
					r.forget(e, &looks)
				}
			}
			after.Stream = page[len(page)-1].Name
		}
	}
	for after, done := (protocol.StreamRef{}), len(shared) == 0; !done && ctx.Err() == nil; {
		var page []*catalog.Entry
		page, done = r.a.catalog.View.All(after, renewAtOnce)
		for _, e := range page {
			if _, ok := shared[e.Log()]; ok {
				r.forget(e, &looks)
			}
			after = e.Ref()
		}
	}
	for _, basin := range r.a.catalog.View.DeletingBasins() {
		r.a.janitor.removeBasin(basin)
	}
	for l, turn := range turns {
		l.renewed.Store(turn)
	}
}

// forget lets a stream be looked at by all tasks, and nothing that they know of it count.
func (r *renewals) forget(e *catalog.Entry, looks *uint64) {
	if e.Deleting() {
		r.a.janitor.removeStream(e)
	}
	e.Checks.At.Store(0)
	e.Checks.Size.Measured.Store(0)
	if r.a.reaper.watchFrom(e, catalog.Seconds(time.Now())+*looks/looksPerSecond) {
		*looks++
	}
}

// newestChunk fetches the newest chunk of a stream. Where this node owns the log, it knows all that was stored before.
func (l *log) newestChunk(ctx context.Context, subject string) (storedChunk, error) {
	if l.turn.Load() == 0 {
		return l.getLast(ctx, subject)
	}
	ctx, cancel := context.WithTimeout(ctx, js.Timeout)
	defer cancel()
	return l.newestBeyond(ctx, subject, js.Seq(l.reached.Load()))
}
