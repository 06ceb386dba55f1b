package broker

import (
	"context"
	"log/slog"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

const mib = 1 << 20

// TestHeapFloor: the floor is in force while little lives, and comes back when little has lived for some collections and the process
// is no larger.
func TestHeapFloor(t *testing.T) {
	use := func(live, other, held int64) heapUse { return heapUse{live * mib, other * mib, held * mib} }
	small, large := use(20, 18, 100), use(80, 18, 180)
	for _, tt := range []struct {
		name string
		uses []heapUse
		want []bool
	}{
		{"at the start", []heapUse{small}, []bool{true}},
		{"a start with much", []heapUse{large}, []bool{false}},
		{"half of the room", []heapUse{small, use(55, 18, 128), use(56, 18, 128)}, []bool{true, true, false}},
		{"stacks take room", []heapUse{small, use(30, 60, 128), use(35, 60, 128), use(1, 130, 140)}, []bool{true, true, false, false}},
		{"back after three collections", []heapUse{small, large, small, small, small}, []bool{true, false, false, false, true}},
		{"in turn", []heapUse{small, large, small, small, large, small, small, small}, []bool{true, false, false, false, false, false, false, true}},
		{"neither little nor much", []heapUse{small, use(40, 18, 128), large, use(40, 18, 90), use(40, 18, 90), use(40, 18, 90), use(40, 18, 90)},
			[]bool{true, true, false, false, false, false, false}},
		{"free pages after a peak", []heapUse{small, large, use(20, 18, 300), use(20, 18, 300), use(20, 18, 129), use(20, 18, 128), small, small},
			[]bool{true, false, false, false, false, false, false, true}},
	} {
		f := heapFloor{floor: 128 * mib, small: floorAgain - 1}
		for i, u := range tt.uses {
			if got := f.after(u); got != tt.want[i] {
				t.Errorf("%s: after %d collections: %v, want %v", tt.name, i+1, got, tt.want[i])
			}
		}
	}
}

func TestFloorFits(t *testing.T) {
	for _, tt := range []struct {
		name    string
		limit   int64
		percent uint64
		gogc    string
		want    bool
	}{
		{"no limit", math.MaxInt64, 100, "", true},
		{"a limit well above", 512 * mib, 100, "", true},
		{"a limit that is near", 511 * mib, 100, "", false},
		{"GOGC", math.MaxInt64, 100, "100", false},
		{"GOGC=off", math.MaxInt64, math.MaxUint64, "off", false},
		{"SetGCPercent", math.MaxInt64, 50, "", false},
	} {
		if got := floorFits(128*mib, tt.limit, tt.percent, tt.gogc); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// TestHeapKeeper: the settings of the runtime follow what lives, and are as they were in the end.
func TestHeapKeeper(t *testing.T) {
	if os.Getenv("GOGC") != "" {
		t.Skip("GOGC is set")
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64))
	runtime.GC()
	floor := 4*readHeapUse().held + 64*mib
	k := heapKeeper{floor: floor, log: slog.New(slog.DiscardHandler)}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		k.run(ctx)
	}()
	// until collects garbage until the settings are those.
	until := func(percent uint64, limit int64) {
		t.Helper()
		for began := time.Now(); ; runtime.GC() {
			p, l := collectorSettings()
			if p == percent && l == limit && k.inForce.Load() == (percent == floorPercent) {
				return
			}
			if time.Since(began) > 2*time.Minute { // only a hang takes so long
				t.Fatalf("the percentage is %d and the limit %d, want %d and %d", p, l, percent, limit)
			}
		}
	}
	until(floorPercent, floor)
	much := make([]byte, floor)
	until(usualPercent, math.MaxInt64)
	runtime.KeepAlive(much) // until here
	debug.FreeOSMemory()
	until(floorPercent, floor)
	stop()
	<-ended
	until(usualPercent, math.MaxInt64)
}

// TestMemoryHasOneOwner: of several brokers of a process one owns the settings of the runtime, until it stops.
func TestMemoryHasOneOwner(t *testing.T) {
	limit := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(limit)
	first, second := memoryOwner(t), memoryOwner(t)
	if !first.ownMemory() || second.ownMemory() {
		t.Error("not the first one owns the settings")
	}
	first.endLife()
	first.workers.Wait()
	if !second.ownMemory() {
		t.Error("no broker owns the settings after the first has stopped")
	}
	second.endLife()
	second.workers.Wait()
	if percent, _ := collectorSettings(); os.Getenv("GOGC") == "" && percent != usualPercent {
		t.Errorf("GOGC is %d in the end", percent)
	}
}

func memoryOwner(t *testing.T) *Broker {
	b := &Broker{log: slog.New(slog.DiscardHandler)}
	b.life, b.endLife = context.WithCancel(t.Context())
	return b
}
