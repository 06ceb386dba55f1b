package durable

import (
	"fmt"
	"os"
	"path/filepath"
)

// ProbeName is the file in the store directory that a probe writes to.
const ProbeName = "weir.probe"

// NewProbe returns a function that fails if the file system of dir takes no writes any more, and one that frees it. It
// costs one small write to the page cache.
//
// It is for writes that JetStream has synced: a sync that a failure of the file system's journal overtakes may return without an
// error (seen with ext4), and a write behind it does not.
func NewProbe(dir string) (check func() error, closeProbe func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, ProbeName), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open the probe of the store: %w", err)
	}
	check = func() error {
		_, err := f.WriteAt([]byte{'.'}, 0)
		return err
	}
	return check, func() { f.Close() }, nil
}
