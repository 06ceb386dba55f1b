package catalog

import (
	"strings"
	"sync"

	"github.com/tidwall/btree"

	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// View is the catalog in memory, ordered by name, for lookups and listings. Every entry in it is durable.
type View struct {
	mu     sync.RWMutex
	basins btree.Map[string, *basinView]
	// shared says that other servers write to the catalog: the sizes of a basin's streams are also added up log by log, and entries may come before that of
	// their basin. It is set before the view is used.
	shared bool
	// location is the default location that was set, locationRevision that of its key.
	location         protocol.LocationName
	locationRevision uint64
	horizon          horizon
	early            map[protocol.BasinName]*basinView // with what came before the basin's entry
	// coming is the revision of the change that follow brings, or has brought last. What was written at an earlier one and is not in the view was
	// removed or replaced since.
	coming uint64
}

// come notes that follow brings a change.
func (v *View) come(revision uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.coming = max(v.coming, revision)
}

// basinView is a basin in the view. Its fields are guarded by View.mu.
type basinView struct {
	BasinRecord
	revision uint64
	name     protocol.BasinName
	streams  streamTree
	shared   [2]*entryCommon // that streams put in last have in common
	bytes    uint64          // stored in the streams, as of their last measurements
	parts    []partSize      // of these, where View.shared is set
	created  uint64          // where the count of streams ever created goes on, see nextBucket
	// uses are the forks, by their id, and users those that share records of a stream, by its id.
	uses  map[layout.StreamID]*forkUse
	users map[layout.StreamID]map[layout.StreamID]*forkUse
	// purging is set when the basin's logs are being removed: nothing in it can be opened any more.
	purging bool
	// provisioning is held for reading while a stream is created and for writing while the basin is marked as deleted,
	// so that no stream appears in a basin after that.
	provisioning sync.RWMutex
}

// Basin returns the basin's record, and whether it is being purged.
func (v *View) Basin(name protocol.BasinName) (rec BasinRecord, revision uint64, ok bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	b, ok := v.basins.Get(string(name))
	if !ok {
		return BasinRecord{}, 0, false
	}
	return b.BasinRecord, b.revision, true
}

// Stream returns the stream's entry, or nil. basinOK reports whether the basin exists, purging whether it is being deleted.
func (v *View) Stream(ref protocol.StreamRef) (e *Entry, basinOK, purging bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	b, ok := v.basins.Get(string(ref.Basin))
	if !ok || b.Hidden() {
		return nil, false, false
	}
	e = b.streams.get(string(ref.Stream))
	return e, true, b.purging
}

// PutBasin stores a basin, unless the view has a newer one. It returns the streams that came before it and are in the view now.
func (v *View) PutBasin(rec *BasinRecord, revision uint64) (early []*Entry) {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, known := v.basins.Get(string(rec.Name))
	if !known && revision < v.coming {
		return nil // it has come, and was removed
	}
	b := v.basinLocked(rec.Name)
	if revision >= b.revision {
		b.BasinRecord, b.revision = *rec, revision
	}
	if !known {
		b.dropEarlierLocked()
		early = b.streams.all()
	}
	return early
}

// PutStream stores an entry, unless the view has a newer one.
func (v *View) PutStream(e *Entry) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch b, ok := v.basins.Get(string(e.Basin())); {
	case ok && e.Revision > b.After: // or it is of an earlier basin of the name
		b.putLocked(e)
	case !ok && v.shared:
		v.earlyLocked(e.Basin()).putLocked(e)
	}
}

// PutWritten is PutStream for an entry that this process has just written. Where follow is beyond it, the view has it, or another server has replaced
// or removed it since.
func (v *View) PutWritten(e *Entry) {
	v.mu.Lock()
	defer v.mu.Unlock()
	b, ok := v.basins.Get(string(e.Basin()))
	switch {
	case !ok || e.Revision <= b.After:
	case e.Revision >= v.coming:
		b.putLocked(e)
	default:
		e.remembers(b.streams.get(string(e.Name)))
	}
}

// putLocked is putStream for a basin that is there. The entry must not have been shown to anybody.
func (b *basinView) putLocked(e *Entry) {
	b.share(e)
	b.created = max(b.created, uint64(e.ID.Bucket())*layout.BucketStreams)
	old := b.streams.set(e)
	e.remembers(old)
	switch {
	case old == nil:
	case old.Revision > e.Revision:
		b.streams.set(old)
		return
	case old.ID != e.ID:
		b.forgetSizeLocked(old)
		b.disuseLocked(old)
	}
	b.useLocked(e)
}

