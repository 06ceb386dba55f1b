package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

// Verify reads a whole backup and reports the first thing in it that is not as it was written: a file that is missing,
// damaged or strange, a chunk that does not match its checksum, a stream with a gap.
func Verify(ctx context.Context, dir string, progress func(Progress)) (*Manifest, error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	found := *m
	if err := check(ctx, dir, &found, &meter{phase: "verify", show: progress}); err != nil {
		return nil, err
	}
	if found.counts() != m.counts() {
		return nil, damaged(filepath.Join(dir, manifestName), errors.New("its counts are not those of the files"))
	}
	return m, nil
}

// counts are a manifest's figures for the whole backup.
type counts struct {
	basins, streams, tokens  int
	chunks, records, metered uint64
}

func (m *Manifest) counts() counts {
	return counts{m.Basins, m.Streams, m.Tokens, m.Chunks, m.Records, m.Metered}
}

// check reads all files that the manifest names and sets its counts to theirs.
func check(ctx context.Context, dir string, m *Manifest, progress *meter) error {
	if err := nothingElse(dir, m); err != nil {
		return err
	}
	logs, err := m.logs(dir)
	if err != nil {
		return err
	}
	c := checker{dir: dir, m: m, progress: progress, left: logs}
	m.Basins, m.Streams, m.Tokens, m.Chunks, m.Records, m.Metered = 0, 0, 0, 0, 0, 0
	catalog, err := openCatalog(dir, m)
	if err != nil {
		return err
	}
	defer catalog.close()
	whole, err := openCatalog(dir, m) // its checksum first: its entries are believed from here on
	if err != nil {
		return err
	}
	err = whole.check()
	whole.close()
	if err != nil {
		return err
	}
	for {
		e, err := catalog.next()
		switch {
		case errors.Is(err, io.EOF):
			for _, files := range c.left {
				return damaged(filepath.Join(dir, filepath.FromSlash(files[0].Name)), errors.New("it belongs to no basin in the catalog"))
			}
			return nil
		case err != nil:
			return err
		case e.stream != nil:
			return damaged(catalog.path, fmt.Errorf("line %d: a stream stands behind no basin", catalog.number))
		case e.basin != "":
			if err := c.basin(ctx, catalog, e.basin); err != nil {
				return err
			}
		case strings.HasPrefix(e.Key, "t."):
			m.Tokens++
		}
	}
}

// nothingElse refuses a directory with files that the manifest does not name: they were put there with something in
// mind.
func nothingElse(dir string, m *Manifest) error {
	names, err := contents(dir)
	if err != nil {
		return err
	}
	known := map[string]bool{manifestName: true}
	for _, f := range m.Files {
		known[f.Name] = true
	}
	for _, name := range names {
		if !known[name] {
			return damaged(filepath.Join(dir, filepath.FromSlash(name)), errors.New("it does not belong to the backup"))
		}
	}
	return nil
}

type checker struct {
	dir      string
	m        *Manifest
	progress *meter
	left     map[protocol.BasinName][]logFile // not read yet
}

// basin checks the logs of one basin, whose streams come next in the catalog.
func (c *checker) basin(ctx context.Context, catalog *catalogReader, basin protocol.BasinName) error {
	logs := map[int]map[id]*chain{}
	known := map[id]struct{}{}
	err := catalog.streams(basin, func(e *entry) error {
		if _, twice := known[e.id]; twice {
			return damaged(catalog.path, fmt.Errorf("line %d: two streams have the id %s", catalog.number, e.id))
		}
		known[e.id] = struct{}{}
		if logs[e.stream.Log] == nil {
			logs[e.stream.Log] = map[id]*chain{}
		}
		logs[e.stream.Log][e.id] = &chain{}
		c.m.Streams++
		return nil
	})
	if err != nil {
		return err
	}
	c.m.Basins++
	for _, f := range c.left[basin] {
		if err := c.log(ctx, basin, f.File, logs[f.n]); err != nil {
			return err
		}
	}
	delete(c.left, basin)
	for _, streams := range logs {
		for _, s := range streams {
			c.m.Chunks += s.chunks
			c.m.Records += s.records
			c.m.Metered += s.metered
		}
	}
	return nil
}

// logFile is a file of a log, and the log's number.
type logFile struct {
	File
	n int
}

// logs are the files of the logs, by basin.
func (m *Manifest) logs(dir string) (map[protocol.BasinName][]logFile, error) {
	logs := map[protocol.BasinName][]logFile{}
	for _, f := range m.Files {
		rest, ok := strings.CutPrefix(f.Name, logsDir+"/")
		if !ok {
			continue
		}
		basin, rest, _ := strings.Cut(rest, ".")
		number, ok := strings.CutSuffix(strings.TrimSuffix(rest, zstdSuffix), chunksSuffix)
		n, err := strconv.Atoi(number)
		if !ok || err != nil || n < 0 {
			return nil, damaged(filepath.Join(dir, manifestName), fmt.Errorf("it names the file %q", f.Name))
		}
		logs[protocol.BasinName(basin)] = append(logs[protocol.BasinName(basin)], logFile{f, n})
	}
	return logs, nil
}

// log checks one file.
func (c *checker) log(ctx context.Context, basin protocol.BasinName, f File, streams map[id]*chain) error {
	r, err := open(c.dir, f)
	if err != nil {
		return err
	}
	defer r.close()
	bytes := 0
	err = r.frames(func(i uint64, frame *chunk.Frame) error {
		if bytes += len(frame.Payload) + len(frame.Header); bytes >= 1<<20 {
			c.progress.add(basin, bytes)
			bytes = 0
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
		}
		s, err := parseID(frame.Stream)
		if err != nil {
			return damaged(r.path, fmt.Errorf("frame %d: %w", i, err))
		}
		at, ok := streams[s]
		if !ok {
			return nil // a stream that was deleted before the backup ended
		}
		if frame.Kind == chunk.FrameRestart {
			*at = chain{}
			return nil
		}
		chunk, err := chunk.Decode(frame.Header, frame.Payload)
		if err == nil {
			err = at.add(&chunk, f.Time)
		}
		if err != nil {
			return damaged(r.path, fmt.Errorf("frame %d, of the stream with id %s: %w", i, frame.Stream, err))
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.progress.add(basin, bytes)
	for i, s := range streams {
		if !s.whole() {
			return damaged(r.path, fmt.Errorf("records of the stream with id %s are missing before seq_num %d", i, s.next))
		}
	}
	return r.check()
}
