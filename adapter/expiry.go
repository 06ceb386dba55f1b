package adapter

import (
	"context"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/weirstream/weir/adapter/internal/catalog"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// Expiry of streams (docs/expiry.md). The empty reaper looks at a stream when its time may have come, and a caller that opens one that
// is over finds it deleted. When a stream was appended to stands in its newest chunk. When it was read is known in memory
// while the stream is loaded, and noted in the catalog before it is unloaded, and every so often while it is used on and on.

const (
	// noteShare is which part of the idle time may pass before a use that goes on is noted again.
	noteShare = 8
	// noteDelay is how long a note may take beyond that, in milliseconds: the uses between the last note and a crash are not
	// known to the next start, so it assumes them.
	noteDelay = 60_000
	// notesAtOnce bounds the notes that are written at the same time, so that they share syncs.
	notesAtOnce = 64
)

// reads is a loaded stream's knowledge of its uses by clients: appends and reads, but not looks at its tail.
type reads struct {
	open  atomic.Int64  // handles
	last  atomic.Uint64 // when the last of them was closed, in milliseconds since the epoch, or the last use known at the load
	noted uint64        // the last use that the catalog knows; guarded by log.mu
}

// at is when the stream was last used, as of now.
func (r *reads) at(now uint64) uint64 {
	if r.open.Load() > 0 {
		return now
	}
	return r.last.Load()
}

func (r *reads) raise(to uint64) {
	for {
		old := r.last.Load()
		if old >= to || r.last.CompareAndSwap(old, to) {
			return
		}
	}
}

// use counts a handle of a client until the function that it returns is called.
func (st *stream) use() (end func()) {
	st.reads.open.Add(1)
	return func() {
		if st.settings.Load().idleSecs > 0 {
			st.reads.raise(catalog.Millis(time.Now()))
		}
		st.reads.open.Add(-1)
	}
}

// lateness is how much later than its idle time a stream ends that was last used at used, for the uses that are not known.
func (a *Adapter) lateness(used, idleSecs uint64) uint64 {
	if used >= a.began && !a.opts.Shared {
		return 0
	}
	return satAdd(satMul(idleSecs, 1000/noteShare), noteDelay)
}

// idleEnd is when a stream ends that was last used at used, in milliseconds since the epoch; 0: never.
func (a *Adapter) idleEnd(used, idleSecs uint64) uint64 {
	if idleSecs == 0 {
		return 0
	}
	return satAdd(satAdd(used, satMul(idleSecs, 1000)), a.lateness(used, idleSecs))
}

func satAdd(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

func satMul(a, b uint64) uint64 {
	if a > math.MaxUint64/b {
		return math.MaxUint64
	}
	return a * b
}

// expires is when a stream ends according to its record, in seconds since the epoch, or earlier than that; 0: never.
func (a *Adapter) expires(e *catalog.Entry) uint64 { return a.expiresUnless(e, e.Used()) }

// expiresUnless is when a stream that was last used at used ends, if it is not used again.
func (a *Adapter) expiresUnless(e *catalog.Entry, used uint64) uint64 {
	x := e.Config().Expiry
	at := a.idleEnd(used, x.IdleSecs)
	if x.At != 0 && (at == 0 || x.At < at) {
		at = x.At
	}
	return at/1000 + min(1, at%1000)
}

// over reports whether the time of a stream that has just been opened had come before.
func (a *Adapter) over(st *stream, e *catalog.Entry) bool {
	now := time.Now()
	if e.Over(now) {
		return true
	}
	idle := e.Config().Expiry.IdleSecs
	if idle == 0 || a.opts.Shared || st.reads.open.Load() > 0 {
		return false // other servers' appends and reads are for the reaper
	}
	return a.idleEnd(max(e.Used(), st.reads.last.Load()), idle) <= catalog.Millis(now)
}

// expire deletes a stream whose time has come; next is when to look again otherwise, in seconds; 0: never.
func (m *emptyReaper) expire(ctx context.Context, l *log, e *catalog.Entry, newest *storedChunk) (deleted bool, next uint64, err error) {
	now := time.Now()
	if e.Over(now) {
		m.tell(e, "deleting a stream whose expiry has come")
		return true, 0, m.a.deleteStream(ctx, e.Ref(), e.ID)
	}
	used := max(e.Used(), newest.lastAppend().At)
	if st := l.inMemory(e.ID); st != nil {
		used = max(used, st.reads.at(catalog.Millis(now)))
	}
	next = m.a.expiresUnless(e, used)
	if next == 0 || next > catalog.Seconds(now) {
		return false, next, nil
	}
	ended, err := m.end(ctx, l, e, request{kind: expireRequest, next: newest.Next})
	if err != nil {
		return false, 0, err
	}
	if !ended {
		return false, catalog.Seconds(now) + 1, nil // used meanwhile
	}
	m.tell(e, "deleting a stream that was not used for as long as its expiry says")
	return true, 0, m.a.deleteStream(ctx, e.Ref(), e.ID)
}

func (m *emptyReaper) tell(e *catalog.Entry, what string) {
	m.a.logger.LogAttrs(context.Background(), slog.LevelInfo, what, //nolint:sloglint // a constant of the caller
		slog.String("basin", string(e.Basin())), slog.String("stream", string(e.Name)))
}

// lastUse is the last use that the catalog is to note for a stream.
type lastUse struct {
	st *stream
	at uint64
}

// unnoted returns the streams whose uses must be noted in the catalog, at now.
func (l *log) unnoted(now time.Time, idleBefore time.Time) (found []lastUse) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, st := range l.streams {
		idle := st.settings.Load().idleSecs
		if idle == 0 {
			continue
		}
		at := st.reads.at(catalog.Millis(now))
		leaves := st.uses.count == 0 && st.uses.idleSince.Before(idleBefore)
		if at > st.reads.noted && (leaves || at-st.reads.noted >= satMul(idle, 1000/noteShare)) {
			found = append(found, lastUse{st, at})
		}
	}
	return found
}

// noteUses writes into the catalog when streams with an idle limit were last used, before they are unloaded.
func (a *Adapter) noteUses(ctx context.Context, l *log, idleBefore time.Time) {
	var workers errgroup.Group
	workers.SetLimit(notesAtOnce)
	for _, u := range l.unnoted(time.Now(), idleBefore) {
		workers.Go(func() error {
			if err := a.noteUse(ctx, u.st.ref, u.st.id, u.at); err != nil {
				if ctx.Err() == nil {
					a.logger.Warn("when a stream was last used could not be noted; it is tried again", slog.String("basin", string(u.st.ref.Basin)),
						slog.String("stream", string(u.st.ref.Stream)), slog.Any("error", err))
				}
				return nil
			}
			l.noted(u)
			return nil
		})
	}
	workers.Wait() //nolint:errcheck // reported one by one
}

func (a *Adapter) noteUse(ctx context.Context, ref protocol.StreamRef, id layout.StreamID, at uint64) error {
	return a.catalog.Change(ctx, catalog.StreamKey(ref), func() error {
		e := a.reaper.current(waiting{ref: ref, id: id})
		if e == nil || e.Used() >= at {
			return nil
		}
		rec := e.Record()
		rec.Used = at
		return a.updateStream(ctx, e, rec)
	})
}

func (l *log) noted(u lastUse) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u.st.reads.noted = max(u.st.reads.noted, u.at)
}

// inMemory is a stream if it is in memory and ready, or nil.
func (l *log) inMemory(id layout.StreamID) *stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.readyLocked(id)
}

func (l *log) readyLocked(id layout.StreamID) *stream {
	st := l.streams[id]
	if st == nil {
		return nil
	}
	select {
	case <-st.ready:
		return st
	default:
		return nil
	}
}
