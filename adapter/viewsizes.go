package adapter

import (
	"time"

	"github.com/weirstream/weir/protocol"
)

// setSize records the size of a stream, and adjusts its basin's, if the stream is still there.
func (v *view) setSize(e *streamEntry, bytes uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	b, ok := v.basins.Get(string(e.Basin()))
	if !ok {
		return
	}
	if now := b.streams.get(string(e.Name)); now != nil && now.ID == e.ID {
		b.bytes += bytes - e.checks.size.bytes
		e.checks.size.bytes = bytes
	}
}

// forgetSizeLocked takes a stream that is going out of its basin's size.
func (b *basinView) forgetSizeLocked(e *streamEntry) {
	if e.checks == nil {
		return
	}
	b.bytes -= e.checks.size.bytes
	e.checks.size.bytes = 0
}

// basinSize returns the bytes of a basin. An empty one is known at once.
func (v *view) basinSize(name protocol.BasinName, surveyed bool) (bytes uint64, known bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	b, ok := v.basins.Get(string(name))
	if !ok || b.deleting() || b.hidden() {
		return 0, false
	}
	return b.bytes, surveyed || b.streams.len() == 0
}

func (v *view) eachSize(yield func(protocol.BasinName, uint64)) {
	type basin struct {
		name  protocol.BasinName
		bytes uint64
	}
	var all []basin
	v.mu.RLock()
	v.basins.Scan(func(_ string, b *basinView) bool {
		if !b.deleting() && !b.hidden() {
			all = append(all, basin{b.Name, b.bytes})
		}
		return true
	})
	v.mu.RUnlock()
	for _, b := range all { // without the lock: the caller may take his time
		yield(b.name, b.bytes)
	}
}

// oldest returns when the oldest of a basin's streams that are not being deleted was created.
func (v *view) oldest(name protocol.BasinName) (at time.Time, ok bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	b, found := v.basins.Get(string(name))
	if !found {
		return at, false
	}
	b.streams.Scan(func(_ string, e *streamEntry) bool {
		if !e.deleting() && (!ok || e.createdAt().Before(at)) {
			at, ok = e.createdAt(), true
		}
		return true
	})
	return at, ok
}

// basinsWithStreams returns the basins with a stream that was created before t, neither being deleted. Mostly the first
// stream of a basin answers.
func (v *view) basinsWithStreams(t time.Time) (names []protocol.BasinName) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	v.basins.Scan(func(_ string, b *basinView) bool {
		if b.deleting() || b.hidden() {
			return true
		}
		b.streams.Scan(func(_ string, e *streamEntry) bool {
			if e.deleting() || !e.createdAt().Before(t) {
				return true
			}
			names = append(names, b.Name)
			return false
		})
		return true
	})
	return names
}

// count returns how many basins and streams there are.
func (v *view) count() (basins, streams int) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	v.basins.Scan(func(_ string, b *basinView) bool {
		streams += b.streams.len()
		return true
	})
	return v.basins.Len(), streams
}
