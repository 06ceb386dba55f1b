package broker

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
)

// TestBallast: it costs at most a part of the memory limit, and the environment comes first.
func TestBallast(t *testing.T) {
	for _, tt := range []struct {
		name  string
		limit int64
		gogc  string
		want  int64
	}{
		{"much memory", 16 << 30, "", ballastBytes},
		{"without a limit", math.MaxInt64, "", ballastBytes},
		{"little memory", 128 << 20, "", 16 << 20},
		{"by the environment", 16 << 30, "400", 0},
		{"no collector", 16 << 30, "off", 0},
	} {
		if got := ballastFor(tt.limit, tt.gogc); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// TestBallastGivesWay: it is dropped when much is used, for good; the memory limit of the runtime counts it.
func TestBallastGivesWay(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	const limit, size = 1 << 40, 1 << 20
	b := &ballast{limit: limit, size: size}
	b.mu.Lock()
	b.takeLocked()
	b.mu.Unlock()
	for _, tt := range []struct {
		live uint64
		want uint64
	}{
		{0, size}, {ballastDrop, size}, {ballastDrop + size, size}, {ballastDrop + size + 1, 0}, {ballastDrop, 0}, {0, 0},
	} {
		b.mu.Lock()
		b.adjustLocked(tt.live)
		b.mu.Unlock()
		if got := b.heldBytes(); got != tt.want {
			t.Fatalf("%d of %d bytes are held while %d live", got, size, tt.live)
		}
		if got := debug.SetMemoryLimit(-1); got != limit+int64(tt.want) {
			t.Fatalf("the limit is %d while %d bytes are held", got, tt.want)
		}
	}
}

// TestBallastCostsNoPages: neither in fresh memory nor in memory that was used before.
func TestBallastCostsNoPages(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the pages of a ballast in used memory stay")
	}
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	used := make([]byte, ballastBytes)
	for i := 0; i < len(used); i += 4096 {
		used[i] = 1
	}
	runtime.KeepAlive(used)
	runtime.GC()
	for range 2 {
		debug.FreeOSMemory()
		idle := resident(t)
		b := &ballast{limit: math.MaxInt64, size: ballastBytes}
		b.mu.Lock()
		b.takeLocked()
		b.mu.Unlock()
		if grown := resident(t) - idle; grown > ballastBytes/2 {
			t.Errorf("the ballast costs %d bytes", grown)
		}
		runtime.KeepAlive(b)
	}
}

// resident is how many bytes of the process are in memory.
func resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var all, pages int
	if _, err := fmt.Sscan(string(text), &all, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
