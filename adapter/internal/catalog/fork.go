package catalog

import (
	"cmp"
	"slices"
	"sync/atomic"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// Fork describes the records that a stream shares with others (docs/adr/0020): its records below At lie in the chunks of their
// streams. It is fixed at the stream's creation.
type Fork struct {
	// Segments are the streams whose chunks hold the shared records, in the order of the records. None is empty.
	Segments []Segment `json:"segments"`
	// At is the position at which the fork begins on its own: the tail that it was created with.
	At protocol.Position `json:"at"`
	// Trim is the seq_num of the first shared record: the records below it were purged when the fork was made.
	Trim uint64 `json:"trim,omitempty"`
	// Until is when the shared records expire in the fork, in milliseconds since the epoch; 0: never.
	Until uint64 `json:"until,omitempty"`
}

// Segment is a run of shared records: those from the end of the segment before.
type Segment struct {
	ID   layout.StreamID     `json:"id"`
	Name protocol.StreamName `json:"name"` // of the stream as long as it lives; encryption is bound to it
	To   uint64              `json:"to"`   // seq_num, exclusive
}

// From is the first seq_num of a segment that lies in the fork.
func (f *Fork) From(segment int) uint64 {
	if segment == 0 {
		return f.Trim
	}
	return max(f.Trim, f.Segments[segment-1].To)
}

// Since is the fork without the shared records below a seq_num.
func (f *Fork) Since(first uint64) *Fork {
	since := *f
	since.Trim = min(max(f.Trim, first), f.At.SeqNum)
	since.Segments = nil
	for _, s := range f.Segments {
		if s.To > since.Trim {
			since.Segments = append(since.Segments, s)
		}
	}
	return &since
}

// Over reports whether the shared records have expired at now, in milliseconds.
func (f *Fork) Over(now uint64) bool { return f.Until != 0 && f.Until <= now }

// ShadowName is the name of a deleted stream whose records forks need.
func ShadowName(id layout.StreamID) protocol.StreamName {
	return protocol.StreamName(protocol.ShadowPrefix + id.String())
}

// IsShadow reports whether the stream is deleted but for the records that forks need.
func (e *Entry) IsShadow() bool { return e.Name.IsShadow() }

// Range is a run of seq_nums, To exclusive.
type Range struct{ From, To uint64 }

// forkUse is a fork that uses records of others.
type forkUse struct {
	fork  *Fork
	trim  atomic.Uint64 // of the fork, as far as known
	entry bool          // its entry is in the view
	hold  *StoredHold   // nil: none is in the view
	asked atomic.Int64  // when its trim point was asked for, in milliseconds since the epoch; see ForksOf
}

// useLocked notes the segments that a fork needs.
func (b *basinView) useLocked(e *Entry) {
	f := e.Fork()
	if f == nil {
		return
	}
	u := b.uses[e.ID]
	if u == nil {
		u = &forkUse{fork: f}
		b.enlistLocked(e.ID, u)
	}
	u.entry = true
}

// disuseLocked forgets the segments that a fork needs, unless a hold keeps them.
func (b *basinView) disuseLocked(e *Entry) {
	if u := b.uses[e.ID]; u != nil && u.entry {
		u.entry = false
		if u.hold == nil {
			b.delistLocked(e.ID, u)
		}
	}
}

func (b *basinView) enlistLocked(id layout.StreamID, u *forkUse) {
	if b.uses == nil {
		b.uses, b.users = map[layout.StreamID]*forkUse{}, map[layout.StreamID]map[layout.StreamID]*forkUse{}
	}
	b.uses[id] = u
	for _, s := range u.fork.Segments {
		if b.users[s.ID] == nil {
			b.users[s.ID] = map[layout.StreamID]*forkUse{}
		}
		b.users[s.ID][id] = u
	}
}

func (b *basinView) delistLocked(id layout.StreamID, u *forkUse) {
	delete(b.uses, id)
	for _, s := range u.fork.Segments {
		delete(b.users[s.ID], id)
		if len(b.users[s.ID]) == 0 {
			delete(b.users, s.ID)
		}
	}
}

// HasForks reports whether a fork stands in the view that shares records of a stream.
func (v *View) HasForks(basin protocol.BasinName, id layout.StreamID) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	b, ok := v.basins.Get(string(basin))
	return ok && len(b.users[id]) > 0
}

