package durable

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstream/weir/adapter/internal/js"
)

func TestWaterFileName(t *testing.T) {
	dir := t.TempDir()
	var logged bytes.Buffer
	open := func() *Watermarks {
		t.Helper()
		m, err := OpenWatermarks(dir, slog.New(slog.NewTextHandler(&logged, nil)))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	m := open()
	for i, name := range []string{"a", "b", "c"} {
		m.Begin(name, 0)
		m.Set(name, js.Seq(10+i))
	}
	m.Set("b", 5)       // never back
	m.Set("unknown", 5) // not begun
	m.Remove("a")
	m.Begin("d", 0) // takes its slot
	m.Set("d", 20)
	m.Close()

	file := filepath.Join(dir, FileName)
	if info, err := os.Stat(file); err != nil || info.Size() != 3*slotSize {
		t.Fatalf("the file has %v, %v", info, err)
	}
	m = open()
	if got := m.All(); len(got) != 3 || got["b"] != 11 || got["c"] != 12 || got["d"] != 20 {
		t.Fatal(got)
	}
	m.Set("c", 99) // no log of that name is open
	m.Close()

	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[slotSize+6] ^= 1
	if err := os.WriteFile(file, append(data, "torn"...), 0o600); err != nil {
		t.Fatal(err)
	}
	m = open()
	if got := m.All(); len(got) != 2 || got["c"] != 12 || got["d"] != 20 {
		t.Fatal(got)
	}
	if !strings.Contains(logged.String(), "damaged") {
		t.Fatalf("the damage was not logged: %s", logged.String())
	}
	m.Begin("b", 0)
	m.Set("b", 30)
	m.Close()
	if got := open().All(); got["b"] != 30 || len(got) != 3 {
		t.Fatal(got)
	}
}

func FuzzSlot(f *testing.F) {
	f.Add("S2_LOG_b_0", uint64(7))
	f.Fuzz(func(t *testing.T, name string, seq uint64) {
		if name == "" || len(name) > maxSlotName {
			return
		}
		var buf [slotSize]byte
		encodeSlot(&buf, name, js.Seq(seq))
		if got, at, err := decodeSlot(&buf); err != nil || got != name || at != js.Seq(seq) {
			t.Fatalf("%q %d, %v", got, at, err)
		}
	})
}

func BenchmarkWatermark(b *testing.B) {
	m, err := OpenWatermarks(b.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	m.Begin("S2_LOG_test-basin_0", 0)
	for seq := js.Seq(1); b.Loop(); seq++ {
		m.Set("S2_LOG_test-basin_0", seq)
	}
}

// A suspended watermark says nothing on disk, and goes on from where it is when it is resumed.
func TestSuspendedWatermark(t *testing.T) {
	dir := t.TempDir()
	m, err := OpenWatermarks(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	onDisk := func() js.Seq {
		n, err := OpenWatermarks(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		return n.All()["log"]
	}
	m.Begin("log", 5)
	if seq := onDisk(); seq != 5 {
		t.Fatalf("it begins at %d", seq)
	}
	m.Suspend("log")
	m.Suspend("log")
	m.Set("log", 9)
	m.Resume("log")
	if seq := onDisk(); seq != 0 {
		t.Fatalf("suspended, it says %d", seq)
	}
	m.Resume("log")
	if seq := onDisk(); seq != 9 {
		t.Fatalf("resumed, it says %d", seq)
	}
	m.Resume("log")
	m.Suspend("other")
	m.Set("log", 10)
	if seq := onDisk(); seq != 10 {
		t.Fatalf("it says %d", seq)
	}
}