// remembers lets an entry share the memory of the background tasks with the one that is in the view, if that is of the same stream: the stream may be loaded
// with it.
func (e *Entry) remembers(old *Entry) {
	if old != nil && old.ID == e.ID && old.Checks != nil {
		e.Checks = old.Checks
	}
}

// share lets an entry share its entryCommon with an equal entry that was put in before.
func (b *basinView) share(e *Entry) {
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

// RemoveStream takes a stream out, if it still is the incarnation with that id.
func (v *View) RemoveStream(ref protocol.StreamRef, id layout.StreamID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if b, ok := v.basins.Get(string(ref.Basin)); ok {
		if e := b.streams.get(string(ref.Stream)); e != nil && e.ID == id {
			b.streams.remove(string(ref.Stream))
			b.forgetSizeLocked(e)
			b.disuseLocked(e)
		}
	}
}

// NextBucket is the bucket of a new stream of a basin. Those that follow one another share it. After a start the count goes
// on at the beginning of the last bucket.
func (v *View) NextBucket(basin protocol.BasinName) uint32 {
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

// AnyStreamIn reports whether a stream that is not being deleted lives in a log.
func (v *View) AnyStreamIn(id layout.Log) (found bool) {
	v.eachStreamIn(id, func(*Entry) bool {
		found = true
		return false
	})
	return found
}

// StreamsIn returns the streams in a log that are not being deleted.
func (v *View) StreamsIn(id layout.Log) (entries []*Entry) {
	v.eachStreamIn(id, func(e *Entry) bool {
		entries = append(entries, e)
		return true
	})
	return entries
}

func (v *View) eachStreamIn(id layout.Log, yield func(*Entry) (more bool)) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	number := id.Number()
	v.basins.Scan(func(name string, b *basinView) bool {
		if b.Deleting() || b.Hidden() || id.Owner != "" && string(id.Owner) != name {
			return true
		}
		more := true
		b.streams.Scan(func(_ string, e *Entry) bool {
			if e.Log() == number && !e.Deleting() {
				more = yield(e)
			}
			return more
		})
		return more
	})
}

// RemoveBasin takes out a basin that was removed at revision, unless it has a successor already.
func (v *View) RemoveBasin(name protocol.BasinName, revision uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if b, ok := v.basins.Get(string(name)); ok && b.revision <= revision {
		v.basins.Delete(string(name))
		if v.shared {
			v.succeedLocked(b, revision)
		}
	}
}

// MarkPurging closes a basin for good and returns its streams.
func (v *View) MarkPurging(name protocol.BasinName) []*Entry {
	v.mu.Lock()
	defer v.mu.Unlock()
	b, ok := v.basins.Get(string(name))
	if !ok {
		return nil
	}
	b.purging = true
	return b.streams.all()
}

// Provisioning returns the basin's lock between creating streams and deleting it; a new one if there is no basin.
func (v *View) Provisioning(name protocol.BasinName) *sync.RWMutex {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if b, ok := v.basins.Get(string(name)); ok {
		return &b.provisioning
	}
	return new(sync.RWMutex)
}

// ListBasins returns a page of the basins that show.
func (v *View) ListBasins(req protocol.ListRequest) protocol.BasinPage {
	v.mu.RLock()
	defer v.mu.RUnlock()
	page := protocol.BasinPage{Basins: []protocol.BasinInfo{}}
	list(&v.basins, req, func(b *basinView) bool {
		if b.Hidden() {
			return true
		}
		if len(page.Basins) == req.PageSize() {
			page.HasMore = true
			return false
		}
		page.Basins = append(page.Basins, b.Info())
		return true
	})
	return page
}

// ListStreams returns a page of a basin's streams; ok reports whether there is such a basin.
func (v *View) ListStreams(basin protocol.BasinName, req protocol.ListRequest) (page protocol.StreamPage, ok bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	b, ok := v.basins.Get(string(basin))
	if !ok || b.Hidden() {
		return page, false
	}
	page.Streams = []protocol.StreamInfo{}
	list(&b.streams, req, func(e *Entry) bool {
		if e.IsShadow() {
			return true
		}
		if len(page.Streams) == req.PageSize() {
			page.HasMore = true
			return false
		}
		page.Streams = append(page.Streams, e.Info())
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

// Some returns up to n entries behind the given place, for the janitor's walk; done reports that the end was reached. Those of basins
// that are being restored are left out: they are not complete.
func (v *View) Some(after protocol.StreamRef, n int) (entries []*Entry, done bool) {
	return v.some(after, n, false)
}

// All is Some with the entries of basins that are being restored.
func (v *View) All(after protocol.StreamRef, n int) (entries []*Entry, done bool) {
	return v.some(after, n, true)
}

func (v *View) some(after protocol.StreamRef, n int, hidden bool) (entries []*Entry, done bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	v.basins.Ascend(string(after.Basin), func(name string, b *basinView) bool {
		if b.Hidden() && !hidden {
			return true
		}
		from := ""
		if name == string(after.Basin) {
			from = string(after.Stream)
		}
		b.streams.Ascend(from, func(stream string, e *Entry) bool {
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

// EachDeleting yields the basins and streams whose deletion was accepted and is not complete.
func (v *View) EachDeleting(basin func(protocol.BasinName), stream func(*Entry)) {
	var basins []protocol.BasinName
	var streams []*Entry
	v.mu.RLock()
	v.basins.Scan(func(_ string, b *basinView) bool {
		if b.Deleting() {
			basins = append(basins, b.Name)
			return true
		}
		b.streams.Scan(func(_ string, e *Entry) bool {
			if e.Deleting() {
				streams = append(streams, e)
			}
			return true
		})
		return true
	})
	v.mu.RUnlock()
	for _, name := range basins { // without the lock: the caller takes others that come before it
		basin(name)
	}
	for _, e := range streams {
		stream(e)
	}
}

// DeletingBasins returns the basins whose deletion was accepted and is not complete.
func (v *View) DeletingBasins() (names []protocol.BasinName) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	v.basins.Scan(func(_ string, b *basinView) bool {
		if b.Deleting() {
			names = append(names, b.Name)
		}
		return true
	})
	return names
}

// StreamsAfter returns up to n streams of a basin behind a name, in order; ok reports whether the basin is there.
func (v *View) StreamsAfter(after protocol.StreamRef, n int) (entries []*Entry, ok bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	b, ok := v.basins.Get(string(after.Basin))
	if !ok {
		return nil, false
	}
	b.streams.Ascend(string(after.Stream), func(name string, e *Entry) bool {
		if name != string(after.Stream) {
			entries = append(entries, e)
		}
		return len(entries) < n
	})
	return entries, true
}

// CountStreams is the number of a basin's streams, seen or not.
func (v *View) CountStreams(basin protocol.BasinName) int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if b, ok := v.basins.Get(string(basin)); ok {
		return b.streams.len()
	}
	return 0
}

// loadStreams stores entries while the catalog is loaded. Their basins may come later.
func (v *View) loadStreams(entries []*Entry) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var b *basinView
	for _, e := range entries {
		if b == nil || b.name != e.Basin() {
			b = v.basinLocked(e.Basin())
		}
		b.putLocked(e)
	}
}

// basinLocked returns a basin, and makes one that is not known yet.
func (v *View) basinLocked(name protocol.BasinName) *basinView {
	b, ok := v.basins.Get(string(name))
	if !ok {
		b = v.earlyLocked(name)
		delete(v.early, name)
		v.basins.Set(string(b.name), b)
	}
	return b
}

// dropUnknown takes out basins that have streams and no entry of their own, and streams that are older than their basin. Where the catalog is shared, a basin's
// entry may have been written again while the catalog was loaded, and comes yet.
func (v *View) dropUnknown() {
	v.mu.Lock()
	defer v.mu.Unlock()
	var unknown []*basinView
	v.basins.Scan(func(_ string, b *basinView) bool {
		if b.revision == 0 {
			unknown = append(unknown, b)
		}
		if b.After > 0 {
			b.dropEarlierLocked()
		}
		return true
	})
	for _, b := range unknown {
		v.basins.Delete(string(b.name))
		if v.shared {
			v.waitLocked(b)
		}
	}
}

// dropEarlierLocked takes out the streams of an earlier basin of the name.
func (b *basinView) dropEarlierLocked() {
	for _, e := range b.streams.all() {
		if e.Revision <= b.After {
			b.streams.remove(string(e.Name))
			b.forgetSizeLocked(e)
			b.disuseLocked(e)
		}
	}
	for id, u := range b.uses {
		if u.hold != nil && u.hold.Revision <= b.After {
			b.unholdLocked(id)
		}
	}
}
