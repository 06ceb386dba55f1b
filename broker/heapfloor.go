package broker

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
)

const (
	// heapFloor is how large the heap may grow before garbage is collected, however little of it is used. A broker with few
	// streams uses some 30 MiB and makes up to a gigabyte of garbage a second: without a floor it collected for a tenth of the time, and
	// the appends of all clients waited meanwhile (docs/adr/0015).
	heapFloor = 128 << 20
	// heapFloorPart is the part of the memory limit that the floor has at most.
	heapFloorPart = 8
	// leastPercent is the percentage of the Go runtime without a floor.
	leastPercent = 100
)

// floorUnder is the floor of the heap under a memory limit.
func floorUnder(limit int64) uint64 { return uint64(min(heapFloor, limit/heapFloorPart)) }

// percentFor is the percentage of garbage that lets a heap of which live bytes are used grow to the floor.
func percentFor(live, floor uint64) int {
	live = max(live, 4<<20) // the runtime counts its stacks and variables as well
	if live >= floor {
		return leastPercent
	}
	return int(max(leastPercent, (floor-live)*100/live))
}

// holdFloor keeps the goal of the collector at the floor or above it until ctx ends, unless the environment says how much garbage
// there may be (GOGC). Above the floor the collector works as it does without one, so that the floor adds nothing to a large heap.
func holdFloor(ctx context.Context, floor uint64) {
	if os.Getenv("GOGC") != "" {
		return
	}
	percent := percentFor(liveHeap(), floor)
	before := debug.SetGCPercent(percent)
	defer debug.SetGCPercent(before)
	collected := make(chan struct{}, 1)
	for {
		notifyCollected(collected)
		select {
		case <-collected:
		case <-ctx.Done():
			return
		}
		// Every change stops the world for a moment.
		if want := percentFor(liveHeap(), floor); want > percent+percent/8 || want < percent-percent/8 || want == leastPercent && percent != want {
			percent = want
			debug.SetGCPercent(percent)
		}
	}
}

// notifyCollected sends on ch after the next collection.
func notifyCollected(ch chan<- struct{}) {
	type sentinel struct{ _ *byte } // a pointer, so that it is an object of its own
	runtime.AddCleanup(new(sentinel), func(ch chan<- struct{}) {
		select {
		case ch <- struct{}{}:
		default:
		}
	}, ch)
}

// liveHeap is how many bytes were in use at the end of the last collection.
func liveHeap() uint64 {
	s := []runtimemetrics.Sample{{Name: "/gc/heap/live:bytes"}}
	runtimemetrics.Read(s)
	return s[0].Value.Uint64()
}
