package natsd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/weirstream/weir/broker/internal/storefiles"
)

// StoreState is the result of [Inspect] on a store directory.
type StoreState struct {
	// Streams is how many JetStream streams of weir there are, and Bytes the size of all files of JetStream.
	Streams int
	Bytes   int64
	// Mode is the kind of broker that the directory belongs to; "" if that is not noted.
	Mode string
	// Stopped says that the last broker stopped in order. After a crash a start looks through the files. A node of a cluster does not, since it gets missing
	// records from the others: Stopped is always true there.
	Stopped bool
	// Refuses lists the obstacles to a start.
	Refuses []string
	// Mends lists the faults that the next start mends by itself.
	Mends []string
	// Lost lists the data that cannot be read any more, in the form of [Repair].
	Lost []string
}

// Inspect looks at the files of a store directory without changing any. If a broker runs on the directory, that is all that it
// finds. With deep it reads every record. A directory without a store has an empty state.
func Inspect(dir, prefix string, deep bool) (s StoreState, err error) {
	if _, err := os.Stat(filepath.Join(dir, server.JetStreamStoreDir)); errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	release, running, err := tryLock(dir)
	if err != nil {
		return s, err
	}
	if running != "" {
		s.Refuses = append(s.Refuses, running)
		return s, nil
	}
	defer func() { err = errors.Join(err, release()) }()
	mode, err := os.ReadFile(filepath.Join(dir, modeFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("the store directory %q cannot be read (%w): check its permissions", dir, err)
	}
	s.Mode = strings.TrimSpace(string(mode))
	_, err = os.Stat(filepath.Join(dir, cleanName))
	s.Stopped = err == nil || strings.HasPrefix(s.Mode, modeCluster)
	if err := checkMoved(dir, prefix); err != nil {
		s.Refuses = append(s.Refuses, err.Error())
	}
	if _, err := storeLimit(dir); err != nil {
		s.Refuses = append(s.Refuses, err.Error())
	}
	if s.Bytes, err = treeSize(filepath.Join(dir, server.JetStreamStoreDir)); err != nil {
		return s, err
	}
	dirs := newStoreCare(dir, streamsDir(dir, PrivateAccount), prefix, nil).dirs()
	s.Streams = len(dirs)
	for _, d := range dirs {
		if err := s.inspect(d, prefix, deep); err != nil {
			return s, err
		}
	}
	return s, nil
}

// inspect looks at the directory of a stream.
func (s *StoreState) inspect(dir, prefix string, deep bool) error {
	described, err := storefiles.DescriptionOf(dir)
	if err != nil {
		return err
	}
	switch {
	case described == storefiles.Damaged:
		s.Refuses = append(s.Refuses, fmt.Sprintf("%s: its description (%s) is damaged: JetStream does not recover it", dir, streamMetaFile))
	case described == storefiles.Missing && !isLog(prefix, filepath.Base(dir)):
		s.Refuses = append(s.Refuses, fmt.Sprintf("%s: it has records and no description (%s): JetStream does not recover it", dir, streamMetaFile))
	case described == storefiles.Missing: // as checkStore says
		s.Mends = append(s.Mends, fmt.Sprintf("%s: it has records and no description (%s): if no stream needs the log it was being deleted, and is removed; otherwise the start is refused",
			filepath.Base(dir), streamMetaFile))
	}
	faults, err := storefiles.Examine(dir)
	if err != nil {
		return err
	}
	for _, f := range faults {
		s.Mends = append(s.Mends, f.String())
	}
	if !deep {
		return nil
	}
	holes, err := storefiles.Survey(dir)
	if errors.Is(err, storefiles.ErrEncrypted) {
		return nil // holes cannot be found without the key
	}
	for _, h := range holes {
		s.Lost = append(s.Lost, h.String())
	}
	return err
}

// tryLock takes the lock of a store directory if there is one and it is free, and writes nothing. running says whether a process holds it.
func tryLock(dir string) (release func() error, running string, err error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return func() error { return nil }, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("the store directory %q cannot be read (%w): check its permissions", dir, err)
	}
	err = lockFile(f)
	switch {
	case errors.Is(err, errLocked):
		defer f.Close()
		return nil, fmt.Sprintf("a weir%s runs on the store directory %q; its files were not looked at", holder(f), dir), nil
	case err != nil:
		defer f.Close()
		return nil, "", fmt.Errorf("lock %q: %w; the store directory must be on a file system with file locks", f.Name(), err)
	}
	return f.Close, "", nil
}
