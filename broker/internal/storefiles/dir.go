package storefiles

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	metaFile   = "meta.inf"
	sumFile    = "meta.sum"
	keyFile    = "meta.key"
	msgsDir    = "msgs"
	indexFile  = "index.db"
	blockExt   = ".blk"
	compactExt = ".new"
	tempExt    = ".tmp"
)

// Blocks returns the paths of the block files of the stream in dir, the oldest first.
func Blocks(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(dir, msgsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the blocks of a stream: %w", err)
	}
	var blocks []string
	for _, e := range entries {
		if filepath.Ext(e.Name()) == blockExt && blockNumber(e.Name()) > 0 {
			blocks = append(blocks, filepath.Join(dir, msgsDir, e.Name()))
		}
	}
	slices.SortFunc(blocks, func(a, b string) int { return blockNumber(filepath.Base(a)) - blockNumber(filepath.Base(b)) })
	return blocks, nil
}

// leftovers returns the files that JetStream was about to put in the place of others.
func leftovers(dir string) ([]string, error) {
	var found []string
	for _, d := range []string{dir, filepath.Join(dir, msgsDir)} {
		entries, err := os.ReadDir(d)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("list the files of a stream: %w", err)
		}
		for _, e := range entries {
			if ext := filepath.Ext(e.Name()); ext == compactExt || ext == tempExt || strings.HasPrefix(e.Name(), "_test_") {
				found = append(found, filepath.Join(d, e.Name()))
			}
		}
	}
	return found, nil
}

func encrypted(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, keyFile))
	return err == nil
}

// hasRecords reports whether a block of the stream holds anything that reads as a record, or as one of an encrypted store.
func hasRecords(dir string) (bool, error) {
	blocks, err := Blocks(dir)
	if err != nil {
		return false, err
	}
	for _, path := range blocks {
		any, err := holdsAny(dir, path)
		if any || err != nil {
			return any, err
		}
	}
	return false, nil
}

func holdsAny(dir, path string) (bool, error) {
	b, err := ReadBlock(path)
	if errors.Is(err, ErrEncrypted) {
		return !zeros(b), nil
	}
	if damage, ok := errors.AsType[*DamageError](err); ok {
		return damage.Size > 0, nil
	}
	if err != nil {
		return false, err
	}
	for _, err := range Records(filepath.Base(dir), path, b) {
		return err == nil, nil
	}
	return false, nil
}

func zeros(b []byte) bool { return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 }) }

// endsInZeros reports whether the last eight bytes of a file are zeros, or it has fewer.
func endsInZeros(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, fmt.Errorf("look at the end of a block: %w", err)
	}
	defer f.Close()
	var end [8]byte
	if _, err := f.Seek(-int64(len(end)), io.SeekEnd); err != nil {
		return true, nil // the file is shorter
	}
	if _, err := io.ReadFull(f, end[:]); err != nil {
		return false, fmt.Errorf("look at the end of a block: %w", err)
	}
	return end == [8]byte{}, nil
}

// SyncDir puts the names in a directory on disk.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync a directory: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync a directory: %w", err)
	}
	return nil
}
