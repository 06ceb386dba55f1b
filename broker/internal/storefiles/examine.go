package storefiles

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/minio/highwayhash"
	"github.com/nats-io/nats-server/v2/server"
)

// A Fault is something wrong with the files of a stream that can be mended without losing a record.
type Fault struct {
	Stream string
	// Dir is the stream's directory.
	Dir string
	// What describes the fault, Mending the repair.
	What, Mending string
	mend          func() error
}

// Mend removes the fault. It syncs the files that it changes.
func (f Fault) Mend() error {
	if err := f.mend(); err != nil {
		return fmt.Errorf("mend %s (%s): %w", f.Dir, f.What, err)
	}
	return nil
}

func (f Fault) String() string { return f.Stream + ": " + f.What + ": " + f.Mending }

// Examine looks for the faults that a crash or a power cut leaves behind in the directory of a stream. It reads no records
// unless the stream's description is bad.
//
// It finds:
//   - a stream that was being made: its description or the checksum of it is missing or empty, and there are no records;
//   - a description that is whole beside a checksum of the one before it;
//   - an index of an empty stream that JetStream would believe, because the newest block ends in zeros as well;
//   - files that were about to take the place of others.
func Examine(dir string) ([]Fault, error) {
	name := filepath.Base(dir)
	var faults []Fault
	add := func(what, mending string, mend func() error) {
		faults = append(faults, Fault{name, dir, what, mending, mend})
	}
	meta, err := os.ReadFile(filepath.Join(dir, metaFile))
	if errors.Is(err, fs.ErrNotExist) {
		meta, err = nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the description of a stream: %w", err)
	}
	sum, err := os.ReadFile(filepath.Join(dir, sumFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the description of a stream: %w", err)
	}
	if want := sumOf(name, meta); string(sum) != want {
		any, err := hasRecords(dir)
		switch {
		case err != nil:
			return nil, err
		case !any:
			add("it was being made or deleted when the broker or the machine stopped, and holds no records", "its directory is removed", func() error { return removeDir(dir) })
			return faults, nil
		case !encrypted(dir) && describes(meta, name):
			add("its description is whole, and the checksum beside it belongs to another", "the checksum is written again",
				func() error { return replace(filepath.Join(dir, sumFile), []byte(want)) })
		}
	}
	blocks, err := Blocks(dir)
	if err != nil {
		return nil, err
	}
	index := filepath.Join(dir, msgsDir, indexFile)
	if _, err := os.Lstat(index); err == nil && len(blocks) > 0 {
		blank, err := endsInZeros(blocks[len(blocks)-1])
		if err != nil {
			return nil, err
		}
		if blank {
			add("its newest block ends in zeros, so that an index of an empty stream would be believed", "the index is removed, and JetStream reads the records instead",
				func() error { return remove(index) })
		}
	}
	left, err := leftovers(dir)
	if err != nil {
		return nil, err
	}
	for _, path := range left {
		add(filepath.Base(path)+" was about to take the place of another file, which is still there", "it is removed", func() error { return remove(path) })
	}
	return faults, nil
}

// sumOf is the text of the checksum file of a description.
func sumOf(name string, meta []byte) string {
	key := sha256.Sum256([]byte(name))
	hash, err := highwayhash.NewDigest64(key[:])
	if err != nil {
		return "" // the key has the right length
	}
	hash.Write(meta) //nolint:errcheck // a hash takes everything
	return hex.EncodeToString(hash.Sum(nil))
}

// describes reports whether b is a whole description of the stream.
func describes(b []byte, name string) bool {
	var info server.FileStreamInfo
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(&info) == nil && info.Name == name
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// removeDir removes a stream's directory. JetStream takes one whose name begins with a dot for one that is going.
func removeDir(dir string) error {
	parent, name := filepath.Split(filepath.Clean(dir))
	going := filepath.Join(parent, "."+strings.TrimPrefix(name, "."))
	if err := os.RemoveAll(going); err != nil {
		return err
	}
	if err := os.Rename(dir, going); err != nil {
		return err
	}
	if err := SyncDir(parent); err != nil {
		return err
	}
	return os.RemoveAll(going)
}

// replace puts a file in the place of another one, whole or not at all.
func replace(path string, b []byte) error {
	temp := path + tempExt
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// Description is the state of the file that describes a stream.
type Description uint8

// The states of descriptions.
const (
	// Whole: JetStream reads it, or [Examine] finds a way to mend it, or there are no records that need it.
	Whole Description = iota
	// Missing: there are records, and no description.
	Missing
	// Damaged: there are records, and JetStream cannot read the description.
	Damaged
)

// DescriptionOf looks at the description of the stream in dir. It reads no records.
func DescriptionOf(dir string) (Description, error) {
	any, err := hasRecords(dir)
	if err != nil || !any {
		return Whole, err
	}
	name := filepath.Base(dir)
	meta, err := os.ReadFile(filepath.Join(dir, metaFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Missing, nil
	case err != nil:
		return Whole, fmt.Errorf("read the description of a stream: %w", err)
	}
	sum, err := os.ReadFile(filepath.Join(dir, sumFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Whole, fmt.Errorf("read the description of a stream: %w", err)
	}
	if string(sum) != sumOf(name, meta) && (encrypted(dir) || !describes(meta, name)) {
		return Damaged, nil
	}
	return Whole, nil
}
