package conformance

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// appendSessionCases: data plane A.6.
var appendSessionCases = []Case{
	{Row: "A.6/94", Name: "three single-record inputs", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		w := s.Writer().Submit(text("a")).Submit(text("b")).Submit(text("c")).Done()
		w.Acked(0, 1)
		w.Acked(1, 2)
		w.Acked(2, 3)
		w.Ends()
		s.Read(from(0)).Bodies("a", "b", "c")
	}},
	{Row: "A.6/96", Name: "no input at all", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Writer().Done().Ends()
		s.At(0)
	}},
	{Row: "A.6/97", Name: "inputs of 2 and 3 records", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		w := s.Writer().Submit(text("a", "b")).Submit(text("c", "d", "e")).Done()
		w.Acked(0, 2)
		w.Acked(2, 5)
		w.Ends()
		s.Read(from(0)).Bodies("a", "b", "c", "d", "e")
	}},
	{Row: "A.6/98", Name: "match_seq_num 0 then 1", Run: func(t *testing.T, e *Env) {
		w := e.Stream().Writer().Submit(text("a"), at(0)).Submit(text("b"), at(1)).Done()
		w.Acked(0, 1)
		w.Acked(1, 2)
		w.Ends()
	}},
	{Row: "A.6/99", Name: "a mismatch as the first output", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("before"))
		w := s.Writer().Submit(text("a"), at(0))
		e.mismatchedSeqNum(w.Fails(protocol.CodeConditionFailed), 1)
		s.At(1)
	}},
	{Row: "A.6/100", Name: "after a failed input none is applied", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		w := s.Writer().Submit(text("a"), at(0))
		w.TrySubmit(text("bad"), at(0))
		w.TrySubmit(text("never"), at(1))
		w.Acked(0, 1)
		e.mismatchedSeqNum(w.Fails(protocol.CodeConditionFailed), 1)
		s.At(1)
		s.Read(from(0)).Bodies("a")
	}},
	{Row: "A.6/101", Name: "two inputs with the empty token", Run: func(t *testing.T, e *Env) {
		w := e.Stream().Writer().Submit(text("a"), holding("")).Submit(text("b"), holding("")).Done()
		w.Acked(0, 1)
		w.Acked(1, 2)
		w.Ends()
	}},
	{Row: "A.6/102", Name: "fence, then an input with another token", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		w := s.Writer().Submit(fence("mine"))
		w.Acked(0, 1)
		w.TrySubmit(text("a"), holding("yours"))
		e.mismatchedToken(w.Fails(protocol.CodeConditionFailed), "mine")
		s.At(1)
	}},
	{Row: "A.6/103", Name: "50 inputs of 100,000 bytes", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		w := s.Writer()
		e.background(func() error {
			for range 50 {
				if err := w.session.Submit(e.ctx, input(these(sized(100_000)))); err != nil {
					return err
				}
			}
			return w.session.CloseSend()
		})
		for i := range uint64(50) {
			w.Acked(i, i+1)
		}
		w.Ends()
		s.At(50)
	}},
	{Row: "A.6/104", Name: "32 pipelined inputs", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		w := s.Writer()
		for i := range 32 {
			w.Submit(numbered(i, 1))
		}
		w.Done()
		for i := range uint64(32) {
			w.Acked(i, i+1)
		}
		w.Ends()
		for i, rec := range s.Read(from(0)).Seqs(0, 32).Records {
			equal(t, "body", string(rec.Body), string(numbered(i, 1)[0].Body))
		}
	}},
	{Row: "A.6/105", Name: "61 s between two inputs", Timed: true, Run: func(t *testing.T, e *Env) {
		w := e.Stream().Writer().Submit(text("a"))
		w.Acked(0, 1)
		time.Sleep(61 * time.Second)
		w.Submit(text("b"))
		w.Acked(1, 2)
		time.Sleep(3 * time.Hour)
		w.Submit(text("c")).Done()
		w.Acked(2, 3)
		w.Ends()
	}},
	{Row: "A.6/106", Name: "three inputs and the input side closed at once", Run: func(t *testing.T, e *Env) {
		w := e.Stream().Writer().Submit(text("a", "b")).Submit(text("c")).Submit(text("d")).Done()
		w.Acked(0, 2)
		w.Acked(2, 3)
		w.Acked(3, 4)
		w.Ends()
	}},
	{Row: "A.6/107", Name: "an input queued behind a failed one is never sequenced", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		w := s.Writer()
		w.TrySubmit(text("bad"), at(5))
		for i := range 20 {
			w.TrySubmit(text(fmt.Sprintf("never %d", i)))
		}
		e.mismatchedSeqNum(w.Fails(protocol.CodeConditionFailed), 0)
		s.AppendRange(0, 1, text("a"))
		s.Read(from(0)).Bodies("a")
	}},
	{Row: "A.6/109", Name: "two good inputs, then an empty batch", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		w := s.Writer().Submit(text("a")).Submit(text("b"))
		w.TrySubmit(nil)
		w.Acked(0, 1)
		w.Acked(1, 2)
		w.Fails(protocol.CodeInvalid)
		s.At(2)
	}},
	{Row: "3.8", Name: "every invalid input ends the session after earlier acks", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		for i, bad := range badBatches() {
			w := s.Writer().Submit(text("good"))
			w.TrySubmit(bad.recs, bad.conds...)
			w.TrySubmit(text("never"))
			w.Acked(uint64(i), uint64(i+1))
			w.Fails(protocol.CodeInvalid)
		}
		s.At(uint64(len(badBatches())))
	}},
	{Row: "3.8", Name: "a failed session harms no other", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		good, bad := s.Writer(), s.Writer()
		good.Submit(text("a"))
		good.Acked(0, 1)
		bad.TrySubmit(text("x"), at(0))
		bad.Fails(protocol.CodeConditionFailed)
		good.Submit(text("b")).Done()
		good.Acked(1, 2)
		good.Ends()
		s.AppendRange(2, 3, text("c"))
	}},
	{Row: "3.8", Name: "a missing required timestamp ends the session", Run: func(t *testing.T, e *Env) {
		s := e.Stream(clientRequire)
		w := s.Writer().Submit(stamped(10))
		w.TrySubmit(text("a"))
		w.TrySubmit(stamped(20))
		w.Acked(0, 1)
		w.Fails(protocol.CodeInvalid)
		s.At(1)
	}},
	{Row: "3.8", Name: "largest batches, pipelined", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		w := s.Writer()
		e.background(func() error {
			for i := range 24 {
				recs := these(sized(protocol.MaxBatchBytes))
				copy(recs[0].Body, fmt.Sprintf("%03d", i))
				if err := w.session.Submit(e.ctx, input(recs)); err != nil {
					return err
				}
			}
			return w.session.CloseSend()
		})
		for i := range uint64(24) {
			w.Acked(i, i+1)
		}
		w.Ends()
		for i, rec := range s.All().Seqs(0, 24).Records {
			if !strings.HasPrefix(string(rec.Body), fmt.Sprintf("%03d", i)) {
				t.Fatalf("record %d begins with %q", i, rec.Body[:3])
			}
		}
	}},
	{Row: "A.6/112", Name: "session on a missing stream", Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		_, err := e.Service.OpenAppendSession(e.ctx, b.Missing("stream").StreamRef)
		e.fails(err, protocol.CodeStreamNotFound)
		_, err = e.Service.OpenAppendSession(e.ctx, e.NoBasin().Missing("stream").StreamRef)
		e.fails(err, protocol.CodeBasinNotFound)
		b.Holds()
	}},
	{Row: "A.6/117", Name: "a session opens before anything is sent", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		w := s.Writer()
		s.At(0)
		w.Submit(text("a")).Done()
		w.Acked(0, 1)
		w.Ends()
	}},
	{Row: "A.6/118", Name: "stream deleted while the session is open", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		w := s.Writer().Submit(text("a"))
		w.Acked(0, 1)
		s.Delete()
		w.TrySubmit(text("b"))
		w.Fails(protocol.CodeStreamDeletionPending, protocol.CodeUnavailable, protocol.CodeStreamNotFound)
	}},
}

