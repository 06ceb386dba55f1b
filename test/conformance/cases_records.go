package conformance

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// recordCases: data plane A.1, records that are accepted and come back as they were.
var recordCases = []Case{
	{Row: "A.1/5", Name: "fence with an empty payload clears the token and is metered 15", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(fence(""))
		s.Append(text("a"), holding(""))
		equal(t, "metered size", s.Read(from(0), count(1)).Metered, 15)
	}},
	{Row: "A.1/6", Name: "fence reads back as its header and body", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(fence("my-special-uuid"))
		got := s.Read(from(0)).Bodies("my-special-uuid")
		sameHeaders(t, got.Records[0], protocol.FenceRecord("").Headers)
		equal(t, "metered size", got.Metered, 30)
	}},
	{Row: "A.1/7", Name: "fence with tokens of 16 and 36 bytes", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		for _, n := range []int{16, 36} {
			token := strings.Repeat("t", n)
			s.Append(fence(token))
			s.Append(text("a"), holding(token))
		}
	}},
	{Row: "A.1/10", Name: "trim with 8 zero bytes is metered 22", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(trim(0))
		equal(t, "metered size", s.Read(from(0)).Metered, 22)
	}},
	{Row: "A.1/11", Name: "trim with any point is accepted, and what survives reads back unchanged", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Fill(300)
		for _, point := range []uint64{0, 1, 255, 256, 300} {
			ack := s.Append(trim(point))
			rec := s.Read(from(ack.Start.SeqNum)).Records[0]
			sameHeaders(t, rec, protocol.TrimRecord(0).Headers)
			equal(t, "trim point", binary.BigEndian.Uint64(rec.Body), point)
		}
		for i, point := range []uint64{1 << 40, 1 << 63, ^uint64(0)} {
			s.AppendRange(uint64(305+i), uint64(306+i), trim(point))
		}
	}},
	{Row: "A.1/14", Name: "metered size of a record with two headers", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(these(headed("body", "alpha", "1", "beta", "two")))
		equal(t, "metered size", s.Read(from(0)).Metered, 29)
		s.Read(from(0), bytes(28)).Empty()
		s.Read(from(0), bytes(29)).Seqs(0, 1)
	}},
	{Row: "A.1/15", Name: "metered size of any record is that of its headers and body", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		recs := these(headed(""), headed("b", "n", ""), headed("", "name", "value", "n", "v"), protocol.FenceRecord("tok"))
		s.Append(recs)
		var sum uint64
		for i, want := range []uint64{8, 12, 8 + 4 + 9 + 2, 18} {
			equal(t, "metered size", recs[i].MeteredSize(), want)
			sum += want
			s.Read(from(0), bytes(sum)).Seqs(0, uint64(i+1))
			s.Read(from(0), bytes(sum-1)).Seqs(0, uint64(i))
		}
	}},
	{Row: "A.1/16", Name: "duplicate header names are kept in order", Run: func(t *testing.T, e *Env) {
		e.keeps(t, headed("body", "b", "1", "b", "2", "a", "3"))
	}},
	{Row: "A.1/17", Name: "no headers", Run: func(t *testing.T, e *Env) { e.keeps(t, headed("hello")) }},
	{Row: "A.1/18", Name: "empty header values are kept, two of them as two", Run: func(t *testing.T, e *Env) {
		e.keeps(t, headed("body", "n", "", "n", ""))
	}},
	{Row: "A.1/19", Name: "empty body and no headers", Run: func(t *testing.T, e *Env) {
		s := e.keeps(t, headed(""))
		equal(t, "metered size", s.Read(from(0)).Metered, 8)
	}},
	{Row: "A.1/20", Name: "long header names and values are kept exactly", Run: func(t *testing.T, e *Env) {
		for _, n := range []int{255, 256, 65535, 65536} {
			long := strings.Repeat("h", n)
			e.keeps(t, headed("body", long, "value", "name", long, long, long))
		}
	}},
	{Row: "2.1", Name: "header names, values and bodies are any bytes", Run: func(t *testing.T, e *Env) {
		var all [256]byte
		for i := range all {
			all[i] = byte(i)
		}
		e.keeps(t, headed(string(all[:]), string(all[:]), string(all[:]), "\x00", "\xff"))
	}},
	{Row: "2.1", Name: "headers that mean something to NATS are data", Run: func(t *testing.T, e *Env) {
		e.keeps(t, headed("body", "Nats-Expected-Last-Sequence", "7", "Nats-Rollup", "all", "Nats-Msg-Id", "x",
			"Nats-TTL", "1s", "Nats-Batch-Id", "b", "Nats-Schedule", "@every 1s", "Content-Type", "text/plain"))
	}},
	{Row: "A.1/21", Name: "record of 1 MiB metered", Run: func(t *testing.T, e *Env) {
		e.keeps(t, sized(protocol.MaxBatchBytes))
	}},
	{Row: "A.1/24", Name: "batch of 1000 records", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.AppendRange(0, 1000, numbered(0, 1000))
		s.Read(from(0)).Seqs(0, 1000)
	}},
	{Row: "A.1/27", Name: "batch of exactly 1 MiB metered", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.AppendRange(0, 2, these(sized(protocol.MaxBatchBytes/2), sized(protocol.MaxBatchBytes/2)))
		equal(t, "metered size", s.Read(from(0)).Seqs(0, 2).Metered, protocol.MaxBatchBytes)
	}},
}

// keeps appends a record, reads it back and compares.
func (e *Env) keeps(t *testing.T, want protocol.Record) *Stream {
	t.Helper()
	s := e.Stream()
	s.Append(these(want))
	got := s.Read(from(0)).Seqs(0, 1).Records[0]
	if string(got.Body) != string(want.Body) {
		t.Fatalf("a body of %d bytes came back as %d bytes, or changed", len(want.Body), len(got.Body))
	}
	sameHeaders(t, got, want.Headers)
	return s
}

func sameHeaders(t *testing.T, got protocol.SequencedRecord, want []protocol.Header) {
	t.Helper()
	equal(t, "headers", len(got.Headers), len(want))
	for i := range want {
		if g, w := got.Headers[i], want[i]; string(g.Name) != string(w.Name) || string(g.Value) != string(w.Value) {
			t.Fatalf("header %d: got %.40q=%.40q, want %.40q=%.40q", i, g.Name, g.Value, w.Name, w.Value)
		}
	}
}
