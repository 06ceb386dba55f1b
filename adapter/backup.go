package adapter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// An *Adapter is a [protocol.BackupService]. A backup is chunks and catalog entries, not JetStream's own snapshots: it
// depends neither on the sequences of a log, nor on how many logs there are, nor on where they are kept.
var _ protocol.BackupService = (*Adapter)(nil)

const (
	// backupCalls bounds the exports and imports that run at once, and so their memory: about three times
	// maxBackupBytes each.
	backupCalls = 4
	// maxBackupBytes and defaultBackupBytes bound a page.
	maxBackupBytes     = 8 << 20
	defaultBackupBytes = 1 << 20
)

// bulk is the connection of backups and restores, so that they stand in the way of neither appends nor reads. It is
// opened when it is first needed.
type bulk struct {
	mu       sync.Mutex // guards the rest
	get      *js.Getter
	js       jetstream.JetStream
	running  chan struct{}
	restores map[restoreKey]*restoredLog
	active   map[protocol.BasinName]activity
	begun    map[protocol.BasinName]string // the restore that this process began; see [Adapter.resumable]
}

// enterBulk opens the connection if needed and waits for a place among the calls; leave gives it back.
func (a *Adapter) enterBulk(ctx context.Context) (leave func(), err error) {
	running, err := a.bulk.open(a.opts.Connect)
	if err != nil {
		return nil, err
	}
	select {
	case running <- struct{}{}:
		return func() { <-running }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// open opens the connection, unless it is open, and returns the places among the calls.
func (b *bulk) open(connect func(name string) (*nats.Conn, error)) (running chan struct{}, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.get == nil {
		err = b.connectLocked(connect)
	}
	return b.running, err
}

func (b *bulk) connectLocked(connect func(name string) (*nats.Conn, error)) error {
	nc, err := connect("weir: backup")
	if err != nil {
		return errNoStore(fmt.Errorf("connect to the store: %w", err))
	}
	get, err := js.NewGetter(nc)
	if err == nil {
		b.js, err = jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(maxUnansweredChunks),
			jetstream.WithPublishAsyncTimeout(publishTimeout))
	}
	if err != nil {
		nc.Close()
		return fmt.Errorf("prepare for backups: %w", err)
	}
	b.get, b.running = get, make(chan struct{}, backupCalls)
	b.restores, b.active, b.begun = map[restoreKey]*restoredLog{}, map[protocol.BasinName]activity{}, map[protocol.BasinName]string{}
	return nil
}

func (b *bulk) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.get != nil {
		b.get.Close()
	}
}

// bulkLog is a log without a sequencer, for reading it as a whole.
func (a *Adapter) bulkLog(basin protocol.BasinName, n int) (*log, error) {
	if _, err := protocol.ParseBasinName(string(basin)); err != nil {
		return nil, protocol.Errorf(protocol.CodeInvalid, "basin: %v", err)
	}
	id, ok := layout.LogOf(basin, n)
	if !ok {
		return nil, protocol.Errorf(protocol.CodeInvalid, "log: there is no log %d", n)
	}
	name := id.Stream(a.opts.Prefix)
	return &log{a: a, id: id, name: name, logger: a.logger.With(slog.String("log", name)), get: a.bulk.get}, nil
}

// streamID reads the id of a stream in a request.
func streamID(id string) (layout.StreamID, error) {
	parsed, err := layout.ParseStreamID(id)
	if err != nil {
		return parsed, protocol.Errorf(protocol.CodeInvalid, "stream: %v", err)
	}
	return parsed, nil
}

// pageBytes is how large a page may be that was asked for with max.
func pageBytes(max int) int {
	if max <= 0 {
		return defaultBackupBytes
	}
	return min(max, maxBackupBytes)
}

// PurgedStreams implements [protocol.BackupService].
func (a *Adapter) PurgedStreams(ctx context.Context, req protocol.PurgedStreamsRequest) ([]string, error) {
	if len(req.Streams) > protocol.MaxPurgedStreams {
		return nil, protocol.Errorf(protocol.CodeInvalid, "streams: has %d, at most %d are allowed", len(req.Streams), protocol.MaxPurgedStreams)
	}
	ids := make([]layout.StreamID, len(req.Streams))
	for i, id := range req.Streams {
		parsed, err := streamID(id)
		if err != nil {
			return nil, err
		}
		ids[i] = parsed
	}
	leave, err := a.enterBulk(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	l, err := a.bulkLog(req.Basin, req.Log)
	if err != nil {
		return nil, err
	}
	purged := make([]bool, len(req.Streams))
	err = each(ctx, len(req.Streams), func(ctx context.Context, i int) error {
		oldest, err := l.getNext(ctx, l.subject(req.Basin, ids[i]), 1)
		if errors.Is(err, js.ErrNotFound) {
			return nil // never written, or deleted
		}
		purged[i] = err == nil && uint64(oldest.seq) > req.End
		return err
	})
	if _, _, missing := a.liveBasin(req.Basin); missing != nil {
		return nil, a.basinNotFound(req.Basin)
	}
	if err != nil {
		return nil, err
	}
	var found []string
	for i, id := range req.Streams {
		if purged[i] {
			found = append(found, id)
		}
	}
	return found, nil
}

// each calls f for 0 to n-1, some at a time, and returns the first failure.
func each(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	g, bound := errgroup.WithContext(ctx)
	g.SetLimit(32)
	for i := 0; i < n && bound.Err() == nil; i++ {
		g.Go(func() error { return f(bound, i) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}
