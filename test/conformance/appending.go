package conformance

import (
	"fmt"
	"strings"
	"time"

	"github.com/weirstream/weir/protocol"
)

// text makes records that hold the given bodies.
func text(bodies ...string) []protocol.Record {
	recs := make([]protocol.Record, len(bodies))
	for i, body := range bodies {
		recs[i].Body = []byte(body)
	}
	return recs
}

// numbered makes n small records whose bodies count from first.
func numbered(first, n int) []protocol.Record {
	recs := make([]protocol.Record, n)
	for i := range recs {
		recs[i].Body = fmt.Appendf(nil, "record %06d", first+i)
	}
	return recs
}

// numberedSize is the metered size of a record that numbered makes.
const numberedSize = 8 + uint64(len("record 000000"))

// sized makes a record without headers of the given metered size.
func sized(metered int) protocol.Record {
	return protocol.Record{Body: []byte(strings.Repeat("x", metered-8))}
}

// stamped makes a record with each of the given timestamps.
func stamped(timestamps ...uint64) []protocol.Record {
	recs := make([]protocol.Record, len(timestamps))
	for i := range timestamps {
		recs[i] = protocol.Record{Timestamp: &timestamps[i], Body: fmt.Appendf(nil, "at %d", timestamps[i])}
	}
	return recs
}

// headed makes a record with headers, given as names and values in turn.
func headed(body string, pairs ...string) protocol.Record {
	rec := protocol.Record{Body: []byte(body)}
	for i := 0; i < len(pairs); i += 2 {
		rec.Headers = append(rec.Headers, protocol.Header{Name: []byte(pairs[i]), Value: []byte(pairs[i+1])})
	}
	return rec
}

// these makes a batch of the given records.
func these(recs ...protocol.Record) []protocol.Record { return recs }

func fence(token string) []protocol.Record { return these(protocol.FenceRecord(token)) }
func trim(point uint64) []protocol.Record  { return these(protocol.TrimRecord(point)) }

// Condition is a condition of an append.
type Condition func(*protocol.AppendInput)

// at asks that the first record get the given seq_num.
func at(seq uint64) Condition { return func(in *protocol.AppendInput) { in.MatchSeqNum = &seq } }

// holding asks that the given fencing token be in force.
func holding(token string) Condition {
	return func(in *protocol.AppendInput) { in.FencingToken = &token }
}

func input(recs []protocol.Record, conds ...Condition) protocol.AppendInput {
	in := protocol.AppendInput{Records: recs}
	for _, cond := range conds {
		cond(&in)
	}
	return in
}

// tryAppend appends and returns the outcome.
func (s *Stream) tryAppend(recs []protocol.Record, conds ...Condition) (protocol.AppendAck, error) {
	return s.e.Service.Append(s.e.ctx, s.StreamRef, input(recs, conds...), s.e.opts...)
}

// Append appends a batch, which must succeed, and checks the promises of every ack.
func (s *Stream) Append(recs []protocol.Record, conds ...Condition) protocol.AppendAck {
	s.e.t.Helper()
	ack, err := s.tryAppend(recs, conds...)
	s.e.must(err, "append")
	s.e.soundAck(ack, len(recs))
	return ack
}

// soundAck checks the promises of data plane 3.6 for every ack.
func (e *Env) soundAck(ack protocol.AppendAck, records int) {
	e.t.Helper()
	equal(e.t, "end - start of the ack", ack.End.SeqNum-ack.Start.SeqNum, uint64(records))
	if ack.Tail.SeqNum < ack.End.SeqNum || ack.End.Timestamp < ack.Start.Timestamp {
		e.t.Fatalf("ack %+v: the tail is before the end, or the end before the start", ack)
	}
}

// AppendRange appends a batch and checks the seq_nums that it gets, [start, end).
func (s *Stream) AppendRange(start, end uint64, recs []protocol.Record, conds ...Condition) protocol.AppendAck {
	s.e.t.Helper()
	ack := s.Append(recs, conds...)
	equal(s.e.t, "start of the ack", ack.Start.SeqNum, start)
	equal(s.e.t, "end of the ack", ack.End.SeqNum, end)
	return ack
}

// Refuses appends a batch, which must fail with the code, and checks that the tail did not move.
func (s *Stream) Refuses(code protocol.Code, recs []protocol.Record, conds ...Condition) *protocol.Error {
	s.e.t.Helper()
	before := s.Tail()
	_, err := s.tryAppend(recs, conds...)
	failure := s.e.fails(err, code)
	equal(s.e.t, "tail after the refusal", s.Tail(), before)
	return failure
}

// Each appends every record in a batch of its own and returns the last ack.
func (s *Stream) Each(recs []protocol.Record) (last protocol.AppendAck) {
	s.e.t.Helper()
	for i := range recs {
		last = s.Append(recs[i : i+1])
	}
	return last
}

// Fill appends n numbered records in as few batches as possible and returns the last ack.
func (s *Stream) Fill(n int) (last protocol.AppendAck) {
	s.e.t.Helper()
	for first := 0; first < n; first += protocol.MaxBatchRecords {
		last = s.Append(numbered(first, min(n-first, protocol.MaxBatchRecords)))
	}
	return last
}

// AppendIn appends a batch after d, meanwhile the case goes on. The returned function waits for the outcome.
func (s *Stream) AppendIn(d time.Duration, recs []protocol.Record) (ack func() protocol.AppendAck) {
	var got protocol.AppendAck
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		time.Sleep(d)
		got, err = s.tryAppend(recs)
	}()
	s.e.t.Cleanup(func() { <-done })
	return func() protocol.AppendAck {
		s.e.t.Helper()
		<-done
		s.e.must(err, "append")
		return got
	}
}

// Tail returns the stream's tail.
func (s *Stream) Tail() protocol.Position {
	s.e.t.Helper()
	tail, err := s.e.Service.CheckTail(s.e.ctx, s.StreamRef)
	s.e.must(err, "check tail")
	return tail.Position
}

// closedAt checks that the stream is closed, and the seq_num of its tail.
func (s *Stream) closedAt(seq uint64) {
	s.e.t.Helper()
	tail, err := s.e.Service.CheckTail(s.e.ctx, s.StreamRef)
	s.e.must(err, "check tail")
	equal(s.e.t, "closed", tail.Closed, true)
	equal(s.e.t, "seq_num of the tail", tail.SeqNum, seq)
}

// At checks the seq_num of the stream's tail.
func (s *Stream) At(seq uint64) {
	s.e.t.Helper()
	equal(s.e.t, "seq_num of the tail", s.Tail().SeqNum, seq)
}
