// Package storedir makes directories for JetStream servers that run in the process of a test.
//
// Such a server may still store a part of an atomic batch when it has shut down: the goroutine that takes a stream's messages is not waited for. So a directory
// that is being removed may get new files.
package storedir

import (
	"os"
	"testing"
	"time"
)

// removeTime is how long a directory may get new files: only a hang takes so long.
const removeTime = time.Minute

// New makes a directory, which is removed when the test ends, as that of TempDir is: call it before the cleanup is registered that stops the server.
func New(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "weir-store-") //nolint:usetesting // that is removed once
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := remove(dir, removeTime); err != nil {
			t.Errorf("remove the directory of a server: %v", err)
		}
	})
	return dir
}

// remove removes a directory that may get new files meanwhile.
func remove(dir string, within time.Duration) (err error) {
	for end := time.Now().Add(within); ; time.Sleep(10 * time.Millisecond) {
		if err = os.RemoveAll(dir); err == nil || time.Now().After(end) {
			return err
		}
	}
}
