package broker

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"sync"
)

const (
	ballastBytes = 64 << 20
	// ballastPart is the largest part of the memory limit that the ballast may cost.
	ballastPart = 8
	// ballastDrop is how much of the heap may live beside the ballast before it is dropped.
	ballastDrop = 40 << 20
)

// ballast is memory of the process that is never touched, so that the system gives no page for it. The collector counts it as used, and
// lets as much more garbage gather before it collects: a broker with few streams uses so little that garbage would be collected many
// times a second, and each time the appends of all basins wait (docs/adr/0015). Its cost is its size in garbage at most. When more is
// used anyway, it is dropped for good: taken up again after a peak, it would keep the collector from giving back what the peak has left.
type ballast struct {
	mu    sync.Mutex
	limit int64 // of the memory, without the ballast
	size  int64
	held  []byte
}

// theBallast is that of the process.
var theBallast ballast

// ballastFor is the size of the ballast under a memory limit; 0 if the environment says how the collector works.
func ballastFor(limit int64, gogc string) int64 {
	if gogc != "" {
		return 0
	}
	return min(ballastBytes, limit/ballastPart)
}

// limitTo takes the ballast up and sets the memory limit of the runtime, which counts the ballast; 0 leaves the limit as it is.
func (b *ballast) limitTo(limit int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	begun := b.limit != 0
	switch {
	case limit != 0:
		b.limit = limit
	case !begun:
		b.limit = debug.SetMemoryLimit(-1)
	}
	b.size = ballastFor(b.limit, os.Getenv("GOGC"))
	watched := b.held != nil
	b.held = nil
	b.takeLocked()
	if !watched && b.size > 0 {
		b.watch()
	}
}

func (b *ballast) takeLocked() {
	b.held = make([]byte, b.size)
	untouch(b.held) // it may be memory that was used before
	debug.SetMemoryLimit(min(b.limit, math.MaxInt64-b.size) + b.size)
}

// watch looks after each collection whether the ballast is to be dropped, until it is. The object that it leaves behind is collected by the
// next one.
func (b *ballast) watch() {
	type sentinel struct{ *ballast }
	runtime.AddCleanup(&sentinel{b}, func(b *ballast) {
		if b.look() {
			b.watch()
		}
	}, b)
}

// look drops the ballast if much is used, and reports whether it is still held.
func (b *ballast) look() (held bool) {
	s := []runtimemetrics.Sample{{Name: "/gc/heap/live:bytes"}}
	runtimemetrics.Read(s)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.adjustLocked(s[0].Value.Uint64())
	return b.held != nil
}

// adjustLocked is look for so many bytes that live in the heap, with the ballast.
func (b *ballast) adjustLocked(live uint64) {
	if b.held != nil && live > ballastDrop+uint64(len(b.held)) {
		b.held = nil
		debug.SetMemoryLimit(b.limit)
	}
}

// heldBytes is the size of the ballast now.
func (b *ballast) heldBytes() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return uint64(len(b.held))
}
