package protocol_test

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// TestLimitA9 holds the rows of data plane A.9 that concern the limit alone.
func TestLimitA9(t *testing.T) {
	full := uint64(math.MaxUint64)
	for _, c := range []struct {
		name      string
		limit     protocol.Limit
		count     int
		bytes     uint64
		want      protocol.Limit
		exhausted bool
	}{
		{"A.9/192 count, some left", protocol.Limit{Count: 100, Bytes: full}, 10, 0, protocol.Limit{Count: 90, Bytes: full}, false},
		{"A.9/192 count, exhausted", protocol.Limit{Count: 100, Bytes: full}, 100, 0, protocol.Limit{Count: 0, Bytes: full}, true},
		{"A.9/193 bytes, some left", protocol.Limit{Count: full, Bytes: 100}, 0, 99, protocol.Limit{Count: full, Bytes: 1}, false},
		{"A.9/194 both, some left", protocol.Limit{Count: 50, Bytes: 50}, 40, 45, protocol.Limit{Count: 10, Bytes: 5}, false},
		{"A.9/195 both, count overdrawn", protocol.Limit{Count: 50, Bytes: 50}, 51, 45, protocol.Limit{Count: 0, Bytes: 5}, true},
		{"A.9/185 the largest count", protocol.Limit{Count: full, Bytes: full}, math.MaxInt, full - 1, protocol.Limit{Count: full - math.MaxInt, Bytes: 1}, false},
		{"4.3 until stays", protocol.Limit{Count: 2, Bytes: 9, Until: 7, HasUntil: true}, 1, 8, protocol.Limit{Count: 1, Bytes: 1, Until: 7, HasUntil: true}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.limit.Spend(c.count, c.bytes); got != c.want || got.Exhausted() != c.exhausted {
				t.Fatalf("got %+v, exhausted %v", got, got.Exhausted())
			}
		})
	}
}

// caps is the limit of one read batch.
var caps = protocol.Limit{Count: protocol.MaxBatchRecords, Bytes: protocol.MaxBatchBytes}

func TestTakeA9(t *testing.T) {
	small := func(n int) (out []protocol.SequencedRecord) {
		for i := range n {
			out = append(out, seqRec(uint64(i), uint64(1000*i), "lorem")) // 13 metered
		}
		return out
	}
	half := strings.Repeat("x", 1<<19-8+1)
	l := func(count, bytes uint64) protocol.Limit { return protocol.Limit{Count: count, Bytes: bytes} }
	until := func(ts uint64) protocol.Limit {
		n := protocol.NoLimit
		n.Until, n.HasUntil = ts, true
		return n
	}
	full := uint64(math.MaxUint64)
	for _, c := range []struct {
		name  string
		recs  []protocol.SequencedRecord
		limit protocol.Limit
		want  []int // sizes of successive batches until nothing can be taken
	}{
		{"A.9/163 count 5 of 10", small(10), l(5, full), []int{5, 5}},
		{"A.9/169 bytes of the first two", small(3), l(full, 26), []int{2, 1}},
		{"A.9/170 bytes of three less 5", small(3), l(full, 34), []int{2, 1}},
		{"A.9/173 one byte less than the first", small(1), l(full, 12), nil},
		{"A.9/178 count wins", small(20), l(5, 1_000_000), []int{5, 5, 5, 5}},
		{"A.9/179 bytes win", small(5), l(100, 39), []int{3, 2}},
		{"A.9/180 count 0", small(2), l(0, full), nil},
		{"A.9/181 bytes 0", small(2), l(full, 0), nil},
		{"A.9/185 no limit", small(20), protocol.NoLimit, []int{20}},
		{"A.9/186 until before the first", small(3)[1:], until(500), nil},
		{"A.9/187 until is exclusive", small(3), until(2000), []int{2}},
		{"A.9/188 until after the last", small(3), until(2001), []int{3}},
		{"A.9/187 until 0", small(3), until(0), nil},
		{"A.9/196 1001 small records", small(1001), caps, []int{1000, 1}},
		{"A.9/197 two of half a MiB and one byte", []protocol.SequencedRecord{seqRec(0, 0, half), seqRec(1, 0, half)}, caps, []int{1, 1}},
		{"2.6 exactly 1 MiB", []protocol.SequencedRecord{seqRec(0, 0, half[1:]), seqRec(1, 0, half[1:])}, caps, []int{2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rest := protocol.RecordsOf(c.recs...)
			var sizes []int
			for rest.Len() > 0 {
				got, cut := rest.Take(c.limit)
				if cut != (got.Len() < rest.Len()) {
					t.Fatalf("took %d of %d, cut %v", got.Len(), rest.Len(), cut)
				}
				if got.Len() == 0 {
					break
				}
				sizes = append(sizes, got.Len())
				checkRun(t, got)
				rest = rest.From(got.Last().SeqNum + 1)
			}
			if !slices.Equal(sizes, c.want) {
				t.Fatalf("got batches of %v, want %v", sizes, c.want)
			}
		})
	}
}

