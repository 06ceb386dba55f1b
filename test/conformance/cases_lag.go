package conformance

import (
	"errors"
	"io"
	"testing"
	"time"
)

// lagBatches is how many append batches pass a stalled follower by: more than any door's allowance, if it has one.
func (e *Env) lagBatches() int { return max(50, 2*e.Door.Lag) }

// stalled creates a stream with a follower at its tail that has not called Next since its first heartbeat, and
// appends to it one record after the other, all at the same time.
func (e *Env) stalled(n int, terms ...Term) (*Stream, *Reader) {
	e.t.Helper()
	s := e.Stream(uncapped(true))
	r := s.Follow(append([]Term{from(0)}, terms...)...)
	r.Heartbeat()
	for i := range n {
		recs := numbered(i, 1)
		recs[0].Timestamp = new(uint64(1000 * (i + 1)))
		s.Append(recs)
	}
	return s, r
}

// lagCases: data plane A.11. A door that reads ahead delivers as it goes, so how much is merged depends on the door;
// the delivered records and the end of the session do not.
var lagCases = []Case{
	{Row: "A.11/227", Name: "a follower stalls, catches up and ends its wait after the last record", Timed: true, Run: func(t *testing.T, e *Env) {
		n := e.lagBatches()
		start := time.Now()
		_, r := e.stalled(n, wait(200*time.Second))
		time.Sleep(100 * time.Second)
		if e.Door.Lag > 0 {
			r.Now().Seqs(0, uint64(min(n, 1000)))
			r.Collect(n - min(n, 1000))
			r.End()
			e.took(start, 300*time.Second)
			return
		}
		r.Collect(n).Seqs(0, uint64(n))
		r.End()
		if d := time.Since(start); d < 200*time.Second || d > 300*time.Second+slack {
			t.Fatalf("it ended after %v, want 200 s after the last delivery", d)
		}
	}},
	{Row: "A.11/228", Name: "the same with count 3", Timed: true, Run: func(t *testing.T, e *Env) {
		_, r := e.stalled(e.lagBatches(), count(3), wait(200*time.Second))
		start := time.Now()
		r.Rest().Seqs(0, 3)
		e.took(start, 0)
	}},
	{Row: "A.11/229", Name: "the same with bytes of 3 records", Timed: true, Run: func(t *testing.T, e *Env) {
		_, r := e.stalled(e.lagBatches(), bytes(3*numberedSize), wait(200*time.Second))
		start := time.Now()
		r.Rest().Seqs(0, 3)
		e.took(start, 0)
	}},
	{Row: "A.11/230", Name: "the same with until 4000", Timed: true, Run: func(t *testing.T, e *Env) {
		_, r := e.stalled(e.lagBatches(), until(4000), wait(200*time.Second))
		start := time.Now()
		r.Rest().Times(1000, 2000, 3000)
		e.took(start, 0)
	}},
	{Row: "A.11/231", Name: "a live append after lag and catch-up", Run: func(t *testing.T, e *Env) {
		n := e.lagBatches()
		s, r := e.stalled(n)
		r.Collect(n).Seqs(0, uint64(n))
		if e.Door.Lag > 0 {
			r.Heartbeat() // it follows again
		}
		ack := s.Append(stamped(uint64(1000 * (n + 10))))
		got := r.Batch().Seqs(uint64(n), uint64(n+1))
		if e.Door.Lag > 0 {
			got.HasTail(ack.Tail)
		}
	}},
	{Row: "A.11/232", Name: "read_wait_is_not_reset_after_follow_lag_without_catchup_records", Bare: true, Timed: true, Run: func(t *testing.T, e *Env) {
		s, r := e.stalled(e.lagBatches(), wait(30*time.Second))
		// The trim takes every missed record with it, itself included.
		s.empty()
		time.Sleep(31 * time.Second)
		start := time.Now()
		g, err := r.next()
		if e.Door.Lag > 0 && !errors.Is(err, io.EOF) {
			t.Fatalf("got %d records and %v, want the end", len(g.Records), err)
		}
		for err == nil { // a door that read ahead delivers those records
			g, err = r.next()
		}
		if !errors.Is(err, io.EOF) {
			t.Fatalf("got %v, want the end", err)
		}
		e.took(start, 0)
	}},
	{Row: "4.10", Name: "a follower that stalls behind large batches loses none", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		r := s.Follow(from(0))
		r.Heartbeat()
		for range 60 {
			s.Append(these(sized(100_000), sized(20)))
		}
		r.Collect(120).Seqs(0, 120)
		s.Append(text("live"))
		r.Batch().Seqs(120, 121)
	}},
	{Row: "4.10", Name: "a follower that stalls again and again loses none", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		r := s.Follow(from(0))
		r.Heartbeat()
		next := 0
		for round := range 6 {
			for range 20 * (round + 1) {
				s.Append(numbered(next, 1))
				next++
			}
			r.Collect(20*(round+1)).Seqs(uint64(next-20*(round+1)), uint64(next))
		}
	}},
}
