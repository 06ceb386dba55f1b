package conformance

import (
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// refusesSeqNum appends, which must fail because the next seq_num is next, and checks that nothing was stored.
func (s *Stream) refusesSeqNum(next uint64, recs []protocol.Record, conds ...Condition) {
	s.e.t.Helper()
	s.e.mismatchedSeqNum(s.Refuses(protocol.CodeConditionFailed, recs, conds...), next)
}

// refusesToken appends, which must fail because current is in force, and checks that nothing was stored.
func (s *Stream) refusesToken(current string, recs []protocol.Record, conds ...Condition) {
	s.e.t.Helper()
	s.e.mismatchedToken(s.Refuses(protocol.CodeConditionFailed, recs, conds...), current)
}

// conditionCases: data plane A.3.
var conditionCases = []Case{
	{Row: "A.3/52", Name: "match_seq_num 0 on an empty stream, then 1", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.AppendRange(0, 1, text("a"), at(0))
		s.AppendRange(1, 2, text("b"), at(1))
	}},
	{Row: "A.3/53", Name: "match_seq_num counts records, not batches", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.AppendRange(0, 2, text("a", "b"), at(0))
		s.AppendRange(2, 3, text("c"), at(2))
	}},
	{Row: "A.3/54", Name: "match_seq_num 0 when the next is 1", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("a"))
		s.refusesSeqNum(1, text("b"), at(0))
		s.refusesSeqNum(1, text("b"), at(2))
		s.refusesSeqNum(1, text("b"), at(^uint64(0)))
		s.Read(from(0)).Bodies("a")
	}},
	{Row: "A.3/55", Name: "empty token on a stream that was never fenced", Run: func(t *testing.T, e *Env) {
		e.Stream().AppendRange(0, 1, text("a"), holding(""))
	}},
	{Row: "A.3/56", Name: "empty token after a fence", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(fence("updated-token"), holding(""))
		s.refusesToken("updated-token", text("a"), holding(""))
	}},
	{Row: "A.3/57", Name: "right token and right match_seq_num after a fence", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.AppendRange(0, 1, fence("updated-token"), holding(""))
		s.AppendRange(1, 2, text("a"), holding("updated-token"), at(1))
	}},
	{Row: "A.3/59", Name: "fence to a token of 30 bytes, then append with it", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		const token = "0123456789abcdefghijklmnopqrst"
		s.AppendRange(0, 1, fence(token))
		s.AppendRange(1, 2, text("a"), holding(token))
	}},
	{Row: "A.3/60", Name: "another token", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(fence("mine"))
		s.refusesToken("mine", text("a"), holding("yours"))
	}},
	{Row: "A.3/61", Name: "no token on a fenced stream", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(fence("mine"))
		s.AppendRange(1, 2, text("a"))
	}},
	{Row: "A.3/62", Name: "fence, clear and append without a token", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.AppendRange(0, 1, fence("T"))
		s.AppendRange(1, 2, fence(""))
		s.AppendRange(2, 3, text("a"))
	}},
	{Row: "A.3/63", Name: "empty token after clearing", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(fence("T"))
		s.Append(fence(""))
		s.AppendRange(2, 3, text("a"), holding(""))
		s.refusesToken("", text("b"), holding("T"))
	}},
	{Row: "A.3/64", Name: "fence under the current token, then under a wrong one", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(fence("T1"))
		s.Append(fence("T2"), holding("T1"))
		s.refusesToken("T2", fence("T3"), holding("T1"))
		s.Append(text("a"), holding("T2"))
	}},
	{Row: "A.3/65", Name: "trim under the current token, then under a wrong one", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(fence("T"))
		s.Append(trim(1), holding("T"))
		s.refusesToken("T", trim(2), holding("wrong"))
	}},
	{Row: "A.3/66", Name: "both conditions wrong", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(fence("T"))
		s.refusesToken("T", text("a"), holding("wrong"), at(9))
		s.refusesSeqNum(1, text("a"), holding("T"), at(9))
	}},
	{Row: "A.3/67", Name: "the last of two fences in a batch wins", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(these(protocol.FenceRecord("A"), protocol.FenceRecord("B")))
		s.refusesToken("B", text("a"), holding("A"))
		s.Append(text("a"), holding("B"))
	}},
	{Row: "A.3/68", Name: "a batch is checked against the token before it", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.refusesToken("", fence("A"), holding("A"))
		s.Append(text("a"), holding(""))
	}},
	{Row: "A.3/69", Name: "match_seq_num counts pipelined appends", Run: func(t *testing.T, e *Env) {
		w := e.Stream().Writer()
		for i := range uint64(20) {
			w.Submit(text("a", "b"), at(2*i))
		}
		w.Done()
		for i := range uint64(20) {
			w.Acked(2*i, 2*i+2)
		}
		w.Ends()
	}},
	{Row: "A.3/70", Name: "a pipelined fence counts at once", Run: func(t *testing.T, e *Env) {
		w := e.Stream().Writer()
		w.Submit(fence("T"), holding("")).Submit(text("a"), holding("T")).Submit(fence("U"), holding("T")).
			Submit(text("b"), holding("U")).Done()
		for i := range uint64(4) {
			w.Acked(i, i+1)
		}
		w.Ends()
	}},
	{Row: "A.3/72", Name: "fencing token after any idle time", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(fence("T"))
		for _, idle := range []time.Duration{61 * time.Second, 10 * time.Minute, 25 * time.Hour} {
			time.Sleep(idle)
			s.refusesToken("T", text("a"), holding(""))
			s.Append(text("a"), holding("T"))
		}
	}},
	{Row: "3.2", Name: "a refused append changes nothing", Run: func(t *testing.T, e *Env) {
		s := e.Stream(uncapped(true))
		s.Append(stamped(1000))
		future := stamped(9000)
		s.refusesSeqNum(1, append(future, protocol.FenceRecord("T")), at(7))
		s.refusesToken("", append(future, protocol.TrimRecord(1)), holding("wrong"))
		// Neither the token nor the running maximum of the timestamps moved, and nothing was trimmed.
		s.AppendRange(1, 2, stamped(2000), holding(""))
		s.Read(from(0)).Times(1000, 2000)
	}},
	{Row: "3.4", Name: "only one of many appends at the same seq_num succeeds", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		won := make(chan struct{}, 10)
		e.race(10, func(int) error {
			_, err := s.tryAppend(text("a"), at(0))
			if err == nil {
				won <- struct{}{}
			} else if protocol.CodeOf(err) != protocol.CodeConditionFailed {
				return err
			}
			return nil
		}, "%d")
		equal(t, "successes", len(won), 1)
		s.At(1)
	}},
}
