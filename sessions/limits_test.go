package sessions_test

import (
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// Appendix A.9: limits of a unary read. Small records have 10 metered bytes each.
func TestUnaryLimits(t *testing.T) {
	four := at(1000, 2000, 2000, 3000)
	seven := at(500, 2000, 2000, 2500, 3500, 4500, 5500)
	testUnary(t, []readCase{
		{row: "163", name: "count", given: many(10), req: withCount(fromSeq(0), 5), want: "[0 1 2 3 4]"},
		{row: "164", name: "count from the middle", given: many(3), req: withCount(fromSeq(1), 2), want: "[1 2]"},
		{row: "165", name: "count of all", given: many(3), req: withCount(fromSeq(0), 3), want: "[0 1 2]"},
		{row: "166", name: "count above all", given: many(2), req: withCount(fromSeq(0), 5), want: "[0 1]"},
		{row: "169", name: "bytes of exactly two", given: many(5), req: withBytes(fromSeq(0), 20), want: "[0 1]"},
		{row: "170", name: "bytes of three less 5", given: many(5), req: withBytes(fromSeq(0), 25), want: "[0 1]"},
		{row: "171", name: "bytes of exactly one", given: many(5), req: withBytes(fromSeq(0), 10), want: "[0]"},
		{row: "172", name: "bytes above all", given: many(2), req: withBytes(fromSeq(0), 1000), want: "[0 1]"},
		{row: "173", name: "bytes of one less 1", given: many(2), req: withBytes(fromSeq(0), 9), want: "[]"},
		{row: "174", name: "two large records", given: sized(700_000, 1, 2), req: withBytes(fromSeq(0), 2<<20), want: "[0]"},
		{row: "175", name: "bytes from the middle", given: many(5), req: withBytes(fromSeq(1), 20), want: "[1 2]"},
		{row: "176", name: "timestamp and bytes", given: at(10, 20, 30), req: withBytes(fromTimestamp(15), 15), want: "[1]"},
		{row: "177", name: "timestamp and count", given: at(10, 20, 30), req: withCount(fromTimestamp(15), 1), want: "[1]"},
		{row: "178", name: "count before bytes", given: many(20), req: withBytes(withCount(fromSeq(0), 5), 1_000_000), want: "[0 1 2 3 4]"},
		{row: "179", name: "bytes before count", given: many(5), req: withBytes(withCount(fromSeq(0), 100), 30), want: "[0 1 2]"},
		{row: "180", name: "count 0", given: many(2), req: withCount(fromSeq(0), 0), want: "[]"},
		{row: "181", name: "bytes 0", given: many(2), req: withBytes(fromSeq(0), 0), want: "[]"},
		{row: "182", name: "count 0 at the tail", given: at(7), req: withCount(fromSeq(1), 0), want: "[]"},
		{row: "183", name: "count 0 at the tail with wait", given: at(7), req: waiting(withCount(fromSeq(1), 0), time.Second), want: "[]"},
		{row: "184", name: "no limits", given: many(2), req: fromSeq(0), want: "[0 1]"},
		{row: "186", name: "until before all", given: four, req: withUntil(fromSeq(0), 500), want: "[]"},
		{row: "187", name: "until is exclusive", given: four, req: withUntil(fromSeq(0), 2000), want: "[0]"},
		{row: "188", name: "until after all", given: four, req: withUntil(fromSeq(0), 5000), want: "[0 1 2 3]"},
		{row: "189", name: "until the last", given: at(10, 11, 12), req: withUntil(fromSeq(0), 12), want: "[0 1]"},
		{row: "190", name: "until and count 2", given: four, req: withUntil(withCount(fromSeq(0), 2), 3000), want: "[0 1]"},
		{row: "190", name: "until and count 10", given: four, req: withUntil(withCount(fromSeq(0), 10), 3000), want: "[0 1 2]"},
		{row: "190", name: "until and bytes of 2", given: four, req: withUntil(withBytes(fromSeq(0), 20), 3000), want: "[0 1]"},
		{row: "190", name: "until and bytes of 100", given: four, req: withUntil(withBytes(fromSeq(0), 1000), 3000), want: "[0 1 2]"},
		{row: "191", name: "timestamp and until", given: seven, req: withUntil(fromTimestamp(2000), 4500), want: "[1 2 3 4]"},
		{row: "219", name: "waits for nothing once it has a record", given: many(1), req: waiting(fromSeq(0), 10*time.Second), want: "[0]"},
	})
}

// Rows 167 and 168: more records than a batch holds.
func TestMoreThanABatch(t *testing.T) {
	for _, perAppend := range []int{1, 7, 1000} {
		m := newMem()
		for part := range slices.Chunk(many(1005), perAppend) {
			m.put(part...)
		}
		batch, err := readUnary(t, m, withCount(fromSeq(0), 2000))
		if err != nil || batch.Records.Len() > 1000 || batch.Records.Len() < 990 {
			t.Errorf("appends of %d: 167: unary read of %d records, %v", perAppend, batch.Records.Len(), err)
		}
		s := openRead(t, m, withCount(fromSeq(0), 2000), steady)
		var next uint64
		for {
			batch, err := s.Next(t.Context())
			if err != nil {
				if got := tell(batch, err); got != "end" || next != 1005 {
					t.Errorf("appends of %d: 168: %s after %d records", perAppend, got, next)
				}
				break
			}
			checkBatch(t, batch, next)
			next += uint64(batch.Records.Len())
		}
	}
}

// checkBatch checks a catch-up batch that holds the records from next on without a gap.
func checkBatch(t *testing.T, batch protocol.ReadBatch, next uint64) {
	t.Helper()
	recs := batch.Records
	if recs.Len() == 0 || recs.Len() > protocol.MaxBatchRecords || recs.MeteredSize() > protocol.MaxBatchBytes {
		t.Errorf("batch of %d records, %d bytes", recs.Len(), recs.MeteredSize())
	}
	parsed, err := protocol.ParseRecords(recs.Wire())
	if err != nil || parsed.Len() != recs.Len() || parsed.MeteredSize() != recs.MeteredSize() ||
		parsed.First() != recs.First() || parsed.Last() != recs.Last() {
		t.Errorf("the batch's facts do not match its bytes: %v", err)
	}
	for rec := range recs.All() {
		if rec.SeqNum != next {
			t.Fatalf("seq_num %d, want %d", rec.SeqNum, next)
		}
		next++
	}
}

// Row 167 exactly: single-record appends fill the batch to the brim.
func TestUnaryCountIsCapped(t *testing.T) {
	m := newMem(many(1005)...)
	batch, err := readUnary(t, m, withCount(fromSeq(0), 2000))
	if err != nil || batch.Records.Len() != 1000 || batch.Records.First().SeqNum != 0 {
		t.Errorf("167: %d records, %v", batch.Records.Len(), err)
	}
	m.put(many(1000)...)
	m.trim(500)
	batch, err = readUnary(t, m, withCount(fromSeq(0), 2000))
	if err != nil || batch.Records.Len() != 1000 || batch.Records.First().SeqNum != 500 {
		t.Errorf("a limit that cuts inside a run: %d records, %v", batch.Records.Len(), err)
	}
}

// Appendix A.9: limits of a session.
func TestSessionLimits(t *testing.T) {
	half := sized(1<<19+1, 1, 2)
	testSession(t, []readCase{
		{row: "168", name: "count", given: many(5), req: withCount(fromSeq(0), 3), want: "[0 1 2], end"},
		{row: "173", name: "bytes of one less 1", given: many(2), req: withBytes(fromSeq(0), 9), want: "end"},
		{row: "180", name: "count 0", given: many(2), req: withCount(fromSeq(0), 0), want: "end"},
		{row: "183", name: "count 0 at the tail with wait", given: at(7), req: waiting(withCount(fromSeq(1), 0), time.Second), want: "end"},
		{row: "185", name: "count max", given: many(3), req: withCount(fromSeq(0), math.MaxUint64), want: "[0 1 2] tail {3, 2}, end"},
		{row: "185", name: "all limits max", given: many(3), req: withUntil(withBytes(withCount(fromSeq(0), math.MaxUint64), math.MaxUint64), math.MaxUint64), want: "[0 1 2] tail {3, 2}, end"},
		{row: "187", name: "until", given: at(1000, 2000), req: withUntil(fromSeq(0), 2000), want: "[0], end"},
		{row: "197", name: "two records of half a MiB and 1", given: half, req: withCount(fromSeq(0), 10), want: "[0], [1] tail {2, 2}, end"},
		{row: "223", name: "unbounded, wait 0", given: many(5), req: waiting(fromSeq(0), 0), want: "[0 1 2 3 4] tail {5, 4}, end"},
		{row: "224", name: "bounded, wait 0, at the tail", given: at(7), req: waiting(withCount(fromSeq(1), 1), 0), want: "refused: unwritten {1, 7}"},
		{row: "247", name: "all records gone", given: many(5), trimmed: 5, req: withCount(fromSeq(0), 10), want: "end"},
		{row: "248", name: "all records gone, wait 1", given: many(5), trimmed: 5, req: waiting(withCount(fromSeq(0), 10), time.Second), want: "beat {5, 4}, end", took: time.Second},
		{row: "248", name: "all records gone, count 0, wait 1", given: many(5), trimmed: 5, req: waiting(withCount(fromSeq(0), 0), time.Second), want: "end"},
	})
}

func TestRow196BatchesOf1000And1(t *testing.T) {
	s := openRead(t, newMem(many(1001)...), withCount(fromSeq(0), 5000), steady)
	for _, want := range []int{1000, 1} {
		batch, err := s.Next(t.Context())
		reached := batch.Records.Len() == 1
		if err != nil || batch.Records.Len() != want || (batch.Tail != nil) != reached {
			t.Fatalf("got %d records, tail %v, %v; want %d", batch.Records.Len(), batch.Tail, err, want)
		}
	}
	if got := s.next(t); !strings.HasSuffix(got, " end") {
		t.Error(got)
	}
}

// Rows 192 to 195: what is left of a limit.
func TestLimitSpending(t *testing.T) {
	limit := func(count, bytes uint64) protocol.Limit { return protocol.Limit{Count: count, Bytes: bytes} }
	const none = math.MaxUint64
	for _, c := range []struct {
		row       string
		limit     protocol.Limit
		count     int
		bytes     uint64
		left      protocol.Limit
		exhausted bool
	}{
		{"192", limit(100, none), 10, 0, limit(90, none), false},
		{"192", limit(100, none), 100, 0, limit(0, none), true},
		{"193", limit(none, 100), 0, 99, limit(none, 1), false},
		{"194", limit(50, 50), 40, 45, limit(10, 5), false},
		{"195", limit(50, 50), 51, 45, limit(0, 5), true},
	} {
		got := c.limit.Spend(c.count, c.bytes)
		if got != c.left || got.Exhausted() != c.exhausted {
			t.Errorf("%s: %+v, exhausted %v", c.row, got, got.Exhausted())
		}
	}
}

func TestRow198ConcurrentReads(t *testing.T) {
	m := newMem(many(20)...)
	var readers sync.WaitGroup
	for range 10 {
		readers.Go(func() {
			if got := tellAll(t.Context(), m, withCount(fromSeq(0), 100)); got != "[0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19] tail {20, 19}, end" {
				t.Error(got)
			}
		})
	}
	readers.Wait()
	m.checkHeld(t, 0)
}
