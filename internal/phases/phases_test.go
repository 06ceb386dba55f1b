package phases_test

import (
	"context"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/phases"
)

func TestCarry(t *testing.T) {
	type other struct{}
	life, end := context.WithCancel(context.WithValue(t.Context(), other{}, "life"))
	call, hangUp := context.WithCancel(context.WithValue(t.Context(), other{}, "call"))
	defer end()
	if got := phases.Carry(life, call); got != life {
		t.Error("a context without times is carried all the same")
	}
	times := &phases.Times{}
	got := phases.Carry(life, phases.With(call, times))
	if phases.From(got) != times {
		t.Error("the times are not carried")
	}
	if v := got.Value(other{}); v != "life" {
		t.Errorf("the context's own value is hidden by %v", v)
	}
	hangUp()
	if got.Err() != nil {
		t.Error("the context ends with the call")
	}
	derived, stop := context.WithCancel(got)
	defer stop()
	end()
	<-derived.Done()
	if got.Err() == nil {
		t.Error("the context does not end with its life")
	}
}

func TestTimesAreCopied(t *testing.T) {
	var times phases.Times
	now := time.Now()
	times.Begin(now)
	times.Ended(phases.Queue, now.Add(1))
	before := times.At()
	times.Ended(phases.Store, now.Add(2))
	times.Placed("LOG", 7)
	if after := times.At(); before.Sequence != 0 || !before.End[phases.Store].IsZero() ||
		after.Sequence != 7 || after.Log != "LOG" || !after.End[phases.Store].Equal(now.Add(2)) {
		t.Errorf("got %+v, then %+v", before, after)
	}
}

// TestUntracedCostsNothing: an append that nobody traces allocates nothing on the way.
func TestUntracedCostsNothing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if n := testing.AllocsPerRun(100, func() {
		if phases.From(ctx) != nil || phases.Carry(ctx, ctx) != ctx {
			t.Error("there are times")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
