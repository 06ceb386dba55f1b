//go:build !linux

package storefiles

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Sync puts everything on disk that was written below dir, one file after the other.
func Sync(dir string) error {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Sync()
	})
	if err != nil {
		return fmt.Errorf("sync the files of %s: %w", dir, err)
	}
	return nil
}
