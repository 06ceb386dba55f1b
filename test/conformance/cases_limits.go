package conformance

import (
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// limited checks a bounded read of both kinds: at once and as a session that does not wait.
func (s *Stream) limited(start, end uint64, terms ...Term) {
	s.e.t.Helper()
	s.Read(terms...).Seqs(start, end).NoTail()
	s.Follow(terms...).Rest().Seqs(start, end)
}

// small creates a stream with n records of numberedSize.
func (e *Env) small(n int) *Stream {
	e.t.Helper()
	s := e.Stream()
	s.Fill(n)
	return s
}

// limitCases: data plane A.9, count and bytes.
var limitCases = []Case{
	{Row: "A.9/163", Name: "10 records, count 5", Run: func(t *testing.T, e *Env) {
		e.small(10).limited(0, 5, from(0), count(5))
	}},
	{Row: "A.9/164", Name: "3 records, from seq 1, count 2", Run: func(t *testing.T, e *Env) {
		e.small(3).limited(1, 3, from(1), count(2))
	}},
	{Row: "A.9/165", Name: "3 records, count 3", Run: func(t *testing.T, e *Env) {
		e.small(3).limited(0, 3, from(0), count(3))
	}},
	{Row: "A.9/166", Name: "2 records, count 5", Run: func(t *testing.T, e *Env) {
		e.small(2).limited(0, 2, from(0), count(5))
	}},
	{Row: "A.9/167", Name: "1005 records at once, count 2000", Run: func(t *testing.T, e *Env) {
		e.small(1005).Read(from(0), count(2000)).Seqs(0, 1000)
	}},
	{Row: "A.9/169", Name: "bytes of exactly two records", Run: func(t *testing.T, e *Env) {
		e.small(5).limited(0, 2, from(0), bytes(2*numberedSize))
	}},
	{Row: "A.9/170", Name: "bytes of three records less 5", Run: func(t *testing.T, e *Env) {
		e.small(5).limited(0, 2, from(0), bytes(3*numberedSize-5))
	}},
	{Row: "A.9/171", Name: "bytes of exactly one record", Run: func(t *testing.T, e *Env) {
		e.small(5).limited(0, 1, from(0), bytes(numberedSize))
	}},
	{Row: "A.9/172", Name: "bytes 1000 with two small records", Run: func(t *testing.T, e *Env) {
		e.small(2).limited(0, 2, from(0), bytes(1000))
	}},
	{Row: "A.9/173", Name: "bytes of one record less 1", Run: func(t *testing.T, e *Env) {
		e.small(5).limited(0, 0, from(0), bytes(numberedSize-1))
	}},
	{Row: "A.9/174", Name: "two records of 700,000 bytes at once, bytes 2 MiB", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Each(these(sized(700_000), sized(700_000)))
		s.Read(from(0), bytes(2<<20)).Seqs(0, 1)
		s.Follow(from(0), bytes(2<<20)).Rest().Seqs(0, 2)
	}},
	{Row: "A.9/175", Name: "from seq 1, bytes of two records of different sizes", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(these(sized(20), sized(33), sized(47), sized(51)))
		s.limited(1, 3, from(1), bytes(33+47))
	}},
	{Row: "A.9/176", Name: "timestamp start, bytes of one record and 5", Run: func(t *testing.T, e *Env) {
		s := e.timed(1000, 2000, 3000) // 15 metered bytes each
		s.limited(1, 2, since(1500), bytes(15+5))
	}},
	{Row: "A.9/177", Name: "timestamp start, count 1", Run: func(t *testing.T, e *Env) {
		e.timed(1000, 2000, 3000).limited(1, 2, since(1500), count(1))
	}},
	{Row: "A.9/178", Name: "count wins", Run: func(t *testing.T, e *Env) {
		e.small(20).limited(0, 5, from(0), count(5), bytes(1_000_000))
	}},
	{Row: "A.9/179", Name: "bytes win", Run: func(t *testing.T, e *Env) {
		e.small(5).limited(0, 3, from(0), count(100), bytes(3*numberedSize))
	}},
	{Row: "A.9/180", Name: "count 0, records present", Run: func(t *testing.T, e *Env) {
		e.small(3).limited(0, 0, from(0), count(0))
	}},
	{Row: "A.9/181", Name: "bytes 0, records present", Run: func(t *testing.T, e *Env) {
		e.small(3).limited(0, 0, from(0), bytes(0))
	}},
	{Row: "A.9/182", Name: "count 0 at the tail and beyond", Run: func(t *testing.T, e *Env) {
		s := e.small(3)
		for _, start := range []Term{from(3), from(100), last(0), since(^uint64(0))} {
			for _, none := range []Term{count(0), bytes(0)} {
				s.Read(start, none).Empty()
				s.Follow(start, none).EndNow()
			}
		}
		_, err := e.Basin().Missing("stream").tryRead(from(0), count(0))
		e.fails(err, protocol.CodeStreamNotFound)
	}},
	{Row: "A.9/183", Name: "count 0 at the tail, with wait", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.small(3)
		start := time.Now()
		s.Read(from(3), count(0), wait(10*time.Second)).Empty()
		s.Read(from(100), bytes(0), wait(10*time.Second)).Empty()
		s.Follow(from(3), count(0), wait(10*time.Second)).EndNow()
		e.took(start, 0)
	}},
	{Row: "A.9/184", Name: "no limits at once, 2 records", Run: func(t *testing.T, e *Env) {
		e.small(2).Read(from(0)).Seqs(0, 2)
	}},
	{Row: "A.9/185", Name: "the largest count and bytes", Run: func(t *testing.T, e *Env) {
		s := e.small(5)
		r := s.Follow(from(0), count(^uint64(0)), bytes(^uint64(0)))
		s.Append(text("later"))
		r.Rest().Seqs(0, 5)
		s.Read(from(1), count(^uint64(0)), bytes(^uint64(0))).Seqs(1, 6)
	}},
	{Row: "4.3", Name: "every count and every size over batches of many sizes", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		var sizes []uint64
		for _, n := range []int{1, 5, 2, 9, 1} {
			var recs []protocol.Record
			for range n {
				size := 8 + len(sizes)
				recs = append(recs, sized(size))
				sizes = append(sizes, uint64(size))
			}
			s.Append(recs)
		}
		var sum uint64
		for i, size := range sizes {
			sum += size
			end := uint64(i + 1)
			s.Read(from(0), count(end)).Seqs(0, end)
			s.Read(from(0), bytes(sum)).Seqs(0, end)
			s.Read(from(0), bytes(sum-1)).Seqs(0, end-1)
		}
	}},
}

