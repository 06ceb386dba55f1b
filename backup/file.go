package backup

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/weirstream/weir/protocol/chunk"
)

// writer writes one file of a backup under a temporary name, and gives it its own once it is on disk.
type writer struct {
	*bufio.Writer
	dir, name string
	file      *os.File
	zip       *zstd.Encoder // nil if not compressed
	sum       hash.Hash
	bytes     int64
}

// compression is how a file of a backup is written.
type compression bool

const (
	uncompressed compression = false
	compressed   compression = true
)

func create(dir, name string, as compression) (*writer, error) {
	if as == compressed {
		name += zstdSuffix
	}
	path := filepath.Join(dir, filepath.FromSlash(name))
	f, err := os.OpenFile(path+tmpSuffix, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	w := &writer{dir: dir, name: name, file: f, sum: sha256.New()}
	var to io.Writer = counted{w}
	if as == compressed {
		if w.zip, err = zstd.NewWriter(to, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1)); err != nil {
			f.Close()
			return nil, err
		}
		to = w.zip
	}
	w.Writer = bufio.NewWriterSize(to, 1<<20)
	return w, nil
}

// counted passes bytes on to the file and its checksum.
type counted struct{ w *writer }

func (c counted) Write(b []byte) (int, error) {
	n, err := c.w.file.Write(b)
	c.w.sum.Write(b[:n])
	c.w.bytes += int64(n)
	return n, err
}

// finish makes the file durable under its name, which must be free.
func (w *writer) finish() (File, error) {
	err := w.Flush()
	if w.zip != nil {
		err = errors.Join(err, w.zip.Close())
	}
	err = errors.Join(err, w.file.Sync(), w.file.Close())
	if err != nil {
		return File{}, err
	}
	path := filepath.Join(w.dir, filepath.FromSlash(w.name))
	if _, err := os.Lstat(path); err == nil {
		return File{}, fmt.Errorf("%s exists already", path)
	}
	if err := os.Rename(path+tmpSuffix, path); err != nil {
		return File{}, err
	}
	return File{Name: w.name, Bytes: w.bytes, SHA256: hex.EncodeToString(w.sum.Sum(nil))}, syncDir(filepath.Dir(path))
}

// abandon closes a file that will not be finished; its temporary name says so.
func (w *writer) abandon() {
	if w.zip != nil {
		w.zip.Close() //nolint:errcheck // it is abandoned
	}
	w.file.Close() // it is abandoned
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// reader reads one file of a backup and sums up its bytes.
type reader struct {
	path string
	want File
	file *os.File
	raw  *summed
	zip  *zstd.Decoder
	from io.Reader
}

type summed struct {
	r     io.Reader
	sum   hash.Hash
	bytes int64
}

func (s *summed) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	s.sum.Write(b[:n])
	s.bytes += int64(n)
	return n, err
}

// checkRegular refuses a path that is no regular file: a read of a FIFO or a device could wait for ever.
func checkRegular(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err // it names the file
	}
	if !info.Mode().IsRegular() {
		return damaged(path, errors.New("it is not a regular file"))
	}
	return nil
}

func open(dir string, want File) (*reader, error) {
	r := &reader{path: filepath.Join(dir, filepath.FromSlash(want.Name)), want: want}
	if err := checkRegular(r.path); err != nil {
		return nil, err
	}
	f, err := os.Open(r.path)
	if err != nil {
		return nil, err // it names the file
	}
	r.file, r.raw = f, &summed{r: f, sum: sha256.New()}
	r.from = bufio.NewReaderSize(r.raw, 1<<20)
	if strings.HasSuffix(want.Name, zstdSuffix) {
		if r.zip, err = zstd.NewReader(r.from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20)); err != nil {
			f.Close() // only read
			return nil, damaged(r.path, err)
		}
		r.from = bufio.NewReaderSize(r.zip, 1<<20)
	}
	return r, nil
}

func (r *reader) close() {
	if r.zip != nil {
		r.zip.Close()
	}
	r.file.Close() // only read
}

// check reads the rest of the file and compares all of it with the manifest.
func (r *reader) check() error {
	if _, err := io.Copy(io.Discard, r.from); err != nil {
		return damaged(r.path, err)
	}
	if _, err := io.Copy(io.Discard, r.raw); err != nil {
		return damaged(r.path, err)
	}
	switch {
	case r.raw.bytes != r.want.Bytes:
		return damaged(r.path, fmt.Errorf("it has %d bytes, not %d", r.raw.bytes, r.want.Bytes))
	case hex.EncodeToString(r.raw.sum.Sum(nil)) != r.want.SHA256:
		return damaged(r.path, errors.New("its SHA-256 is not that of the manifest"))
	}
	return nil
}

// frames yields the frames of a log up to its end, with their numbers from 0.
func (r *reader) frames(yield func(i uint64, f *chunk.Frame) error) error {
	var chunks, restarts uint64
	for i := uint64(0); ; i++ {
		f, err := chunk.ReadFrame(r.from)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return damaged(r.path, fmt.Errorf("frame %d: %w", i, err))
		}
		//exhaustive:enforce
		switch f.Kind {
		case chunk.FrameEnd:
			if f.Count != chunks || chunks != r.want.Chunks || restarts != r.want.Restarts {
				return damaged(r.path, fmt.Errorf("it holds %d chunks, not %d", chunks, r.want.Chunks))
			}
			return nil
		case chunk.FrameChunk:
			chunks++
		case chunk.FrameRestart:
			restarts++
		}
		if err := yield(i, &f); err != nil {
			return err
		}
	}
}
