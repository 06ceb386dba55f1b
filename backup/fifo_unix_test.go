//go:build unix

package backup_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/weirstream/weir/backup"
)

// TestVerifyReadsRegularFilesOnly: a FIFO in the place of a file is damage. Opening it would wait for a writer for ever.
func TestVerifyReadsRegularFilesOnly(t *testing.T) {
	for _, name := range []string{"manifest.json", "catalog"} {
		t.Run(name, func(t *testing.T) {
			dir := small(t, backup.SaveOptions{})
			found, err := filepath.Glob(filepath.Join(dir, name+"*"))
			if err != nil || len(found) != 1 {
				t.Fatal(found, err)
			}
			must(t, os.Remove(found[0]))
			must(t, syscall.Mkfifo(found[0], 0o600))
			_, err = backup.Verify(t.Context(), dir, nil)
			var damage *backup.DamagedError
			if !errors.As(err, &damage) || damage.Path != found[0] {
				t.Errorf("got %v, want damage of %s", err, found[0])
			}
		})
	}
}
