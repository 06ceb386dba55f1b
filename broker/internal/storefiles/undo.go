package storefiles

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// An Undo keeps the block files of streams as they were before a NATS server opened them. While it recovers, a server may
// replace a block by a smaller one that is not synced, or remove it, and note the removal in a file that is not synced either
// (docs/adr/0012). If the power fails before everything is on disk, the next start puts the blocks back.
//
// It is a directory of hard links, so it costs no space but that of the files that were replaced. It is valid from the rename
// that gives it its name to the one that takes it away, and must be removed before anything new is acknowledged.
type Undo struct{ dir string }

// OpenUndo returns the undo directory at path, which need not be there.
func OpenUndo(path string) Undo { return Undo{path} }

// Restore puts back the blocks that an undo directory holds, if there is one, and returns the names of the streams that changed.
func (u Undo) Restore(streamsDir string) (changed []string, err error) {
	streams, err := os.ReadDir(u.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, os.RemoveAll(u.temp())
	}
	if err != nil {
		return nil, fmt.Errorf("read what an interrupted start has kept: %w", err)
	}
	for _, s := range streams {
		blocks, err := os.ReadDir(filepath.Join(u.dir, s.Name()))
		if err != nil {
			return nil, fmt.Errorf("read what an interrupted start has kept: %w", err)
		}
		msgs, touched := filepath.Join(streamsDir, s.Name(), msgsDir), false
		for _, b := range blocks {
			kept, now := filepath.Join(u.dir, s.Name(), b.Name()), filepath.Join(msgs, b.Name())
			if same(kept, now) {
				continue
			}
			if _, err := os.Lstat(msgs); errors.Is(err, fs.ErrNotExist) {
				continue // the stream was deleted as a whole, which is no business of a recovery
			}
			touched = true
			if err := putBack(kept, now); err != nil {
				return nil, err
			}
		}
		if !touched {
			continue
		}
		changed = append(changed, s.Name())
		if err := os.Remove(filepath.Join(msgs, indexFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("remove an index that is out of date: %w", err)
		}
		if err := SyncDir(msgs); err != nil {
			return nil, err
		}
	}
	return changed, u.Drop()
}

// putBack links a kept block to its old place, over the file that is there now.
func putBack(kept, now string) error {
	temp := now + tempExt
	err := os.Remove(temp)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		if err = os.Link(kept, temp); err == nil {
			err = os.Rename(temp, now)
		}
	}
	if err != nil {
		return fmt.Errorf("put back a block that an interrupted start has replaced: %w", err)
	}
	return nil
}

// Keep makes the undo directory for the streams in dirs. There must be none.
func (u Undo) Keep(dirs []string) error {
	if err := u.keep(dirs); err != nil {
		return fmt.Errorf("keep the blocks as they are before the start: %w", err)
	}
	return nil
}

func (u Undo) keep(dirs []string) error {
	if err := os.RemoveAll(u.temp()); err != nil {
		return err
	}
	if len(dirs) == 0 {
		return nil
	}
	for _, dir := range dirs {
		blocks, err := Blocks(dir)
		if err != nil {
			return err
		}
		to := filepath.Join(u.temp(), filepath.Base(dir))
		if err := os.MkdirAll(to, 0o750); err != nil {
			return err
		}
		for _, b := range blocks {
			if err := os.Link(b, filepath.Join(to, filepath.Base(b))); err != nil {
				return err
			}
		}
	}
	if err := Sync(u.temp()); err != nil {
		return err
	}
	if err := os.Rename(u.temp(), u.dir); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(u.dir))
}

// Drop removes the kept blocks. Everything that the server has written must be on disk.
func (u Undo) Drop() error {
	if err := u.drop(); err != nil {
		return fmt.Errorf("forget the blocks as they were before the start: %w", err)
	}
	return nil
}

func (u Undo) drop() error {
	if err := os.RemoveAll(u.temp()); err != nil {
		return err
	}
	if err := os.Rename(u.dir, u.temp()); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	if err := SyncDir(filepath.Dir(u.dir)); err != nil {
		return err
	}
	return os.RemoveAll(u.temp())
}

func (u Undo) temp() string { return u.dir + ".part" }

func same(a, b string) bool {
	x, errA := os.Lstat(a)
	y, errB := os.Lstat(b)
	return errA == nil && errB == nil && os.SameFile(x, y)
}
