package conformance

import (
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// tailCases: data plane A.13.
var tailCases = []Case{
	{Row: "A.13/254", Name: "tail of a new stream", Run: func(t *testing.T, e *Env) {
		equal(t, "tail", e.Stream().Tail(), position(0, 0))
	}},
	{Row: "A.13/255", Name: "tail after an append is the ack's end", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		ack := s.Append(text("a", "b"))
		equal(t, "tail", s.Tail(), ack.End)
	}},
	{Row: "A.13/256", Name: "tail after 1 and then 2 more records", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("a"))
		s.At(1)
		s.Append(text("b", "c"))
		s.At(3)
	}},
	{Row: "A.13/257", Name: "tail of a missing stream", Run: func(t *testing.T, e *Env) {
		_, err := e.Service.CheckTail(e.ctx, e.Basin().Missing("stream").StreamRef)
		e.fails(err, protocol.CodeStreamNotFound)
	}},
	{Row: "A.13/258", Name: "tail in a missing basin", Run: func(t *testing.T, e *Env) {
		_, err := e.Service.CheckTail(e.ctx, e.NoBasin().Missing("stream").StreamRef)
		e.fails(err, protocol.CodeBasinNotFound)
	}},
	{Row: "A.13/259", Name: "tail after 61 s", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		ack := s.Append(text("a", "b"))
		time.Sleep(61 * time.Second)
		equal(t, "tail", s.Tail(), ack.End)
	}},
	{Row: "5", Name: "the tail is never behind an ack", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		e.race(8, func(i int) error {
			for range 10 {
				ack, err := s.tryAppend(numbered(i, 2))
				if err != nil {
					return err
				}
				tail, err := e.Service.CheckTail(e.ctx, s.StreamRef)
				if err != nil {
					return err
				}
				if tail.SeqNum < ack.End.SeqNum {
					t.Errorf("tail %v is behind the ack's end %v", tail, ack.End)
				}
			}
			return nil
		}, "%d")
		s.At(160)
	}},
}

