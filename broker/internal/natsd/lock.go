package natsd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// lockName is the file in the store directory whose lock says that a broker runs on it. It holds that broker's
// process id, for people.
const lockName = "weir.lock"

// errLocked is the error of lockFile when another process holds the lock.
var errLocked = errors.New("the file is locked by another process")

// storeLock keeps a second broker off a store directory. The operating system gives the lock back when the process
// ends, however it ends, so a crash never leaves a stale one.
type storeLock struct{ f *os.File }

const (
	// lockWait is how long a start waits for the lock of another process: one that was killed a moment ago holds it until
	// the system has taken back its memory.
	lockWait = 5 * time.Second
	lockPoll = 20 * time.Millisecond
)

// lockStore makes the store directory if needed, checks that it can be written, and takes its lock.
func lockStore(ctx context.Context, dir string, log *slog.Logger) (*storeLock, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("the store directory %q cannot be made (%w): choose another store_dir, or make it and give this user write permission", dir, err)
	}
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("the store directory %q cannot be written (%w): give this user write permission, or choose another store_dir", dir, err)
	}
	if err := awaitLock(ctx, f, log); err != nil {
		defer f.Close()
		if errors.Is(err, errLocked) {
			return nil, fmt.Errorf("another weir%s runs on the store directory %q: stop it, or choose another store_dir", holder(f), dir)
		}
		return nil, fmt.Errorf("lock %q: %w; the store directory must be on a file system with file locks", path, err)
	}
	if err := writePID(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("the store directory %q cannot be written (%w): free space or give this user write permission", dir, err)
	}
	return &storeLock{f}, nil
}

// awaitLock takes the lock of f. It waits for a process that is on its way out, and not for a broker in this process.
func awaitLock(ctx context.Context, f *os.File, log *slog.Logger) error {
	err := lockFile(f)
	if !errors.Is(err, errLocked) || holder(f) == fmt.Sprintf(" (process %d)", os.Getpid()) {
		return err
	}
	log.Info("the store directory is locked by another process; waiting for its end", slog.String("holder", strings.TrimSpace(holder(f))),
		slog.Duration("at_most", lockWait))
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err = lockFile(f); !errors.Is(err, errLocked) {
				return err
			}
		case <-ctx.Done():
			return err
		}
	}
}

// release gives the lock back. The file stays: removing it would let two brokers lock two files of one name.
func (l *storeLock) release() error {
	if l == nil {
		return nil
	}
	return l.f.Close()
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}

// holder names the process that wrote its id into the lock file, where that can be read.
func holder(f *os.File) string {
	var b [32]byte
	n, _ := f.ReadAt(b[:], 0) // Best effort: the file may be mandatory-locked, and the id only helps people.
	if pid := strings.TrimSpace(string(b[:n])); pid != "" {
		return " (process " + pid + ")"
	}
	return ""
}
