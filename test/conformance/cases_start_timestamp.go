package conformance

import (
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

const base = 1_000_000 // a timestamp in the past

// startTimestampCases: data plane A.8, starts by timestamp.
var startTimestampCases = []Case{
	{Row: "A.8/141", Name: "timestamp after the tail's, until the end of time", Run: func(t *testing.T, e *Env) {
		s := e.full()
		s.unwrittenAt(s.Tail(), since(s.Tail().Timestamp+1), until(^uint64(0)))
	}},
	{Row: "A.8/142", Name: "clamp does not help a timestamp start that may not wait", Run: func(t *testing.T, e *Env) {
		s := e.full()
		s.unwrittenAt(s.Tail(), since(s.Tail().Timestamp+1), clamped, count(10))
	}},
	{Row: "A.8/146", Name: "three records at the timestamp", Run: func(t *testing.T, e *Env) {
		e.timed(1000, 1000, 1000).Read(since(1000)).Seqs(0, 3)
		s := e.Stream()
		s.Each(stamped(500, 1000, 1000, 1000, 2000))
		s.Read(since(1000), until(2000)).Seqs(1, 4)
	}},
	{Row: "A.8/147", Name: "timestamp in the middle", Run: func(t *testing.T, e *Env) {
		e.timed(base, base+1, base+2, base+3).Read(since(base+1)).Seqs(1, 4)
	}},
	{Row: "A.8/148", Name: "timestamp 0", Run: func(t *testing.T, e *Env) {
		e.full().Read(since(0), count(1)).Seqs(0, 1)
	}},
	{Row: "A.8/149", Name: "timestamp beyond the last record's", Run: func(t *testing.T, e *Env) {
		s := e.timed(base, base+1)
		s.unwrittenAt(position(2, base+1), since(base+100))
		s.unwrittenAt(position(2, base+1), since(base+2), count(1))
	}},
	{Row: "A.8/150", Name: "timestamp of the tail", Run: func(t *testing.T, e *Env) {
		e.timed(base, base+5, base+5).Read(since(base+5)).Seqs(1, 3)
	}},
	{Row: "A.8/151", Name: "timestamp 0 of an empty stream", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.unwrittenAt(position(0, 0), since(0))
		s.unwrittenAt(position(0, 0), since(0), count(1))
		s.Follow(since(0)).Heartbeat().HasTail(position(0, 0))
	}},
	{Row: "A.8/152", Name: "timestamp 1 of an empty stream", Run: func(t *testing.T, e *Env) {
		e.Stream().unwrittenAt(position(0, 0), since(1))
	}},
	{Row: "A.8/153", Name: "timestamp of a stream that is trimmed empty", Run: func(t *testing.T, e *Env) {
		s := e.timed(base, base+1)
		tail := s.empty()
		s.unwrittenAt(tail, since(base))
		s.unwrittenAt(tail, since(tail.Timestamp), count(5))
		s.Read(since(base), wait(time.Second)).Empty()
		s.Follow(since(base)).Heartbeat().HasTail(tail)
	}},
	{Row: "A.8/154", Name: "a clamped timestamp start does not filter", Run: func(t *testing.T, e *Env) {
		s := e.timed(base)
		r := s.Follow(since(base+1000), clamped)
		r.Heartbeat().HasTail(position(1, base))
		s.Append(stamped(base + 10))
		r.Batch().Seqs(1, 2).Times(base + 10)
	}},
	{Row: "A.8/155", Name: "resolve_timestamp_bounded_to_stream", Bare: true, Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		// Two neighbours by name and by time of creation; the first one's records are older than asked for.
		one, two := b.Stream("stream", uncapped(true)), b.Stream("stream-2", uncapped(true))
		one.Append(stamped(1000))
		one.empty()
		before := one.Tail()
		two.Append(stamped(before.Timestamp+100, before.Timestamp+200))
		one.unwrittenAt(before, since(500))
		one.unwrittenAt(before, since(before.Timestamp))
		one.unwrittenAt(before, since(before.Timestamp+1))
		two.Read(since(0)).Seqs(0, 2)
		two.Read(since(before.Timestamp+150)).Seqs(1, 2)
	}},
	{Row: "A.8/157", Name: "timestamp equal to until", Run: func(t *testing.T, e *Env) {
		s := e.full()
		invalid := []protocol.Code{protocol.CodeInvalid}
		s.refusesReads(invalid, since(1000), until(1000))
		s.refusesReads(invalid, since(1001), until(1000))
		s.refusesReads(invalid, since(0), until(0), wait(time.Second))
	}},
	{Row: "A.8/158", Name: "timestamp equal to until creates no stream", Run: func(t *testing.T, e *Env) {
		b := e.Basin(createOnRead)
		_, err := b.Missing("stream").tryRead(since(1000), until(1000))
		const text = "start `timestamp` exceeds or equal to `until`"
		if failure := e.fails(err, protocol.CodeInvalid); !strings.Contains(failure.Message, text) {
			t.Fatalf("message %q does not contain %q", failure.Message, text)
		}
		b.Missing("stream").refusesReads([]protocol.Code{protocol.CodeInvalid}, since(1000), until(1000))
		b.Holds()
	}},
	{Row: "4.2", Name: "every timestamp of a stream of many batches", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		var stamps []uint64
		ts := uint64(base)
		for i, size := range []int{1, 7, 1, 20, 2, 1, 50, 3} {
			batch := make([]uint64, size)
			for j := range batch {
				ts += uint64((i + j) % 3) // some repeat
				batch[j] = ts
			}
			s.Append(stamped(batch...))
			stamps = append(stamps, batch...)
		}
		for want := uint64(base); want <= ts; want++ {
			first := uint64(0)
			for stamps[first] < want {
				first++
			}
			s.Read(since(want), count(2)).Seqs(first, min(first+2, uint64(len(stamps))))
		}
	}},
}

// empty trims the stream so that no record is left, waits until none shows, and returns the tail.
func (s *Stream) empty() protocol.Position {
	s.e.t.Helper()
	tail := s.Append(trim(^uint64(0))).Tail
	s.gone(0)
	return tail
}

// gone waits until no record shows from seq on, which must be below the tail.
func (s *Stream) gone(seq uint64) {
	s.e.t.Helper()
	s.e.eventually("the trimmed records are gone", func() bool { return len(s.Read(from(seq)).Records) == 0 })
}
