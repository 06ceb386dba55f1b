package conformance

import (
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// The reference suite uses waits of 30 to 200 ms; the clock is fake here, so they are seconds, which every door can
// express, and long enough for heartbeats to come in between.

// waitCases: data plane A.10, the wait window and heartbeats of a session.
var waitCases = []Case{
	{Row: "A.10/200", Name: "wait 100 s at the tail without data", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.full()
		start := time.Now()
		s.Follow(from(5), wait(100*time.Second)).End()
		e.took(start, 100*time.Second)
	}},
	{Row: "A.10/202", Name: "read_wait_is_not_extended_by_heartbeats", Bare: true, Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.full()
		start := time.Now()
		r := s.Follow(from(5), wait(30*time.Second))
		heartbeats := 0
		for {
			batch, err := r.session.Next(e.ctx)
			if err != nil {
				break
			}
			equal(t, "heartbeat", batch.Heartbeat(), true)
			heartbeats++
		}
		e.took(start, 30*time.Second)
		if heartbeats < 2 {
			t.Fatalf("%d heartbeats in 30 s, want at least 2", heartbeats)
		}
	}},
	{Row: "A.10/203", Name: "wait 100 s, batch after 40 s", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		start := time.Now()
		r := s.Follow(from(0), wait(100*time.Second))
		s.AppendIn(40*time.Second, text("a"))
		r.Batch().Seqs(0, 1)
		e.took(start, 40*time.Second)
		r.End()
		e.took(start, 140*time.Second)
	}},
	{Row: "A.10/204", Name: "read_wait_is_reset_by_delivered_follow_batch", Bare: true, Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("stored"))
		start := time.Now()
		r := s.Follow(from(0), wait(30*time.Second))
		r.Now().Seqs(0, 1)
		r.Heartbeat()
		s.AppendIn(20*time.Second, text("live"))
		r.Batch().Seqs(1, 2)
		e.took(start, 20*time.Second)
		r.End()
		e.took(start, 50*time.Second)
	}},
	{Row: "A.10/205", Name: "two live records within the wait", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("stored"))
		start := time.Now()
		r := s.Follow(from(0), count(10), wait(60*time.Second))
		r.Now().Seqs(0, 1)
		s.AppendIn(50*time.Second, text("live 1"))
		s.AppendIn(100*time.Second, text("live 2"))
		r.Batch().Bodies("live 1")
		r.Batch().Bodies("live 2")
		r.End()
		e.took(start, 160*time.Second)
	}},
	{Row: "A.10/218", Name: "heartbeats come 5 to 15 s apart", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.full()
		r := s.Follow(from(5))
		r.Heartbeat()
		previous, tail := time.Now(), s.Tail()
		gaps := map[time.Duration]bool{}
		for range 40 {
			r.Heartbeat().HasTail(tail)
			gap := time.Since(previous)
			if gap < protocol.MinHeartbeatGap || gap >= protocol.MaxHeartbeatGap+slack {
				t.Fatalf("a gap of %v between heartbeats", gap)
			}
			gaps[gap] = true
			previous = time.Now()
		}
		if len(gaps) < 10 {
			t.Fatalf("only %d different gaps between 40 heartbeats: they are not random", len(gaps))
		}
	}},
	{Row: "A.10/223", Name: "unbounded, wait 0, 5 records", Run: func(t *testing.T, e *Env) {
		r := e.full().Follow(from(0), wait(0))
		got := r.Now()
		for len(got.Records) < 5 {
			got.add(r.Now())
		}
		got.Seqs(0, 5)
		r.EndNow()
	}},
	{Row: "A.10/224", Name: "bounded, wait 0, at the tail", Run: func(t *testing.T, e *Env) {
		s := e.full()
		s.unwrittenAt(s.Tail(), from(5), count(1), wait(0))
		s.unwrittenAt(s.Tail(), from(5), until(^uint64(0)), wait(0))
	}},
	{Row: "4.7", Name: "unbounded with a wait ends when the wait does", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.full()
		start := time.Now()
		r := s.Follow(from(0), wait(7*time.Second))
		r.Now().Seqs(0, 5)
		r.End()
		e.took(start, 7*time.Second)
	}},
	{Row: "4.7", Name: "unbounded, wait 0, at the tail of an empty stream", Run: func(t *testing.T, e *Env) {
		e.Stream().Follow(from(0), wait(0)).EndNow()
	}},
}

// unaryWaitCases: data plane A.10, reads at once that wait.
var unaryWaitCases = []Case{
	{Row: "A.10/199", Name: "at once, empty stream, wait 1", Timed: true, Run: func(t *testing.T, e *Env) {
		start := time.Now()
		e.Stream().Read(from(0), wait(time.Second)).Empty()
		e.took(start, time.Second)
	}},
	{Row: "A.10/219", Name: "at once, wait 10, a record is there", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.full()
		start := time.Now()
		s.Read(from(0), wait(10*time.Second)).Seqs(0, 5).NoTail()
		s.Read(from(4), count(10), wait(10*time.Second)).Seqs(4, 5).NoTail()
		e.took(start, 0)
	}},
	{Row: "A.10/220", Name: "at once, wait 10, a batch of 2 after 1 s", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.full()
		start := time.Now()
		ack := s.AppendIn(time.Second, text("a", "b"))
		s.AppendIn(2*time.Second, text("c"))
		s.Read(from(5), wait(10*time.Second)).Seqs(5, 7).HasTail(ack().Tail)
		e.took(start, time.Second)
	}},
	{Row: "A.10/221", Name: "at once, wait 10, count 1, a batch of 2", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.full()
		ack := s.AppendIn(time.Second, text("a", "b"))
		s.Read(from(5), count(1), wait(10*time.Second)).Seqs(5, 6).HasTail(ack().End)
	}},
	{Row: "A.10/222", Name: "at once, wait 600", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.full()
		start := time.Now()
		s.Read(from(5), wait(600*time.Second)).Empty()
		e.took(start, protocol.MaxUnaryWait)
	}},
	{Row: "4.11", Name: "at once, a wait that is over does not count against a later read", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		for i := range 5 {
			start := time.Now()
			s.Read(last(0), wait(time.Duration(i+1)*time.Second)).Empty()
			e.took(start, time.Duration(i+1)*time.Second)
		}
	}},
}