// checkRun fails unless everything that r remembers agrees with its bytes.
func checkRun(t testing.TB, r protocol.Records) {
	t.Helper()
	recs := r.Slice()
	if len(recs) != r.Len() {
		t.Fatalf("%d records, says %d", len(recs), r.Len())
	}
	var metered uint64
	for i := range recs {
		metered += recs[i].MeteredSize()
	}
	if metered != r.MeteredSize() {
		t.Fatalf("%d metered bytes, says %d", metered, r.MeteredSize())
	}
	var first, last protocol.Position
	if n := len(recs); n > 0 {
		first = protocol.Position{SeqNum: recs[0].SeqNum, Timestamp: recs[0].Timestamp}
		last = protocol.Position{SeqNum: recs[n-1].SeqNum, Timestamp: recs[n-1].Timestamp}
	}
	if r.First() != first || r.Last() != last {
		t.Fatalf("first %v, last %v; says %v, %v", first, last, r.First(), r.Last())
	}
}

func TestRecordsFrom(t *testing.T) {
	r := protocol.RecordsOf(seqRec(5, 10, "a"), seqRec(6, 10, "b"), seqRec(9, 12, "c", "h", "v"), seqRec(10, 20, ""))
	for seq, want := range map[uint64]int{0: 4, 5: 4, 6: 3, 7: 2, 9: 2, 10: 1, 11: 0, math.MaxUint64: 0} {
		got := r.From(seq)
		checkRun(t, got)
		if got.Len() != want {
			t.Errorf("from seq_num %d: %d records, want %d", seq, got.Len(), want)
		}
	}
	for ts, want := range map[uint64]int{0: 4, 10: 4, 11: 2, 12: 2, 13: 1, 20: 1, 21: 0, math.MaxUint64: 0} {
		got := r.FromTimestamp(ts)
		checkRun(t, got)
		if got.Len() != want {
			t.Errorf("from timestamp %d: %d records, want %d", ts, got.Len(), want)
		}
	}
	var none protocol.Records
	if none.From(3).Len() != 0 || none.FromTimestamp(3).Len() != 0 {
		t.Error("something came from nothing")
	}
	if got, cut := none.Take(protocol.Limit{}); got.Len() != 0 || cut {
		t.Error("nothing was cut")
	}
}

