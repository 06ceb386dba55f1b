package catalog

import (
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

func TestDeadlineArithmetic(t *testing.T) {
	if d := newDeadline(100, 7, 20); d != (Deadline{727, 20}) {
		t.Fatal(d)
	}
	if d := newDeadline(100, ^uint64(0), 20); d != (Deadline{^uint64(0), 20}) {
		t.Fatalf("it does not saturate: %v", d)
	}
	if _, ok := (Deadline{10, 11}).cutoff(); ok {
		t.Fatal("a cut-off before the beginning of time")
	}
	if due, _, ok := Verdict([]Deadline{{10, 11}, {99, 1}}, 50); due != 1 || ok {
		t.Fatal(due, ok)
	}
	rec := StreamRecord{Config: protocol.ResolvedStreamConfig{DeleteOnEmptyMinAge: 5}}
	for i := range 3 * maxDeadlines {
		rec.ArmIdle(time.Unix(int64(1000+i), 0))
	}
	if ds := rec.Idle.Deadlines; len(ds) != maxDeadlines || ds[len(ds)-1].At != 1000+3*maxDeadlines-1+605 {
		t.Fatalf("%d deadlines: %v", len(ds), ds)
	}
}
