package metering

import (
	"hash/maphash"
	"sync"

	"github.com/weirstream/weir/protocol"
)

// unaryStreams are the streams of a basin with unary appends in the current minute, by a hash of their names: there may be a million of
// them. Two names with the same hash would count as one; the chance is one in 2^64 a pair.
type unaryStreams struct {
	mu     sync.Mutex
	minute uint32
	seen   map[uint64]struct{}
}

var unarySeed = maphash.MakeSeed()

// first reports whether no unary append to the stream was counted in the minute, and notes that one is now. An append that comes
// with a minute that is over counts.
func (u *unaryStreams) first(name protocol.StreamName, minute uint32) bool {
	hash := maphash.String(unarySeed, string(name))
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case minute < u.minute:
		return true
	case minute > u.minute || u.seen == nil:
		u.minute, u.seen = minute, map[uint64]struct{}{} // a map that was large stays large
	}
	before := len(u.seen)
	u.seen[hash] = struct{}{}
	return len(u.seen) > before
}

// forget frees the memory of a minute that is over.
func (u *unaryStreams) forget(now uint32) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.minute < now {
		u.seen = nil
	}
}
