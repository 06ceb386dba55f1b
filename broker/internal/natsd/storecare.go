package natsd

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/broker/internal/storefiles"
)

const (
	// cleanName is the file in the store directory that says that everything in it was put on disk by an orderly stop and that
	// no broker has run on it since.
	cleanName = "weir.clean"
	// undoName is the directory that keeps the blocks as they were before an interrupted start.
	undoName = "weir.undo"
	// cutName is the directory for blocks that stood behind a hole.
	cutName = "weir.cut"
)

// storeCare looks after the files of weir's JetStream streams before the NATS server opens them and after it has closed
// them. A nil *storeCare does nothing.
type storeCare struct {
	dir     string // the store directory
	streams string // where the streams' directories are
	prefix  string // of the names of weir's streams, in upper case
	log     *slog.Logger
	undo    storefiles.Undo
	clean   bool // the last broker stopped in order
	failed  atomic.Bool
}

func newStoreCare(dir, streams, prefix string, log *slog.Logger) *storeCare {
	return &storeCare{dir: dir, streams: streams, prefix: strings.ToUpper(prefix), log: log, undo: storefiles.OpenUndo(filepath.Join(dir, undoName))}
}

// openStoreCare mends the faults that a crash or a power cut has left, so that the server recovers every record that is on
// disk, and keeps the blocks as they are until [storeCare.settled].
//
// unsynced is how long an acknowledged record may have been only in the page cache; 0: never. Then a power cut can leave holes in
// the logs, and the records behind a hole are moved away.
func openStoreCare(dir, streams, prefix string, unsynced time.Duration, log *slog.Logger) (*storeCare, error) {
	c := newStoreCare(dir, streams, prefix, log)
	switch err := os.Remove(filepath.Join(dir, cleanName)); {
	case err == nil:
		c.clean = true
		return c, storefiles.SyncDir(dir)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the store directory %q cannot be written (%w): give this user write permission", dir, err)
	}
	changed, err := c.undo.Restore(streams)
	if err != nil {
		return nil, err
	}
	if len(changed) > 0 {
		log.Warn("an earlier start was interrupted while JetStream recovered; its changes were undone", slog.Any("streams", changed))
	}
	for _, d := range c.dirs() {
		faults, err := storefiles.Examine(d)
		if err != nil {
			return nil, err
		}
		for _, f := range faults {
			if err := f.Mend(); err != nil {
				return nil, err
			}
			log.Warn("mended what a crash has left of a stream; no record was lost by it", slog.String("stream", f.Stream), slog.String("found", f.What), slog.String("done", f.Mending))
		}
	}
	if unsynced > 0 {
		if err := c.cutAtHoles(unsynced); err != nil {
			return nil, err
		}
	}
	return c, c.undo.Keep(c.dirs())
}

// cutAtHoles leaves a prefix of each log.
func (c *storeCare) cutAtHoles(unsynced time.Duration) error {
	newest, err := newestBlock(c.dirs())
	if err != nil {
		return err
	}
	for _, d := range c.dirs() {
		cut, err := storefiles.CutAtHole(d, newest.Add(-2*unsynced-time.Minute), filepath.Join(c.dir, cutName))
		if err != nil {
			return err
		}
		if cut != nil {
			c.log.Warn("a log has a hole where records were not on disk when the machine stopped; the records behind it are removed",
				slog.String("log", cut.Stream), slog.Uint64("last", cut.Last), slog.Any("damage", cut.Damage), slog.Any("moved", cut.Moved))
		}
	}
	c.log.Warn("the broker was not stopped in order. With durability interval, records that were acknowledged after the last sync are missing if the machine "+
		"stopped as well; each log is whole up to its end", slog.Duration("sync_interval", unsynced))
	return nil
}

// newestBlock is when any block was written last.
func newestBlock(dirs []string) (newest time.Time, err error) {
	for _, d := range dirs {
		blocks, err := storefiles.Blocks(d)
		if err != nil {
			return newest, err
		}
		for _, b := range blocks {
			info, err := os.Stat(b)
			if err != nil {
				return newest, fmt.Errorf("look at a block: %w", err)
			}
			if info.ModTime().After(newest) {
				newest = info.ModTime()
			}
		}
	}
	return newest, nil
}

// dirs are the directories of weir's streams.
func (c *storeCare) dirs() []string {
	entries, err := os.ReadDir(c.streams)
	if err != nil {
		return nil // missing, or about to be reported by the server itself
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(strings.TrimPrefix(e.Name(), "KV_"), c.prefix+"_") {
			dirs = append(dirs, filepath.Join(c.streams, e.Name()))
		}
	}
	return dirs
}

// settled puts on disk the files that the server has found and changed while it recovered. Nothing may be shown before: data
// in the page cache of a killed broker's machine is not safe yet.
func (c *storeCare) settled() error {
	if c == nil || c.clean {
		return nil
	}
	if err := storefiles.Sync(c.dir); err != nil {
		return err
	}
	return c.undo.Drop()
}

// distrust says that the store has failed, so that its content is not known to be on disk.
func (c *storeCare) distrust() {
	if c != nil {
		c.failed.Store(true)
	}
}

// closed puts on disk the last writes of the server, and says so to the next start.
func (c *storeCare) closed() error {
	if c == nil || c.failed.Load() {
		return nil
	}
	if err := storefiles.Sync(c.dir); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(c.dir, cleanName), os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("note the orderly stop in the store directory: %w", err)
	}
	f.Close()
	return storefiles.SyncDir(c.dir)
}
