package adapter

import (
	"strings"
	"sync"

	"github.com/tidwall/btree"

	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// view is the catalog in memory, ordered by name, for lookups and listings. What stands in it is durable.
type view struct {
	mu     sync.RWMutex
	basins btree.Map[string, *basinView]
	// location is the default location that was set, locationRevision that of its key.
	location         protocol.LocationName
	locationRevision uint64
}

// basinView is a basin in the view. Its fields are guarded by view.mu.
type basinView struct {
	basinRecord
	revision uint64
	name     protocol.BasinName
	streams  streamTree
	shared   [2]*entryCommon // that streams put in last have in common
	bytes    uint64          // stored in the streams, as of their last measurements
	created  uint64          // where the count of streams ever created goes on, see nextBucket
	// purging is set when the basin's logs are being removed: nothing in it can be opened any more.
	purging bool
	// provisioning is held for reading while a stream is created and for writing while the basin is marked as deleted,
	// so that no stream appears in a basin after that.
	provisioning sync.RWMutex
}

// basin returns the basin's record, and whether it is being purged.
func (v *view) basin(name protocol.BasinName) (rec basinRecord, revision uint64, ok bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	b, ok := v.basins.Get(string(name))
	if !ok {
		return basinRecord{}, 0, false
	}
	return b.basinRecord, b.revision, true
}

// stream returns the stream's entry, or nil. basinOK tells whether the basin exists, purging whether it is going away.
func (v *view) stream(ref protocol.StreamRef) (e *streamEntry, basinOK, purging bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	b, ok := v.basins.Get(string(ref.Basin))
	if !ok || b.hidden() {
		return nil, false, false
	}
	e = b.streams.get(string(ref.Stream))
	return e, true, b.purging
}

func (v *view) putBasin(rec *basinRecord, revision uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	b := v.basinLocked(rec.Name)
	if revision >= b.revision {
		b.basinRecord, b.revision = *rec, revision
	}
}

// putStream stores an entry, unless the view has a newer one.
func (v *view) putStream(e *streamEntry) {
	v.mu.Lock()
	defer v.mu.Unlock()
	b, ok := v.basins.Get(string(e.Basin()))
	if !ok {
		return
	}
	b.putLocked(e)
}

// putLocked is putStream for a basin that is there. The entry must not have been shown to anybody.
func (b *basinView) putLocked(e *streamEntry) {
	b.share(e)
	b.created = max(b.created, uint64(e.ID.Bucket())*layout.BucketStreams)
	switch old := b.streams.set(e); {
	case old == nil:
	case old.revision > e.revision:
		b.streams.set(old)
	case old.ID != e.ID:
		b.forgetSizeLocked(old)
	}
}

// share lets an entry share what it has in common with those that were put in before.
func (b *basinView) share(e *streamEntry) {
	if !e.common.plain() {
		return
	}
	for i, c := range b.shared {
		if c != nil && c.like(e.common) {
			e.common = c
			b.shared[0], b.shared[i] = b.shared[i], b.shared[0]
			return
		}
	}
	b.shared[1], b.shared[0] = b.shared[0], e.common
}

func (v *view) removeStream(ref protocol.StreamRef, id layout.StreamID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if b, ok := v.basins.Get(string(ref.Basin)); ok {
		if e := b.streams.get(string(ref.Stream)); e != nil && e.ID == id {
			b.streams.remove(string(ref.Stream))
			b.forgetSizeLocked(e)
		}
	}
}

// nextBucket is the bucket of a new stream of a basin. Those that follow one another share it. After a start the count goes
// on at the beginning of the last bucket.
func (v *view) nextBucket(basin protocol.BasinName) uint32 {
	v.mu.Lock()
	defer v.mu.Unlock()
	b, ok := v.basins.Get(string(basin))
	if !ok {
		return 0
	}
	n := b.created / layout.BucketStreams
	b.created++
	return uint32(n)
}

// anyStreamIn reports whether a stream that is not being deleted lives in a log.
func (v *view) anyStreamIn(id layout.Log) (found bool) {
	v.eachStreamIn(id, func(*streamEntry) bool {
		found = true
		return false
	})
	return found
}

// streamsIn returns the streams in a log that are not being deleted.
func (v *view) streamsIn(id layout.Log) (entries []*streamEntry) {
	v.eachStreamIn(id, func(e *streamEntry) bool {
		entries = append(entries, e)
		return true
	})
	return entries
}

func (v *view) eachStreamIn(id layout.Log, yield func(*streamEntry) (more bool)) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	number := id.Number()
	v.basins.Scan(func(name string, b *basinView) bool {
		if b.deleting() || b.hidden() || id.Owner != "" && string(id.Owner) != name {
			return true
		}
		more := true
		b.streams.Scan(func(_ string, e *streamEntry) bool {
			if e.Log() == number && !e.deleting() {
				more = yield(e)
			}
			return more
		})
		return more
	})
}

