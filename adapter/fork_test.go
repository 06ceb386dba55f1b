package adapter

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/adapter/internal/catalog"
	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/protocol"
)

var keepForever = protocol.StreamConfig{RetentionPolicy: &protocol.RetentionPolicy{}}

func (h *harness) tryFork(source protocol.StreamRef, name string, at *uint64, config protocol.StreamConfig) error {
	_, _, err := h.CreateStream(h.t.Context(), source.Basin, protocol.CreateStreamRequest{Stream: protocol.StreamName(name), Config: config,
		Fork: &protocol.ForkRequest{Source: source.Stream, At: at}})
	return err
}

// fork forks a stream; at -1 is the tail.
func (h *harness) fork(source protocol.StreamRef, name string, at int) protocol.StreamRef {
	h.t.Helper()
	var p *uint64
	if at >= 0 {
		seq := uint64(at)
		p = &seq
	}
	if err := h.tryFork(source, name, p, protocol.StreamConfig{}); err != nil {
		h.t.Fatal(err)
	}
	return protocol.StreamRef{Basin: source.Basin, Stream: protocol.StreamName(name)}
}

// fill appends records one by one, each in a chunk of its own, called <prefix>0, <prefix>1 and so on.
func (h *harness) fill(ref protocol.StreamRef, prefix string, n int) {
	h.t.Helper()
	for i := range n {
		h.mustAppend(ref, body("%s%d", prefix, i))
	}
}

func (h *harness) bodies(ref protocol.StreamRef, from uint64) string {
	h.t.Helper()
	var out []string
	next := uint64(0)
	for i, rec := range h.read(ref, from) {
		if i > 0 && rec.SeqNum != next {
			h.t.Errorf("%s: record %d follows on %d", ref, rec.SeqNum, next-1)
		}
		next = rec.SeqNum + 1
		if rec.IsCommand() {
			out = append(out, "!")
		} else {
			out = append(out, string(rec.Body))
		}
	}
	return strings.Join(out, " ")
}

func (h *harness) wantBodies(ref protocol.StreamRef, from uint64, want string) {
	h.t.Helper()
	if got := h.bodies(ref, from); got != want {
		h.t.Errorf("%s from %d: %q, want %q", ref, from, got, want)
	}
}

// chunksIn counts what the log holds of a stream's id.
func (h *harness) chunksIn(basin protocol.BasinName, e *catalog.Entry) (n int) {
	h.t.Helper()
	l, err := h.logOf(h.t.Context(), basin, e.Log())
	if err != nil {
		h.t.Fatal(err)
	}
	at := uint64(0)
	for {
		c, err := l.getNext(h.t.Context(), l.subject(basin, e.ID), js.Seq(at+1))
		if err != nil {
			return n
		}
		n, at = n+1, uint64(c.seq)
	}
}

func (h *harness) entryOf(ref protocol.StreamRef) *catalog.Entry {
	h.t.Helper()
	e, _, _ := h.catalog.View.Stream(ref)
	if e == nil {
		h.t.Fatalf("%s is gone", ref)
	}
	return e
}

func (h *harness) delete(ref protocol.StreamRef) {
	h.t.Helper()
	if err := h.DeleteStream(h.t.Context(), ref); err != nil {
		h.t.Fatal(err)
	}
	h.settle()
}

// settle lets the janitor do what it was asked for.
func (h *harness) settle() {
	time.Sleep(10 * time.Second)
	synctest.Wait()
}

func (h *harness) names(basin protocol.BasinName) string {
	h.t.Helper()
	page, err := h.ListStreams(h.t.Context(), basin, protocol.ListRequest{})
	if err != nil {
		h.t.Fatal(err)
	}
	var out []string
	for _, s := range page.Streams {
		out = append(out, string(s.Name))
	}
	return strings.Join(out, " ")
}

func forkable(h *harness) protocol.StreamRef {
	return h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", keepForever)
}

func TestFork(t *testing.T) { testForks(t) }

// The same holds where other brokers may use the store.
func TestForkInASharedStore(t *testing.T) {
	testForks(t, func(o *Options) { o.Shared = true })
}

