package conformance

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// appendCases: data plane A.2.
var appendCases = []Case{
	{Row: "A.2/31", Name: "first append to a new stream", Run: func(t *testing.T, e *Env) {
		ack := e.Stream().AppendRange(0, 1, text("a"))
		equal(t, "tail", ack.Tail.SeqNum, 1)
	}},
	{Row: "A.2/32", Name: "one batch of 3 records", Run: func(t *testing.T, e *Env) {
		e.Stream().AppendRange(0, 3, text("a", "b", "c"))
	}},
	{Row: "A.2/33", Name: "three appends of 1, 1 and 2 records", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.AppendRange(0, 1, text("a"))
		s.AppendRange(1, 2, text("b"))
		s.AppendRange(2, 4, text("c", "d"))
		s.Read(from(0)).Seqs(0, 4).Bodies("a", "b", "c", "d")
	}},
	{Row: "A.2/34", Name: "batch of 3 sequenced at 42", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Fill(42)
		s.AppendRange(42, 45, text("a", "b", "c"))
		s.Read(from(42)).Seqs(42, 45).Bodies("a", "b", "c")
	}},
	{Row: "A.2/35", Name: "headers read back", Run: func(t *testing.T, e *Env) {
		e.keeps(t, headed("body", "k1", "v1", "k2", "v2"))
	}},
	{Row: "A.2/36", Name: "records with one, two and no headers in one batch", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(these(headed("a", "k", "v"), headed("b", "k1", "v1", "k2", "v2"), headed("c")))
		for i, rec := range s.Read(from(0)).Seqs(0, 3).Records {
			equal(t, "headers", len(rec.Headers), []int{1, 2, 0}[i])
		}
	}},
	{Row: "A.2/37", Name: "20 concurrent appends are all there once", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		bodies := e.race(20, func(i int) error {
			_, err := s.tryAppend(text(fmt.Sprintf("body %02d", i)))
			return err
		}, "body %02d")
		s.At(20)
		s.holdsOnce(bodies)
	}},
	{Row: "A.2/38", Name: "appends while the stream is reconfigured", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		var wg sync.WaitGroup
		stop := make(chan struct{})
		var failure error
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := e.Service.ReconfigureStream(e.ctx, s.StreamRef,
					protocol.StreamReconfiguration{Uncapped: protocol.Set(i%2 == 0)}); err != nil {
					failure = err
					return
				}
			}
		})
		s.Each(numbered(0, 10))
		close(stop)
		wg.Wait()
		e.must(failure, "reconfigure")
		s.At(10)
		for i, rec := range s.Read(from(0)).Seqs(0, 10).Records {
			equal(t, "body", string(rec.Body), string(numbered(i, 1)[0].Body))
		}
	}},
	{Row: "A.2/39", Name: "append to a missing stream", Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		_, err := b.Missing("stream").tryAppend(text("a"))
		e.fails(err, protocol.CodeStreamNotFound)
		b.Holds()
	}},
	{Row: "A.2/40", Name: "append to a missing basin", Run: func(t *testing.T, e *Env) {
		_, err := e.NoBasin().Missing("stream").tryAppend(text("a"))
		e.fails(err, protocol.CodeBasinNotFound)
	}},
	{Row: "A.2/41", Name: "append to a stream being deleted", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("a"))
		s.Delete()
		_, err := s.tryAppend(text("b"))
		e.fails(err, protocol.CodeStreamDeletionPending, protocol.CodeStreamNotFound)
	}},
	{Row: "A.2/42", Name: "the ack's timestamps are those of the first and last record", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		ack := s.Append(text("a", "b", "c"))
		got := s.Read(from(0)).Seqs(0, 3).Records
		equal(t, "start", ack.Start.Timestamp, got[0].Timestamp)
		equal(t, "end", ack.End.Timestamp, got[2].Timestamp)
		if ack.Start.Timestamp == 0 {
			t.Fatal("the server stamped a record with 0")
		}
	}},
	{Row: "3.2", Name: "a repeated append appends again", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.AppendRange(0, 1, text("same"))
		s.AppendRange(1, 2, text("same"))
	}},
	{Row: "3.2", Name: "streams of one basin do not share anything", Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		one, two := b.Stream("one"), b.Stream("two")
		one.AppendRange(0, 2, text("a", "b"))
		two.AppendRange(0, 1, text("c"))
		one.AppendRange(2, 3, fence("token"))
		two.Append(text("d"), holding(""))
		one.Read(from(0), count(2)).Bodies("a", "b")
		two.Read(from(0)).Bodies("c", "d")
	}},
}

// race runs n functions at once, waits for all and fails for the first error. It returns the numbers 0 to n-1 put
// through format.
func (e *Env) race(n int, run func(i int) error, format string) (bodies []string) {
	e.t.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		bodies = append(bodies, fmt.Sprintf(format, i))
		wg.Go(func() { errs[i] = run(i) })
	}
	wg.Wait()
	for _, err := range errs {
		e.must(err, "racing call")
	}
	return bodies
}

// holdsOnce checks that the stream holds each body exactly once, in any order, with dense seq_nums.
func (s *Stream) holdsOnce(bodies []string) {
	s.e.t.Helper()
	var got []string
	for _, rec := range s.All().Seqs(0, uint64(len(bodies))).Records {
		got = append(got, string(rec.Body))
	}
	slices.Sort(got)
	equal(s.e.t, "bodies", strings.Join(got, "|"), strings.Join(bodies, "|"))
}
