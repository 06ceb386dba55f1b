package conformance

import (
	"fmt"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// made has a producer make the append.
func made(id string, epoch, seq uint64) Condition {
	return func(in *protocol.AppendInput) {
		in.Producer = &protocol.Producer{ID: id, Epoch: epoch, Seq: seq}
	}
}

// Repeats makes an append again, which must be answered with the positions of the first time, and store nothing.
func (s *Stream) Repeats(first protocol.AppendAck, recs []protocol.Record, conds ...Condition) {
	s.e.t.Helper()
	before := s.Tail()
	ack, err := s.tryAppend(recs, conds...)
	s.e.must(err, "append again")
	s.e.repeat(ack, first)
	equal(s.e.t, "tail after the repeat", s.Tail(), before)
}

func (e *Env) repeat(ack, first protocol.AppendAck) {
	e.t.Helper()
	equal(e.t, "repeated", ack.Repeated, true)
	equal(e.t, "start", ack.Start, first.Start)
	equal(e.t, "end", ack.End, first.End)
}

func (s *Stream) refusesGap(expected, received uint64, recs []protocol.Record, conds ...Condition) {
	s.e.t.Helper()
	f := s.Refuses(protocol.CodeProducerGap, recs, conds...)
	equal(s.e.t, "status", f.Status(), 409)
	if f.Producer == nil {
		s.e.t.Fatalf("got %+v, want what the producer met", f)
	}
	equal(s.e.t, "expected", f.Producer.Expected, expected)
	equal(s.e.t, "received", f.Producer.Received, received)
}

func (s *Stream) refusesEpoch(current uint64, recs []protocol.Record, conds ...Condition) {
	s.e.t.Helper()
	f := s.Refuses(protocol.CodeProducerFenced, recs, conds...)
	equal(s.e.t, "status", f.Status(), 403)
	if f.Producer == nil || f.Producer.Epoch == nil {
		s.e.t.Fatalf("got %+v, want the current epoch", f)
	}
	equal(s.e.t, "epoch", *f.Producer.Epoch, current)
}

// producerCases: appends that are safe to make again. S2 has nothing like it.
var producerCases = []Case{
	{Row: beyondS2, Name: "a producer's appends in order, and again", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		var acks []protocol.AppendAck
		for i := range uint64(5) {
			ack := s.AppendRange(2*i, 2*i+2, text("a", "b"), made("p", 0, i))
			equal(t, "repeated", ack.Repeated, false)
			acks = append(acks, ack)
		}
		for i := range uint64(5) {
			s.Repeats(acks[i], text("a", "b"), made("p", 0, i))
		}
		s.Repeats(acks[4], text("whatever comes again"), made("p", 0, 4))
		s.AppendRange(10, 11, text("c"), made("p", 0, 5))
	}},
	{Row: beyondS2, Name: "a gap", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.refusesGap(0, 1, text("a"), made("p", 0, 1))
		s.refusesGap(0, 7, text("a"), made("p", 9, 7))
		s.Append(text("a"), made("p", 0, 0))
		s.refusesGap(1, 2, text("b"), made("p", 0, 2))
		s.refusesGap(0, 1, text("b"), made("p", 1, 1))
		s.Append(text("b"), made("p", 0, 1))
	}},
	{Row: beyondS2, Name: "a stale epoch", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("a"), made("p", 3, 0))
		first := s.Append(text("b"), made("p", 5, 0))
		s.refusesEpoch(5, text("c"), made("p", 3, 1))
		s.refusesEpoch(5, text("c"), made("p", 3, 0))
		s.refusesEpoch(5, text("c"), made("p", 4, 0))
		s.Repeats(first, text("b"), made("p", 5, 0))
		s.AppendRange(2, 3, text("c"), made("p", 5, 1))
	}},
	{Row: beyondS2, Name: "producers do not disturb one another", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		a := s.Append(text("a"), made("a", 0, 0))
		s.Append(text("x"))
		b := s.Append(text("b"), made("b", 7, 0))
		s.Repeats(a, text("a"), made("a", 0, 0))
		s.Repeats(b, text("b"), made("b", 7, 0))
		s.AppendRange(3, 4, text("c"), made("a", 0, 1))
		other := e.Stream()
		other.refusesGap(0, 1, text("a"), made("a", 0, 1))
	}},
	{Row: beyondS2, Name: "a repeat comes before the conditions of the first time", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		first := s.Append(text("a"), made("p", 0, 0), at(0), holding(""))
		s.Append(fence("mine"))
		s.Repeats(first, text("a"), made("p", 0, 0), at(0), holding(""))
		s.refusesToken("mine", text("b"), made("p", 0, 1), holding(""))
		s.refusesSeqNum(2, text("b"), made("p", 0, 1), at(0))
		s.refusesGap(1, 2, text("b"), made("p", 0, 2), at(0))
		s.AppendRange(2, 3, text("b"), made("p", 0, 1), at(2), holding("mine"))
	}},
	{Row: beyondS2, Name: "the last 16 appends of a producer are remembered", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		var acks []protocol.AppendAck
		const n = protocol.ProducerWindow + 4
		for i := range uint64(n) {
			acks = append(acks, s.Append(text("a"), made("p", 0, i)))
		}
		for i := n - protocol.ProducerWindow; i < n; i++ {
			s.Repeats(acks[i], text("a"), made("p", 0, uint64(i)))
		}
		f := s.Refuses(protocol.CodeProducerRepeated, text("a"), made("p", 0, n-protocol.ProducerWindow-1))
		equal(t, "expected", f.Producer.Expected, n)
		equal(t, "clean", f.Clean(), false)
	}},
	{Row: beyondS2, Name: "the last 32 producers are remembered", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		name := func(i int) string { return fmt.Sprintf("producer %d", i) }
		var acks []protocol.AppendAck
		for i := range protocol.MaxProducers {
			acks = append(acks, s.Append(text("a"), made(name(i), 0, 0)))
		}
		s.Repeats(acks[0], text("a"), made(name(0), 0, 0)) // a repeat is no append
		s.Append(text("b"), made(name(1), 0, 1))
		s.Append(text("a"), made("one more", 0, 0))
		s.refusesGap(0, 1, text("b"), made(name(0), 0, 1)) // forgotten
		s.Repeats(acks[1], text("a"), made(name(1), 0, 0))
		s.Repeats(acks[2], text("a"), made(name(2), 0, 0))
	}},
	{Row: beyondS2, Name: "trims do not take what is remembered", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		first := s.Append(text("a", "b"), made("p", 0, 0))
		s.Append(trim(3))
		s.Repeats(first, text("a", "b"), made("p", 0, 0))
		s.AppendRange(3, 4, text("c"), made("p", 0, 1))
	}},
	{Row: beyondS2, Name: "a producer closes the stream", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		a := s.Append(text("a"), made("p", 0, 0))
		last := s.Append(text("b"), made("p", 0, 1), closing)
		s.Repeats(a, text("a"), made("p", 0, 0))
		s.Repeats(last, text("b"), made("p", 0, 1), closing)
		s.refusesClosed(text("c"), made("p", 0, 2))
		s.refusesClosed(text("c"), made("p", 0, 9))
		bare := e.Stream()
		bare.Append(text("a"), made("p", 0, 0))
		ended := bare.AppendRange(1, 1, nil, made("p", 0, 1), closing)
		bare.Repeats(ended, nil, made("p", 0, 1), closing)
		bare.closedAt(1)
	}},
	{Row: beyondS2, Name: "malformed producers", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Refuses(protocol.CodeInvalid, text("a"), made("", 0, 0))
		s.Refuses(protocol.CodeInvalid, text("a"), made(string(make([]byte, protocol.MaxProducerIDBytes+1)), 0, 0))
		s.Append(text("a"), made(string(make([]byte, protocol.MaxProducerIDBytes)), ^uint64(0), 0))
		s.Append(text("b"), made("é/ \" \x01", 1<<63, 0))
	}},
	{Row: beyondS2, Name: "writer_seq rises", Run: func(t *testing.T, e *Env) {
		seq := func(v string) Condition { return func(in *protocol.AppendInput) { in.WriterSeq = &v } }
		s := e.Stream()
		s.Append(text("a"), seq("2"))
		s.Refuses(protocol.CodeWriterSeqConflict, text("b"), seq("2"))
		s.Refuses(protocol.CodeWriterSeqConflict, text("b"), seq("10")) // byte by byte
		s.Append(text("b"))
		s.Refuses(protocol.CodeWriterSeqConflict, text("c"), seq("1"))
		s.Append(text("c"), seq("20"))
		s.Refuses(protocol.CodeInvalid, text("d"), seq(string(make([]byte, protocol.MaxWriterSeqBytes+1))))
	}},
	{Row: beyondS2, Name: "a session repeats and goes on", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		first := s.Append(text("a"), made("p", 0, 0))
		w := s.Writer()
		w.Submit(text("a"), made("p", 0, 0)).Submit(text("b"), made("p", 0, 1)).Submit(text("b"), made("p", 0, 1)).
			Submit(text("c")).Submit(text("d"), made("p", 0, 3))
		e.repeat(w.Acked(0, 1), first)
		second := w.Acked(1, 2)
		e.repeat(w.Acked(1, 2), second)
		w.Acked(2, 3)
		w.Fails(protocol.CodeProducerGap)
		s.All().Bodies("a", "b", "c")
	}},
	{Row: beyondS2, Name: "a session numbers its inputs", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		session, err := e.Service.OpenAppendSession(e.ctx, s.StreamRef, protocol.WithProducer(protocol.Producer{ID: "p", Epoch: 4}))
		e.must(err, "open append session")
		w := &Writer{e: e, session: session}
		w.Submit(text("a")).Submit(text("b")).Done()
		a := w.Acked(0, 1)
		w.Acked(1, 2)
		w.Ends()
		e.must(session.Close(), "close")
		s.Repeats(a, text("a"), made("p", 4, 0))
		s.AppendRange(2, 3, text("c"), made("p", 4, 2))
	}},
	{Row: beyondS2, Name: "producers race with their own repeats", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		const appends = 12
		e.race(8, func(i int) error {
			id := fmt.Sprintf("producer %d", i/2) // two goroutines try the same appends as each producer
			for seq := uint64(0); seq < appends; {
				_, err := s.tryAppend(text(fmt.Sprintf("%s %d", id, seq)), made(id, 0, seq))
				switch protocol.CodeOf(err) {
				case "":
					seq++
				case protocol.CodeProducerGap: // never: both try every seq in turn
					return err
				default:
					return err
				}
			}
			return nil
		}, "%d")
		s.At(4 * appends)
		seen := map[string]bool{}
		for _, rec := range s.All().Records {
			if seen[string(rec.Body)] {
				t.Fatalf("%q is there twice", rec.Body)
			}
			seen[string(rec.Body)] = true
		}
	}},
}