func TestJoinDoesNotWriteBehindOthers(t *testing.T) {
	all := protocol.RecordsOf(seqRec(0, 0, "aaaa"), seqRec(1, 0, "bbbb"), seqRec(2, 0, "cccc"))
	other := protocol.RecordsOf(seqRec(7, 7, "zzzz"))
	keep := bytes.Clone(all.Wire())
	first, _ := all.Take(protocol.Limit{Count: 1, Bytes: math.MaxUint64})
	roomy := protocol.MakeRecords(all.Wire()[:len(first.Wire())], 1, first.MeteredSize(), first.First(), first.Last())
	for name, r := range map[string]protocol.Records{
		"Take": first, "MakeRecords with room behind": roomy, "From": all.From(0), "Join with nothing": protocol.Records{}.Join(roomy),
	} {
		got := r.Join(other)
		checkRun(t, got)
		if !bytes.Equal(all.Wire(), keep) {
			t.Fatalf("%s: Join wrote into the memory behind", name)
		}
	}
	t.Run("a batch built piece by piece", func(t *testing.T) {
		var acc protocol.Records
		for i := range uint64(100) {
			before := acc
			acc = acc.Join(protocol.RecordsOf(seqRec(i, i, "body")))
			checkRun(t, before)
		}
		checkRun(t, acc)
		if acc.Len() != 100 || acc.Join(protocol.Records{}).Len() != 100 {
			t.Fatal("records are missing")
		}
	})
	t.Run("the tail of a joined run", func(t *testing.T) {
		acc := protocol.RecordsOf(seqRec(0, 0, "a")).Join(protocol.RecordsOf(seqRec(1, 0, "b")))
		a, b := acc.From(1).Join(other), acc.From(1).Join(protocol.RecordsOf(seqRec(2, 2, "c")))
		checkRun(t, a)
		checkRun(t, b)
		if a.Last().SeqNum != 7 || b.Last().SeqNum != 2 {
			t.Fatal("one wrote over the other")
		}
	})
}

func TestBodiesHaveNoRoomBehind(t *testing.T) {
	r := protocol.RecordsOf(seqRec(0, 0, "aaaa", "n", "v"), seqRec(1, 0, "bbbb"))
	keep := bytes.Clone(r.Wire())
	for rec := range r.All() {
		_ = append(rec.Body, "xxxxxxxx"...)
		for _, h := range rec.Headers {
			_, _ = append(h.Name, "xx"...), append(h.Value, "xx"...)
		}
	}
	if !bytes.Equal(r.Wire(), keep) {
		t.Fatal("an append to a body changed the run")
	}
}

func TestParseRecordsRefusals(t *testing.T) {
	for name, h := range map[string]string{
		"another field":                "12 00",
		"another wire type of field 1": "08 01",
		"a length over 2^64":           "0A FF FF FF FF FF FF FF FF FF 02",
		"a length of 2^63":             "0A 80 80 80 80 80 80 80 80 80 01",
		"a length beyond the end":      "0A 01",
		"no length":                    "0A",
		"a field cut short":            "0A 01 08",
		"a number over 2^64":           "0A 0B 08 FF FF FF FF FF FF FF FF FF 02",
		"a group that does not end":    "0A 02 2B 08",
		"garbage behind a record":      "0A 00 FF",
		"two records at 0":             "0A 00 0A 00",
	} {
		t.Run(name, func(t *testing.T) {
			if r, err := protocol.ParseRecords(unhex(t, h)); err == nil || r.Len() != 0 || r.Wire() != nil {
				t.Fatalf("got %+v, %v", r, err)
			}
		})
	}
	r, err := protocol.ParseRecords(unhex(t, "0A 08 2B 08 01 2C 08 05 22 00 0A 02 08 06"))
	if err != nil || r.Len() != 2 || r.First().SeqNum != 5 || r.MeteredSize() != 16 {
		t.Fatalf("unknown group: got %+v, %v", r, err)
	}
}

func TestSequencedSize(t *testing.T) {
	for _, rec := range []protocol.SequencedRecord{
		seqRec(0, 0, ""), seqRec(1, 127, "a"), seqRec(128, 1<<14, strings.Repeat("x", 128), "a", "", "", "b"),
		seqRec(math.MaxUint64, math.MaxUint64, strings.Repeat("y", 1<<16), strings.Repeat("n", 127), strings.Repeat("v", 200)),
	} {
		b := protocol.AppendSequenced(nil, rec.SeqNum, rec.Timestamp, rec.Headers, rec.Body)
		if n := protocol.SequencedSize(rec.SeqNum, rec.Timestamp, rec.Headers, rec.Body); n != len(b) {
			t.Errorf("says %d bytes, wrote %d", n, len(b))
		}
	}
}
