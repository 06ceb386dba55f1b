package adapter

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/weirstream/weir/protocol"
)

func TestAppendReadAcrossRestart(t *testing.T) {
	h := newHarness(t)
	b := h.basin("test-basin", protocol.BasinConfig{})
	ref := h.stream(b, "a/b", protocol.StreamConfig{})
	if got := h.tail(ref); got != (protocol.Position{}) {
		t.Fatalf("tail of a new stream is %v", got)
	}
	for i := range 50 {
		ack := h.mustAppend(ref, body("x%d", 2*i), body("x%d", 2*i+1))
		if ack.Start.SeqNum != uint64(2*i) || ack.End.SeqNum != uint64(2*i+2) {
			t.Fatalf("append %d was acknowledged as %+v", i, ack)
		}
	}
	h.mustAppend(ref, protocol.FenceRecord("tok"))
	for range 2 {
		for _, from := range []uint64{0, 1, 2, 49, 98, 99, 100} {
			got := h.read(ref, from)
			if len(got) != int(101-from) {
				t.Fatalf("read from %d returned %d records", from, len(got))
			}
			for i, r := range got {
				if r.SeqNum != from+uint64(i) {
					t.Fatalf("record %d has seq_num %d", i, r.SeqNum)
				}
			}
		}
		token := "wrong"
		_, err := h.append(ref, protocol.AppendInput{Records: []protocol.Record{body("y")}, FencingToken: &token})
		if e := protocol.AsError(err); e == nil || e.FencingTokenMismatch == nil || *e.FencingTokenMismatch != "tok" {
			t.Fatalf("append with a wrong token: %v", err)
		}
		h.reopen()
	}
}

func TestConcurrentAppendsAreDenseAndOrdered(t *testing.T) {
	h := newHarness(t)
	b := h.basin("test-basin", protocol.BasinConfig{CreateStreamOnAppend: true})
	const streams, appenders, each = 5, 8, 40
	var wg sync.WaitGroup
	for i := range streams {
		ref := protocol.StreamRef{Basin: b, Stream: protocol.StreamName(string(rune('a' + i)))}
		for j := range appenders {
			wg.Go(func() {
				for k := range each {
					if _, err := h.append(ref, protocol.AppendInput{Records: []protocol.Record{body("%d/%d", j, k)}}); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	for i := range streams {
		ref := protocol.StreamRef{Basin: b, Stream: protocol.StreamName(string(rune('a' + i)))}
		recs := h.read(ref, 0)
		if len(recs) != appenders*each {
			t.Fatalf("stream %v has %d records", ref, len(recs))
		}
		seen := map[string]bool{}
		for n, r := range recs {
			if r.SeqNum != uint64(n) || seen[string(r.Body)] {
				t.Fatalf("record %d of %v: seq_num %d, body %q", n, ref, r.SeqNum, r.Body)
			}
			seen[string(r.Body)] = true
		}
	}
}

func TestLaneIsPoisonedByItsFirstFailure(t *testing.T) {
	h := newHarness(t)
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	s := h.handle(ref)
	defer s.Close()
	appender := s.Appender()
	zero, one := uint64(0), uint64(1)
	rec := []protocol.Record{body("r")}
	first := submit(t, appender, protocol.AppendInput{Records: rec, MatchSeqNum: &zero})
	second := submit(t, appender, protocol.AppendInput{Records: rec, MatchSeqNum: &zero})
	third := submit(t, appender, protocol.AppendInput{Records: rec, MatchSeqNum: &one})
	if got := <-first; got.err != nil || got.ack.End.SeqNum != 1 {
		t.Fatalf("first: %+v", got)
	}
	if got := <-second; protocol.CodeOf(got.err) != protocol.CodeConditionFailed {
		t.Fatalf("second: %+v", got)
	}
	if got := <-third; got.err == nil {
		t.Fatalf("third: %+v", got)
	}
	if tail := h.tail(ref); tail.SeqNum != 1 {
		t.Fatalf("tail is %v", tail)
	}
}

func TestPackedAppendsReachFollowersOneByOne(t *testing.T) {
	h := newHarness(t)
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	s := h.handle(ref)
	defer s.Close()
	feed, tail, err := s.Follow(t.Context(), 0)
	if err != nil || feed == nil {
		t.Fatalf("follow at %v: %v", tail, err)
	}
	defer feed.Close()
	appender := s.Appender()
	var outs []<-chan outcome
	for i := range 20 {
		outs = append(outs, submit(t, appender, protocol.AppendInput{Records: slices.Repeat([]protocol.Record{body("b%d", i)}, i%3+1)}))
	}
	for i, out := range outs {
		got := <-out
		if got.err != nil {
			t.Fatal(got.err)
		}
		for {
			b, changed, err := feed.Poll()
			if err != nil {
				t.Fatal(err)
			}
			if changed != nil {
				<-changed
				continue
			}
			if b.Records.Len() != i%3+1 || *b.Tail != got.ack.End || b.Records.First() != got.ack.Start {
				t.Fatalf("batch %d is %d records from %v with tail %v, ack %+v", i, b.Records.Len(), b.Records.First(), b.Tail, got.ack)
			}
			break
		}
	}
}

func TestSeekFindsEveryRecordAndTimestamp(t *testing.T) {
	h := newHarness(t)
	b := h.basin("test-basin", protocol.BasinConfig{})
	mode := protocol.TimestampClientRequire
	uncapped := true
	config := protocol.StreamConfig{TimestampingMode: &mode, Uncapped: &uncapped}
	ref := h.stream(b, "s", config)
	other := h.stream(b, "other", config)
	rng := rand.New(rand.NewPCG(1, 2))
	var ts uint64 = 1000
	var stamps []uint64
	for range 150 {
		var recs []protocol.Record
		for range rng.IntN(4) + 1 {
			ts += uint64(rng.IntN(3)) * uint64(rng.IntN(50))
			stamp := ts
			recs = append(recs, protocol.Record{Timestamp: &stamp, Body: []byte("r")})
			stamps = append(stamps, stamp)
		}
		h.mustAppend(ref, recs...)
		for range rng.IntN(6) {
			h.mustAppend(other, protocol.Record{Timestamp: &ts})
		}
	}
	for pass := range 2 {
		s := h.handle(ref)
		tail, _ := s.Tail(t.Context())
		for i := range 300 {
			from := uint64(rng.IntN(len(stamps)))
			c := s.Scan(from, tail.SeqNum)
			r, err := c.Next(t.Context())
			c.Close()
			if err != nil || r.First().SeqNum != from {
				t.Fatalf("pass %d scan %d from %d: %v, %v", pass, i, from, r.First(), err)
			}
			want := uint64(rng.IntN(int(ts) + 20))
			got, err := s.SeekTimestamp(t.Context(), want, tail.Position)
			index, _ := slices.BinarySearch(stamps, want)
			for index > 0 && index < len(stamps) && stamps[index-1] == stamps[index] && stamps[index] >= want {
				index--
			}
			if err != nil || got != uint64(index) {
				t.Fatalf("pass %d: timestamp %d is at %d, %v; want %d", pass, want, got, err, index)
			}
		}
		s.Close()
		h.reopen()
	}
}
