package broker_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/broker"
)

// TestInspectStore: what it says of a store is what a start says after it, and it changes nothing.
func TestInspectStore(t *testing.T) {
	dir := t.TempDir()
	look := func(deep bool) broker.StoreState {
		t.Helper()
		before := tree(t, dir)
		s, err := broker.InspectStore(dir, "s2", deep)
		if err != nil {
			t.Fatal(err)
		}
		if after := tree(t, dir); !slices.Equal(before, after) {
			t.Errorf("it has changed the directory from %v to %v", before, after)
		}
		return s
	}
	if s := look(true); s.Streams != 0 || len(s.Refuses) > 0 {
		t.Errorf("an empty directory: %+v", s)
	}
	b := start(t, onDisk(dir))
	ensureBasin(t, b.Service())
	appendTo(t, b.Service(), "x")
	if s, err := broker.InspectStore(dir, "s2", true); err != nil || len(s.Refuses) != 1 || !strings.Contains(s.Refuses[0], "runs on the store directory") || s.Streams != 0 {
		t.Errorf("under a running broker: %+v, %v", s, err)
	}
	closeBroker(t, b)
	if s := look(true); !s.Stopped || s.Mode != "single" || s.Streams == 0 || s.Bytes == 0 || len(s.Refuses)+len(s.Mends)+len(s.Lost) > 0 {
		t.Errorf("a store in order: %+v", s)
	}

	logs, err := filepath.Glob(filepath.Join(dir, "jetstream", "WEIR", "streams", "S2_LOG_*"))
	if err != nil || len(logs) == 0 {
		t.Fatal(logs, err)
	}
	half := filepath.Join(filepath.Dir(logs[0]), "S2_LOG_express_63")
	if err := os.Mkdir(half, 0o750); err != nil {
		t.Fatal(err)
	}
	if s := look(false); len(s.Mends) != 1 || !strings.Contains(s.Mends[0], "S2_LOG_express_63") || len(s.Refuses) > 0 {
		t.Errorf("with a stream that was being made: %+v", s)
	}
	if err := os.Remove(half); err != nil {
		t.Fatal(err)
	}

	// A description that nobody can read refuses the start.
	meta := filepath.Join(logs[0], "meta.inf")
	whole, err := os.ReadFile(meta)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(meta, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if s := look(false); len(s.Refuses) != 1 || !strings.Contains(s.Refuses[0], filepath.Base(logs[0])) {
		t.Errorf("with a damaged description: %+v", s)
	}
	if b, err := broker.Start(t.Context(), onDisk(dir)); err == nil || !strings.Contains(err.Error(), filepath.Base(logs[0])) {
		t.Errorf("the start with a damaged description: %v", err)
		if err == nil {
			_ = b.Close(context.Background())
		}
	}
	if err := os.WriteFile(meta, whole, 0o600); err != nil {
		t.Fatal(err)
	}

	// A hole is found by those who read all records.
	if err := os.Truncate(filepath.Join(logs[0], "msgs", "1.blk"), 40); err != nil {
		t.Fatal(err)
	}
	if s := look(false); len(s.Lost) > 0 {
		t.Errorf("it has read records: %+v", s)
	}
	if s := look(true); len(s.Lost) != 1 || !strings.Contains(s.Lost[0], "1.blk is damaged") {
		t.Errorf("with a hole: %+v", s)
	}
}

// tree lists the files below dir, with their sizes and times.
func tree(t *testing.T, dir string) (out []string) {
	t.Helper()
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			out = append(out, path+" "+info.ModTime().String())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
