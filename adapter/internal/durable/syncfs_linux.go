package durable

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// NewSyncFS returns a function that puts everything written to the file system of dir on disk, and one that frees it.
// The descriptor stays open: the kernel reports write-back errors that happened since it was opened (Linux 5.8).
func NewSyncFS(dir string) (sync func() error, closeFS func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("open store directory to sync it: %w", err)
	}
	return func() error { return unix.Syncfs(int(f.Fd())) }, func() { f.Close() }, nil
}
