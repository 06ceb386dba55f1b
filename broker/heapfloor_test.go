package broker

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"testing"
	"time"
)

func TestPercentForAFloor(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		live, floor uint64
		want        int
	}{
		{0, 256 * mib, 6300},
		{32 * mib, 256 * mib, 700},
		{127 * mib, 256 * mib, 101},
		{200 * mib, 256 * mib, leastPercent},
		{300 * mib, 256 * mib, leastPercent},
		{1 * mib, 0, leastPercent},
	} {
		if got := percentFor(tt.live, tt.floor); got != tt.want {
			t.Errorf("%d MiB under a floor of %d MiB: %d %%, want %d", tt.live/mib, tt.floor/mib, got, tt.want)
		}
	}
	for limit, want := range map[int64]uint64{math.MaxInt64: heapFloor, 1 << 30: 128 * mib, 64 * mib: 8 * mib} {
		if got := floorUnder(limit); got != want {
			t.Errorf("floor of %d under a limit of %d, want %d", got, limit, want)
		}
	}
}

var held []byte

// The goal of the collector follows what is used: it is at the floor while that is little, and twice what is used when that is
// more. The end of the floor gives the percentage back.
func TestTheCollectorKeepsToTheFloor(t *testing.T) {
	t.Setenv("GOGC", "")
	before := debug.SetGCPercent(73)
	defer debug.SetGCPercent(before)
	const floor = 1 << 30
	ctx, end := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); holdFloor(ctx, floor) }()
	reaches := func(goal func(uint64) bool) {
		t.Helper()
		s := []runtimemetrics.Sample{{Name: "/gc/heap/goal:bytes"}}
		for began := time.Now(); ; runtime.GC() {
			runtimemetrics.Read(s)
			if goal(s[0].Value.Uint64()) {
				return
			}
			if time.Since(began) > time.Minute {
				t.Fatalf("the goal stays at %d", s[0].Value.Uint64())
			}
			time.Sleep(time.Millisecond)
		}
	}
	reaches(func(goal uint64) bool { return goal > floor/2 && goal < 2*floor })
	held = make([]byte, 256<<20)
	reaches(func(goal uint64) bool { return goal > floor/2 && goal < 3*floor/2 })
	held = nil
	reaches(func(goal uint64) bool { return goal > floor/2 && goal < 2*floor })
	end()
	<-done
	if percent := debug.SetGCPercent(before); percent != 73 {
		t.Errorf("the percentage is %d afterwards", percent)
	}
}
