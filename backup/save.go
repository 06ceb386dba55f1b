package backup

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/weirstream/weir/protocol"
)

// Source is a broker that can be copied from; package client has one.
type Source interface {
	ExportCatalog(ctx context.Context, req protocol.ExportCatalogRequest) (protocol.ExportCatalogPage, error)
	ExportChunks(ctx context.Context, req protocol.ExportChunksRequest) (protocol.ExportChunksPage, error)
	PurgedStreams(ctx context.Context, req protocol.PurgedStreamsRequest) (ids []string, err error)
}

// SaveOptions say how to copy. The zero value works.
type SaveOptions struct {
	// Basins are those that are wanted, without anything that belongs to no basin; none means everything.
	Basins []protocol.BasinName
	// Force allows a directory that holds a backup already, or the remains of one, which are removed first.
	Force bool
	// Compress writes zstd.
	Compress bool
	// Rate bounds the bytes a second that are asked for; 0 means no bound.
	Rate int64
	// PageBytes bounds one answer; 0 means 4 MiB.
	PageBytes int
	// Progress, if set, is called now and then.
	Progress func(Progress)
}

// Progress reports how far a backup or restore is.
type Progress struct {
	Phase string             // "copy", "verify", "restore" or "compare"
	Basin protocol.BasinName // "" outside a basin
	Bytes int64              // of chunks since the beginning of the phase
}

// DefaultBatchBytes bounds a message with chunks.
const DefaultBatchBytes = 4 << 20

// saver is a backup that is being made.
type saver struct {
	src      Source
	dir      string
	opts     SaveOptions
	pace     pace
	catalog  *writer
	manifest Manifest
	progress meter
}

// Save copies the store behind src into dir, which must be empty or not exist, reads it all again, and seals it with a
// manifest. On an error the directory holds no complete backup.
func Save(ctx context.Context, src Source, dir string, opts SaveOptions) (*Manifest, error) {
	if opts.PageBytes <= 0 {
		opts.PageBytes = DefaultBatchBytes
	}
	if err := reach(ctx, src); err != nil {
		return nil, err
	}
	if err := prepare(dir, opts.Force); err != nil {
		return nil, err
	}
	s := &saver{src: src, dir: dir, opts: opts, pace: pace{rate: opts.Rate}, progress: meter{phase: "copy", show: opts.Progress}}
	s.manifest.Format, s.manifest.Began = Format, time.Now().UTC()
	if err := s.copyAll(ctx); err != nil {
		return nil, err
	}
	m := &s.manifest
	slices.SortFunc(m.Files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	if err := check(ctx, dir, m, &meter{phase: "verify", show: opts.Progress}); err != nil {
		return nil, fmt.Errorf("the written backup cannot be read again: %w", err)
	}
	m.Ended = time.Now().UTC()
	return m, m.write(dir)
}

// write seals the backup.
func (m *Manifest) write(dir string) error {
	b, err := m.bytes()
	if err != nil {
		return err
	}
	w, err := create(dir, manifestName, uncompressed)
	if err != nil {
		return err
	}
	if _, err := w.Write(b); err != nil {
		w.abandon()
		return err
	}
	_, err = w.finish()
	return err
}

// prepare makes the directory, and with force clears it of an earlier backup. It makes no directory above: that is where a
// disk is mounted, or was to be.
func prepare(dir string, force bool) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	old, err := contents(dir)
	if err != nil {
		return err
	}
	if len(old) > 0 && !force {
		return fmt.Errorf("%s is not empty; choose another directory, or allow its backup to be replaced (--force)", dir)
	}
	for _, name := range old { // the manifest first: without it the rest is no backup
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, logsDir), 0o700); err != nil {
		return err
	}
	return syncDir(dir)
}

// contents lists the files in a directory if all of them belong to a backup, the manifest first.
func contents(dir string) (names []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir || d.IsDir() && path == filepath.Join(dir, logsDir) {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		base := strings.TrimSuffix(strings.TrimSuffix(name, tmpSuffix), zstdSuffix)
		ours := base == manifestName || base == catalogName || base == spoolName || strings.HasPrefix(base, logsDir+"/") && strings.HasSuffix(base, chunksSuffix)
		if d.IsDir() || !ours {
			return fmt.Errorf("%s does not belong to a backup; choose another directory", path)
		}
		names = append(names, name)
		return nil
	})
	slices.SortStableFunc(names, func(a, b string) int {
		switch {
		case a == manifestName:
			return -1
		case b == manifestName:
			return 1
		}
		return 0
	})
	return names, err
}

