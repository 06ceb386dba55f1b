package storedir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// A directory goes although files are made in it while it is removed.
func TestFilesThatComeLate(t *testing.T) {
	var dir string
	var server sync.WaitGroup
	defer server.Wait()
	t.Run("server", func(t *testing.T) {
		dir = New(t)
		below := filepath.Join(dir, "streams", "batches")
		if err := os.MkdirAll(below, 0o700); err != nil {
			t.Fatal(err)
		}
		server.Go(func() {
			for range 1000 {
				if f, err := os.CreateTemp(below, "late"); err == nil {
					f.Close()
				}
			}
		})
	})
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is there: %v", err)
	}
}