// Needed returns the records of a stream that forks need at now, in milliseconds: runs that do not touch, in order.
func (v *View) Needed(basin protocol.BasinName, id layout.StreamID, now uint64) []Range {
	v.mu.RLock()
	defer v.mu.RUnlock()
	b, ok := v.basins.Get(string(basin))
	if !ok {
		return nil
	}
	var all []Range
	for _, u := range b.users[id] {
		if u.fork.Over(now) {
			continue
		}
		for i, s := range u.fork.Segments {
			r := Range{max(u.fork.From(i), u.trim.Load()), s.To}
			if s.ID == id && r.From < r.To {
				all = append(all, r)
			}
		}
	}
	slices.SortFunc(all, func(x, y Range) int { return cmp.Compare(x.From, y.From) })
	merged := all[:0]
	for _, r := range all {
		if n := len(merged); n > 0 && r.From <= merged[n-1].To {
			merged[n-1].To = max(merged[n-1].To, r.To)
			continue
		}
		merged = append(merged, r)
	}
	return merged
}

// TrimFork notes that a fork was trimmed; it returns the streams that may have been kept for records that the fork no longer needs.
func (v *View) TrimFork(e *Entry, trim uint64) (sources []*Entry) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	b, ok := v.basins.Get(string(e.Basin()))
	if !ok || b.uses[e.ID] == nil {
		return nil
	}
	u := b.uses[e.ID]
	if old := u.trim.Load(); old >= trim || !u.trim.CompareAndSwap(old, trim) {
		return nil
	}
	for _, s := range u.fork.Segments {
		if source := b.sourceLocked(s); source != nil {
			sources = append(sources, source)
		}
	}
	return sources
}

// ForksOf returns up to n forks that share records of a stream and whose trim points were not asked for since a time, in milliseconds since the epoch.
// It takes them for asked for at now. Only those that have holds are known by name.
func (v *View) ForksOf(basin protocol.BasinName, id layout.StreamID, since, now int64, n int) (forks []*Entry) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	b, ok := v.basins.Get(string(basin))
	if !ok {
		return nil
	}
	for fork, u := range b.users[id] {
		if len(forks) == n {
			break
		}
		if u.hold == nil || !u.entry || u.asked.Load() > since {
			continue
		}
		if e := b.streams.get(string(u.hold.Name)); e != nil && e.ID == fork {
			u.asked.Store(now)
			forks = append(forks, e)
		}
	}
	return forks
}

// Source returns the stream of a segment, living or not; nil if it is removed.
func (v *View) Source(basin protocol.BasinName, s Segment) *Entry {
	v.mu.RLock()
	defer v.mu.RUnlock()
	b, ok := v.basins.Get(string(basin))
	if !ok {
		return nil
	}
	return b.sourceLocked(s)
}

func (b *basinView) sourceLocked(s Segment) *Entry {
	for _, name := range []protocol.StreamName{s.Name, ShadowName(s.ID)} {
		if e := b.streams.get(string(name)); e != nil && e.ID == s.ID {
			return e
		}
	}
	return nil
}

// The fork in a stream's value, a message: 1 a segment, a message: 1 id, 2 name, 3 end; repeated; 2 seq_num and 3 timestamp of its
// position, 4 first shared record, 5 expiry in milliseconds since the epoch (varints).
func appendFork(b []byte, f *Fork) []byte {
	varint := func(b []byte, field protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
	}
	for i := range f.Segments {
		s := &f.Segments[i]
		m := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), s.ID[:])
		m = protowire.AppendString(protowire.AppendTag(m, 2, protowire.BytesType), string(s.Name))
		b = protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), varint(m, 3, s.To))
	}
	b = varint(varint(b, 2, f.At.SeqNum), 3, f.At.Timestamp)
	return varint(varint(b, 4, f.Trim), 5, f.Until)
}

func decodeFork(b []byte) (*Fork, bool) {
	f := &Fork{}
	err := eachField(b, func(field protowire.Number, n uint64, bytes []byte) bool {
		switch field {
		case 1:
			s, ok := decodeSegment(bytes)
			f.Segments = append(f.Segments, s)
			return ok
		case 2:
			f.At.SeqNum = n
		case 3:
			f.At.Timestamp = n
		case 4:
			f.Trim = n
		case 5:
			f.Until = n
		}
		return field <= 5
	})
	return f, err == nil
}

func decodeSegment(b []byte) (s Segment, ok bool) {
	err := eachField(b, func(field protowire.Number, n uint64, bytes []byte) bool {
		switch field {
		case 1:
			if len(bytes) != len(s.ID) {
				return false
			}
			s.ID = layout.StreamID(bytes)
		case 2:
			s.Name = protocol.StreamName(bytes)
		case 3:
			s.To = n
		}
		return field <= 3
	})
	return s, err == nil
}
