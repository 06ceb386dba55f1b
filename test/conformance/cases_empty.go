package conformance

import (
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// pass is the longest time from a deadline to the end of the look at it (control plane 10.1), and the purge.
const pass = 70 * time.Second

// deleted checks that the stream's name stands for nothing any more.
func (s *Stream) deleted() {
	s.e.t.Helper()
	_, err := s.e.Service.GetStreamConfig(s.e.ctx, s.StreamRef)
	s.e.fails(err, protocol.CodeStreamNotFound)
}

// emptyCases: control plane A.16, delete-on-empty, and the rules of A.17 that show from outside.
var emptyCases = []Case{
	{Row: "cp A.16/287,304", Name: "a stream whose records have expired is deleted", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream(minAge(60), retain(age(120*time.Second)))
		s.Append(text("a", "b"))
		r := s.Follow(from(2))
		time.Sleep(680 * time.Second) // 780 s are due: retention, minimal age and ten minutes
		s.Read(from(0)).Empty()
		time.Sleep(100*time.Second + pass)
		s.deleted()
		_, err := s.tryAppend(text("c"))
		e.fails(err, protocol.CodeStreamNotFound)
		r.Breaks(append(deletionPending, protocol.CodeUnavailable)...)
		_, _, err = e.Service.CreateStream(e.ctx, s.StreamRef.Basin, protocol.CreateStreamRequest{Stream: s.StreamRef.Stream})
		e.must(err, "create the stream again")
		equal(t, "tail", s.Tail(), protocol.Position{})
	}},
	{Row: "cp A.16/288", Name: "a stream that was never written is deleted", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream(minAge(60), retain(age(120*time.Second)))
		time.Sleep(779 * time.Second)
		equal(t, "age", s.Config().DeleteOnEmptyMinAge, 60)
		time.Sleep(time.Second + pass)
		s.deleted()
	}},
	{Row: "cp A.16/289", Name: "a stream that was written after the cut-off is kept", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream(minAge(60), retain(forever))
		time.Sleep(650 * time.Second)
		s.Append(trim(protocol.TerminalTrimPoint))
		time.Sleep(10*time.Second + pass)
		s.AppendRange(1, 2, text("a"))
	}},
	{Row: "cp A.16/290", Name: "a stream with records is kept, and they are intact", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream(minAge(60), retain(forever))
		s.Append(text("a"))
		time.Sleep(10 * time.Hour)
		s.Read(from(0)).Seqs(0, 1)
	}},
	{Row: "cp A.16/299", Name: "a trim that removes everything brings the end", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream(minAge(60), retain(forever))
		s.Append(text("a"))
		time.Sleep(2 * time.Hour)
		s.Append(trim(protocol.TerminalTrimPoint))
		time.Sleep(650 * time.Second)
		equal(t, "tail", s.Tail().SeqNum, 2)
		time.Sleep(10*time.Second + pass)
		s.deleted()
	}},
	{Row: "cp A.16/300", Name: "without the feature nothing is deleted", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream(retain(age(time.Second)))
		s.Append(text("a"))
		s.Append(trim(protocol.TerminalTrimPoint))
		time.Sleep(10 * time.Hour)
		equal(t, "age", s.Config().DeleteOnEmptyMinAge, 0)
	}},
	{Row: "cp A.16/296", Name: "disabled before the deadline", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream(minAge(60), retain(forever))
		time.Sleep(time.Minute)
		s.Reconfigure(protocol.StreamReconfiguration{DeleteOnEmptyMinAge: protocol.Set(uint64(0))})
		time.Sleep(10 * time.Hour)
		s.Reconfigure(protocol.StreamReconfiguration{DeleteOnEmptyMinAge: protocol.Set(uint64(60))})
		time.Sleep(650 * time.Second)
		equal(t, "age", s.Config().DeleteOnEmptyMinAge, 60)
		time.Sleep(10*time.Second + pass)
		s.deleted()
	}},
	{Row: "cp A.16/295", Name: "a lower minimal age does not hasten what was armed", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream(minAge(3600), retain(forever))
		s.Reconfigure(protocol.StreamReconfiguration{DeleteOnEmptyMinAge: protocol.Set(uint64(1))})
		time.Sleep(3600 * time.Second)
		equal(t, "age", s.Config().DeleteOnEmptyMinAge, 1)
		time.Sleep(600*time.Second + pass)
		s.deleted()
	}},
	{Row: "cp A.17/316", Name: "a basin's name is free again after its deletion", Timed: true, Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		b.Missing("stream").fill()
		b.Delete()
		time.Sleep(2 * time.Minute)
		_, result, err := e.Service.CreateBasin(e.ctx, protocol.CreateBasinRequest{Basin: b.Name})
		e.must(err, "create the basin again")
		equal(t, "result", result, protocol.ProvisionCreated)
		names, _ := b.List(protocol.ListRequest{})
		equal(t, "streams", len(names), 0)
	}},
}
