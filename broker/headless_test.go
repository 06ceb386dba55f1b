package broker_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/protocol"
)

// A crash in the middle of a deletion leaves a log without a description. Whether that is damage is for the catalog to
// say.
func TestHeadlessLogs(t *testing.T) {
	setUp := func(t *testing.T) (dir string, logs []string) {
		dir = t.TempDir()
		b := start(t, onDisk(dir))
		ensureBasin(t, b.Service())
		appendTo(t, b.Service(), "x")
		closeBroker(t, b)
		logs, err := filepath.Glob(filepath.Join(dir, "jetstream", "WEIR", "streams", "S2_LOG_*"))
		if err != nil || len(logs) == 0 {
			t.Fatalf("no logs: %v", err)
		}
		return dir, logs
	}
	behead := func(t *testing.T, logs []string) {
		for _, log := range logs {
			if err := os.Remove(filepath.Join(log, "meta.inf")); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Run("of a living basin", func(t *testing.T) {
		dir, logs := setUp(t)
		behead(t, logs)
		b, err := broker.Start(t.Context(), onDisk(dir))
		if err == nil {
			closeBroker(t, b)
			t.Fatal("the broker started without its records")
		}
		if !strings.Contains(err.Error(), "damaged") || !strings.Contains(err.Error(), logs[0]) {
			t.Fatalf("the message does not name the damaged log: %v", err)
		}
		if _, err := os.Stat(logs[0]); err != nil {
			t.Fatalf("the damaged log must stay: %v", err)
		}
	})
	t.Run("of a deleted basin", func(t *testing.T) {
		dir, logs := setUp(t)
		saved := t.TempDir()
		if err := os.CopyFS(saved, os.DirFS(filepath.Dir(logs[0]))); err != nil {
			t.Fatal(err)
		}
		b := start(t, onDisk(dir))
		page, err := b.Service().ListBasins(t.Context(), protocol.ListRequest{})
		if err != nil || len(page.Basins) != 1 {
			t.Fatalf("%+v, %v", page, err)
		}
		if err := b.Service().DeleteBasin(t.Context(), page.Basins[0].Name); err != nil {
			t.Fatal(err)
		}
		closeBroker(t, b)
		for _, log := range logs {
			if err := os.RemoveAll(log); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(log, os.DirFS(filepath.Join(saved, filepath.Base(log)))); err != nil {
				t.Fatal(err)
			}
		}
		behead(t, logs)
		closeBroker(t, start(t, onDisk(dir)))
		for _, log := range logs {
			if _, err := os.Stat(log); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s is still there: %v", log, err)
			}
		}
	})
}
