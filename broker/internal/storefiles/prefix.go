package storefiles

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A Cut says where the records of a stream end after the records behind a hole were taken away.
type Cut struct {
	Stream string
	// Last is the sequence of the last record that is left.
	Last uint64
	// Damage is the fault that was found there.
	Damage *DamageError
	// Moved are the blocks behind it, where they are now.
	Moved []string
}

// CutAtHole makes the records of the stream in dir a prefix of those that were written. JetStream drops the bytes at the end
// of a block that it cannot read and goes on with the next one; after a power cut that leaves a hole where unsynced records
// were, and newer records behind it.
//
// Blocks that were last written before since are taken for whole, and so are those that the server encrypts. The blocks
// behind a hole are moved to the directory aside. It returns nil if there is no hole.
func CutAtHole(dir string, since time.Time, aside string) (*Cut, error) {
	name := filepath.Base(dir)
	blocks, err := Blocks(dir)
	if err != nil {
		return nil, err
	}
	last := uint64(0)
	for i, path := range blocks {
		if i == len(blocks)-1 {
			return nil, nil // JetStream cuts this one by itself
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("look at a block: %w", err)
		}
		if info.ModTime().Before(since) && info.Size() > 0 {
			continue
		}
		end, damage, err := blockEnd(name, path)
		if errors.Is(err, ErrEncrypted) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		last = max(last, end)
		if damage == nil {
			continue
		}
		cut := &Cut{Stream: name, Last: last, Damage: damage}
		if cut.Moved, err = moveAside(blocks[i+1:], filepath.Join(aside, name)); err != nil {
			return nil, err
		}
		index := filepath.Join(dir, msgsDir, indexFile)
		if err := os.Remove(index); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("remove an index that is out of date: %w", err)
		}
		return cut, SyncDir(filepath.Join(dir, msgsDir))
	}
	return nil, nil
}

// blockEnd is the highest sequence in a block, and where it stops making sense.
func blockEnd(name, path string) (last uint64, damage *DamageError, err error) {
	b, err := ReadBlock(path)
	if errors.As(err, &damage) {
		return 0, damage, nil
	}
	if err != nil {
		return 0, nil, err
	}
	if len(b) == 0 {
		return 0, &DamageError{Path: path, Reason: "it is empty"}, nil
	}
	for r, err := range Records(name, path, b) {
		if errors.As(err, &damage) {
			return last, damage, nil
		}
		if err != nil {
			return 0, nil, err
		}
		last = max(last, r.Seq)
	}
	return last, nil, nil
}

func moveAside(paths []string, to string) ([]string, error) {
	if err := os.RemoveAll(to); err != nil {
		return nil, fmt.Errorf("make room for blocks behind a hole: %w", err)
	}
	if err := os.MkdirAll(to, 0o750); err != nil {
		return nil, fmt.Errorf("make room for blocks behind a hole: %w", err)
	}
	var moved []string
	for _, from := range paths {
		at := filepath.Join(to, filepath.Base(from))
		if err := os.Rename(from, at); err != nil {
			return nil, fmt.Errorf("move a block behind a hole: %w", err)
		}
		moved = append(moved, at)
	}
	return moved, SyncDir(to)
}