// background runs f beside the case, which waits for it at its end and fails if f does. The case's context ends after that,
// or, if the case was given up, before.
func (e *Env) background(f func() error) {
	done := make(chan error, 1)
	go func() { done <- f() }()
	join := sync.OnceFunc(func() {
		if err := <-done; err != nil {
			e.t.Errorf("background: %v", err)
		}
	})
	e.joins = append(e.joins, join)
	e.t.Cleanup(join)
}

// lifecycleCases: data plane A.7, as far as it shows from outside.
var lifecycleCases = []Case{
	{Row: "A.7/122", Name: "not found is not remembered", Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		for range 2 {
			_, err := e.Service.CheckTail(e.ctx, b.Missing("stream").StreamRef)
			e.fails(err, protocol.CodeStreamNotFound)
		}
		b.Stream("stream").AppendRange(0, 1, text("a"))
	}},
	{Row: "A.7/125", Name: "an open follower outlasts the idle time", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		r := s.Follow()
		r.Heartbeat()
		time.Sleep(10 * time.Minute)
		s.Append(text("a"))
		r.Batch().Seqs(0, 1)
	}},
	{Row: "A.7/126", Name: "an idle stream comes back as it was", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream(uncapped(true))
		s.Append(append(stamped(100, 5_000_000_000_000), fence("T")...))
		tail := s.Tail()
		for range 3 {
			time.Sleep(time.Hour)
			equal(t, "tail", s.Tail(), tail)
		}
		s.AppendRange(3, 4, text("a"), holding("T"), at(3))
		s.Read(from(0)).Times(100, 5_000_000_000_000, 5_000_000_000_000, 5_000_000_000_000)
	}},
}
