package catalog

import (
	"slices"
	"time"

	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// SetSize records the size of a stream, and adjusts its basin's, if the stream is still there.
func (v *View) SetSize(e *Entry, bytes uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	b, ok := v.basins.Get(string(e.Basin()))
	if !ok {
		return
	}
	if now := b.streams.get(string(e.Name)); now != nil && now.ID == e.ID {
		b.bytes += bytes - e.Checks.Size.bytes
		if v.shared {
			*b.part(e.Log()) += bytes - e.Checks.Size.bytes
		}
		e.Checks.Size.bytes = bytes
	}
}

// partSize is the size of a basin's streams in one log.
type partSize struct {
	log   int
	bytes uint64
}

// part returns the size of a basin's part in a log. View.mu is held.
func (b *basinView) part(log int) *uint64 {
	for i := range b.parts {
		if b.parts[i].log == log {
			return &b.parts[i].bytes
		}
	}
	b.parts = append(b.parts, partSize{log: log})
	return &b.parts[len(b.parts)-1].bytes
}

// forgetSizeLocked takes a stream that is going out of its basin's size.
func (b *basinView) forgetSizeLocked(e *Entry) {
	if e.Checks == nil {
		return
	}
	b.bytes -= e.Checks.Size.bytes
	if b.parts != nil {
		*b.part(e.Log()) -= e.Checks.Size.bytes
	}
	e.Checks.Size.bytes = 0
}

// BasinSize returns the bytes and the number of streams of a basin; ok reports whether there is such a basin.
func (v *View) BasinSize(name protocol.BasinName) (bytes uint64, streams int, ok bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	b, ok := v.basins.Get(string(name))
	if !ok || b.Deleting() || b.Hidden() {
		return 0, 0, false
	}
	return b.bytes, b.streams.len(), true
}

// EachSize yields the bytes of every basin that is not being deleted.
func (v *View) EachSize(yield func(protocol.BasinName, uint64)) {
	type basin struct {
		name  protocol.BasinName
		bytes uint64
	}
	var all []basin
	v.mu.RLock()
	v.basins.Scan(func(_ string, b *basinView) bool {
		if !b.Deleting() && !b.Hidden() {
			all = append(all, basin{b.Name, b.bytes})
		}
		return true
	})
	v.mu.RUnlock()
	for _, b := range all { // without the lock: the caller may take his time
		yield(b.name, b.bytes)
	}
}

// PartSizes yields the bytes of a basin's streams log by log, of those that were ever measured; streams is the number of its streams, and ok
// reports whether there is such a basin. The view counts so where the store is shared.
func (v *View) PartSizes(name protocol.BasinName, yield func(log int, bytes uint64)) (streams int, ok bool) {
	v.mu.RLock()
	b, ok := v.basins.Get(string(name))
	if !ok || b.Deleting() || b.Hidden() {
		v.mu.RUnlock()
		return 0, false
	}
	parts, streams := slices.Clone(b.parts), b.streams.len()
	v.mu.RUnlock()
	for _, p := range parts {
		yield(p.log, p.bytes)
	}
	return streams, true
}

// EachPart is PartSizes for every basin that is not being deleted.
func (v *View) EachPart(yield func(basin protocol.BasinName, log int, bytes uint64)) {
	type part struct {
		basin protocol.BasinName
		partSize
	}
	var all []part
	v.mu.RLock()
	v.basins.Scan(func(_ string, b *basinView) bool {
		if !b.Deleting() && !b.Hidden() {
			for _, p := range b.parts {
				all = append(all, part{b.Name, p})
			}
		}
		return true
	})
	v.mu.RUnlock()
	for _, p := range all { // without the lock: the caller may take its time
		yield(p.basin, p.log, p.bytes)
	}
}

// Oldest returns when the oldest of a basin's streams that are not being deleted was created.
func (v *View) Oldest(name protocol.BasinName) (at time.Time, ok bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	b, found := v.basins.Get(string(name))
	if !found {
		return at, false
	}
	b.streams.Scan(func(_ string, e *Entry) bool {
		if !e.Deleting() && (!ok || e.CreatedAt().Before(at)) {
			at, ok = e.CreatedAt(), true
		}
		return true
	})
	return at, ok
}

// BasinsWithStreams returns the basins with a stream that was created before t, neither being deleted. Mostly the first
// stream of a basin answers.
func (v *View) BasinsWithStreams(t time.Time) (names []protocol.BasinName) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	v.basins.Scan(func(_ string, b *basinView) bool {
		if b.Deleting() || b.Hidden() {
			return true
		}
		b.streams.Scan(func(_ string, e *Entry) bool {
			if e.Deleting() || !e.CreatedAt().Before(t) {
				return true
			}
			names = append(names, b.Name)
			return false
		})
		return true
	})
	return names
}

// Count returns how many basins and streams there are.
func (v *View) Count() (basins, streams int) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	v.basins.Scan(func(_ string, b *basinView) bool {
		streams += b.streams.len()
		return true
	})
	return v.basins.Len(), streams
}

// StreamIDs returns the ids of all streams, those that are being deleted and those that do not show included.
func (v *View) StreamIDs() map[layout.StreamID]struct{} {
	v.mu.RLock()
	defer v.mu.RUnlock()
	ids := map[layout.StreamID]struct{}{}
	v.basins.Scan(func(_ string, b *basinView) bool {
		b.streams.Scan(func(_ string, e *Entry) bool {
			ids[e.ID] = struct{}{}
			return true
		})
		return true
	})
	return ids
}
