package conformance

import (
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// deleteStreamCases: control plane A.12.
var deleteStreamCases = []Case{
	{Row: "cp A.12/230,241,243", Name: "delete a stream", Run: func(t *testing.T, e *Env) {
		s := e.small(10)
		s.Delete()
		page, err := e.Service.ListStreams(e.ctx, s.StreamRef.Basin, protocol.ListRequest{})
		e.must(err, "list streams")
		for _, info := range page.Streams {
			equal(t, "deleted as listed", !info.DeletedAt.IsZero(), true)
		}
		e.eventually("the stream is gone from the listing", func() bool {
			names, _ := s.basin().List(protocol.ListRequest{})
			return len(names) == 0
		})
		_, err = e.Service.CheckTail(e.ctx, s.StreamRef)
		e.fails(err, protocol.CodeStreamNotFound)
	}},
	{Row: "cp A.12/231", Name: "delete again", Run: func(t *testing.T, e *Env) {
		s := e.small(10)
		s.Delete()
		if err := e.Service.DeleteStream(e.ctx, s.StreamRef); err != nil {
			e.fails(err, protocol.CodeStreamNotFound) // removed altogether already
		}
	}},
	{Row: "cp A.12/232", Name: "delete a missing stream", Run: func(t *testing.T, e *Env) {
		e.fails(e.Service.DeleteStream(e.ctx, e.Basin().Missing("stream").StreamRef), protocol.CodeStreamNotFound)
		e.fails(e.Service.DeleteStream(e.ctx, e.NoBasin().Missing("stream").StreamRef), protocol.CodeBasinNotFound)
	}},
	{Row: "cp A.12/239,240", Name: "appends while the stream is deleted are acked or refused", Run: func(t *testing.T, e *Env) {
		s := e.small(10)
		var wg sync.WaitGroup
		started := make(chan struct{}, 4)
		for range 4 {
			wg.Go(func() {
				for i := 0; ; i++ {
					_, err := s.tryAppend(text("a"))
					if i == 0 {
						started <- struct{}{}
					}
					if err != nil {
						e.fails(err, append(deletionPending, protocol.CodeUnavailable)...)
						return
					}
				}
			})
		}
		for range 4 {
			<-started
		}
		s.Delete()
		wg.Wait()
	}},
	{Row: "cp A.12/242", Name: "a follower of a deleted stream cannot come back", Run: func(t *testing.T, e *Env) {
		s := e.full()
		r := s.Follow(from(5))
		r.Heartbeat()
		s.Delete()
		r.Breaks(append(deletionPending, protocol.CodeUnavailable)...)
		_, err := s.tryFollow(from(5))
		e.fails(err, deletionPending...)
	}},
	{Row: "cp A.12/244", Name: "a client's trim to the end of numbers deletes no stream", Run: func(t *testing.T, e *Env) {
		s := e.small(3)
		s.Append(trim(protocol.TerminalTrimPoint))
		s.gone(0)
		s.basin().Holds("stream")
		equal(t, "config", s.Config(), resolved())
		s.AppendRange(4, 5, text("a"))
	}},
	{Row: "cp A.12/245", Name: "delete a stream in a basin being deleted", Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		b.Missing("stream").fill()
		b.Delete()
		start := time.Now()
		if err := e.Service.DeleteStream(e.ctx, b.Missing("stream").StreamRef); err != nil {
			e.fails(err, protocol.CodeStreamNotFound, protocol.CodeBasinNotFound) // removed already
		}
		// The basin's own removal may take the stream away meanwhile; no call may wait for a removed stream.
		if d := time.Since(start); d > 5*time.Second {
			t.Fatalf("it took %v", d)
		}
	}},
}

// retentionCases: control plane 4.10. Age counts from arrival on the broker's clock.
var retentionCases = []Case{
	{Row: "cp 4.10", Name: "records older than the age are not shown, and the tail stays", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream(retain(age(time.Hour)))
		s.Append(text("a", "b"))
		time.Sleep(40 * time.Minute)
		s.Append(text("c"))
		tail := s.Tail()
		s.Read(from(0)).Seqs(0, 3)
		time.Sleep(40 * time.Minute)
		s.Read(from(0)).Seqs(2, 3)
		s.Read(since(0)).Seqs(2, 3)
		s.Follow(from(0), wait(0)).Rest().Seqs(2, 3)
		time.Sleep(40 * time.Minute)
		s.Read(from(0)).Empty()
		s.unwrittenAt(tail, since(0))
		s.Follow(from(0), wait(0)).EndNow()
		equal(t, "tail", s.Tail(), tail)
		s.AppendRange(3, 4, text("d"), at(3))
		s.Read(from(0)).Seqs(3, 4)
	}},
	{Row: "cp 4.10", Name: "a record's own timestamp plays no part", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream(retain(age(time.Hour)), uncapped(true))
		s.Append(stamped(1000, now()+1_000_000_000))
		time.Sleep(59 * time.Minute)
		s.Read(from(0)).Seqs(0, 2)
		time.Sleep(2 * time.Minute)
		s.Read(from(0)).Empty()
	}},
	{Row: "cp 4.10", Name: "infinite retention", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream(retain(forever))
		s.Append(text("a"))
		time.Sleep(90 * time.Hour)
		s.Read(from(0)).Seqs(0, 1)
	}},
	{Row: "cp 4.10", Name: "the fencing token and the tail outlive every record", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream(retain(age(time.Minute)))
		s.Append(fence("T"))
		s.Append(text("a"), holding("T"))
		tail := s.Tail()
		time.Sleep(10 * time.Hour)
		s.Read(from(0)).Empty()
		equal(t, "tail", s.Tail(), tail)
		s.refusesToken("T", text("b"), holding(""))
		s.AppendRange(2, 3, text("b"), holding("T"), at(2))
	}},
	{Row: "cp 4.10", Name: "a change of retention does not shorten what was written before", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream(retain(age(10 * time.Hour)))
		s.Append(text("long"))
		s.Reconfigure(protocol.StreamReconfiguration{RetentionPolicy: protocol.Set(age(time.Hour))})
		s.Append(text("short"))
		time.Sleep(2 * time.Hour)
		s.Read(from(0)).Bodies("long")
		time.Sleep(9 * time.Hour)
		s.Read(from(0)).Empty()
	}},
}
