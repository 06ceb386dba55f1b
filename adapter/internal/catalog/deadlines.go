package catalog

import (
	"math"
	"time"

	"github.com/weirstream/weir/protocol/chunk"
)

// IdleSlackSecs is the time that is added to every deadline of delete-on-empty (control plane 4.9).
const IdleSlackSecs = 600

// maxDeadlines bounds the deadlines in a stream's record. A stream gets there only when delete-on-empty was switched on
// that often while its deadlines were ahead; then the earliest one gives way, which makes a deletion later, never
// earlier.
const maxDeadlines = 16

// Deadline is when delete-on-empty looks at a stream, in seconds since the epoch, with the min_age_secs at arming
// (control plane 4.9). Those of creation (A1) and of switching on (A2) stand in the stream's record; those of appends
// (A3) and trims (A4) follow from its newest chunk (docs/adr/0011).
type Deadline struct {
	At     uint64 `json:"at"`
	MinAge uint64 `json:"min_age"`
}

// newDeadline arms at now seconds; age is 0 when retention is infinite, or plays no part.
func newDeadline(now, age, minAge uint64) Deadline {
	return Deadline{addSecs(addSecs(addSecs(now, age), minAge), IdleSlackSecs), minAge}
}

// cutoff is the time, in seconds, at or before which the stream must have been written last to be deleted; ok is false
// when the deadline has none.
func (d Deadline) cutoff() (at uint64, ok bool) { return d.At - d.MinAge, d.At >= d.MinAge }

func addSecs(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

// Seconds are the seconds since the epoch, of which there are none before it.
func Seconds(t time.Time) uint64 { return uint64(max(0, t.Unix())) }

// IdleRecord is the delete-on-empty state in a stream's record. It is immutable once stored.
type IdleRecord struct {
	Deadlines []Deadline `json:"deadlines,omitempty"`
	// Done is up to when, in seconds, deadlines were dealt with: earlier ones count as removed, wherever they stand.
	Done uint64 `json:"done,omitempty"`
}

// ArmIdle arms a stream that is created (A1), or reconfigured with delete-on-empty that was not enabled before (A2), at now.
func (r *StreamRecord) ArmIdle(now time.Time) {
	minAge := r.Config.DeleteOnEmptyMinAge
	if minAge == 0 {
		return
	}
	var idle IdleRecord
	if r.Idle != nil {
		// A deadline that fell due while delete-on-empty was switched off was dealt with then.
		idle = r.Idle.DoneBy(Seconds(now))
	}
	idle.Deadlines = append(idle.Deadlines, newDeadline(Seconds(now), r.Config.RetentionPolicy.AgeSecs, minAge))
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

// DoneBy is the record without the deadlines up to now.
func (r *IdleRecord) DoneBy(now uint64) IdleRecord {
	left := IdleRecord{Done: now}
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

// Deadlines returns all that are armed and not dealt with. wrote and emptied come from the stream's newest chunk: its
// last append, and whether a trim has left no record.
func (e *Entry) Deadlines(wrote chunk.LastAppend, emptied bool) []Deadline {
	left := e.RecordDeadlines()
	if at := AppendDeadline(wrote, emptied); at != 0 && at > e.common.idle.doneAt() {
		left = append(left, Deadline{at, wrote.MinAgeSecs})
	}
	return left
}

// RecordDeadlines returns those of Deadlines that stand in the stream's record: all, if nothing was ever appended.
func (e *Entry) RecordDeadlines() (left []Deadline) {
	if e.common.idle == nil {
		return nil
	}
	for _, d := range e.common.idle.Deadlines {
		if d.At > e.common.idle.Done {
			left = append(left, d)
		}
	}
	return left
}

// doneAt is up to when, in seconds, deadlines were dealt with; 0: nothing was.
func (r *IdleRecord) doneAt() uint64 {
	if r == nil {
		return 0
	}
	return r.Done
}

// AppendDeadline is the time of the deadline that follows from the last append: A4 if it was a trim that left no record,
// or else A3 if retention is by age; 0: none. A trim arms A3 as well, but that one is later and has nothing left to do.
func AppendDeadline(wrote chunk.LastAppend, emptied bool) (at uint64) {
	age := wrote.AgeSecs
	switch {
	case wrote.MinAgeSecs == 0, age == 0 && !emptied:
		return 0
	case emptied:
		age = 0
	}
	return newDeadline(wrote.At/1000, age, wrote.MinAgeSecs).At
}

// Earliest is the time of the first deadline; 0: there is none.
func Earliest(ds []Deadline) (at uint64) {
	for i, d := range ds {
		if i == 0 || d.At < at {
			at = d.At
		}
	}
	return at
}

// Verdict takes the deadlines that are due at now and returns the latest of their cut-offs. ok is false when none of
// them has one.
func Verdict(ds []Deadline, now uint64) (due int, cutoff uint64, ok bool) {
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

// Millis are the milliseconds since the epoch, of which there are none before it.
func Millis(t time.Time) uint64 { return uint64(max(0, t.UnixMilli())) }