func testForks(t *testing.T, change ...func(*Options)) {
	bubble(t, "shares what is below and goes on by itself", func(t *testing.T, h *harness) {
		s := forkable(h)
		h.fill(s, "s", 5)
		f, g := h.fork(s, "f", -1), h.fork(s, "g", 3)
		z := h.fork(s, "z", 0)
		h.fill(s, "t", 2)
		h.fill(f, "f", 2)
		h.fill(g, "g", 1)
		h.fill(z, "z", 1)
		for range 2 {
			h.wantBodies(s, 0, "s0 s1 s2 s3 s4 t0 t1")
			h.wantBodies(f, 0, "s0 s1 s2 s3 s4 f0 f1")
			h.wantBodies(f, 4, "s4 f0 f1")
			h.wantBodies(f, 6, "f1")
			h.wantBodies(g, 0, "s0 s1 s2 g0")
			h.wantBodies(z, 0, "z0")
			h.reopen()
		}
		if got := h.tail(g); got.SeqNum != 4 {
			t.Errorf("tail %+v", got)
		}
	}, change...)
	bubble(t, "forks of forks", func(t *testing.T, h *harness) {
		s := forkable(h)
		h.fill(s, "s", 3)
		f := h.fork(s, "f", -1)
		h.fill(f, "f", 3)
		below, above := h.fork(f, "below", 2), h.fork(f, "above", 5)
		h.fill(below, "b", 1)
		h.fill(above, "a", 1)
		third := h.fork(above, "third", -1)
		h.fill(third, "c", 1)
		for range 2 {
			h.wantBodies(below, 0, "s0 s1 b0")
			h.wantBodies(above, 0, "s0 s1 s2 f0 f1 a0")
			h.wantBodies(third, 0, "s0 s1 s2 f0 f1 a0 c0")
			h.wantBodies(third, 4, "f1 a0 c0")
			h.reopen()
		}
		if n := len(h.entryOf(third).Fork().Segments); n != 3 {
			t.Errorf("%d segments", n)
		}
		if n := len(h.entryOf(below).Fork().Segments); n != 1 {
			t.Errorf("%d segments", n)
		}
	}, change...)
	bubble(t, "deleting the source keeps what forks need until the last is gone", func(t *testing.T, h *harness) {
		s := forkable(h)
		h.fill(s, "s", 4)
		source := h.entryOf(s)
		f := h.fork(s, "f", 3)
		g := h.fork(f, "g", 2)
		h.delete(s)
		if got := h.names(s.Basin); got != "f g" {
			t.Errorf("streams %q", got)
		}
		if shadow := h.catalog.View.Source(s.Basin, h.entryOf(f).Fork().Segments[0]); shadow == nil || !shadow.IsShadow() || !shadow.Deleting() {
			t.Errorf("the source is %+v", shadow)
		}
		again := h.stream(s.Basin, "s", keepForever)
		h.fill(again, "n", 1)
		for range 2 {
			h.wantBodies(f, 0, "s0 s1 s2")
			h.wantBodies(g, 0, "s0 s1")
			h.wantBodies(again, 0, "n0")
			h.reopen()
			h.settle()
		}
		h.delete(f)
		h.wantBodies(g, 0, "s0 s1")
		if h.chunksIn(s.Basin, source) == 0 {
			t.Error("what g needs is gone")
		}
		h.reopen()
		h.delete(g)
		if n := h.chunksIn(s.Basin, source); n != 0 {
			t.Errorf("%d chunks are left", n)
		}
		if n := h.catalog.View.CountStreams(s.Basin); n != 1 {
			t.Errorf("%d entries are left", n)
		}
		h.wantBodies(again, 0, "n0")
	}, change...)
	bubble(t, "deleting a fork in the middle", func(t *testing.T, h *harness) {
		s := forkable(h)
		h.fill(s, "s", 2)
		f := h.fork(s, "f", -1)
		h.fill(f, "f", 2)
		g := h.fork(f, "g", -1)
		h.fill(g, "g", 1)
		h.delete(f)
		h.delete(s)
		h.reopen()
		h.settle()
		h.wantBodies(g, 0, "s0 s1 f0 f1 g0")
		if got := h.names(s.Basin); got != "g" {
			t.Errorf("streams %q", got)
		}
		h.delete(g)
		if n := h.catalog.View.CountStreams(s.Basin); n != 0 {
			t.Errorf("%d entries are left", n)
		}
	}, change...)
	bubble(t, "a trim of the source takes nothing from the fork, and of the fork nothing from the source", func(t *testing.T, h *harness) {
		s := forkable(h)
		h.fill(s, "s", 6)
		f := h.fork(s, "f", 4)
		h.mustAppend(s, protocol.TrimRecord(5))
		h.settle()
		h.wantBodies(f, 0, "s0 s1 s2 s3")
		h.wantBodies(s, 0, "s5 !")
		h.mustAppend(f, protocol.TrimRecord(2))
		h.settle()
		h.wantBodies(f, 0, "s2 s3 !")
		for range 20 {
			h.settle()
		}
		e := h.entryOf(s)
		if n := h.chunksIn(s.Basin, e); n > 4 {
			t.Errorf("%d chunks of the source are left", n)
		}
		h.wantBodies(f, 0, "s2 s3 !")
		h.mustAppend(f, protocol.TrimRecord(1<<40))
		for range 20 {
			h.settle()
		}
		if n := h.chunksIn(s.Basin, e); n > 2 {
			t.Errorf("%d chunks of the source are left", n)
		}
		h.wantBodies(s, 0, "s5 !")
		h.wantBodies(f, 0, "")
	}, change...)
	bubble(t, "retention of the source takes nothing from the fork", func(t *testing.T, h *harness) {
		b := h.basin("test-basin", protocol.BasinConfig{})
		s := h.stream(b, "s", protocol.StreamConfig{RetentionPolicy: &protocol.RetentionPolicy{AgeSecs: 100}})
		h.fill(s, "s", 4)
		at := uint64(3)
		if err := h.tryFork(s, "f", &at, keepForever); err != nil {
			t.Fatal(err)
		}
		if err := h.tryFork(s, "short", &at, protocol.StreamConfig{RetentionPolicy: &protocol.RetentionPolicy{AgeSecs: 1000}}); err != nil {
			t.Fatal(err)
		}
		f, short := protocol.StreamRef{Basin: b, Stream: "f"}, protocol.StreamRef{Basin: b, Stream: "short"}
		time.Sleep(500 * time.Second)
		h.fill(s, "t", 1)
		h.settle()
		h.wantBodies(s, 0, "t0")
		h.wantBodies(f, 0, "s0 s1 s2")
		h.wantBodies(short, 0, "s0 s1 s2")
		if n := h.chunksIn(b, h.entryOf(s)); n != 4 {
			t.Errorf("%d chunks of the source are left, want those of the fork and the newest", n)
		}
		time.Sleep(600 * time.Second)
		h.wantBodies(short, 0, "")
		h.wantBodies(f, 0, "s0 s1 s2")
		h.delete(f)
		for range 100 {
			h.settle()
		}
		if n := h.chunksIn(b, h.entryOf(s)); n > 1 {
			t.Errorf("%d chunks of the source are left", n)
		}
	}, change...)
	bubble(t, "a source that has lost its beginning", func(t *testing.T, h *harness) {
		s := forkable(h)
		h.fill(s, "s", 4)
		h.mustAppend(s, protocol.TrimRecord(2))
		h.settle()
		f := h.fork(s, "f", -1)
		h.wantBodies(f, 0, "s2 s3 !")
		at := uint64(1)
		if err := h.tryFork(s, "g", &at, protocol.StreamConfig{}); protocol.CodeOf(err) != protocol.CodeInvalid || !strings.Contains(err.Error(), "fork.at") {
			t.Error(err)
		}
		at = 6
		if err := h.tryFork(s, "g", &at, protocol.StreamConfig{}); protocol.CodeOf(err) != protocol.CodeInvalid || !strings.Contains(err.Error(), "tail of the source is 5") {
			t.Error(err)
		}
		if err := h.tryFork(protocol.StreamRef{Basin: s.Basin, Stream: "none"}, "g", nil, protocol.StreamConfig{}); protocol.CodeOf(err) != protocol.CodeStreamNotFound {
			t.Error(err)
		}
	}, change...)
	bubble(t, "by timestamp", func(t *testing.T, h *harness) {
		s := forkable(h)
		var stamps []uint64
		for i := range 6 {
			time.Sleep(time.Second)
			h.mustAppend(s, body("s%d", i))
			stamps = append(stamps, catalog.Millis(time.Now()))
		}
		f := h.fork(s, "f", 4)
		time.Sleep(time.Second)
		h.fill(f, "f", 1)
		stamps = append(stamps[:4], catalog.Millis(time.Now()))
		hd := h.handle(f)
		defer hd.Close()
		for i, ts := range stamps {
			seq, err := hd.SeekTimestamp(t.Context(), ts, h.tail(f))
			if err != nil || seq != uint64(i) {
				t.Errorf("timestamp of %d: %d, %v", i, seq, err)
			}
			seq, err = hd.SeekTimestamp(t.Context(), ts+1, h.tail(f))
			if err != nil || seq != uint64(i+1) {
				t.Errorf("after the timestamp of %d: %d, %v", i, seq, err)
			}
		}
	}, change...)
	bubble(t, "state is the fork's own", func(t *testing.T, h *harness) {
		s := forkable(h)
		h.mustAppend(s, body("a"), protocol.FenceRecord("mine"))
		f := h.fork(s, "f", -1)
		token := "mine"
		if _, err := h.append(f, protocol.AppendInput{Records: []protocol.Record{body("b")}, FencingToken: &token}); protocol.CodeOf(err) != protocol.CodeOf(protocol.FencingTokenMismatch("")) {
			t.Error(err)
		}
		at := uint64(2)
		if _, err := h.append(f, protocol.AppendInput{Records: []protocol.Record{body("b")}, MatchSeqNum: &at}); err != nil {
			t.Error(err)
		}
		h.wantBodies(f, 0, "a ! b")
	}, change...)
	bubble(t, "delete-on-empty waits for what is shared", func(t *testing.T, h *harness) {
		s := forkable(h)
		h.fill(s, "s", 2)
		min := uint64(60)
		if err := h.tryFork(s, "f", nil, protocol.StreamConfig{DeleteOnEmptyMinAge: &min}); err != nil {
			t.Fatal(err)
		}
		f := protocol.StreamRef{Basin: s.Basin, Stream: "f"}
		h.wantKept(f, 10_000)
		h.mustAppend(f, protocol.TrimRecord(1<<40))
		h.wantDeleted(f, 661)
	}, change...)
}

