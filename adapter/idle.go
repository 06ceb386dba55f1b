package adapter

import (
	"time"

	"github.com/weirstream/weir/adapter/layout"
)

// maxIdleStreams bounds the unused streams of a log that stay loaded. Each costs about a kilobyte. The most recently used ones
// stay. Without a bound a million streams that are created and written once would all be loaded at the
// same time, see unloadAfter.
const maxIdleStreams = 32 << 10

// uses is how many handles and requests use a loaded stream.
type uses struct {
	count     int
	idleSince time.Time // since count is 0
	// older and newer are its neighbours in idleStreams; listed reports whether it stands there.
	older, newer *stream
	listed       bool
}

// idleStreams is a list of the loaded and unused streams of a log, in the order in which their last use ended. The links are in
// the streams, because container/list would allocate at the end of every use. It is guarded by log.mu.
type idleStreams struct {
	oldest, newest *stream
	n              int
}

func (q *idleStreams) push(st *stream) {
	st.uses.listed = true
	st.uses.older = q.newest
	if q.newest != nil {
		q.newest.uses.newer = st
	} else {
		q.oldest = st
	}
	q.newest = st
	q.n++
}

func (q *idleStreams) remove(st *stream) {
	u := &st.uses
	if !u.listed {
		return
	}
	if u.older != nil {
		u.older.uses.newer = u.newer
	} else {
		q.oldest = u.newer
	}
	if u.newer != nil {
		u.newer.uses.older = u.older
	} else {
		q.newest = u.older
	}
	u.older, u.newer, u.listed = nil, nil, false
	q.n--
}

// acquire keeps a stream loaded until release.
func (l *log) acquire(st *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acquireLocked(st)
}

func (l *log) acquireLocked(st *stream) {
	l.idle.remove(st)
	st.uses.count++
}

// release ends a use. When there are too many streams without one, the stream that was used least recently is unloaded.
func (l *log) release(st *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if st.uses.count--; st.uses.count > 0 {
		return
	}
	st.uses.idleSince = time.Now()
	if l.streams[st.id] != st || st.settings.Load().idleSecs > 0 {
		return // it is not loaded any more, or its last use is to be noted before it is unloaded
	}
	l.idle.push(st)
	if l.idle.n > l.maxIdle {
		l.forgetLocked(l.idle.oldest)
	}
}

// forgetLocked takes a stream out of memory.
func (l *log) forgetLocked(st *stream) {
	l.idle.remove(st)
	if l.streams[st.id] == st {
		delete(l.streams, st.id)
	}
}

// unloadIdle drops the streams that were not used since before.
func (l *log) unloadIdle(before time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, st := range l.streams {
		unnoted := st.settings.Load().idleSecs > 0 && st.reads.last.Load() > st.reads.noted
		if st.uses.count == 0 && st.uses.idleSince.Before(before) && !unnoted {
			l.forgetLocked(st)
		}
	}
}

// countStreams is how many streams are loaded or loading.
func (l *log) countStreams() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.streams)
}

// drop forgets a loaded stream; its handles get reason.
func (l *log) drop(id layout.StreamID, reason error) {
	l.mu.Lock()
	delete(l.removed, id)
	st := l.streams[id]
	if st != nil {
		l.forgetLocked(st)
	}
	l.mu.Unlock()
	if st != nil {
		st.live.close(reason)
	}
}
