package adapter

import (
	"container/heap"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/weirstream/weir/adapter/internal/catalog"

	"golang.org/x/sync/errgroup"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

const (
	// reapEvery is the time between two looks at the deadlines, up to a tenth more or less (control plane 10.1).
	reapEvery = time.Minute
	// reapPage bounds the streams taken up at once, and reapWorkers those looked at at the same time (10.3).
	reapPage    = 10_000
	reapWorkers = 4
	// reapRetry is when a stream whose look failed is looked at again, in seconds.
	reapRetry = 60
)

// errInUse refuses to end a stream that was found empty and is in use again.
var errInUse = errors.New("the stream was written to, or delete-on-empty was disabled, meanwhile")

// emptyReaper deletes streams that have held nothing for long enough (control plane 4.9, 10.3). Its queue holds each stream that
// has delete-on-empty enabled or an expiry, usually once, at a time no later than its earliest deadline. The deadlines are
// read when that time comes, so an append costs the queue nothing. The queue is in memory only: at the start every such
// stream is looked at. In a shared store that is done when this node begins to own a log, and only streams of such logs are queued.
type emptyReaper struct {
	a *Adapter

	mu    sync.Mutex
	queue reapQueue
}

func newEmptyReaper(a *Adapter) *emptyReaper { return &emptyReaper{a: a} }

// waiting is a stream in the queue.
type waiting struct {
	at     uint64 // seconds
	ref    protocol.StreamRef
	id     layout.StreamID
	checks *catalog.CheckTime
}

// watch queues a stream whose catalog entry is new or has changed, to be looked at in the next pass.
func (m *emptyReaper) watch(e *catalog.Entry) { m.watchFrom(e, 1) }

// watchFrom is watch, and lets the stream be looked at no earlier than from if that look takes a get, in seconds since the epoch. It reports whether it does.
func (m *emptyReaper) watchFrom(e *catalog.Entry, from uint64) (looks bool) {
	if looks = e.Config().DeleteOnEmptyMinAge > 0; !looks && e.Config().Expiry == (protocol.Expiry{}) {
		return false
	}
	if e.Deleting() || !m.a.tends(e) {
		return false
	}
	at := uint64(0)
	if looks {
		at = from
		if e.Checks.IsFresh() { // nothing is stored, so the record has all deadlines
			at = max(at, catalog.Earliest(e.RecordDeadlines()))
		}
	}
	if at = sooner(at, m.a.expires(e)); at != 0 {
		m.schedule(waiting{at, e.Ref(), e.ID, e.Checks})
	}
	return looks
}

// sooner is the earlier of two times, of which 0 is none.
func sooner(a, b uint64) uint64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// appended queues a stream after a durable append with delete-on-empty enabled; s is its state then. It is called by the
// sequencer for every chunk.
func (m *emptyReaper) appended(st *stream, s state) {
	at := catalog.AppendDeadline(s.wrote, s.trim >= s.next)
	if queued := st.checks.EmptyAt.Load(); at == 0 || queued != 0 && queued <= at {
		return
	}
	m.schedule(waiting{at, st.ref, st.id, st.checks})
}

// schedule puts a stream into the queue, unless it stands there for a time that is no later.
func (m *emptyReaper) schedule(w waiting) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if queued := w.checks.EmptyAt.Load(); queued != 0 && queued <= w.at {
		return
	}
	w.checks.EmptyAt.Store(w.at)
	heap.Push(&m.queue, w)
}

// take returns up to a page of streams whose time has come.
func (m *emptyReaper) take(now uint64) (page []waiting) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.queue) > 0 && m.queue[0].at <= now && len(page) < reapPage {
		w := heap.Pop(&m.queue).(waiting) //nolint:forcetypeassert // the queue holds nothing else
		if w.checks.EmptyAt.Load() != uint64(catalog.ClampSeconds(w.at)) {
			continue // it was queued for an earlier time since, and looked at then
		}
		w.checks.EmptyAt.Store(0)
		page = append(page, w)
	}
	return page
}

