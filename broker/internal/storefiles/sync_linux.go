package storefiles

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Sync puts everything on disk that was written to the file system of dir.
func Sync(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync a file system: %w", err)
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("sync the file system of %s: %w", dir, err)
	}
	return nil
}