// copyAll writes the catalog and the logs.
func (s *saver) copyAll(ctx context.Context) (err error) {
	if s.catalog, err = create(s.dir, catalogName, compression(s.opts.Compress)); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.catalog.abandon()
		}
	}()
	var basins []entry
	if err := s.entries(ctx, "", func(e entry) error {
		switch {
		case e.basin != "" && s.wanted(e.basin):
			basins = append(basins, e)
		case e.basin == "" && len(s.opts.Basins) == 0:
			return writeEntry(s.catalog.Writer, e)
		}
		return nil
	}); err != nil {
		return err
	}
	for _, name := range s.opts.Basins {
		if !slices.ContainsFunc(basins, func(e entry) bool { return e.basin == name }) {
			return protocol.Errorf(protocol.CodeBasinNotFound, "basin %q does not exist", name)
		}
	}
	for _, b := range basins {
		if err := s.basin(ctx, b); err != nil {
			return fmt.Errorf("basin %s: %w", b.basin, err)
		}
	}
	f, err := s.catalog.finish()
	s.manifest.Files = append(s.manifest.Files, f)
	return err
}

func (s *saver) wanted(basin protocol.BasinName) bool {
	return len(s.opts.Basins) == 0 || slices.Contains(s.opts.Basins, basin)
}

// entries yields the streams of a basin, or with "" everything else.
func (s *saver) entries(ctx context.Context, basin protocol.BasinName, yield func(entry) error) error {
	req := protocol.ExportCatalogRequest{Basin: basin}
	for {
		var page protocol.ExportCatalogPage
		err := again(ctx, func(ctx context.Context) (err error) {
			page, err = s.src.ExportCatalog(ctx, req)
			return err
		})
		if err != nil {
			return err
		}
		s.manifest.Weir, s.manifest.Prefix = page.Version, page.Prefix
		for _, raw := range page.Entries {
			e, err := parseEntry(raw)
			if err != nil {
				return err
			}
			if err := yield(e); err != nil {
				return err
			}
			req.After = raw.Key
		}
		if !page.More || len(page.Entries) == 0 {
			return nil
		}
	}
}

// basin copies one basin: its streams' names, its logs, and then the entries of those streams that are still there. A
// stream that lives from the first look to the second has its chunks in the copies of the logs. One that came later is
// left out, and so are the chunks of one that went.
func (s *saver) basin(ctx context.Context, b entry) error {
	logs := map[int]map[id]*chain{}
	first := func(e entry) error {
		if logs[e.stream.Log] == nil {
			logs[e.stream.Log] = map[id]*chain{}
		}
		logs[e.stream.Log][e.id] = &chain{}
		return nil
	}
	gone := &protocol.Error{Code: protocol.CodeBasinNotFound}
	if err := s.entries(ctx, b.basin, first); err != nil {
		if errors.Is(err, gone) {
			return nil
		}
		return err
	}
	files, err := s.logs(ctx, b.basin, logs)
	if err == nil {
		err = s.secondLook(ctx, b, logs)
	}
	switch {
	case errors.Is(err, gone):
		return s.forget(b.basin, logs)
	case err != nil:
		return err
	}
	s.manifest.Files = append(s.manifest.Files, files...)
	return nil
}

// forget removes the copied files of a basin that was deleted meanwhile.
func (s *saver) forget(basin protocol.BasinName, logs map[int]map[id]*chain) error {
	for n := range logs {
		path := filepath.Join(s.dir, filepath.FromSlash(logName(basin, n)))
		if s.opts.Compress {
			path += zstdSuffix
		}
		for _, path := range []string{path, path + tmpSuffix} {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// secondLook writes the entries of a basin and of those of its streams that are still there. They go through a file of
// their own, because the basin may turn out to be deleted.
func (s *saver) secondLook(ctx context.Context, b entry, logs map[int]map[id]*chain) (err error) {
	spool, err := os.OpenFile(filepath.Join(s.dir, spoolName+tmpSuffix), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, spool.Close(), os.Remove(spool.Name())) }()
	lines := bufio.NewWriterSize(spool, 1<<18)
	if err := writeEntry(lines, b); err != nil {
		return err
	}
	if err := s.entries(ctx, b.basin, func(e entry) error {
		c, ok := logs[e.stream.Log][e.id]
		if !ok {
			return nil
		}
		if !c.whole() {
			return protocol.Errorf(protocol.CodeStorage,
				"the store is damaged: records of stream %q are missing before seq_num %d; read it to see which", e.stream.Name, c.next)
		}
		return writeEntry(lines, e)
	}); err != nil {
		return err
	}
	if err := lines.Flush(); err != nil {
		return err
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err = io.Copy(s.catalog, spool)
	return err
}

// writeEntry writes one line.
func writeEntry(w *bufio.Writer, e entry) error {
	line, err := json.Marshal(e.CatalogEntry)
	if err != nil {
		return fmt.Errorf("encode entry %q: %w", e.Key, err)
	}
	_, err = w.Write(append(line, '\n'))
	return err
}
