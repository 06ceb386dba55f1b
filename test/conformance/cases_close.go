package conformance

import (
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// closing closes the stream behind the records.
func closing(in *protocol.AppendInput) { in.Close = true }

// closeRecord is the command that closes a stream.
func closeRecord() []protocol.Record { return these(protocol.CloseRecord()) }

// refusesClosed appends to a stream that is closed, which must fail and report the tail.
func (s *Stream) refusesClosed(recs []protocol.Record, conds ...Condition) {
	s.e.t.Helper()
	s.e.isClosed(s.Refuses(protocol.CodeStreamClosed, recs, conds...), s.Tail())
}

func (e *Env) isClosed(f *protocol.Error, tail protocol.Position) {
	e.t.Helper()
	if f.Tail == nil {
		e.t.Fatalf("got %+v, want the tail among the details", f)
	}
	equal(e.t, "tail", *f.Tail, tail)
	equal(e.t, "status", f.Status(), 409)
	equal(e.t, "clean", f.Clean(), true)
	equal(e.t, "retryable", f.Retryable(), false)
}

// closeCases: streams that end. S2 has nothing like it.
var closeCases = []Case{
	{Row: beyondS2, Name: "close with the last records", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("a"))
		s.AppendRange(1, 3, text("b", "c"), closing)
		s.closedAt(3)
		s.refusesClosed(text("d"))
		s.All().Bodies("a", "b", "c")
	}},
	{Row: beyondS2, Name: "close without records", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		last := s.Append(text("a", "b"))
		ack := s.Append(nil, closing)
		equal(t, "start", ack.Start, last.End)
		equal(t, "end", ack.End, last.End)
		equal(t, "tail", ack.Tail, last.End)
		s.closedAt(2)
		s.refusesClosed(text("c"))
		s.All().Bodies("a", "b")
	}},
	{Row: beyondS2, Name: "close an empty stream", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		equal(t, "ack", s.Append(nil, closing), protocol.AppendAck{})
		s.closedAt(0)
		s.refusesClosed(text("a"))
		s.Follow(from(0)).EndNow()
	}},
	{Row: beyondS2, Name: "close by a command record", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.AppendRange(0, 2, append(text("a"), protocol.CloseRecord()))
		s.closedAt(2)
		s.refusesClosed(text("b"))
		got := s.All().Seqs(0, 2)
		equal(t, "command", got.Records[1].Command(), protocol.CloseCommand)
	}},
	{Row: beyondS2, Name: "to close again succeeds", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("a"), closing)
		for range 2 {
			ack := s.Append(nil, closing)
			equal(t, "start", ack.Start.SeqNum, 1)
			equal(t, "end", ack.End.SeqNum, 1)
		}
		s.refusesClosed(closeRecord())
		s.refusesClosed(text("b"), closing)
		s.closedAt(1)
	}},
	{Row: beyondS2, Name: "the command again gets its first positions", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("a"))
		first := s.Append(closeRecord())
		again := s.Append(closeRecord())
		equal(t, "start", again.Start, first.Start)
		equal(t, "end", again.End, first.End)
		equal(t, "start without records", s.Append(nil, closing).Start.SeqNum, 2)
		s.refusesClosed(append(text("b"), protocol.CloseRecord()))
		s.All().Seqs(0, 2)
	}},
	{Row: beyondS2, Name: "close under conditions", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(fence("mine"))
		s.refusesSeqNum(1, nil, closing, at(0))
		s.refusesToken("mine", nil, closing, holding("yours"))
		s.AppendRange(1, 1, nil, closing, at(1), holding("mine"))
		s.closedAt(1)
		// A repeated append has the same result as the first time.
		s.AppendRange(1, 1, nil, closing, at(1), holding("mine"))
		s.refusesSeqNum(1, nil, closing, at(0))
		s.refusesToken("mine", nil, closing, holding("yours"))
		// The end of the stream comes before all conditions of other appends.
		s.refusesClosed(text("a"), at(9))
		s.refusesClosed(text("a"), holding("yours"))
	}},
	{Row: beyondS2, Name: "the command under conditions", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("a"))
		s.AppendRange(1, 2, closeRecord(), at(1))
		s.AppendRange(1, 2, closeRecord(), at(1))
		s.refusesSeqNum(2, closeRecord(), at(2))
	}},
	{Row: beyondS2, Name: "fence and trim do not pass the end", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("a", "b"), closing)
		s.refusesClosed(fence("mine"))
		s.refusesClosed(trim(1))
	}},
	{Row: beyondS2, Name: "fence, trim and close in one batch", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("a"))
		s.AppendRange(1, 4, these(protocol.TrimRecord(1), protocol.FenceRecord("t"), protocol.CloseRecord()))
		s.closedAt(4)
		s.All().Seqs(1, 4)
	}},
	{Row: beyondS2, Name: "malformed closings", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Refuses(protocol.CodeInvalid, these(protocol.CloseRecord(), protocol.Record{Body: []byte("a")}))
		s.Refuses(protocol.CodeInvalid, these(protocol.CloseRecord(), protocol.CloseRecord()))
		loud := protocol.CloseRecord()
		loud.Body = []byte("now")
		s.Refuses(protocol.CodeInvalid, these(loud))
		s.Refuses(protocol.CodeInvalid, nil)
		s.Append(text("a"))
	}},
	{Row: beyondS2, Name: "a session that closes its stream", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		w := s.Writer()
		w.Submit(text("a")).Submit(text("b"), closing).Submit(nil, closing).Submit(text("c"))
		w.Acked(0, 1)
		w.Acked(1, 2)
		w.Acked(2, 2)
		e.isClosed(w.Fails(protocol.CodeStreamClosed), s.Tail())
		s.closedAt(2)
	}},
	{Row: beyondS2, Name: "a session that closes without records", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		w := s.Writer()
		w.Submit(text("a")).Submit(nil, closing).Submit(nil, closing).Done()
		w.Acked(0, 1)
		w.Acked(1, 1)
		w.Acked(1, 1)
		w.Ends()
		s.closedAt(1)
	}},
	{Row: beyondS2, Name: "append and close race", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		e.race(8, func(i int) error {
			for n := range 10 {
				var conds []Condition
				if i == 7 && n == 5 {
					conds = append(conds, closing)
				}
				if _, err := s.tryAppend(numbered(i, 1), conds...); protocol.CodeOf(err) == protocol.CodeStreamClosed {
					return nil
				} else if err != nil {
					return err
				}
			}
			return nil
		}, "%d")
		tail := s.Tail()
		s.closedAt(tail.SeqNum)
		s.All().Seqs(0, tail.SeqNum)
	}},
	{Row: beyondS2, Name: "a reader that waits ends when the stream is closed", Run: func(t *testing.T, e *Env) {
		for _, last := range [][]protocol.Record{nil, text("b"), closeRecord()} {
			s := e.Stream()
			s.Append(text("a"))
			readers := []*Reader{s.Follow(from(0)), s.Follow(from(1)), s.Follow(from(1), count(9), wait(time.Hour))}
			readers[0].Now().Seqs(0, 1)
			for _, r := range readers {
				r.Heartbeat()
			}
			if len(last) > 0 && last[0].Command() == protocol.CloseCommand {
				s.Append(last)
			} else {
				s.Append(last, closing)
			}
			for _, r := range readers {
				if len(last) > 0 {
					r.Batch().Seqs(1, 2)
				}
				r.End()
			}
		}
	}},
	{Row: beyondS2, Name: "a follower of a closed stream gets no heartbeat", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("a", "b"), closing)
		r := s.Follow(from(0))
		r.Now().Seqs(0, 2).HasTail(s.Tail())
		r.EndNow()
		s.Follow(from(2)).EndNow()
		s.Follow(last(0)).EndNow()
		s.Follow(from(9), clamped).EndNow()
		_, err := s.tryFollow(from(3))
		e.unwritten(err, s.Tail())
	}},
	{Row: beyondS2, Name: "a wait at the end of a closed stream", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("a"), closing)
		start := time.Now()
		s.Read(from(1), wait(30*time.Second)).Empty()
		s.Read(from(0), wait(30*time.Second)).Bodies("a")
		s.Follow(from(1), wait(30*time.Second)).EndNow()
		e.took(start, 0)
		s.unwrittenAt(s.Tail(), from(1), count(1))
	}},
	{Row: beyondS2, Name: "a unary read that waits is answered when the stream is closed", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("a"))
		start := time.Now()
		done := make(chan struct{})
		go func() {
			defer close(done)
			time.Sleep(10 * time.Second)
			_, _ = s.tryAppend(nil, closing)
		}()
		s.Read(from(1), wait(50*time.Second)).Empty()
		<-done
		e.took(start, 10*time.Second)
		s.closedAt(1)
	}},
	{Row: beyondS2, Name: "heartbeats stop with the closing", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		r := s.Follow(from(0))
		r.Heartbeat()
		r.Heartbeat()
		done := s.AppendIn(time.Minute, closeRecord())
		r.Batch().Seqs(0, 1)
		start := time.Now()
		r.EndNow()
		e.took(start, 0)
		done()
	}},
	{Row: beyondS2, Name: "the configuration tells of the end", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("a"))
		equal(t, "closed", s.Config().Closed, false)
		s.Append(nil, closing)
		equal(t, "closed", s.Config().Closed, true)
		changed := s.Reconfigure(protocol.StreamReconfiguration{Uncapped: protocol.Set(true)})
		equal(t, "closed", changed.Closed, true)
		equal(t, "uncapped", changed.Uncapped, true)
	}},
	{Row: beyondS2, Name: "retention takes records of a closed stream", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream(retain(age(time.Hour)))
		s.Append(text("a"), closing)
		time.Sleep(2 * time.Hour)
		s.closedAt(1)
		s.Follow(from(0)).End()
		s.refusesClosed(text("b"))
	}},
	{Row: beyondS2, Name: "a closed stream is deleted, and made anew open", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("a"), closing)
		s.Delete()
		e.eventually("the stream can be made again", func() bool {
			_, _, err := e.Service.CreateStream(e.ctx, s.StreamRef.Basin, protocol.CreateStreamRequest{Stream: s.StreamRef.Stream})
			return err == nil
		})
		s.AppendRange(0, 1, text("b"))
	}},
	{Row: beyondS2, Name: "close creates a missing stream", Run: func(t *testing.T, e *Env) {
		s := e.Basin(createOnAppend).Missing("stream")
		s.Append(nil, closing)
		s.closedAt(0)
	}},
}
