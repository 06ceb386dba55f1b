package broker

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	// memoryPart is the part of the available memory that the Go runtime may use: the rest is for the memory that it does not
	// see, the page cache of the store among it.
	memoryPart = 0.8
	// returnEvery is how often it is looked whether memory can be given back.
	returnEvery = 10 * time.Second
	// returnFrom is how much must be free in the heap, and at least twice as much as is used, before it is given back at once:
	// so it is after a peak, and not in the ordinary course of things. The runtime gives back the rest in its own time.
	returnFrom = 64 << 20
	// startReturn is how long after the start memory is given back once: when the first look at each stream is over, unless there
	// are very many.
	startReturn = 20 * time.Second
)

// memoryLimit is the limit for the Go runtime, and why; 0 if it stays as it is.
func memoryLimit(set int64, environment string, there memlimit.Provider) (limit int64, from string) {
	switch {
	case set != 0:
		return set, "memory_limit"
	case environment != "":
		return 0, "GOMEMLIMIT" // the runtime has read it
	}
	n, err := memlimit.ApplyRatio(there, memoryPart)()
	if err != nil || n == 0 || n > 1<<62 {
		return 0, "unknown"
	}
	return int64(n), "control group or machine"
}

// memoryOwned is true while a broker owns the settings of the runtime.
var memoryOwned atomic.Bool

// ownMemory sets the memory limit and keeps the floor of the heap, until the stop begins. It reports false, and does nothing, if another
// broker of the process does so: the first one counts.
func (b *Broker) ownMemory() bool {
	if !memoryOwned.CompareAndSwap(false, true) {
		return false
	}
	b.limitMemory()
	b.heap = heapKeeper{floor: floorBytes, log: b.log}
	b.workers.Go(func() {
		defer memoryOwned.Store(false)
		b.heap.run(b.life)
		<-b.life.Done()
	})
	return true
}

// limitMemory sets the limit of the Go runtime.
func (b *Broker) limitMemory() {
	limit, from := memoryLimit(b.cfg.MemoryLimit, os.Getenv("GOMEMLIMIT"), memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem))
	if limit != 0 {
		debug.SetMemoryLimit(limit)
	}
	b.log.Debug("memory limit", slog.Int64("bytes", debug.SetMemoryLimit(-1)), slog.String("from", from))
}

// returnMemory gives memory back to the system, once after the start, and after each peak, until ctx ends. A start reads the
// whole catalog, and then looks at each stream, which leaves garbage in proportion. While the floor is in force the process is small,
// and what it does not use is given back when it does little.
func returnMemory(ctx context.Context, heap *heapKeeper) {
	tick := time.NewTicker(returnEvery)
	defer tick.Stop()
	started := time.NewTimer(startReturn)
	defer started.Stop()
	var idle idleCollector
	for {
		select {
		case <-started.C:
			debug.FreeOSMemory()
		case <-tick.C:
			calm := idle.look()
			if free, used := heapFree(); free > returnFrom && free > 2*used && (calm || !heap.inForce.Load()) {
				debug.FreeOSMemory()
			}
		case <-ctx.Done():
			return
		}
	}
}

// idleCollector collects garbage once in a period in which the runtime has no reason to: objects that lived at the last
// collection, perhaps in the middle of a peak, may be garbage since.
type idleCollector struct {
	seen, own uint64 // collections until the last look, and until the last one that it began
}

// look reports whether the runtime had no reason to since the last look.
func (c *idleCollector) look() (calm bool) {
	cycles, heap := collections()
	calm = cycles == c.seen
	if calm && cycles != c.own && heap > returnFrom {
		runtime.GC()
		cycles, _ = collections()
		c.own = cycles
	}
	c.seen = cycles
	return calm
}

// collections is how often garbage was collected, and how many bytes of the heap are taken.
func collections() (cycles, heap uint64) {
	v := readMetrics("/gc/cycles/total:gc-cycles", "/memory/classes/heap/objects:bytes")
	return v[0], v[1]
}

// heapFree is how much of the heap is free or garbage and not given back, and how much is used.
func heapFree() (free, used uint64) {
	v := readMetrics("/memory/classes/heap/free:bytes", "/memory/classes/heap/unused:bytes", "/memory/classes/heap/objects:bytes", "/gc/heap/live:bytes")
	live := min(v[3], v[2])
	return v[0] + v[1] + v[2] - live, live
}
