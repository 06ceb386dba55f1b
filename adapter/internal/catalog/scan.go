package catalog

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"iter"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
)

// StoredMessage is a message of a bucket as a file has it. Its slices are good until the next one.
type StoredMessage struct {
	Revision uint64
	// Removal says that it is no message, and notes that the one at Revision was removed.
	Removal bool
	Subject []byte
	Headers []byte
	Body    []byte
}

// StoredBlock is a file of a bucket: its messages in order, and an error where it makes no sense.
type StoredBlock = iter.Seq2[StoredMessage, error]

// scan reads the bucket into the view from its files, which costs a fifth of asking JetStream for each message (docs/adr/0015). The
// files may hold more than JetStream has: older values of keys, and removed ones. A bucket has one value of a key, so the newest
// message of each key that is not noted as removed is the one that JetStream has, if there are as many of them as JetStream has
// messages, and none is missing at the end. Otherwise, and where a file cannot be read, scan changes nothing and ok is false.
func (c *Catalog) scan(ctx context.Context, state js.State, read *atomic.Uint64) (ok bool, err error) {
	if c.config.Blocks == nil || state.Messages == 0 {
		return false, nil
	}
	blocks, err := c.config.Blocks(layout.Catalog(c.config.Prefix))
	if err != nil {
		c.config.Logger.Debug("the files of the catalog cannot be listed; JetStream reads them", slog.Any("error", err))
		return false, nil
	}
	s := &scanned{first: uint64(state.FirstSeq), seed: maphash.MakeSeed(), newest: make(map[uint64]uint64, state.Messages)}
	if err := eachBlock(ctx, blocks, s.index); err != nil {
		if ctx.Err() == nil {
			c.config.Logger.Debug("the files of the catalog cannot be read as they are; JetStream reads them", slog.Any("error", err))
		}
		return false, ctx.Err()
	}
	if live := s.live(); live != state.Messages || s.last != uint64(state.LastSeq) {
		c.config.Logger.Debug("the files of the catalog have other messages than JetStream, which reads them", slog.Uint64("files", live),
			slog.Uint64("jetstream", state.Messages), slog.Uint64("end", s.last), slog.Uint64("jetstream_end", uint64(state.LastSeq)))
		return false, nil
	}
	err = eachBlock(ctx, blocks, func(block StoredBlock) error { return c.takeBlock(s, block, read) })
	return err == nil, err
}

func eachBlock(ctx context.Context, blocks []StoredBlock, do func(StoredBlock) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, block := range blocks {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return do(block)
		})
	}
	return g.Wait()
}

// scanned is what the files of a bucket hold.
type scanned struct {
	first uint64 // revisions before it are not there any more
	seed  maphash.Seed

	mu      sync.Mutex
	newest  map[uint64]uint64 // revision by hash of the subject; two subjects with one hash would spoil the count
	removed []uint64          // revisions that are noted as removed
	last    uint64            // the highest revision
}

func (s *scanned) hash(m StoredMessage) uint64 { return maphash.Bytes(s.seed, m.Subject) }

// index notes the messages of a block.
func (s *scanned) index(block StoredBlock) error {
	type found struct{ hash, revision uint64 }
	var all []found
	var removed []uint64
	for m, err := range block {
		switch {
		case err != nil:
			return err
		case m.Removal:
			removed = append(removed, m.Revision)
		default:
			all = append(all, found{s.hash(m), m.Revision})
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removed = append(s.removed, removed...)
	for _, f := range all {
		s.newest[f.hash] = max(s.newest[f.hash], f.revision)
		s.last = max(s.last, f.revision)
	}
	return nil
}

// live drops what is removed, and returns how many messages are left.
func (s *scanned) live() uint64 {
	removed := make(map[uint64]struct{}, len(s.removed))
	for _, revision := range s.removed {
		removed[revision] = struct{}{}
	}
	for hash, revision := range s.newest {
		if _, gone := removed[revision]; gone || revision < s.first {
			delete(s.newest, hash)
		}
	}
	return uint64(len(s.newest))
}

var errChanged = errors.New("a file of the catalog has changed while it was read; start the broker again")

// takeBlock takes the live messages of a block in.
func (c *Catalog) takeBlock(s *scanned, block StoredBlock, read *atomic.Uint64) error {
	prefix := len(layout.CatalogSubjects(c.config.Prefix))
	l := loader{c: c}
	for m, err := range block {
		if err != nil {
			return errors.Join(errChanged, err)
		}
		if m.Removal || s.newest[s.hash(m)] != m.Revision {
			continue
		}
		read.Add(1)
		l.take(keyValue{key: string(m.Subject[prefix:]), value: m.Body, revision: m.Revision, deleted: isMarker(m.Headers)})
		if len(l.streams) == loadMessages {
			l.flush()
		}
	}
	l.flush()
	return nil
}

// isMarker reports whether the headers are those of a removal, see keyValue.
func isMarker(headers []byte) bool {
	return bytes.Contains(headers, []byte("\r\nKV-Operation:")) || bytes.Contains(headers, []byte("\r\nNats-Marker-Reason:"))
}