// untilCases: data plane A.9, until and all limits together.
var untilCases = []Case{
	{Row: "A.9/186", Name: "until before the first record", Run: func(t *testing.T, e *Env) {
		e.timed(1000, 2000, 2000, 3000).limited(0, 0, from(0), until(500))
	}},
	{Row: "A.9/187", Name: "until is exclusive", Run: func(t *testing.T, e *Env) {
		e.timed(1000, 2000, 2000, 3000).limited(0, 1, from(0), until(2000))
	}},
	{Row: "A.9/188", Name: "until after the last record", Run: func(t *testing.T, e *Env) {
		e.timed(1000, 2000, 2000, 3000).limited(0, 4, from(0), until(5000))
	}},
	{Row: "A.9/189", Name: "until the last record's timestamp", Run: func(t *testing.T, e *Env) {
		e.timed(base, base+1, base+2).limited(0, 2, from(0), until(base+2))
	}},
	{Row: "A.9/190", Name: "the tightest of until, count and bytes wins", Run: func(t *testing.T, e *Env) {
		s := e.timed(1000, 2000, 3000, 4000, 5000) // 15 metered bytes each
		s.limited(0, 2, from(0), until(4000), count(2))
		s.limited(0, 3, from(0), until(4000), count(10))
		s.limited(0, 2, from(0), until(4000), bytes(2*15))
		s.limited(0, 3, from(0), until(4000), bytes(100*15))
		s.limited(0, 1, from(0), until(4000), bytes(100*15), count(1))
	}},
	{Row: "A.9/191", Name: "timestamp start and until", Run: func(t *testing.T, e *Env) {
		s := e.timed(500, 2000, 2000, 2500, 3500, 4500, 5500)
		s.limited(1, 5, since(2000), until(4500))
	}},
}

// sessionBatchCases: data plane A.9, how a session cuts its batches, and many readers.
var sessionBatchCases = []Case{
	{Row: "A.9/168", Name: "1005 records as a session, count 2000", Run: func(t *testing.T, e *Env) {
		s := e.small(1005)
		s.Follow(from(0), count(2000)).Rest().Seqs(0, 1005)
		s.Follow(from(0), count(1003)).Rest().Seqs(0, 1003)
	}},
	{Row: "A.9/196", Name: "1001 small records without limits", Run: func(t *testing.T, e *Env) {
		e.small(1001).All().Seqs(0, 1001)
	}},
	{Row: "A.9/197", Name: "two records of half a MiB and 1 byte are two batches", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Each(these(sized(protocol.MaxBatchBytes/2+1), sized(protocol.MaxBatchBytes/2+1)))
		r := s.Follow(from(0), wait(0))
		r.Now().Seqs(0, 1)
		r.Now().Seqs(1, 2)
		r.EndNow()
		s.Read(from(0)).Seqs(0, 1)
	}},
	{Row: "A.9/198", Name: "10 concurrent reads of 20 records", Run: func(t *testing.T, e *Env) {
		s := e.small(20)
		e.race(10, func(int) error {
			batch, err := s.tryRead(from(0))
			if err == nil {
				e.got(batch).Seqs(0, 20)
			}
			return err
		}, "%d")
	}},
	{Row: "4.6", Name: "a long stream of batches of all sizes is read whole and in order", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		n := 0
		for i := range 60 {
			size := 1 + i*i%97
			s.Append(numbered(n, size))
			n += size
		}
		for _, start := range []int{0, 1, n / 2, n - 1} {
			got := s.Follow(from(uint64(start)), wait(0)).Rest().Seqs(uint64(start), uint64(n))
			for i := range got.Records {
				equal(t, "body", string(got.Records[i].Body), string(numbered(start+i, 1)[0].Body))
			}
		}
	}},
	{Row: "4.6", Name: "a long stream of large batches is read whole and in order", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		for range 20 {
			s.Append(these(sized(200_000), sized(400_000), sized(400_000)))
		}
		s.All().Seqs(0, 60)
	}},
}
