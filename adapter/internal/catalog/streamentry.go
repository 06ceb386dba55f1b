package catalog

import (
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// Entry is a stream in the in-memory view: compact, because there may be millions (docs/adr/0015). It is immutable; a
// change replaces it.
type Entry struct {
	Name     protocol.StreamName
	ID       layout.StreamID
	common   *entryCommon
	placed   uint64 // milliseconds since the epoch at which it was created, and in the lowest 16 bits the number of its log
	Revision uint64
	Checks   *CheckTime
}

// entryCommon has the properties that many streams of a basin have in common, which then share it, and those that few streams
// have at all. It is immutable.
type entryCommon struct {
	basin  protocol.BasinName
	cipher protocol.Cipher
	config protocol.ResolvedStreamConfig

	key       string
	deletedAt time.Time
	idle      *IdleRecord // nil: nothing was ever armed
	used      uint64      // see StreamRecord.Used
	fork      *Fork       // nil: it shares nothing
}

// plain reports whether nothing is set that is a stream's own.
func (c *entryCommon) plain() bool {
	return c.key == "" && c.deletedAt.IsZero() && c.idle == nil && c.used == 0 && c.fork == nil
}

// like reports whether two plain values are equal.
func (c *entryCommon) like(other *entryCommon) bool {
	return c.config == other.config && c.cipher == other.cipher && c.basin == other.basin
}

// NewEntry is the entry of a record that is stored at revision.
func NewEntry(basin protocol.BasinName, r *StreamRecord, revision uint64, checks *CheckTime) *Entry {
	return &Entry{Name: r.Name, ID: r.ID, Revision: revision, Checks: checks,
		placed: Millis(r.CreatedAt)<<16 | uint64(uint16(r.Log)),
		common: &entryCommon{basin: basin, cipher: r.Cipher, config: r.Config, key: r.Key, deletedAt: r.DeletedAt, idle: r.Idle, used: r.Used, fork: r.Fork}}
}

// Basin is the stream's basin.
func (e *Entry) Basin() protocol.BasinName { return e.common.basin }

// Log is the number of the stream's log, see layout.Log.Number.
func (e *Entry) Log() int { return int(e.placed & 0xffff) }

// Config is the stream's resolved configuration.
func (e *Entry) Config() protocol.ResolvedStreamConfig { return e.common.config }

// Cipher is the cipher of the stream's records.
func (e *Entry) Cipher() protocol.Cipher { return e.common.cipher }

// Key is the idempotency key of its creation; "" if it was made without a request token.
func (e *Entry) Key() string { return e.common.key }

// Idle is the stream's delete-on-empty state; nil: nothing was ever armed.
func (e *Entry) Idle() *IdleRecord { return e.common.idle }

// Fork describes the records that the stream shares with others; nil: none.
func (e *Entry) Fork() *Fork { return e.common.fork }

// Used is when the stream was used last as far as its record knows, in milliseconds since the epoch.
func (e *Entry) Used() uint64 { return max(e.common.used, e.placed>>16) }

// Over reports whether the time at which the stream ends in any case has come.
func (e *Entry) Over(now time.Time) bool {
	at := e.common.config.Expiry.At
	return at != 0 && at <= Millis(now)
}

// CreatedAt is when the stream was created, in whole milliseconds.
func (e *Entry) CreatedAt() time.Time { return time.UnixMilli(int64(e.placed >> 16)).UTC() }

// Ref names the stream.
func (e *Entry) Ref() protocol.StreamRef {
	return protocol.StreamRef{Basin: e.Basin(), Stream: e.Name}
}

// Record is the stored form of the entry.
func (e *Entry) Record() *StreamRecord {
	return &StreamRecord{Name: e.Name, ID: e.ID, Log: e.Log(), CreatedAt: e.CreatedAt(), DeletedAt: e.common.deletedAt,
		Cipher: e.Cipher(), Config: e.Config(), Key: e.Key(), Idle: e.common.idle, Used: e.common.used, Fork: e.common.fork}
}

// Deleting reports whether the stream's deletion was accepted.
func (e *Entry) Deleting() bool { return !e.common.deletedAt.IsZero() }

// Info is the stream as a listing shows it.
func (e *Entry) Info() protocol.StreamInfo {
	return protocol.StreamInfo{Name: e.Name, CreatedAt: e.CreatedAt(), DeletedAt: e.common.deletedAt, Cipher: e.Cipher()}
}

// CheckTime is the background tasks' memory of a stream between passes. It is shared by all entries of one incarnation,
// and small, because there may be millions.
type CheckTime struct {
	// Size is how much is stored, see sizes.
	Size SizeState
	// At is when the stream's oldest chunk may expire.
	At expiryTime
	// EmptyAt is the earliest time for which the empty reaper has the stream in its queue; 0: none.
	EmptyAt secondsTime
}

// IsFresh reports whether nothing can have been stored: the stream was created here, no other server writes, and it was never
// appended to.
func (c *CheckTime) IsFresh() bool { return c.Size.flags.Load()&freshFlag != 0 }

// MarkFresh notes that nothing can have been stored. The running total of a stream that is made here and holds only its own
// records is its size, until something is removed.
func (c *CheckTime) MarkFresh(own bool) {
	if own {
		c.Size.flags.Or(freshFlag | wholeFlag)
		return
	}
	c.Size.flags.Or(freshFlag)
}

// MarkWritten notes that something may have been stored.
func (c *CheckTime) MarkWritten() { c.Size.flags.And(^uint32(freshFlag)) }

// MarkPart notes that records may have been removed.
func (c *CheckTime) MarkPart() {
	if c.Size.flags.Load()&wholeFlag != 0 {
		c.Size.flags.And(^uint32(wholeFlag))
	}
}

// IsWhole reports whether all records that were ever appended are stored and can be seen at now, in milliseconds.
func (c *CheckTime) IsWhole(now uint64) bool {
	return c.Size.flags.Load()&wholeFlag != 0 && c.At.Load() > now
}

const (
	freshFlag   = 1 << iota // see CheckTime.IsFresh
	changedFlag             // the stream is in the list of those to be measured
	againFlag               // it has changed again since it was put there
	wholeFlag               // see CheckTime.IsWhole
)

// MarkChanged notes that the stream is to be measured, and returns whether that was noted before.
func (s *SizeState) MarkChanged() (was bool) {
	for {
		old := s.flags.Load()
		was, next := old&changedFlag != 0, old|changedFlag
		if was {
			next |= againFlag
		}
		if next == old || s.flags.CompareAndSwap(old, next) {
			return was
		}
	}
}

// IsChanged reports whether the stream is in the list of those to be measured.
func (s *SizeState) IsChanged() bool { return s.flags.Load()&changedFlag != 0 }

// MarkMeasured notes that the stream is being measured, and returns whether it has changed more than once.
func (s *SizeState) MarkMeasured() (again bool) {
	return s.flags.And(^uint32(changedFlag|againFlag))&againFlag != 0
}

// secondsTime is a time in seconds since the epoch. A time beyond its range, which ends in 2106, counts as its end.
type secondsTime struct{ v atomic.Uint32 }

func (t *secondsTime) Load() uint64   { return uint64(t.v.Load()) }
func (t *secondsTime) Store(s uint64) { t.v.Store(ClampSeconds(s)) }

// ClampSeconds is s, or the end of the range if s is beyond it.
func ClampSeconds(s uint64) uint32 { return uint32(min(s, 1<<32-1)) }

// expiryTime is a time in milliseconds since the epoch, rounded up to seconds; 0: not known.
type expiryTime struct{ v atomic.Uint32 }

const NeverCheck = ^uint64(0)

func (t *expiryTime) Load() uint64 {
	if s := t.v.Load(); s != 1<<32-1 {
		return uint64(s) * 1000
	}
	return NeverCheck
}

func (t *expiryTime) Store(ms uint64) { t.v.Store(roundedUp(ms)) }

func roundedUp(ms uint64) uint32 {
	s := ms / 1000
	if ms%1000 != 0 {
		s++
	}
	return ClampSeconds(s)
}

// Before lowers the time to ms.
func (t *expiryTime) Before(ms uint64) {
	s := roundedUp(ms)
	for {
		old := t.v.Load()
		if old <= s || t.v.CompareAndSwap(old, s) {
			return
		}
	}
}

// SizeState is the known size of one stream. It is shared by all entries of an incarnation.
type SizeState struct {
	bytes    uint64        // guarded by View.mu
	Measured atomic.Uint32 // when, in minutes since the epoch; 0: never
	flags    atomic.Uint32 // see the constants
}
