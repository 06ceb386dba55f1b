package conformance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// tryFork makes a stream of the same basin that shares the records below at; nil: all.
func (s *Stream) tryFork(name protocol.StreamName, at *uint64, opts ...StreamOption) (*Stream, error) {
	_, _, err := s.e.Service.CreateStream(s.e.ctx, s.StreamRef.Basin, protocol.CreateStreamRequest{Stream: name, Config: layer(opts...),
		Fork: &protocol.ForkRequest{Source: s.StreamRef.Stream, At: at}})
	return s.basin().Missing(name), err
}

func (s *Stream) fork(name protocol.StreamName, opts ...StreamOption) *Stream {
	s.e.t.Helper()
	f, err := s.tryFork(name, nil, opts...)
	s.e.must(err, "fork")
	return f
}

func (s *Stream) forkAt(name protocol.StreamName, at uint64, opts ...StreamOption) *Stream {
	s.e.t.Helper()
	f, err := s.tryFork(name, &at, opts...)
	s.e.must(err, "fork")
	return f
}

// holds checks the bodies of all records, from the first on.
func (s *Stream) holds(want string) {
	s.e.t.Helper()
	var got []string
	next := uint64(0)
	for {
		batch, err := s.tryRead(from(next))
		if protocol.CodeOf(err) == protocol.CodeUnwritten {
			break
		}
		s.e.must(err, "read")
		if batch.Records.Len() == 0 {
			break
		}
		for rec := range batch.Records.All() {
			got = append(got, string(rec.Body))
		}
		next = batch.Records.Last().SeqNum + 1
	}
	equal(s.e.t, "records", strings.Join(got, " "), want)
}

// forkCases: forks, which S2 does not have (docs/forks.md).
var forkCases = []Case{
	{Row: beyondS2, Name: "a fork shares what is below and goes on by itself", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("a", "b"))
		s.Append(text("c"))
		all, some, none := s.fork("all"), s.forkAt("some", 1), s.forkAt("none", 0)
		equal(t, "tail", all.Tail(), s.Tail())
		equal(t, "tail", some.Tail().SeqNum, 1)
		s.Append(text("d"))
		all.AppendRange(3, 4, text("x"))
		some.AppendRange(1, 2, text("y"))
		none.AppendRange(0, 1, text("z"))
		s.holds("a b c d")
		all.holds("a b c x")
		some.holds("a y")
		none.holds("z")
		names, _ := s.basin().List(protocol.ListRequest{})
		equal(t, "streams", len(names), 4)
	}},
	{Row: beyondS2, Name: "a follower of a fork reads what is shared and goes on", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		for i := range 20 {
			s.Append(text(fmt.Sprint("s", i)))
		}
		f := s.forkAt("f", 15)
		r := f.Follow(from(10))
		r.Collect(5).Seqs(10, 15)
		f.Append(text("x"))
		s.Append(text("y"))
		r.Collect(1).Seqs(15, 16)
	}},
	{Row: beyondS2, Name: "forks of forks, whatever is deleted", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("a", "b"))
		f := s.fork("f")
		f.Append(text("c", "d"))
		low, high := f.forkAt("low", 1), f.forkAt("high", 3)
		high.Append(text("e"))
		top := high.fork("top")
		s.Delete()
		f.Delete()
		high.Delete()
		low.holds("a")
		top.holds("a b c e")
		top.AppendRange(4, 5, text("f"))
		top.holds("a b c e f")
	}},
	{Row: beyondS2, Name: "the name of a deleted source is free, and its forks keep their records", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("a", "b"))
		f := s.fork("f")
		s.Delete()
		time.Sleep(time.Minute)
		s.deleted()
		names, _ := s.basin().List(protocol.ListRequest{})
		equal(t, "streams", len(names), 1)
		_, _, err := s.create("")
		e.must(err, "create the source again")
		equal(t, "tail", s.Tail(), protocol.Position{})
		f.holds("a b")
		f.Delete()
		time.Sleep(time.Minute)
		s.basin().Delete()
	}},
	{Row: beyondS2, Name: "trims are each stream's own", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		for i := range 6 {
			s.Append(text(fmt.Sprint(i)))
		}
		f := s.forkAt("f", 4)
		s.Append(trim(5))
		time.Sleep(time.Minute)
		f.holds("0 1 2 3")
		s.startsAt(5)
		f.Append(trim(2))
		time.Sleep(time.Hour)
		f.startsAt(2)
		f.AppendRange(5, 6, text("x"))
		s.startsAt(5)
	}},
	{Row: beyondS2, Name: "retention: of the source not, of the fork from its creation on", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream(retain(age(100 * time.Second)))
		s.Append(text("a", "b"))
		kept, short := s.fork("kept", retain(forever)), s.fork("short", retain(age(1000*time.Second)))
		time.Sleep(600 * time.Second)
		s.Read(from(0)).Empty()
		kept.holds("a b")
		short.holds("a b")
		short.Append(text("c"))
		time.Sleep(500 * time.Second)
		short.holds("c")
		kept.holds("a b")
	}},
	{Row: beyondS2, Name: "the fencing token and the closing of the source are not the fork's", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(fence("mine"))
		f := s.fork("f")
		f.refusesToken("", text("a"), holding("mine"))
		f.AppendRange(1, 2, text("a"), holding(""))
	}},
	{Row: beyondS2, Name: "the configuration is the source's, unless the request says otherwise", Run: func(t *testing.T, e *Env) {
		s := e.Stream(retain(age(time.Hour)), uncapped(true), class(protocol.StorageStandard))
		f := s.fork("f", retain(age(2*time.Hour)))
		want := s.Config()
		want.RetentionPolicy = age(2 * time.Hour)
		equal(t, "config", f.Config(), want)
	}},
	{Row: beyondS2, Name: "a refused fork names the field", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("a", "b", "c"))
		at := uint64(4)
		_, err := s.tryFork("f", &at)
		if e.fails(err, protocol.CodeInvalid); !strings.Contains(err.Error(), "fork.at") || !strings.Contains(err.Error(), "3") {
			t.Error(err)
		}
		_, err = s.basin().Missing("none").tryFork("f", nil)
		e.fails(err, protocol.CodeStreamNotFound)
		s.Append(trim(2))
		at = 1
		_, err = s.tryFork("f", &at)
		if e.fails(err, protocol.CodeInvalid); !strings.Contains(err.Error(), "fork.at") || !strings.Contains(err.Error(), "2") {
			t.Error(err)
		}
		_, err = s.tryFork(s.StreamRef.Stream, nil)
		e.fails(err, protocol.CodeResourceAlreadyExists)
	}},
	{Row: beyondS2, Name: "an encrypted fork is read with the same key", Run: func(t *testing.T, e *Env) {
		b := e.Basin(encrypting(protocol.CipherAEGIS256))
		s := b.Stream("s").with(keyA)
		s.Append(text("a", "b"))
		f := s.fork("f").with(keyA)
		f.Append(text("c"))
		g := f.fork("g").with(keyA)
		s.holds("a b")
		f.holds("a b c")
		g.holds("a b c")
		f.with(keyB).undecipherable(from(0))
	}},
}
