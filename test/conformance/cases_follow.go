package conformance

import (
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// followCases: data plane A.10, the deliveries to a follower.
var followCases = []Case{
	{Row: "A.10/201", Name: "a session at the tail begins with a heartbeat", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Follow(from(0)).Heartbeat().HasTail(position(0, 0))
		tail := s.Append(text("a")).Tail
		s.Follow(from(1)).Heartbeat().HasTail(tail)
	}},
	{Row: "A.10/206", Name: "three stored records, then two live ones", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("0", "1", "2"))
		r := s.Follow(from(0))
		r.Now().Seqs(0, 3)
		r.Heartbeat()
		s.Append(text("live-1"))
		s.Append(text("live-2"))
		r.Collect(2).Seqs(3, 5).Bodies("live-1", "live-2")
	}},
	{Row: "A.10/207", Name: "count 3, one stored record, live batch of 3", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("stored"))
		r := s.Follow(from(0), count(3), wait(time.Minute))
		r.Now().Seqs(0, 1)
		r.Heartbeat()
		s.Append(text("1", "2", "3"))
		r.Now().Bodies("1", "2")
		r.EndNow()
	}},
	{Row: "A.10/208", Name: "count 2, empty stream, live batch of 2", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		r := s.Follow(from(0), count(2), wait(time.Hour))
		r.Heartbeat()
		start := time.Now()
		s.Append(text("1", "2"))
		r.Now().Seqs(0, 2)
		r.EndNow()
		e.took(start, 0)
	}},
	{Row: "A.10/209", Name: "a live batch of 3 is delivered as one", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		r := s.Follow(from(0))
		r.Heartbeat()
		s.Append(text("1", "2", "3"))
		r.Now().Seqs(0, 3)
	}},
	{Row: "A.10/210", Name: "bytes of 2 records, live batch of 3", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		r := s.Follow(from(0), bytes(2*numberedSize), wait(time.Minute))
		r.Heartbeat()
		s.Append(numbered(0, 3))
		r.Now().Seqs(0, 2)
		r.EndNow()
	}},
	{Row: "A.10/211", Name: "bytes of one record less 1, one live record", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		start := time.Now()
		r := s.Follow(from(0), bytes(numberedSize-1), wait(time.Hour))
		r.Heartbeat()
		ack := s.AppendIn(time.Minute, numbered(0, 1))
		r.End()
		e.took(start, time.Minute)
		ack()
	}},
	{Row: "A.10/212", Name: "until 2500 while following", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.timed(1000)
		r := s.Follow(from(0), until(2500), wait(time.Hour))
		r.Now().Times(1000)
		r.Heartbeat()
		s.Append(stamped(2000))
		r.Now().Times(2000)
		start := time.Now()
		ack := s.AppendIn(time.Minute, stamped(3000))
		r.End()
		e.took(start, time.Minute)
		ack()
	}},
	{Row: "A.10/213", Name: "the tail of a live batch that count cuts short", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		r := s.Follow(from(0), count(2), wait(time.Minute))
		r.Heartbeat()
		ack := s.Append(text("1", "2", "3", "4"))
		r.Now().Seqs(0, 2).HasTail(ack.End)
		r.EndNow()
	}},
	{Row: "A.10/214", Name: "the tail of a whole live batch is the ack's", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		r := s.Follow(from(0))
		r.Heartbeat()
		ack := s.Append(text("1", "2", "3"))
		r.Now().Seqs(0, 3).HasTail(ack.Tail)
	}},
	{Row: "A.10/215", Name: "the catch-up batch that reaches the tail carries it", Run: func(t *testing.T, e *Env) {
		s := e.full()
		s.Follow(from(0)).Now().Seqs(0, 5).HasTail(s.Tail())
		s.Follow(from(4), count(1)).Now().Seqs(4, 5).HasTail(s.Tail())
		s.Follow(from(0), count(4)).Now().Seqs(0, 4).NoTail()
		large := e.small(1001)
		r := large.Follow(from(0))
		r.Now().Seqs(0, 1000).NoTail()
		r.Now().Seqs(1000, 1001).HasTail(large.Tail())
		s.Read(from(0)).Seqs(0, 5).NoTail() // a unary read carries a tail only with live records
	}},
	{Row: "A.10/216", Name: "unbounded_follow_survives_streamer_dormancy", Bare: true, Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		r := s.Follow(from(0))
		r.Heartbeat()
		for i, idle := range []time.Duration{61 * time.Second, 5 * time.Minute, 2 * time.Hour} {
			ack := s.AppendIn(idle, text("a"))
			r.Batch().Seqs(uint64(i), uint64(i+1)).HasTail(ack().Tail)
		}
	}},
	{Row: "A.10/217", Name: "61 s pause after the catch-up batch", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.full()
		r := s.Follow(from(0))
		r.Now().Seqs(0, 5)
		time.Sleep(61 * time.Second)
		r.Heartbeat().HasTail(s.Tail())
		s.Append(text("live"))
		r.Batch().Seqs(5, 6)
	}},
	{Row: "A.10/225", Name: "a record appended after a bounded session opened is not delivered", Run: func(t *testing.T, e *Env) {
		s := e.full()
		r := s.Follow(from(0), count(100))
		s.Append(text("later"))
		r.Rest().Seqs(0, 5)
	}},
	{Row: "A.10/226", Name: "no gap and no repeat when catch-up turns into following", Run: func(t *testing.T, e *Env) {
		s := e.small(3000)
		r := s.Follow(from(0))
		next := 3000
		got := r.Now()
		for range 40 {
			s.Append(numbered(next, 3))
			next += 3
			if len(got.Records) < next-200 {
				got.add(r.Batch())
			}
		}
		got.add(r.Collect(next - len(got.Records)))
		for i, rec := range got.Seqs(0, uint64(next)).Records {
			equal(t, "body", string(rec.Body), string(numbered(i, 1)[0].Body))
		}
	}},
	{Row: "4.5", Name: "many followers of one stream, a writer that does not wait for them", Run: func(t *testing.T, e *Env) {
		const total = 600
		s := e.small(12)
		e.background(func() error {
			for i := 12; i < total; i += 3 {
				if _, err := s.tryAppend(numbered(i, 3)); err != nil {
					return err
				}
			}
			return nil
		})
		e.race(12, func(i int) error {
			r := s.Follow(from(uint64(i)), count(total-uint64(i)), wait(time.Minute))
			defer r.session.Close()
			r.Rest().Seqs(uint64(i), total)
			return nil
		}, "%d")
	}},
	{Row: "4.5", Name: "a closed session stops, whoever waits for it", Run: func(t *testing.T, e *Env) {
		r := e.Stream().Follow(from(0))
		r.Heartbeat()
		e.background(func() error { return r.session.Close() })
		for {
			if _, err := r.session.Next(e.ctx); err != nil {
				break
			}
		}
		e.must(e.ctx.Err(), "the case's time")
	}},
	{Row: "A.19/362", Name: "from tail offset 2 until caught up", Run: func(t *testing.T, e *Env) {
		s := e.full()
		r := s.Follow(last(2))
		r.Now().Seqs(3, 5)
		r.Heartbeat().HasTail(s.Tail())
		ack := s.Append(text("live"))
		r.Now().Seqs(5, 6).HasTail(ack.Tail)
	}},
	{Row: "A.19/365", Name: "command records are delivered like any other", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		r := s.Follow(from(0))
		r.Heartbeat()
		s.Append(fence("T"))
		got := r.Now().Seqs(0, 1)
		equal(t, "command", got.Records[0].Command(), protocol.FenceCommand)
		s.Append(append(text("a"), protocol.TrimRecord(0)))
		got = r.Now().Seqs(1, 3)
		equal(t, "command", got.Records[1].Command(), protocol.TrimCommand)
	}},
}
