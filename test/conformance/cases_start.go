package conformance

import (
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// unwrittenAt reads, both at once and as a session, which must fail because the start is not written yet.
func (s *Stream) unwrittenAt(tail protocol.Position, terms ...Term) {
	s.e.t.Helper()
	_, err := s.tryRead(terms...)
	s.e.unwritten(err, tail)
	if r := request(terms...); r.MayFollow() {
		return // as a session it follows
	}
	_, err = s.tryFollow(terms...)
	s.e.unwritten(err, tail)
}

// refusesReads reads, both at once and as a session, which must fail with one of the codes.
func (s *Stream) refusesReads(codes []protocol.Code, terms ...Term) {
	s.e.t.Helper()
	_, err := s.tryRead(terms...)
	s.e.fails(err, codes...)
	_, err = s.tryFollow(terms...)
	s.e.fails(err, codes...)
}

// full creates a stream with five records.
func (e *Env) full() *Stream {
	e.t.Helper()
	s := e.Stream()
	s.Each(text("0", "1", "2", "3", "4"))
	return s
}

// timed creates a stream with a record at each of the given timestamps.
func (e *Env) timed(timestamps ...uint64) *Stream {
	e.t.Helper()
	s := e.Stream(uncapped(true))
	s.Append(stamped(timestamps...))
	return s
}

// startCases: data plane A.8, starts by seq_num and tail offset, and streams that are not there.
var startCases = []Case{
	{Row: "A.8/131", Name: "read from seq 0 of 5 records", Run: func(t *testing.T, e *Env) {
		s := e.full()
		s.Read(from(0)).Seqs(0, 5).Bodies("0", "1", "2", "3", "4").NoTail()
		s.Follow(from(0), wait(0)).Rest().Seqs(0, 5).Bodies("0", "1", "2", "3", "4")
	}},
	{Row: "A.8/132", Name: "read from seq 0 of an empty stream", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.unwrittenAt(position(0, 0), from(0))
		s.unwrittenAt(position(0, 0), from(0), count(10))
	}},
	{Row: "A.8/133", Name: "read from beyond the tail", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		tail := s.Append(text("a")).Tail
		s.unwrittenAt(tail, from(10))
		s.unwrittenAt(tail, from(10), count(1))
		s.unwrittenAt(tail, from(2), count(1))
		s.unwrittenAt(tail, from(^uint64(0)), count(1))
	}},
	{Row: "A.8/134", Name: "unbounded session from beyond the tail", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		tail := s.Append(text("a")).Tail
		_, err := s.tryFollow(from(100))
		e.unwritten(err, tail)
		_, err = s.tryFollow(from(100), wait(time.Second))
		e.unwritten(err, tail)
	}},
	{Row: "A.8/135", Name: "clamp does not help a read that may not wait", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		tail := s.Append(text("a")).Tail
		s.unwrittenAt(tail, from(10), clamped)
		s.unwrittenAt(tail, from(10), clamped, count(1))
	}},
	{Row: "A.8/136", Name: "clamp and wait 1 from beyond the tail", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("a"))
		start := time.Now()
		s.Read(from(10), clamped, wait(time.Second)).Empty()
		e.took(start, time.Second)
	}},
	{Row: "A.8/137", Name: "clamp and wait 0 in an unbounded session", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("a"))
		s.Follow(from(100), clamped, wait(0)).EndNow()
	}},
	{Row: "A.8/138", Name: "clamp in an unbounded session", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		tail := s.Append(text("a")).Tail
		r := s.Follow(from(10), clamped)
		r.Heartbeat().HasTail(tail)
		s.Append(text("b"))
		r.Batch().Seqs(1, 2)
	}},
	{Row: "A.8/139", Name: "tail offset 0 without waiting", Run: func(t *testing.T, e *Env) {
		s := e.full()
		s.unwrittenAt(s.Tail(), last(0), count(10))
	}},
	{Row: "A.8/140", Name: "start at the tail, bounded, wait 0", Run: func(t *testing.T, e *Env) {
		s := e.full()
		s.unwrittenAt(s.Tail(), from(5), count(10), wait(0))
	}},
	{Row: "A.8/143", Name: "tail offset 2 of 5", Run: func(t *testing.T, e *Env) {
		e.full().Read(last(2)).Seqs(3, 5)
	}},
	{Row: "A.8/144", Name: "tail offset 3 of 5", Run: func(t *testing.T, e *Env) {
		e.full().Read(last(3)).Seqs(2, 5)
	}},
	{Row: "A.8/145", Name: "tail offset beyond the first record", Run: func(t *testing.T, e *Env) {
		s := e.full()
		s.Read(last(5)).Seqs(0, 5)
		s.Read(last(999)).Seqs(0, 5)
		s.Read(last(^uint64(0))).Seqs(0, 5)
	}},
	{Row: "A.8/159", Name: "no start is the tail", Run: func(t *testing.T, e *Env) {
		s := e.full()
		s.unwrittenAt(s.Tail())
		s.Follow().Heartbeat().HasTail(s.Tail())
	}},
	{Row: "A.8/160", Name: "read of a missing stream", Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		b.Missing("stream").refusesReads([]protocol.Code{protocol.CodeStreamNotFound}, from(0))
		b.Holds()
	}},
	{Row: "A.8/161", Name: "read of a missing basin", Run: func(t *testing.T, e *Env) {
		e.NoBasin().Missing("stream").refusesReads([]protocol.Code{protocol.CodeBasinNotFound}, from(0))
	}},
	{Row: "A.8/162", Name: "read of a stream being deleted", Run: func(t *testing.T, e *Env) {
		s := e.full()
		s.Delete()
		s.refusesReads([]protocol.Code{protocol.CodeStreamDeletionPending, protocol.CodeStreamNotFound}, from(0))
	}},
	{Row: "4.2", Name: "every start of a stream of many batches", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		var n uint64
		for _, size := range []int{1, 7, 1, 30, 2, 1, 1, 100, 3} {
			n = s.Append(numbered(int(n), size)).End.SeqNum
		}
		for seq := range n {
			s.Read(from(seq), count(3)).Seqs(seq, min(n, seq+3))
			s.Read(last(n-seq), count(1)).Seqs(seq, seq+1)
		}
	}},
}