// run looks at the deadlines until ctx ends.
func (m *emptyReaper) run(ctx context.Context) {
	for {
		tenth := int64(reapEvery / 10)
		sleep(ctx, reapEvery+time.Duration(rand.Int64N(2*tenth+1)-tenth))
		for ctx.Err() == nil && m.pass(ctx) { //nolint:revive // pass does the work
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// pass looks at a page of the streams whose time has come; more reports that there may be others.
func (m *emptyReaper) pass(ctx context.Context) (more bool) {
	page := m.take(catalog.Seconds(time.Now()))
	var workers errgroup.Group
	workers.SetLimit(reapWorkers)
	for _, w := range page {
		workers.Go(func() error {
			m.look(ctx, w)
			return nil
		})
	}
	workers.Wait() //nolint:errcheck // look reports failures
	return len(page) == reapPage
}

// look deals with one stream and queues it for its next deadline.
func (m *emptyReaper) look(ctx context.Context, w waiting) {
	next, err := m.settle(ctx, w)
	if errors.Is(err, errNotOwner) {
		return // its owner has it in its own queue
	}
	if err != nil && !errors.Is(err, errUnsure) {
		if ctx.Err() == nil {
			m.a.logger.Warn("a stream could not be checked for delete-on-empty and expiry; it is tried again",
				slog.String("basin", string(w.ref.Basin)), slog.String("stream", string(w.ref.Stream)), slog.Any("error", err))
		}
	}
	if err != nil {
		next = catalog.Seconds(time.Now()) + reapRetry
	}
	if next != 0 {
		w.at = next
		m.schedule(w)
	}
}

// settle deals with the deadlines of a stream that are due: it deletes the stream, or notes that they are done. next is
// when to look again; 0: when something arms it.
func (m *emptyReaper) settle(ctx context.Context, w waiting) (next uint64, err error) {
	if b, _, ok := m.a.catalog.View.Basin(w.ref.Basin); ok && b.Hidden() {
		return catalog.Seconds(time.Now()) + reapRetry, nil // it is being restored
	}
	e := m.current(w)
	if e == nil {
		return 0, nil
	}
	l, err := m.a.tended(ctx, e.Basin(), e.Log())
	if err != nil {
		return 0, err
	}
	newest := base(e.Fork())
	if !e.Checks.IsFresh() {
		last, err := l.newestChunk(ctx, l.subjectOf(e))
		switch {
		case err == nil:
			newest = last
		case !errors.Is(err, js.ErrNotFound):
			return 0, err
		}
	}
	if newest.Trim == protocol.TerminalTrimPoint {
		return 0, m.a.deleteStream(ctx, e.Ref(), e.ID)
	}
	deleted, ends, err := m.expire(ctx, l, e, &newest)
	if deleted || err != nil {
		return 0, err
	}
	next, err = m.settleEmpty(ctx, l, e, &newest)
	return sooner(next, ends), err
}

// settleEmpty is settle for delete-on-empty.
func (m *emptyReaper) settleEmpty(ctx context.Context, l *log, e *catalog.Entry, newest *storedChunk) (next uint64, err error) {
	wrote, emptied := newest.lastAppend(), newest.emptied()
	all := e.Deadlines(wrote, emptied)
	now := catalog.Seconds(time.Now())
	due, cutoff, ok := catalog.Verdict(all, now)
	if due == 0 {
		return catalog.Earliest(all), nil
	}
	if ok && e.Config().DeleteOnEmptyMinAge > 0 && lastWrite(e, newest) <= cutoff {
		if deleted, err := m.retire(ctx, l, e, newest); deleted || err != nil {
			return 0, err
		}
	}
	if e, err = m.done(ctx, e, now); err != nil || e == nil {
		return 0, err
	}
	return catalog.Earliest(e.Deadlines(wrote, emptied)), nil
}

// current is the entry of a queued stream; nil when the stream is deleted or being deleted.
func (m *emptyReaper) current(w waiting) *catalog.Entry {
	e, _, purging := m.a.catalog.View.Stream(w.ref)
	if e == nil || e.ID != w.id || e.Deleting() || purging {
		return nil
	}
	return e
}

// retire deletes a stream if it holds no record and nothing was appended after newest. The terminal trim goes first,
// because the sequencer can refuse it; the steps of every deletion follow.
func (m *emptyReaper) retire(ctx context.Context, l *log, e *catalog.Entry, newest *storedChunk) (deleted bool, err error) {
	if showsShared(e.Fork(), newest.Trim, catalog.Millis(time.Now())) {
		return false, nil
	}
	if empty, err := l.empty(ctx, l.subjectOf(e), newest, catalog.Millis(time.Now())); !empty || err != nil {
		return false, err
	}
	if ended, err := m.end(ctx, l, e, request{kind: retireRequest, next: newest.Next}); !ended || err != nil {
		return false, err
	}
	m.tell(e, "deleting a stream that has been empty for long enough")
	return true, m.a.deleteStream(ctx, e.Ref(), e.ID)
}

// end asks the stream's sequencer to end it, which refuses if it is in use again.
func (m *emptyReaper) end(ctx context.Context, l *log, e *catalog.Entry, r request) (ended bool, err error) {
	st, err := l.open(ctx, e)
	if err != nil {
		return false, err
	}
	defer st.release()
	done := make(chan error, 1)
	r.ctx, r.st, r.done = ctx, st, func(_ protocol.AppendAck, err error) { done <- err }
	if err := st.post(&r); err != nil {
		return false, err
	}
	select {
	case err = <-done:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if errors.Is(err, errInUse) {
		return false, nil
	}
	return err == nil, err
}

// done notes in the catalog that the deadlines up to now were dealt with, and returns the stream's new entry; nil when
// the stream is deleted.
func (m *emptyReaper) done(ctx context.Context, e *catalog.Entry, now uint64) (left *catalog.Entry, err error) {
	err = m.a.catalog.Change(ctx, catalog.StreamKey(e.Ref()), func() error {
		left = m.current(waiting{ref: e.Ref(), id: e.ID})
		if left == nil || left.Idle() != nil && left.Idle().Done >= now {
			return nil
		}
		rec, idle := left.Record(), left.Idle().DoneBy(now)
		rec.Idle = &idle
		if err := m.a.updateStream(ctx, left, rec); err != nil {
			return err
		}
		left = m.current(waiting{ref: e.Ref(), id: e.ID})
		return nil
	})
	return left, err
}

// reapQueue is a heap of streams by time.
type reapQueue []waiting

func (q reapQueue) Len() int           { return len(q) }
func (q reapQueue) Less(i, j int) bool { return q[i].at < q[j].at }
func (q reapQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *reapQueue) Push(w any)        { *q = append(*q, w.(waiting)) } //nolint:forcetypeassert // the queue holds nothing else
func (q *reapQueue) Pop() any {
	old := *q
	n := len(old) - 1
	w := old[n]
	old[n] = waiting{}
	*q = old[:n]
	return w
}

// lastWrite is when the stream was last appended to, or else created, in seconds, rounded up.
func lastWrite(e *catalog.Entry, newest *storedChunk) uint64 {
	at := newest.lastAppend().At
	if newest.Next == 0 { // no append was stored: the chunk may say that the stream was closed
		at = catalog.Millis(e.CreatedAt())
	}
	return (at + 999) / 1000
}
