package adapter

import (
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/protocol"
)

// scatter is a stream of random chunks among those of another stream, and the naive list of its records.
func scatter(t *testing.T, h *harness, b protocol.BasinName, rng *rand.Rand, name string) (ref protocol.StreamRef, list []protocol.Position) {
	t.Helper()
	mode, uncapped := protocol.TimestampClientRequire, true
	config := protocol.StreamConfig{TimestampingMode: &mode, Uncapped: &uncapped}
	ref = h.stream(b, name, config)
	other := h.stream(b, name+"-other", config)
	s := h.handle(ref)
	defer s.Close()
	ts := uint64(rng.IntN(3))
	for range 5 + rng.IntN(40) {
		var in protocol.AppendInput
		for range 1 + rng.IntN(4)*rng.IntN(4) {
			switch rng.IntN(12) {
			case 0:
				ts += min(uint64(rng.IntN(1<<20)), ^uint64(0)-ts)
			case 1, 2, 3:
				ts += min(1, ^uint64(0)-ts)
			}
			if len(list) > 60 && rng.IntN(80) == 0 {
				ts = ^uint64(0) // and everything after it
			}
			stamp := ts
			in.Records = append(in.Records, protocol.Record{Timestamp: &stamp, Body: []byte("r")})
			list = append(list, protocol.Position{SeqNum: uint64(len(list)), Timestamp: ts})
		}
		if _, err := h.append(ref, in); err != nil {
			t.Fatal(err)
		}
		if rng.IntN(6) == 0 {
			if err := s.st.ask(t.Context(), sealRequest); err != nil {
				t.Fatal(err)
			}
		}
		for range rng.IntN(3) * rng.IntN(12) {
			h.mustAppend(other, protocol.Record{Timestamp: &ts})
		}
	}
	return ref, list
}

func TestSeekAgreesWithANaiveList(t *testing.T) {
	h := newHarness(t, inMemory)
	b := h.basin("test-basin", protocol.BasinConfig{})
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 3))
		ref, list := scatter(t, h, b, rng, string(rune('a'+seed)))
		trim := uint64(0)
		for pass := range 3 { // with what the index saw, cold, and trimmed
			if pass == 1 {
				h.reopen()
			}
			if pass == 2 {
				trim = uint64(rng.IntN(len(list)))
				ts := list[len(list)-1].Timestamp
				rec := protocol.TrimRecord(trim)
				rec.Timestamp = &ts
				h.mustAppend(ref, rec)
				list = append(list, protocol.Position{SeqNum: uint64(len(list)), Timestamp: ts})
			}
			s := h.handle(ref)
			tail, err := s.Tail(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for range 80 {
				at := list[rng.IntN(len(list))].Timestamp
				ts := pick(rng, at, at+1, max(at, 1)-1, 0, ^uint64(0), ^uint64(0)-1)
				want := tail.SeqNum
				if i := slices.IndexFunc(list, func(p protocol.Position) bool { return p.SeqNum >= trim && p.Timestamp >= ts }); i >= 0 {
					want = uint64(i)
				}
				if got, err := s.SeekTimestamp(t.Context(), ts, tail.Position); err != nil || got != want {
					t.Fatalf("seed %d pass %d: timestamp %d is at %d, %v; want %d of %d", seed, pass, ts, got, err, want, tail.SeqNum)
				}
				if rng.IntN(2) == 0 {
					want = uint64(rng.IntN(int(tail.SeqNum))) // otherwise the scan begins with what the seek found
				}
				checkScan(t, s, want, uint64(rng.IntN(int(tail.SeqNum)+1)), trim, list)
			}
			s.Close()
		}
	}
}

// checkScan compares a scan of [from, to) with the list.
func checkScan(t *testing.T, s *Stream, from, to, trim uint64, list []protocol.Position) {
	t.Helper()
	c := s.Scan(from, to)
	defer c.Close()
	next := max(from, trim)
	for {
		r, err := c.Next(t.Context())
		if errors.Is(err, io.EOF) {
			if next < to {
				t.Fatalf("scan of [%d, %d) ends at %d", from, to, next)
			}
			return
		}
		if err != nil {
			t.Fatalf("scan of [%d, %d): %v", from, to, err)
		}
		for _, rec := range r.Slice() {
			if rec.SeqNum != next || next >= to || rec.Timestamp != list[next].Timestamp {
				t.Fatalf("scan of [%d, %d): record %d with timestamp %d, want %v", from, to, rec.SeqNum, rec.Timestamp, list[next])
			}
			next++
		}
	}
}

func TestInterpolationStaysInside(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	edge := func() uint64 {
		return pick(rng, 0, 1, 2, rng.Uint64N(1000), rng.Uint64(), ^uint64(0)-1, ^uint64(0))
	}
	for range 200_000 {
		lo := js.Seq(edge() / 2)
		hi := lo + 2 + js.Seq(edge()/4)
		if got := interpolate(lo, hi, edge(), edge(), edge()); got <= lo || got >= hi {
			t.Fatalf("%d is not between %d and %d", got, lo, hi)
		}
	}
}

func TestIndexStaysSparseAndOrdered(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	var x index
	all := map[js.Seq]indexEntry{}
	newest := js.Seq(0)
	for range 5000 {
		seq := js.Seq(1 + rng.IntN(20_000))
		m := indexEntry{seq: seq, first: uint64(seq) * 10, next: uint64(seq)*10 + 5, firstTS: uint64(seq), lastTS: uint64(seq)}
		x.add(m)
		all[seq] = m
		newest = max(newest, seq)
		if len(x.entries) > maxIndexEntries || x.entries[len(x.entries)-1].seq != newest ||
			!slices.IsSortedFunc(x.entries, func(a, b indexEntry) int { return int(a.seq) - int(b.seq) }) {
			t.Fatalf("%d marks, the last %+v, newest %d", len(x.entries), x.entries[len(x.entries)-1], newest)
		}
		target := uint64(rng.IntN(210_000))
		below, above, haveBelow, haveAbove := x.around(target, bySeqNum.end)
		if haveBelow && bySeqNum.end(below) >= target || haveAbove && bySeqNum.end(above) < target ||
			haveAbove != (bySeqNum.end(all[newest]) >= target) {
			t.Fatalf("around %d: %+v %v, %+v %v", target, below, haveBelow, above, haveAbove)
		}
	}
}
