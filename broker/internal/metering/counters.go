package metering

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/protocol"
)

// counter numbers the counted quantities. The numbers are stored: they must not change.
type counter uint8

const (
	appendOpsStandard counter = iota
	appendOpsExpress
	appendBytesStandard
	appendBytesExpress
	readOpsUnary
	readOpsStreaming
	readBytes

	firstOperation counter = 16 // and the operation's number
)

// counters is how many numbers there may be.
const counters = 48

func operationCounter(op protocol.Operation) counter { return firstOperation + counter(op) }

// values are the counts of one minute.
type values [counters]uint64

func (v *values) add(w *values) {
	for i := range w {
		v[i] += w[i]
	}
}

// slots is how many minutes can be counted before the counts of the first one must be collected; three are far more than
// any addition is late.
const slots = 3

// Scope counts the usage of one basin, or of the account. It stays good for as long as anybody holds it.
type Scope struct {
	m     *Meter
	name  string
	slots [slots]slot
	unary unaryStreams

	mu      sync.Mutex
	hours   map[uint32]*hour // by number
	stored  []stored         // the basin's size as recorded last, part by part
	used    uint32           // hour in which something was last counted
	removed bool             // taken out of the meter because nothing was counted for long
}

// slot holds the counters of one minute. The calls that count add to it; the collector swaps zeros in.
type slot struct {
	minute atomic.Uint32
	values [counters]atomic.Uint64
}

// hour holds the collected counts of an hour.
type hour struct {
	bucket
	writer  string // in its key; another one when the hour is made again, after the clock was set back
	changes uint64 // since the start
	written uint64 // of these are in the store
}

// stored is a size that was recorded.
type stored struct {
	bytes uint64
	day   uint32
	part  uint16
}

// observeLocked records the size of a part of the basin, if it has changed, and once a day in any case.
func (s *Scope) observeLocked(is stored, minute, second uint32) {
	i := slices.IndexFunc(s.stored, func(old stored) bool { return old.part == is.part })
	switch {
	case i >= 0 && s.stored[i] == is, i < 0 && is.bytes == 0:
		return
	case i >= 0:
		s.stored[i] = is
	default:
		s.stored = append(s.stored, is)
	}
	s.used = max(s.used, minute/60)
	h := s.hourLocked(minute / 60)
	h.sizes = slices.DeleteFunc(h.sizes, func(old size) bool { return old.part == is.part }) // one an hour, the latest
	h.observe(size{second, is.part, is.bytes})
	h.changes++
}

func minuteOf(t time.Time) uint32 { return uint32(max(0, t.Unix()) / 60) } // good for 8000 years

// at returns the slot of a minute.
func (s *Scope) at(minute uint32) *slot {
	if p := &s.slots[minute%slots]; p.minute.Load() == minute {
		return p
	}
	return s.turn(minute)
}

// turn makes the slot of a new minute. An addition that is late by as much as a whole round counts for the newer minute.
func (s *Scope) turn(minute uint32) *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.removed {
		return s.m.scope(s.name).at(minute)
	}
	p := &s.slots[minute%slots]
	if p.minute.Load() < minute {
		s.drainLocked(p)
		p.minute.Store(minute)
	}
	return p
}

// drainLocked moves the counts of a slot to its hour.
func (s *Scope) drainLocked(p *slot) {
	var got values
	any := false
	for i := range p.values {
		if p.values[i].Load() != 0 {
			got[i] = p.values[i].Swap(0)
			any = true
		}
	}
	if any {
		minute := p.minute.Load()
		s.used = max(s.used, minute/60)
		h := s.hourLocked(minute / 60)
		h.minute(minute % 60).add(&got)
		h.changes++
	}
}

func (s *Scope) hourLocked(n uint32) *hour {
	h := s.hours[n]
	if h == nil {
		h = &hour{writer: s.m.writer + "-" + strconv.FormatUint(s.m.hours.Add(1), 36)}
		s.hours[n] = h
	}
	return h
}

// collectLocked brings the hours up to date.
func (s *Scope) collectLocked() {
	for i := range s.slots {
		s.drainLocked(&s.slots[i])
	}
}

// operation counts an operation.
func (s *Scope) operation(op protocol.Operation) {
	s.at(minuteOf(time.Now())).values[operationCounter(op)].Add(1)
}

// ConnectionMinute is the minute in which an operation of one connection was last counted: further ones of that minute
// are the same operation.
type ConnectionMinute struct{ minute atomic.Uint32 }

// first reports whether nothing of the minute was counted yet, and notes that something is now.
func (c *ConnectionMinute) first(minute uint32) bool {
	return c.minute.Load() != minute && c.minute.Swap(minute) != minute
}

// Appended counts a batch of so many metered bytes that was acknowledged at now. One minute of appends to a stream on
// one connection is one operation (control plane 6.5).
func (s *Scope) Appended(c *ConnectionMinute, class protocol.StorageClass, bytes uint64, now time.Time) {
	minute := minuteOf(now)
	s.appended(minute, c.first(minute), class, bytes)
}

// AppendedUnary is Appended for the connection that all unary appends to a stream share.
func (s *Scope) AppendedUnary(name protocol.StreamName, class protocol.StorageClass, bytes uint64, now time.Time) {
	minute := minuteOf(now)
	s.appended(minute, s.unary.first(name, minute), class, bytes)
}

func (s *Scope) appended(minute uint32, operation bool, class protocol.StorageClass, bytes uint64) {
	p := s.at(minute)
	ops, volume := appendOpsExpress, appendBytesExpress
	if class == protocol.StorageStandard {
		ops, volume = appendOpsStandard, appendBytesStandard
	}
	p.values[volume].Add(bytes)
	if operation {
		p.values[ops].Add(1)
	}
}

// read counts a unary read that delivered so many metered bytes.
func (s *Scope) read(bytes uint64) {
	p := s.at(minuteOf(time.Now()))
	p.values[readOpsUnary].Add(1)
	p.values[readBytes].Add(bytes)
}

// delivered counts a batch of a read session. Each minute in which a session delivers something is one operation, and so
// is its opening, with no bytes.
func (s *Scope) delivered(c *ConnectionMinute, bytes uint64) {
	minute := minuteOf(time.Now())
	p := s.at(minute)
	p.values[readBytes].Add(bytes)
	if c.first(minute) {
		p.values[readOpsStreaming].Add(1)
	}
}
