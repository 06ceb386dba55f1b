package backup

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/weirstream/weir/protocol"
)

// Target is a broker that can be restored into; package client has one.
type Target interface {
	ExportCatalog(ctx context.Context, req protocol.ExportCatalogRequest) (protocol.ExportCatalogPage, error)
	BeginRestore(ctx context.Context, req protocol.BeginRestoreRequest) error
	ImportStreams(ctx context.Context, req protocol.ImportStreamsRequest) (logs []int, err error)
	ImportChunks(ctx context.Context, req protocol.ImportChunksRequest) error
	EndRestore(ctx context.Context, req protocol.EndRestoreRequest) error
	AbortRestore(ctx context.Context, basin protocol.BasinName, restore string) error
	ImportEntry(ctx context.Context, entry protocol.CatalogEntry) error
	CheckTail(ctx context.Context, ref protocol.StreamRef) (protocol.StreamTail, error)
}

// RestoreOptions say how to restore. The zero value works.
type RestoreOptions struct {
	// Basins are those that are wanted, without anything that belongs to no basin; none means everything.
	Basins []protocol.BasinName
	// SkipExisting leaves basins and access tokens alone that the broker has already. Without it nothing is restored if
	// there is one.
	SkipExisting bool
	// NoVerify goes without reading the backup first. Damage is noticed all the same, but in the middle.
	NoVerify bool
	// Rate bounds the bytes of chunks a second; 0 means no bound.
	Rate int64
	// BatchBytes bounds one message; 0 means 4 MiB.
	BatchBytes int
	// Progress, if set, is called now and then.
	Progress func(Progress)
}

// Restored is the result of a restore.
type Restored struct {
	Basins  int      `json:"basins"`        // basins that were made
	Streams int      `json:"streams"`       // streams in them
	Tokens  int      `json:"access_tokens"` // access tokens that were made
	Chunks  uint64   `json:"chunks"`        // chunks that were stored
	Records uint64   `json:"records"`       // records in them
	Metered uint64   `json:"metered_bytes"` // metered bytes of the records
	Skipped []string `json:"skipped"`       // entries that existed already, such as "basin demo-basin"
}

// restorer is a restore under way.
type restorer struct {
	dst      Target
	dir      string
	opts     RestoreOptions
	m        *Manifest
	logs     map[protocol.BasinName][]logFile
	existing map[string]bool // keys of the broker's catalog that belong to no stream
	pace     pace
	copying  meter
	done     Restored
}

// Restore puts the backup in dir into the broker behind dst. Each basin shows when it is complete. On an error those that
// were complete stay, and the one that was not is removed.
func Restore(ctx context.Context, dst Target, dir string, opts RestoreOptions) (*Restored, error) {
	if opts.BatchBytes <= 0 {
		opts.BatchBytes = DefaultBatchBytes
	}
	m, err := ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	if err := reach(ctx, dst); err != nil {
		return nil, err
	}
	if err := nothingElse(dir, m); err != nil {
		return nil, err
	}
	if !opts.NoVerify {
		if _, err := Verify(ctx, dir, opts.Progress); err != nil {
			return nil, err
		}
	}
	r := &restorer{dst: dst, dir: dir, opts: opts, m: m, existing: map[string]bool{}, pace: pace{rate: opts.Rate},
		copying: meter{phase: "restore", show: opts.Progress}, done: Restored{Skipped: []string{}}}
	if r.logs, err = m.logs(dir); err != nil {
		return nil, err
	}
	if err := r.conflicts(ctx); err != nil {
		return nil, err
	}
	return &r.done, r.all(ctx)
}

// each yields the entries that are wanted and belong to no stream; yield may read the streams behind a basin.
func (r *restorer) each(yield func(c *catalogReader, e *entry) error) error {
	c, err := openCatalog(r.dir, r.m)
	if err != nil {
		return err
	}
	defer c.close()
	for {
		e, err := c.next()
		switch {
		case errors.Is(err, io.EOF):
			return c.check()
		case err != nil:
			return err
		case e.stream != nil, !r.wanted(e):
			continue
		}
		if err := yield(c, e); err != nil {
			return err
		}
	}
}

func (r *restorer) wanted(e *entry) bool {
	return len(r.opts.Basins) == 0 || e.basin != "" && slices.Contains(r.opts.Basins, e.basin)
}