// removeBasin takes out a basin that was removed at revision, unless it has a successor already.
func (v *view) removeBasin(name protocol.BasinName, revision uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if b, ok := v.basins.Get(string(name)); ok && b.revision <= revision {
		v.basins.Delete(string(name))
	}
}

// markPurging closes a basin for good and returns its streams.
func (v *view) markPurging(name protocol.BasinName) []*streamEntry {
	v.mu.Lock()
	defer v.mu.Unlock()
	b, ok := v.basins.Get(string(name))
	if !ok {
		return nil
	}
	b.purging = true
	return b.streams.all()
}

// provisioning returns the basin's lock between creating streams and deleting it; a new one if there is no basin.
func (v *view) provisioning(name protocol.BasinName) *sync.RWMutex {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if b, ok := v.basins.Get(string(name)); ok {
		return &b.provisioning
	}
	return new(sync.RWMutex)
}

func (v *view) listBasins(req protocol.ListRequest) protocol.BasinPage {
	v.mu.RLock()
	defer v.mu.RUnlock()
	page := protocol.BasinPage{Basins: []protocol.BasinInfo{}}
	list(&v.basins, req, func(b *basinView) bool {
		if b.hidden() {
			return true
		}
		if len(page.Basins) == req.PageSize() {
			page.HasMore = true
			return false
		}
		page.Basins = append(page.Basins, b.info())
		return true
	})
	return page
}

func (v *view) listStreams(basin protocol.BasinName, req protocol.ListRequest) (page protocol.StreamPage, ok bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	b, ok := v.basins.Get(string(basin))
	if !ok || b.hidden() {
		return page, false
	}
	page.Streams = []protocol.StreamInfo{}
	list(&b.streams, req, func(e *streamEntry) bool {
		if len(page.Streams) == req.PageSize() {
			page.HasMore = true
			return false
		}
		page.Streams = append(page.Streams, e.info())
		return true
	})
	return page, true
}

// ordered is a map that can be walked in the order of its names, from the first that is not below pivot.
type ordered[T any] interface {
	Ascend(pivot string, visit func(name string, v T) bool)
}

// list walks the names that begin with the prefix and are greater than start_after (control plane 1.4). It looks at them
// and at one name behind them, nothing else.
func list[T any](m ordered[T], req protocol.ListRequest, yield func(T) bool) {
	from := req.Prefix
	if req.StartAfter != "" {
		from = max(from, req.StartAfter+"\x00") // the least name that is greater
	}
	m.Ascend(from, func(name string, v T) bool {
		return strings.HasPrefix(name, req.Prefix) && yield(v)
	})
}

// some returns up to n entries behind the given place, for the janitor's walk; done tells that the end was reached.
func (v *view) some(after protocol.StreamRef, n int) (entries []*streamEntry, done bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	v.basins.Ascend(string(after.Basin), func(name string, b *basinView) bool {
		if b.hidden() {
			return true // what is there is not complete
		}
		from := ""
		if name == string(after.Basin) {
			from = string(after.Stream)
		}
		b.streams.Ascend(from, func(stream string, e *streamEntry) bool {
			if name == string(after.Basin) && stream == string(after.Stream) {
				return true
			}
			entries = append(entries, e)
			return len(entries) < n
		})
		return len(entries) < n
	})
	return entries, len(entries) < n
}

// eachDeleting yields the basins and streams whose deletion was accepted and is not complete.
func (v *view) eachDeleting(basin func(protocol.BasinName), stream func(*streamEntry)) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	v.basins.Scan(func(_ string, b *basinView) bool {
		if b.deleting() {
			basin(b.Name)
			return true
		}
		b.streams.Scan(func(_ string, e *streamEntry) bool {
			if e.deleting() {
				stream(e)
			}
			return true
		})
		return true
	})
}