// TestForkBesidePurges: forks that are made while their source is trimmed and deleted either fail or have all that they share.
func TestForkBesidePurges(t *testing.T) {
	h := newHarness(t, func(o *Options) { o.Durability = protocol.DurabilityInterval })
	b := h.basin("test-basin", protocol.BasinConfig{})
	made := 0
	for round := range 30 {
		s := h.stream(b, fmt.Sprintf("s%d", round), keepForever)
		h.fill(s, "s", 5)
		done := make(chan error, 1)
		go func() {
			if _, err := h.append(s, protocol.AppendInput{Records: []protocol.Record{protocol.TrimRecord(3)}}); err != nil {
				done <- err
				return
			}
			done <- h.DeleteStream(t.Context(), s)
		}()
		name := fmt.Sprintf("f%d", round)
		err := h.tryFork(s, name, nil, protocol.StreamConfig{})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		switch protocol.CodeOf(err) {
		case protocol.CodeStreamNotFound, protocol.CodeStreamDeletionPending, protocol.CodeUnavailable:
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		made++
		f := protocol.StreamRef{Basin: b, Stream: protocol.StreamName(name)}
		e := h.entryOf(f)
		eventually(t, "the source's name is free", func() bool {
			e, _, _ := h.catalog.View.Stream(s)
			return e == nil
		})
		hd := h.handle(f)
		c := hd.Scan(0, e.Fork().At.SeqNum)
		n := e.Fork().Trim
		for {
			r, err := c.Next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if r.First().SeqNum != n {
				t.Fatalf("record %d, want %d", r.First().SeqNum, n)
			}
			n = r.Last().SeqNum + 1
		}
		c.Close()
		hd.Close()
		if n != e.Fork().At.SeqNum {
			t.Errorf("the fork of %+v ends at %d", e.Fork(), n)
		}
	}
	t.Logf("%d forks were made", made)
}

// TestForkBesideCrashes: the steps of a deletion are repeated when a crash comes between them.
func TestForkBesideCrashes(t *testing.T) {
	bubble(t, "marked and not shaded, shaded and not removed", func(t *testing.T, h *harness) {
		for _, shaded := range []bool{false, true} {
			s := h.stream(h.basin(fmt.Sprintf("test-basin-%t", shaded), protocol.BasinConfig{}), "s", keepForever)
			h.fill(s, "s", 3)
			f := h.fork(s, "f", 2)
			source := h.entryOf(s)
			rec := source.Record()
			rec.DeletedAt = time.Now().UTC()
			if err := h.updateStream(t.Context(), source, rec); err != nil {
				t.Fatal(err)
			}
			if shaded {
				if err := h.janitor.shade(t.Context(), h.entryOf(s)); err != nil {
					t.Fatal(err)
				}
			}
			h.reopen()
			h.settle()
			if got := h.names(s.Basin); got != "f" {
				t.Errorf("streams %q", got)
			}
			if n := h.catalog.View.CountStreams(s.Basin); n != 2 {
				t.Errorf("%d entries", n)
			}
			h.wantBodies(f, 0, "s0 s1")
			h.delete(f)
			if n := h.catalog.View.CountStreams(s.Basin); n != 0 || h.chunksIn(s.Basin, source) != 0 {
				t.Errorf("%d entries and %d chunks are left", n, h.chunksIn(s.Basin, source))
			}
		}
	})
	bubble(t, "a fork that is gone, and its source's shadow not", func(t *testing.T, h *harness) {
		s := forkable(h)
		h.fill(s, "s", 3)
		f := h.fork(s, "f", 2)
		source := h.entryOf(s)
		h.delete(s)
		fork := h.entryOf(f)
		if err := h.catalog.Remove(t.Context(), catalog.StreamKey(f), fork.Revision); err != nil {
			t.Fatal(err)
		}
		h.reopen()
		h.settle()
		if n := h.catalog.View.CountStreams(s.Basin); n != 0 || h.chunksIn(s.Basin, source) != 0 {
			t.Errorf("%d entries and %d chunks are left", n, h.chunksIn(s.Basin, source))
		}
	})
}