// conflicts looks for entries that the broker has already, before anything is written.
func (r *restorer) conflicts(ctx context.Context) error {
	req := protocol.ExportCatalogRequest{}
	for {
		var page protocol.ExportCatalogPage
		if err := again(ctx, func(ctx context.Context) (err error) {
			page, err = r.dst.ExportCatalog(ctx, req)
			return err
		}); err != nil {
			return err
		}
		for _, e := range page.Entries {
			r.existing[e.Key] = true
			req.After = e.Key
		}
		if !page.More || len(page.Entries) == 0 {
			break
		}
	}
	var conflicts []string
	wanted := slices.Clone(r.opts.Basins)
	err := r.each(func(_ *catalogReader, e *entry) error {
		wanted = slices.DeleteFunc(wanted, func(b protocol.BasinName) bool { return b == e.basin })
		if r.existing[e.Key] && !strings.HasPrefix(e.Key, "l.") {
			conflicts = append(conflicts, called(e))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(wanted) > 0 {
		return fmt.Errorf("the backup holds no basin %q", wanted[0])
	}
	if len(conflicts) == 0 || r.opts.SkipExisting {
		return nil
	}
	const shown = 10
	more := ""
	if n := len(conflicts) - shown; n > 0 {
		conflicts, more = conflicts[:shown], fmt.Sprintf(" and %d more", n)
	}
	return protocol.Errorf(protocol.CodeResourceAlreadyExists,
		"the broker has %s%s already; nothing was restored. Delete them there, or leave them as they are (--skip-existing)", strings.Join(conflicts, ", "), more)
}

// called is an entry's name for people.
func called(e *entry) string {
	switch {
	case e.basin != "":
		return "basin " + string(e.basin)
	case strings.HasPrefix(e.Key, "t."):
		var value struct {
			Token struct {
				ID string `json:"id"`
			} `json:"token"`
		}
		if err := json.Unmarshal(e.Value, &value); err != nil || value.Token.ID == "" {
			return "access token " + strings.TrimPrefix(e.Key, "t.") // the id, escaped
		}
		return "access token " + value.Token.ID
	case strings.HasPrefix(e.Key, "l."):
		return "the default location"
	}
	return e.Key
}

// all restores the basins, and then the entries outside of basins: a token that works finds everything there.
func (r *restorer) all(ctx context.Context) error {
	var lost map[protocol.BasinName]bool
	for tries := 1; tries == 1 || len(lost) > 0; tries++ {
		var err error
		if lost, err = r.basins(ctx, lost, tries == beginTries); err != nil {
			return err
		}
	}
	return r.each(func(_ *catalogReader, e *entry) error {
		switch {
		case e.basin != "":
			return nil
		case r.existing[e.Key]:
			r.done.Skipped = append(r.done.Skipped, called(e)) // the default location of a broker that has one stays
			return nil
		}
		err := again(ctx, func(ctx context.Context) error { return r.dst.ImportEntry(ctx, e.CatalogEntry) })
		switch {
		case errors.Is(err, &protocol.Error{Code: protocol.CodeResourceAlreadyExists}) && (r.opts.SkipExisting || strings.HasPrefix(e.Key, "l.")):
			r.done.Skipped = append(r.done.Skipped, called(e)) // it came meanwhile
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", called(e), err)
		case strings.HasPrefix(e.Key, "t."):
			r.done.Tokens++
		}
		return nil
	})
}

// beginTries is how often a basin is begun again because its broker was started again in the middle of it.
const beginTries = 8

// basins restores the basins, or only those given, and returns the basins to begin again: none on the last try.
func (r *restorer) basins(ctx context.Context, only map[protocol.BasinName]bool, last bool) (lost map[protocol.BasinName]bool, err error) {
	lost = map[protocol.BasinName]bool{}
	err = r.each(func(c *catalogReader, e *entry) error {
		switch {
		case e.basin == "", only != nil && !only[e.basin]:
			return nil
		case r.existing[e.Key]:
			r.done.Skipped = append(r.done.Skipped, called(e))
			return nil
		}
		switch err := r.basin(ctx, c, e); {
		case errors.Is(err, errLost) && !last:
			lost[e.basin] = true
		case err != nil:
			return fmt.Errorf("basin %s: %w", e.basin, err)
		}
		return nil
	})
	return lost, err
}

// errLost is a restore that its broker does not know any more: it was started again. The basin is to be begun again.
var errLost = errors.New("the broker lost the restore")

// whileHeld marks a failure of a restore that has begun as errLost if the broker does not hold the basin for it any more.
func whileHeld(err error) error {
	if protocol.CodeOf(err) == protocol.CodeTransactionConflict {
		return errors.Join(errLost, err)
	}
	return err
}

// abortTimeout bounds the removal of the remains of a failed restore.
const abortTimeout = 5 * time.Second

// basin restores one basin: a hidden one first, its streams, their chunks, and then the light.
func (r *restorer) basin(ctx context.Context, c *catalogReader, e *entry) (err error) {
	b := &basinRestorer{restorer: r, basin: e.basin, restore: rand.Text(), streams: map[id]*restoredStream{}}
	begin := protocol.BeginRestoreRequest{Restore: b.restore, Entry: e.CatalogEntry}
	shows := false
	defer func() {
		if err != nil && !shows {
			abort, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
			defer cancel()
			_ = r.dst.AbortRestore(abort, e.basin, b.restore) // if it fails, the next restore removes it
		}
	}()
	if err := again(ctx, func(ctx context.Context) error { return r.dst.BeginRestore(ctx, begin) },
		protocol.CodeBasinDeletionPending, protocol.CodeTransactionConflict); err != nil {
		return err
	}
	if err := b.names(ctx, c); err != nil {
		return whileHeld(err)
	}
	if err := b.chunks(ctx); err != nil {
		return whileHeld(err)
	}
	end := protocol.EndRestoreRequest{Basin: e.basin, Restore: b.restore, Streams: len(b.streams), Chunks: b.sent}
	if err := again(ctx, func(ctx context.Context) error { return r.dst.EndRestore(ctx, end) }); err != nil {
		return whileHeld(err)
	}
	shows = true
	if err := b.compare(ctx); err != nil {
		return err
	}
	r.done.Basins++
	r.done.Streams += len(b.streams)
	for _, s := range b.streams {
		r.done.Chunks += s.chunks
		r.done.Records += s.records
		r.done.Metered += s.metered
	}
	return nil
}

// basinRestorer restores one basin.
type basinRestorer struct {
	*restorer
	basin   protocol.BasinName
	restore string
	streams map[id]*restoredStream
	sent    map[int]uint64 // chunks, by the log that they went to
}

// restoredStream is a stream on its way back.
type restoredStream struct {
	chain
	name protocol.StreamName
	from int // log in the backup
	to   int // log in the broker
}

// namesAtOnce is how many messages with streams' entries may be unanswered.
const namesAtOnce = 4

// names imports the streams' entries, in any order.
func (b *basinRestorer) names(ctx context.Context, c *catalogReader) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(namesAtOnce)
	var mu sync.Mutex // guards b.streams
	var waiting []*entry
	size := 0
	flush := func() {
		batch := waiting
		waiting, size = nil, 0
		group.Go(func() error {
			placed, err := b.place(ctx, batch)
			mu.Lock()
			defer mu.Unlock()
			maps.Copy(b.streams, placed)
			return err
		})
	}
	err := c.streams(b.basin, func(e *entry) error {
		waiting = append(waiting, e)
		if size += len(e.Key) + len(e.Value) + 32; size >= b.opts.BatchBytes/4 {
			flush()
		}
		return ctx.Err()
	})
	if len(waiting) > 0 && err == nil {
		flush()
	}
	if failed := group.Wait(); failed != nil {
		return failed
	}
	return err
}

// place imports some streams' entries and returns where the broker has put them.
func (b *basinRestorer) place(ctx context.Context, entries []*entry) (map[id]*restoredStream, error) {
	req := protocol.ImportStreamsRequest{Basin: b.basin, Restore: b.restore}
	for _, e := range entries {
		req.Entries = append(req.Entries, e.CatalogEntry)
	}
	var logs []int
	if err := again(ctx, func(ctx context.Context) (err error) {
		logs, err = b.dst.ImportStreams(ctx, req)
		return err
	}); err != nil {
		return nil, err
	}
	if len(logs) != len(entries) {
		return nil, fmt.Errorf("the broker placed %d of %d streams", len(logs), len(entries))
	}
	placed := map[id]*restoredStream{}
	for i, e := range entries {
		placed[e.id] = &restoredStream{name: e.stream.Name, from: e.stream.Log, to: logs[i]}
	}
	return placed, nil
}

// compare asks the broker for the tails of all streams.
func (b *basinRestorer) compare(ctx context.Context) error {
	const atOnce = 64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, s := range b.streams {
		if ctx.Err() != nil {
			break
		}
		if s.name.IsShadow() {
			continue // nobody can ask for it
		}
		group.Go(func() error {
			ref := protocol.StreamRef{Basin: b.basin, Stream: s.name}
			var tail protocol.StreamTail
			err := again(ctx, func(ctx context.Context) (err error) {
				tail, err = b.dst.CheckTail(ctx, ref)
				return err
			})
			// An append may have come meanwhile: the basin shows.
			if err == nil && (tail.SeqNum < s.next || tail.SeqNum == s.next && tail.Position != s.tail()) {
				err = fmt.Errorf("its tail is %v, in the backup it is %v", tail, s.tail())
			}
			if err != nil {
				return fmt.Errorf("stream %q was restored, but: %w", s.name, err)
			}
			return nil
		})
	}
	return group.Wait()
}
