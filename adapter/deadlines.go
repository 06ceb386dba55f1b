package adapter

import (
	"math"
	"time"

	"github.com/weirstream/weir/protocol/chunk"
)

// idleSlackSecs is what every deadline of delete-on-empty has on top (control plane 4.9).
const idleSlackSecs = 600

// maxDeadlines bounds the deadlines in a stream's record. A stream gets there only when delete-on-empty was switched on
// that often while its deadlines were ahead; then the earliest one gives way, which makes a deletion later, never
// earlier.
const maxDeadlines = 16

// deadline is when delete-on-empty looks at a stream, in seconds since the epoch, with the min_age_secs at arming
// (control plane 4.9). Those of creation (A1) and of switching on (A2) stand in the stream's record; those of appends
// (A3) and trims (A4) follow from its newest chunk (docs/adr/0011).
type deadline struct {
	At     uint64 `json:"at"`
	MinAge uint64 `json:"min_age"`
}

// newDeadline arms at now seconds; age is 0 when retention is infinite, or plays no part.
func newDeadline(now, age, minAge uint64) deadline {
	return deadline{addSecs(addSecs(addSecs(now, age), minAge), idleSlackSecs), minAge}
}

// cutoff is the time, in seconds, at or before which the stream must have been written last to be deleted; ok is false
// when the deadline has none.
func (d deadline) cutoff() (at uint64, ok bool) { return d.At - d.MinAge, d.At >= d.MinAge }

func addSecs(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

func seconds(t time.Time) uint64 { return uint64(max(0, t.Unix())) }

// idleRecord is what a stream's record says of delete-on-empty. It is immutable once stored.
type idleRecord struct {
	Deadlines []deadline `json:"deadlines,omitempty"`
	// Done is up to when, in seconds, deadlines were dealt with: earlier ones count as removed, wherever they stand.
	Done uint64 `json:"done,omitempty"`
}

// armIdle arms a stream that is created (A1) or reconfigured (A2) at now; enabled tells whether it was enabled before.
func (r *streamRecord) armIdle(enabled bool, now time.Time) {
	minAge := r.Config.DeleteOnEmptyMinAge
	if enabled || minAge == 0 {
		return
	}
	var idle idleRecord
	if r.Idle != nil {
		// What fell due while it was switched off was dealt with then.
		idle = r.Idle.doneBy(seconds(now))
	}
	idle.Deadlines = append(idle.Deadlines, newDeadline(seconds(now), r.Config.RetentionPolicy.AgeSecs, minAge))
	if len(idle.Deadlines) > maxDeadlines {
		earliest := 0
		for i, d := range idle.Deadlines {
			if d.At < idle.Deadlines[earliest].At {
				earliest = i
			}
		}
		idle.Deadlines = append(idle.Deadlines[:earliest], idle.Deadlines[earliest+1:]...)
	}
	r.Idle = &idle
}

// doneBy is the record without the deadlines up to now.
func (r *idleRecord) doneBy(now uint64) idleRecord {
	left := idleRecord{Done: now}
	if r == nil {
		return left
	}
	left.Done = max(now, r.Done)
	for _, d := range r.Deadlines {
		if d.At > left.Done {
			left.Deadlines = append(left.Deadlines, d)
		}
	}
	return left
}

// deadlines returns all that are armed and not dealt with. wrote and emptied come from the stream's newest chunk: its
// last append, and whether a trim has left no record.
func (e *streamEntry) deadlines(wrote chunk.LastAppend, emptied bool) []deadline {
	var done uint64
	var all []deadline
	if e.common.idle != nil {
		done = e.common.idle.Done
		all = append(all, e.common.idle.Deadlines...)
	}
	if at := appendDeadline(wrote, emptied); at != 0 {
		all = append(all, deadline{at, wrote.MinAgeSecs})
	}
	left := all[:0]
	for _, d := range all {
		if d.At > done {
			left = append(left, d)
		}
	}
	return left
}

// appendDeadline is the time of the deadline that follows from the last append: A4 if it was a trim that left no record,
// or else A3 if retention is by age; 0: none. A trim arms A3 as well, but that one is later and has nothing left to do.
func appendDeadline(wrote chunk.LastAppend, emptied bool) (at uint64) {
	age := wrote.AgeSecs
	switch {
	case wrote.MinAgeSecs == 0, age == 0 && !emptied:
		return 0
	case emptied:
		age = 0
	}
	return newDeadline(wrote.At/1000, age, wrote.MinAgeSecs).At
}

// earliest is the time of the first deadline; 0: there is none.
func earliest(ds []deadline) (at uint64) {
	for i, d := range ds {
		if i == 0 || d.At < at {
			at = d.At
		}
	}
	return at
}

// verdict takes the deadlines that are due at now and returns the latest of their cut-offs. ok is false when none of
// them has one.
func verdict(ds []deadline, now uint64) (due int, cutoff uint64, ok bool) {
	for _, d := range ds {
		if d.At > now {
			continue
		}
		due++
		if at, has := d.cutoff(); has {
			cutoff, ok = max(cutoff, at), true
		}
	}
	return due, cutoff, ok
}

// lastWrite is when the stream was last appended to, or else created, in seconds, rounded up.
func (e *streamEntry) lastWrite(newest *storedChunk) uint64 {
	at := newest.lastAppend().At
	if newest.seq == 0 {
		at = millis(e.createdAt())
	}
	return (at + 999) / 1000
}
