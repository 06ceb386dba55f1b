package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// tmpfs mounts a small file system; ok is false where this user may not.
func tmpfs(t *testing.T, size string) (dir string, ok bool) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("weir-faults", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Logf("cannot mount: %v", err)
		return "", false
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir, true
}

// fill appends until the store refuses, and returns the refusal.
func fill(t *testing.T, b *instance, l *ledger, most int) error {
	t.Helper()
	for range most {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err := l.append(ctx, b.Service(), 8, 64<<10)
		cancel()
		if err != nil {
			return err
		}
	}
	t.Fatalf("%d appends of 512 KiB were all stored", most)
	return nil
}

// TestFaultStoreIsFull fills the store to its limit: appends are refused with the cause, nothing is stored in part, reads
// go on, and once the operator gives room and trims, appends work again without a restart.
func TestFaultStoreIsFull(t *testing.T) {
	dir, mounted := tmpfs(t, "64m")
	var cfg conf.Config
	if mounted {
		cfg = onDisk(filepath.Join(dir, "store"))
	} else {
		cfg = withNATS(t, onDisk(t.TempDir()), "jetstream { max_file_store: 60MB }")
	}
	b := start(t, cfg)
	l := newLedger(t, b.Service(), "full-basin", "s")
	other := newLedger(t, b.Service(), "full-basin", "other")
	other.mustAppend(t, b.Service(), 3, 10)

	for range 3 {
		err := fill(t, b, l, 200)
		if code := protocol.CodeOf(err); code != protocol.CodeStorage {
			t.Fatalf("refused with code %s: %v", code, err)
		}
		if msg := protocol.AsError(err).Message; !strings.Contains(msg, "storage") {
			t.Errorf("the refusal does not name the cause: %q", msg)
		}
	}
	refusedForWantOfRoom(t, b, l)
	l.verify(t, b.Service())
	other.verify(t, b.Service())
	select {
	case err := <-b.Done():
		t.Fatalf("a full store ended the broker: %v", err)
	default:
	}

	if !mounted {
		must(t, os.WriteFile(cfg.NATS.ConfigFile, []byte("jetstream { max_file_store: 70MB }"), 0o600))
	}
	must(t, b.Reload())
	tail, err := b.Service().CheckTail(t.Context(), l.ref)
	must(t, err)
	trim := tail.SeqNum - 1
	_, err = b.Service().Append(t.Context(), l.ref, protocol.AppendInput{Records: []protocol.Record{protocol.TrimRecord(trim)}})
	if err != nil {
		t.Fatalf("trim after a reload: %v", err)
	}
	l.noteTrim(trim)
	eventually(t, "appends work after the trim", func() bool {
		return l.append(t.Context(), b.Service(), 8, 64<<10) == nil
	})
	for range 10 {
		l.mustAppend(t, b.Service(), 8, 64<<10)
	}
	l.verify(t, b.Service())
	b.stop()

	b = start(t, cfg)
	l.verify(t, b.Service())
	other.verify(t, b.Service())
	l.mustAppend(t, b.Service(), 1, 10)
}

// refusedForWantOfRoom fills the rest of the store, and makes streams until one is refused: that is definite, and says so.
func refusedForWantOfRoom(t *testing.T, b *instance, l *ledger) {
	t.Helper()
	for size := 32 << 10; size >= 128; size /= 2 {
		for l.append(t.Context(), b.Service(), 1, size) == nil {
		}
	}
	for i := range 200 {
		stream := protocol.StreamName(fmt.Sprintf("late-%d", i))
		_, _, err := b.Service().CreateStream(t.Context(), l.ref.Basin, protocol.CreateStreamRequest{Stream: stream})
		if err == nil {
			continue
		}
		if e := protocol.AsError(err); e.Code != protocol.CodeStorage || e.Message != "the storage is full: nothing was changed" {
			t.Errorf("a creation in a full store: %s %q", e.Code, e.Message)
		}
		_, err = b.Service().GetStreamConfig(t.Context(), protocol.StreamRef{Basin: l.ref.Basin, Stream: stream})
		if protocol.CodeOf(err) != protocol.CodeStreamNotFound {
			t.Errorf("the stream whose creation was refused: %v", err)
		}
		return
	}
	t.Error("200 streams were created in a full store")
}

// TestFaultDiskIsFull lets something else fill the file system to the brim: JetStream gives up, the broker says so, no
// append hangs or lies, and a restart after room was made finds everything.
func TestFaultDiskIsFull(t *testing.T) {
	dir, mounted := tmpfs(t, "64m")
	if !mounted {
		t.Log("without a mount only the store's own limit can be reached, which TestFaultStoreIsFull does")
		return
	}
	cfg := onDisk(filepath.Join(dir, "store"))
	b := start(t, cfg)
	l := newLedger(t, b.Service(), "full-basin", "s")
	for range 20 {
		l.mustAppend(t, b.Service(), 8, 64<<10)
	}
	hog := hogDisk(t, filepath.Join(dir, "hog"))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	for ctx.Err() == nil {
		err := l.append(ctx, b.Service(), 8, 64<<10)
		if err == nil {
			continue // what the block file had room for
		}
		if code := protocol.CodeOf(err); code != protocol.CodeStorage {
			t.Fatalf("an append on a full disk failed with %s: %v", code, err)
		}
		break
	}
	cancel()
	select {
	case err := <-b.Done():
		if !strings.Contains(err.Error(), "disk") {
			t.Errorf("the broker ended with: %v", err)
		}
	case <-time.After(patience):
		t.Error("the broker does not report the full disk")
	}
	if err := l.append(t.Context(), b.Service(), 1, 10); protocol.CodeOf(err) != protocol.CodeStorage {
		t.Errorf("an append after the failure: %v", err)
	}
	l.verify(t, b.Service()) // reads go on
	began := time.Now()
	if err := b.close(); err != nil {
		t.Logf("close: %v", err)
	}
	if took := time.Since(began); took > patience {
		t.Errorf("the close took %v", took)
	}
	must(t, os.Remove(hog))

	b = start(t, cfg)
	l.verify(t, b.Service())
	for range 10 {
		l.mustAppend(t, b.Service(), 8, 64<<10)
	}
	l.verify(t, b.Service())
}

// hogDisk writes a file until nothing fits on the disk any more.
func hogDisk(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := io.CopyN(f, zeros{}, int64(size)); err != nil {
			if !errors.Is(err, unix.ENOSPC) {
				t.Fatal(err)
			}
			size /= 2
		}
	}
	return path
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
