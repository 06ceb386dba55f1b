package bench

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// TestGeneratedRecords: records have the size that was asked for, and the checker accepts exactly them.
func TestGeneratedRecords(t *testing.T) {
	for _, size := range []int{MinRecordSize, 1000, 8192, protocol.MaxBatchBytes} {
		g := newGenerator(size)
		var c checker
		for i := range 20 {
			r := g.record(uint64(i))
			if r.MeteredSize() != uint64(size) {
				t.Fatalf("%d bytes, want %d", r.MeteredSize(), size)
			}
			s := protocol.SequencedRecord{SeqNum: uint64(i), Headers: r.Headers, Body: r.Body}
			if err := c.check(&s); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestCheckerFindsFaults(t *testing.T) {
	records := func() (out []protocol.SequencedRecord) {
		g := newGenerator(MinRecordSize)
		for i := range 3 {
			r := g.record(0)
			out = append(out, protocol.SequencedRecord{SeqNum: uint64(i), Headers: r.Headers, Body: append([]byte(nil), r.Body...)})
		}
		return out
	}
	for name, tt := range map[string]struct {
		spoil func([]protocol.SequencedRecord) []protocol.SequencedRecord
		want  string
	}{
		"missing": {func(r []protocol.SequencedRecord) []protocol.SequencedRecord { return append(r[:1], r[2]) }, "got record 2, expected 1"},
		"twice":   {func(r []protocol.SequencedRecord) []protocol.SequencedRecord { return append(r[:2], r[1]) }, "got record 1, expected 2"},
		"changed": {func(r []protocol.SequencedRecord) []protocol.SequencedRecord { r[1].Body[5]++; return r }, "record 1 does not hold"},
		"bare":    {func(r []protocol.SequencedRecord) []protocol.SequencedRecord { r[2].Headers = nil; return r }, "record 2 does not hold"},
	} {
		var c checker
		var err error
		for _, r := range tt.spoil(records()) {
			if err == nil {
				err = c.check(&r)
			}
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
