package conformance

import (
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// startsAt waits until the first record that shows has the given seq_num.
func (s *Stream) startsAt(seq uint64) {
	s.e.t.Helper()
	s.e.eventually("the trimmed records are gone", func() bool {
		got := s.Read(from(0), count(1)).Records
		if len(got) == 1 && got[0].SeqNum > seq {
			s.e.t.Fatalf("record %d is gone, which must be kept", seq)
		}
		return len(got) == 1 && got[0].SeqNum == seq
	})
}

// trimCases: data plane A.12, trim and gaps. Trimmed records go in the background.
var trimCases = []Case{
	{Row: "A.12/233", Name: "3 records, trim 2", Run: func(t *testing.T, e *Env) {
		s := e.small(3)
		s.AppendRange(3, 4, trim(2))
		s.startsAt(2)
		s.Read(from(0)).Seqs(2, 4)
	}},
	{Row: "A.12/234", Name: "1 record, trim 999,999", Run: func(t *testing.T, e *Env) {
		s := e.small(1)
		s.AppendRange(1, 2, trim(999_999))
		s.gone(0)
		s.AppendRange(2, 3, text("kept"))
		s.Read(from(0)).Seqs(2, 3).Bodies("kept")
	}},
	{Row: "A.12/235", Name: "trim to the end of numbers leaves the stream alive", Run: func(t *testing.T, e *Env) {
		s := e.small(5)
		s.AppendRange(5, 6, trim(protocol.TerminalTrimPoint))
		s.gone(0)
		s.At(6)
		s.AppendRange(6, 7, text("a"), at(6))
		s.Read(from(0)).Seqs(6, 7)
	}},
	{Row: "A.12/236", Name: "trim 0", Run: func(t *testing.T, e *Env) {
		s := e.small(3)
		s.AppendRange(3, 4, trim(0))
		s.Read(from(0)).Seqs(0, 4)
	}},
	{Row: "A.12/237", Name: "trim 5, then trim 3", Run: func(t *testing.T, e *Env) {
		s := e.small(8)
		s.AppendRange(8, 9, trim(5))
		s.AppendRange(9, 10, trim(3))
		s.startsAt(5)
		s.Read(from(0)).Seqs(5, 10)
		s.AppendRange(10, 11, trim(7))
		s.startsAt(7)
	}},
	{Row: "A.12/238", Name: "trim 100 and a record in one batch", Run: func(t *testing.T, e *Env) {
		s := e.small(2)
		s.AppendRange(2, 4, append(trim(100), text("survives")...))
		s.startsAt(3)
		s.Read(from(0)).Seqs(3, 4).Bodies("survives")
	}},
	{Row: "A.12/246", Name: "read from a trimmed seq_num", Run: func(t *testing.T, e *Env) {
		s := e.full()
		s.Append(trim(3))
		s.startsAt(3)
		for seq := range uint64(4) {
			s.Read(from(seq), count(2)).Seqs(3, 5)
		}
		s.Read(last(999), count(1)).Seqs(3, 4)
		s.Read(since(0), count(1)).Seqs(3, 4)
		s.Follow(from(0), wait(0)).Rest().Seqs(3, 6)
	}},
	{Row: "A.12/247", Name: "read_completes_when_all_records_deleted", Bare: true, Run: func(t *testing.T, e *Env) {
		s := e.full()
		s.empty()
		s.Read(from(0), count(10)).Empty()
		s.Follow(from(0), count(10)).EndNow()
		s.Follow(from(2), wait(0)).EndNow()
		s.Follow(from(0), until(^uint64(0))).EndNow()
	}},
	{Row: "A.12/248", Name: "all records gone, wait 1, start below the tail", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.full()
		tail := s.empty()
		start := time.Now()
		r := s.Follow(from(0), count(10), wait(time.Second))
		r.Heartbeat().HasTail(tail)
		r.End()
		e.took(start, time.Second)
		start = time.Now()
		s.Read(from(0), count(10), wait(time.Second)).Empty()
		e.took(start, time.Second)
	}},
	{Row: "A.12/249", Name: "trimming does not move the tail", Run: func(t *testing.T, e *Env) {
		s := e.full()
		tail := s.empty()
		equal(t, "tail", s.Tail(), tail)
		equal(t, "seq_num of the tail", tail.SeqNum, 6)
	}},
	{Row: "3.5", Name: "trim within a batch", Run: func(t *testing.T, e *Env) {
		s := e.small(10)
		s.Append(trim(4))
		s.startsAt(4)
		s.Read(from(0)).Seqs(4, 11)
		s.Read(from(0), bytes(2*numberedSize)).Seqs(4, 6)
	}},
	{Row: "3.5", Name: "trimming one stream leaves its neighbours alone", Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		one, two := b.Stream("a"), b.Stream("a/b")
		one.Fill(5)
		two.Fill(5)
		one.empty()
		two.Read(from(0)).Seqs(0, 5)
	}},
	{Row: "3.5", Name: "trim point and tail after any idle time", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.full()
		s.Append(trim(3))
		tail := s.Tail()
		time.Sleep(time.Hour)
		equal(t, "tail", s.Tail(), tail)
		s.Read(from(0)).Seqs(3, 6)
		s.empty()
		time.Sleep(time.Hour)
		s.At(7)
		s.AppendRange(7, 8, text("a"), at(7))
		s.Read(from(0)).Seqs(7, 8)
	}},
	{Row: "3.5", Name: "a follower of a stream that is trimmed over and over loses no later record", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		r := s.Follow(from(0))
		r.Heartbeat()
		for i := range uint64(50) {
			s.Append(numbered(int(i), 1))
			r.Batch().Seqs(2*i, 2*i+1)
			s.Append(trim(2*i + 1))
			r.Batch().Seqs(2*i+1, 2*i+2)
		}
	}},
}