// autoCreateCases: data plane A.14 and control plane A.14.
var autoCreateCases = []Case{
	{Row: "A.14/261", Name: "append creates the stream", Run: func(t *testing.T, e *Env) {
		b := e.Basin(createOnAppend)
		s := b.Missing("stream")
		s.AppendRange(0, 1, text("a"))
		b.Holds("stream")
		s.At(1)
	}},
	{Row: "A.14/261", Name: "an append session creates the stream", Run: func(t *testing.T, e *Env) {
		b := e.Basin(createOnAppend)
		w := b.Missing("stream").Writer()
		b.Holds("stream")
		w.Submit(text("a")).Done()
		w.Acked(0, 1)
		w.Ends()
	}},
	{Row: "A.14/277", Name: "the call configures the stream that it creates", Run: func(t *testing.T, e *Env) {
		b := e.Basin(createOnAppend, createOnRead, func(c *protocol.BasinConfig) {
			c.DefaultStreamConfig.RetentionPolicy = &protocol.RetentionPolicy{AgeSecs: 172800}
		})
		mode := protocol.TimestampClientRequire
		config := protocol.StreamConfig{TimestampingMode: &mode}
		b.Missing("append").configured(config).AppendRange(0, 1, stamped(1000))
		w := b.Missing("append-session").configured(config).Writer()
		w.Submit(stamped(1000)).Done()
		w.Acked(0, 1)
		w.Ends()
		_, err := b.Missing("read").configured(config).tryRead(from(0))
		e.fails(err, protocol.CodeUnwritten)
		b.Missing("read-session").configured(config).Follow(from(0)).Heartbeat()
		for _, name := range []protocol.StreamName{"append", "append-session", "read", "read-session"} {
			got := b.Missing(name).Config()
			equal(t, string(name)+": mode", got.TimestampingMode, mode)
			equal(t, string(name)+": age", got.RetentionPolicy.AgeSecs, 172800)
		}
		// A stream that exists stays as it is.
		b.Missing("append").configured(protocol.StreamConfig{Uncapped: new(true)}).AppendRange(1, 2, stamped(1001))
		equal(t, "uncapped", b.Missing("append").Config().Uncapped, false)
	}},
	{Row: "A.14/263", Name: "append without the flag", Run: func(t *testing.T, e *Env) {
		b := e.Basin(createOnRead)
		_, err := b.Missing("stream").tryAppend(text("a"))
		e.fails(err, protocol.CodeStreamNotFound)
		_, err = e.Service.OpenAppendSession(e.ctx, b.Missing("stream").StreamRef)
		e.fails(err, protocol.CodeStreamNotFound)
		b.Holds()
	}},
	{Row: "A.14/264", Name: "a session creates the stream", Run: func(t *testing.T, e *Env) {
		b := e.Basin(createOnRead)
		s := b.Missing("stream")
		s.Follow(from(0)).Heartbeat().HasTail(position(0, 0))
		b.Holds("stream")
		s.At(0)
	}},
	{Row: "A.14/265", Name: "read without the flag", Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		b.Missing("stream").refusesReads([]protocol.Code{protocol.CodeStreamNotFound}, from(0))
		b.Holds()
	}},
	{Row: "A.14/266", Name: "check tail creates the stream", Run: func(t *testing.T, e *Env) {
		b := e.Basin(createOnRead)
		equal(t, "tail", b.Missing("stream").Tail(), position(0, 0))
		b.Holds("stream")
	}},
	{Row: "A.14/267", Name: "check tail without the flag", Run: func(t *testing.T, e *Env) {
		b := e.Basin(createOnAppend)
		_, err := e.Service.CheckTail(e.ctx, b.Missing("stream").StreamRef)
		e.fails(err, protocol.CodeStreamNotFound)
		b.Holds()
	}},
	{Row: "A.14/268", Name: "read where only appends create", Run: func(t *testing.T, e *Env) {
		b := e.Basin(createOnAppend)
		b.Missing("stream").refusesReads([]protocol.Code{protocol.CodeStreamNotFound}, from(0))
		b.Holds()
	}},
	{Row: "A.14/269", Name: "10 racing appends create one stream", Run: func(t *testing.T, e *Env) {
		b := e.Basin(createOnAppend)
		s := b.Missing("stream")
		bodies := e.race(10, func(i int) error {
			return retryingConflict(func() error {
				_, err := s.tryAppend(text(string([]byte{'a' + byte(i)})))
				return err
			})
		}, "%d")
		for i := range bodies {
			bodies[i] = string([]byte{'a' + byte(i)})
		}
		s.At(10)
		s.holdsOnce(bodies)
		b.Holds("stream")
	}},
	{Row: "A.14/270", Name: "racing first appends, 10 rounds of 4", Run: func(t *testing.T, e *Env) {
		b := e.Basin(createOnAppend)
		for round := range 10 {
			s := b.Missing(protocol.StreamName([]byte{'a' + byte(round)}))
			e.race(4, func(int) error {
				if _, err := s.tryAppend(text("x")); protocol.CodeOf(err) != protocol.CodeTransactionConflict {
					return err
				}
				return nil
			}, "%d")
		}
	}},
	{Row: "A.14/271", Name: "10 racing reads create one stream", Run: func(t *testing.T, e *Env) {
		b := e.Basin(createOnRead)
		s := b.Missing("stream")
		e.race(10, func(int) error {
			return retryingConflict(func() error {
				session, err := s.tryFollow(from(0))
				if err != nil {
					return err
				}
				return session.Close()
			})
		}, "%d")
		equal(t, "tail", s.Tail(), position(0, 0))
		b.Holds("stream")
	}},
	{Row: "A.14/273", Name: "a failed condition leaves the new stream behind", Run: func(t *testing.T, e *Env) {
		b := e.Basin(createOnAppend)
		_, err := b.Missing("stream").tryAppend(text("a"), at(5))
		e.mismatchedSeqNum(err, 0)
		b.Holds("stream")
	}},
	{Row: "A.14/274", Name: "an unwritten start leaves the new stream behind", Run: func(t *testing.T, e *Env) {
		b := e.Basin(createOnRead)
		_, err := b.Missing("stream").tryRead(from(0))
		e.unwritten(err, position(0, 0))
		b.Holds("stream")
	}},
	{Row: "A.14/275", Name: "in a basin being deleted", Run: func(t *testing.T, e *Env) {
		b := e.Basin(createOnAppend, createOnRead)
		b.Stream("there").Append(text("a"))
		b.Delete()
		pending := []protocol.Code{protocol.CodeBasinDeletionPending, protocol.CodeBasinNotFound}
		_, err := b.Missing("stream").tryAppend(text("a"))
		e.fails(err, pending...)
		b.Missing("stream").refusesReads(pending, from(0))
		_, err = e.Service.CheckTail(e.ctx, b.Missing("stream").StreamRef)
		e.fails(err, pending...)
	}},
	{Row: "A.14/276", Name: "of a stream being deleted", Run: func(t *testing.T, e *Env) {
		b := e.Basin(createOnAppend)
		s := b.Missing("stream")
		s.Append(numbered(0, 5))
		s.Delete()
		// The name is refused until it is free; then the next append creates a new stream.
		e.eventually("the name of the deleted stream is free", func() bool {
			ack, err := s.tryAppend(text("new"))
			if err != nil {
				e.fails(err, protocol.CodeStreamDeletionPending)
				return false
			}
			equal(t, "start of the ack", ack.Start.SeqNum, 0)
			return true
		})
		s.Read(from(0)).Bodies("new")
	}},
	{Row: "A.14/277", Name: "an auto-created stream has the basin's defaults", Run: func(t *testing.T, e *Env) {
		b := e.Basin(createOnAppend, createOnRead,
			defaulting(class(protocol.StorageStandard), arrival, retain(age(time.Hour))))
		want := layer(class(protocol.StorageStandard), arrival, retain(age(time.Hour))).Resolve(protocol.StreamConfig{})
		b.Missing("one").Append(text("a"))
		equal(t, "config", b.Missing("one").Config(), want)
		b.Missing("two").At(0)
		equal(t, "config", b.Missing("two").Config(), want)
	}},
}

// retryingConflict calls f again as long as it lost a race that clients retry.
func retryingConflict(f func() error) error {
	for range 10 {
		if err := f(); protocol.CodeOf(err) != protocol.CodeTransactionConflict {
			return err
		}
	}
	return protocol.Errorf(protocol.CodeTransactionConflict, "lost ten races in a row")
}
