package adapter

import (
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// streamEntry is a stream in the in-memory view: compact, because there may be millions (docs/adr/0015). It is immutable; a
// change replaces it.
type streamEntry struct {
	Name     protocol.StreamName
	ID       layout.StreamID
	common   *entryCommon
	placed   uint64 // milliseconds since the epoch at which it was created, and in the lowest 16 bits the number of its log
	revision uint64
	checks   *checkTime
}

// entryCommon is what many streams of a basin have in common, which then share it, and what few streams have at all. It is
// immutable.
type entryCommon struct {
	basin  protocol.BasinName
	cipher protocol.Cipher
	config protocol.ResolvedStreamConfig

	key       string
	deletedAt time.Time
	idle      *idleRecord // nil: nothing was ever armed
}

// plain reports whether nothing is set that is a stream's own.
func (c *entryCommon) plain() bool { return c.key == "" && c.deletedAt.IsZero() && c.idle == nil }

// like reports whether two plain values are equal.
func (c *entryCommon) like(other *entryCommon) bool {
	return c.config == other.config && c.cipher == other.cipher && c.basin == other.basin
}

func newStreamEntry(basin protocol.BasinName, r *streamRecord, revision uint64, checks *checkTime) *streamEntry {
	return &streamEntry{Name: r.Name, ID: r.ID, revision: revision, checks: checks,
		placed: millis(r.CreatedAt)<<16 | uint64(uint16(r.Log)),
		common: &entryCommon{basin: basin, cipher: r.Cipher, config: r.Config, key: r.Key, deletedAt: r.DeletedAt, idle: r.Idle}}
}

// Basin is the stream's basin.
func (e *streamEntry) Basin() protocol.BasinName { return e.common.basin }

// Log is the number of the stream's log, see layout.Log.Number.
func (e *streamEntry) Log() int { return int(e.placed & 0xffff) }

// Config is the stream's resolved configuration.
func (e *streamEntry) Config() protocol.ResolvedStreamConfig { return e.common.config }

// Cipher is what its records are encrypted with.
func (e *streamEntry) Cipher() protocol.Cipher { return e.common.cipher }

// Key is the idempotency key of its creation; "" if it was made without a request token.
func (e *streamEntry) Key() string { return e.common.key }

func (e *streamEntry) createdAt() time.Time { return time.UnixMilli(int64(e.placed >> 16)).UTC() }

func (e *streamEntry) ref() protocol.StreamRef {
	return protocol.StreamRef{Basin: e.Basin(), Stream: e.Name}
}

func (e *streamEntry) record() *streamRecord {
	return &streamRecord{Name: e.Name, ID: e.ID, Log: e.Log(), CreatedAt: e.createdAt(), DeletedAt: e.common.deletedAt,
		Cipher: e.Cipher(), Config: e.Config(), Key: e.Key(), Idle: e.common.idle}
}

func (e *streamEntry) deleting() bool { return !e.common.deletedAt.IsZero() }

func (e *streamEntry) info() protocol.StreamInfo {
	return protocol.StreamInfo{Name: e.Name, CreatedAt: e.createdAt(), DeletedAt: e.common.deletedAt, Cipher: e.Cipher()}
}

// checkTime is what the background tasks remember of a stream between passes. It is shared by all entries of one incarnation,
// and small, because there may be millions.
type checkTime struct {
	// size is how much is stored, see sizes.
	size sizeState
	// at is when the stream's oldest chunk may expire.
	at expiryTime
	// emptyAt is the earliest time for which the empty reaper has the stream in its queue; 0: none.
	emptyAt secondsTime
}

// isFresh reports whether nothing can have been stored: the stream was created here, nobody else writes, and it was never
// appended to.
func (c *checkTime) isFresh() bool { return c.size.flags.Load()&freshFlag != 0 }

func (c *checkTime) setFresh(on bool) { c.size.set(freshFlag, on) }

const (
	freshFlag   = 1 << iota // see checkTime.isFresh
	changedFlag             // the stream is in the list of those to be measured
)

// set sets or clears a flag, and returns whether it was set before.
func (s *sizeState) set(flag uint32, on bool) (was bool) {
	if on {
		return s.flags.Or(flag)&flag != 0
	}
	return s.flags.And(^flag)&flag != 0
}

// secondsTime is a time in seconds since the epoch. What is beyond its range, in 2106, is at its end.
type secondsTime struct{ v atomic.Uint32 }

func (t *secondsTime) Load() uint64   { return uint64(t.v.Load()) }
func (t *secondsTime) Store(s uint64) { t.v.Store(clampSeconds(s)) }

func clampSeconds(s uint64) uint32 { return uint32(min(s, 1<<32-1)) }

// expiryTime is a time in milliseconds since the epoch, rounded up to seconds; 0: not known.
type expiryTime struct{ v atomic.Uint32 }

const neverCheck = ^uint64(0)

func (t *expiryTime) Load() uint64 {
	if s := t.v.Load(); s != 1<<32-1 {
		return uint64(s) * 1000
	}
	return neverCheck
}

func (t *expiryTime) Store(ms uint64) { t.v.Store(roundedUp(ms)) }

func roundedUp(ms uint64) uint32 {
	s := ms / 1000
	if ms%1000 != 0 {
		s++
	}
	return clampSeconds(s)
}

// before lowers the time to ms.
func (t *expiryTime) before(ms uint64) {
	s := roundedUp(ms)
	for {
		old := t.v.Load()
		if old <= s || t.v.CompareAndSwap(old, s) {
			return
		}
	}
}
