package broker

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"sync/atomic"
)

const (
	// floorBytes is how large the process may become before garbage is collected, however little lives.
	floorBytes = 128 << 20
	// floorPart is the largest part of the memory limit that the floor may be.
	floorPart = 4
	// floorPercent is GOGC while the floor is in force: the limit alone says when garbage is collected.
	floorPercent = 10_000
	// floorAgain is how many collections in turn must find little before the floor is in force again.
	floorAgain = 3
	// usualPercent is the default of GOGC.
	usualPercent = 100
)

// heapUse is the memory of the runtime after a collection, in bytes.
type heapUse struct {
	live  int64 // objects that live
	other int64 // stacks, tables, and all else that is neither an object nor a free page of the heap
	held  int64 // all that is not given back to the system
}

// heapFloor decides whether the floor is in force: while little lives garbage is collected when the process has grown to a size, and
// not each time that it has doubled, which with 20 MiB is many times a second (docs/adr/0015). It is for one goroutine.
type heapFloor struct {
	floor   int64
	inForce bool
	small   int // collections in turn that found little
}

// after takes what a collection has left. The floor goes when more than half of its room lives, so that the runtime never collects
// more often because of it than it would without: how often it collects because of a limit has no other bound.
func (f *heapFloor) after(u heapUse) (inForce bool) {
	room := f.floor - u.other
	switch {
	case f.inForce:
		f.inForce = u.live <= room/2
		f.small = 0
	case u.live > room/4, u.held > f.floor: // under a limit below what is held it would collect without end
		f.small = 0
	default:
		f.small++
		f.inForce = f.small >= floorAgain
	}
	return f.inForce
}

// floorFits reports whether the floor suits the process: GOGC is not set, and the memory limit is well above the floor.
func floorFits(floor, limit int64, percent uint64, gogc string) bool {
	return gogc == "" && percent == usualPercent && floor <= limit/floorPart
}

// heapKeeper keeps the floor in force while it is right. Both settings of the runtime are its own until it has ended.
type heapKeeper struct {
	floor   int64
	log     *slog.Logger
	inForce atomic.Bool // for others to see
}

// run keeps the floor until ctx ends, and leaves the settings as they were. A limit bounds the process while GOGC does not: a percentage
// alone, which suits the little that lives, would still be in force when much more lives.
func (k *heapKeeper) run(ctx context.Context) {
	percent, limit := collectorSettings()
	if !floorFits(k.floor, limit, percent, os.Getenv("GOGC")) {
		return
	}
	set := func(inForce bool) {
		if inForce {
			debug.SetMemoryLimit(k.floor) // first, so that there is a bound at all times
			debug.SetGCPercent(floorPercent)
		} else {
			debug.SetGCPercent(int(percent))
			debug.SetMemoryLimit(limit)
		}
		k.inForce.Store(inForce)
		k.log.Debug("collection of garbage", slog.Bool("floor", inForce))
	}
	defer func() {
		if k.inForce.Load() {
			set(false)
		}
	}()
	f := heapFloor{floor: k.floor, small: floorAgain - 1}
	for collected := make(chan struct{}, 1); ; {
		if inForce := f.after(readHeapUse()); inForce != k.inForce.Load() {
			set(inForce)
		}
		afterCollection(collected)
		select {
		case <-collected:
		case <-ctx.Done():
			return
		}
	}
}

// afterCollection puts an element into c when the next collection is over, and at the latest when the one behind that begins: the
// runtime runs the cleanup when it has swept the memory.
func afterCollection(c chan<- struct{}) {
	type sentinel struct{ c chan<- struct{} } // the pointer makes it an object of its own
	runtime.AddCleanup(&sentinel{c}, func(c chan<- struct{}) {
		select {
		case c <- struct{}{}:
		default:
		}
	}, c)
}

func collectorSettings() (percent uint64, limit int64) {
	v := readMetrics("/gc/gogc:percent")
	return v[0], debug.SetMemoryLimit(-1)
}

func readHeapUse() heapUse {
	v := readMetrics("/memory/classes/total:bytes", "/memory/classes/heap/released:bytes", "/memory/classes/heap/objects:bytes",
		"/memory/classes/heap/free:bytes", "/gc/heap/live:bytes")
	held := v[0] - v[1]
	return heapUse{live: int64(v[4]), other: int64(held - v[2] - v[3]), held: int64(held)}
}

// readMetrics reads metrics of the runtime that count something.
func readMetrics(names ...string) []uint64 {
	var s []runtimemetrics.Sample
	for _, name := range names {
		s = append(s, runtimemetrics.Sample{Name: name})
	}
	runtimemetrics.Read(s)
	var values []uint64
	for i := range s {
		values = append(values, s[i].Value.Uint64())
	}
	return values
}