var deletionPending = []protocol.Code{protocol.CodeStreamDeletionPending, protocol.CodeStreamNotFound}

// deletionCases: data plane A.12, deletion. A deleted stream may be removed altogether by the time it is asked for.
var deletionCases = []Case{
	{Row: "A.12/250", Name: "after delete: check tail, append and read", Run: func(t *testing.T, e *Env) {
		s := e.full()
		s.Delete()
		_, err := e.Service.CheckTail(e.ctx, s.StreamRef)
		e.fails(err, deletionPending...)
		_, err = s.tryAppend(text("a"))
		e.fails(err, deletionPending...)
		s.refusesReads(deletionPending, from(0))
		_, err = e.Service.OpenAppendSession(e.ctx, s.StreamRef)
		e.fails(err, deletionPending...)
	}},
	{Row: "A.12/252", Name: "delete while a session follows", Run: func(t *testing.T, e *Env) {
		s := e.full()
		r := s.Follow(from(5))
		r.Heartbeat()
		s.Delete()
		got, _ := r.Breaks(append(deletionPending, protocol.CodeUnavailable)...)
		for _, rec := range got.Records { // the terminal trim may be shown or not
			equal(t, "command", rec.Command(), protocol.TrimCommand)
			equal(t, "body", string(rec.Body), "\xff\xff\xff\xff\xff\xff\xff\xff")
		}
	}},
	{Row: "4.13", Name: "delete while a read at once waits", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.full()
		start := time.Now()
		e.background(func() error {
			time.Sleep(time.Second)
			return e.Service.DeleteStream(e.ctx, s.StreamRef)
		})
		batch, err := s.tryRead(from(5), wait(time.Minute))
		e.took(start, time.Second)
		if err != nil {
			e.fails(err, protocol.CodeUnavailable, protocol.CodeStreamDeletionPending)
			return
		}
		equal(t, "command", e.got(batch).Seqs(5, 6).Records[0].Command(), protocol.TrimCommand)
	}},
	{Row: "A.12/253", Name: "a re-created stream starts afresh", Run: func(t *testing.T, e *Env) {
		s := e.Stream(uncapped(true))
		s.Append(append(stamped(9_000_000_000_000), fence("T")...))
		s.Delete()
		s.recreate()
		equal(t, "tail", s.Tail(), position(0, 0))
		s.unwrittenAt(position(0, 0), from(0))
		s.AppendRange(0, 1, stamped(100), holding(""), at(0))
		s.Read(from(0)).Seqs(0, 1).Times(100)
	}},
	{Row: "4.13", Name: "delete and re-create over and over never shows an old record", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		for i := range 5 {
			s.AppendRange(0, 3, numbered(10*i, 3))
			s.Read(from(0)).Seqs(0, 3).Bodies(string(numbered(10*i, 1)[0].Body), string(numbered(10*i+1, 1)[0].Body),
				string(numbered(10*i+2, 1)[0].Body))
			s.Delete()
			s.recreate()
			s.At(0)
		}
	}},
}

// recreate creates a deleted stream again as soon as its name is free.
func (s *Stream) recreate(opts ...StreamOption) {
	s.e.t.Helper()
	s.e.eventually("the name of the deleted stream is free", func() bool {
		_, _, err := s.e.Service.CreateStream(s.e.ctx, s.StreamRef.Basin,
			protocol.CreateStreamRequest{Stream: s.StreamRef.Stream, Config: layer(opts...)})
		if err != nil {
			s.e.fails(err, protocol.CodeStreamDeletionPending)
		}
		return err == nil
	})
}
