package adapter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/adapter/internal/catalog"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/weirstream/weir/adapter/internal/durable"
	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/internal/lease"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// Adapter stores basins and streams in JetStream. Its methods may be called at once from many goroutines.
type Adapter struct {
	opts        Options
	logger      *slog.Logger
	ctx         context.Context //nolint:containedctx // ends when Close begins to stop the background
	cancel      context.CancelFunc
	tasks       sync.WaitGroup // goroutines that end with ctx
	senders     sync.WaitGroup // the logs' publishers, which end when their connection does
	incarnation string         // prefix of chunk ids
	began       uint64         // when it was opened, in milliseconds since the epoch

	manage   *nats.Conn
	js       jetstream.JetStream
	pubs     []*nats.Conn // order is kept within one connection, so a log stays on one
	gets     []*js.Getter
	nextConn atomic.Int64

	bulk       bulk // the connection of backups and restores
	budget     *appendBudget
	commit     *durable.Committer
	sync       func() error // puts everything that was written on disk; nil where that cannot be asked for
	probe      func() error // fails if the store takes no writes any more; nil unless JetStream syncs
	closeSync  func()
	watermarks *durable.Watermarks // nil: no log is synced
	catalog    *catalog.Catalog
	janitor    *janitor
	sizes      *sizes
	live       liveStats
	unsynced   atomic.Uint64 // chunks stored since the last sync began
	reaper     *emptyReaper

	logs logs

	renewals *renewals       // used where the store is shared
	keeper   *keeper         // likewise
	owners   owners          // nil: the store is this broker's alone
	registry *lease.Registry // owners, for operators
	leave    sync.Once       // the cluster

	drainAsked atomic.Uint64 // the number of times that an operator wanted the node to drain
	appenders  atomic.Uint64 // numbers those of which something was forwarded
	forwarded  forwardStats
}

const defaultInflightBytes = 128 << 20

// Open connects, creates the missing parts of the store, and loads the catalog. Deletions that a crash interrupted go on in the
// background.
func Open(ctx context.Context, opts Options) (_ *Adapter, err error) {
	if opts.Connect == nil {
		return nil, errors.New("adapter: Options.Connect is required")
	}
	opts.Replicas = max(1, opts.Replicas)
	opts.Logs = min(max(1, opts.Logs), layout.MaxLogs)
	if len(opts.Locations) == 0 {
		opts.Locations = []protocol.LocationName{protocol.DefaultLocationName}
	}
	if opts.InflightBytes == 0 {
		opts.InflightBytes = defaultInflightBytes
	}
	opts.InflightBytes = max(opts.InflightBytes, protocol.MaxBatchBytes)
	if opts.Prefix == "" {
		opts.Prefix = "s2"
	}
	if opts.Node == "" {
		opts.Node = nuid.Next()
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	opts.Fatal = once(opts.Fatal)
	a := &Adapter{opts: opts, logger: opts.Logger, incarnation: nuid.New().Next() + "-", began: catalog.Millis(time.Now()),
		budget: newAppendBudget(opts.InflightBytes), closeSync: func() {}}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	a.logs = logs{ctx: a.ctx, tasks: &a.tasks, slots: map[string]*logSlot{}, removing: map[protocol.BasinName]struct{}{}}
	a.logs.open = a.openLog
	defer func() {
		if err != nil {
			a.closeAll()
		}
	}()
	if err := a.connect(); err != nil {
		return nil, err
	}
	if err := a.openSync(); err != nil {
		return nil, err
	}
	if err := a.followElections(); err != nil {
		return nil, fmt.Errorf("follow elections: %w", err)
	}
	a.sizes = newSizes(a)
	if err := a.openWatermarks(); err != nil {
		return nil, err
	}
	a.commit = durable.NewCommitter(durable.Config{Sync: a.committed(), OnFatal: opts.Fatal, Watermarks: a.watermarks, Catalog: layout.Catalog(opts.Prefix)})
	a.reaper, a.janitor, a.renewals, a.keeper = newEmptyReaper(a), newJanitor(a), newRenewals(a), newKeeper(a)
	if err := a.openCatalog(ctx); err != nil {
		return nil, err
	}
	if a.opts.Check != nil {
		if err := a.opts.Check(a.needs); err != nil {
			return nil, err
		}
	}
	if err := a.checkWatermarks(ctx); err != nil {
		return nil, err
	}
	a.watermarks.Begin(layout.Catalog(opts.Prefix), 0)
	if err := a.commit.Wait(ctx); err != nil {
		return nil, err
	}
	a.removeReturned(ctx)
	if err := a.openOwners(ctx); err != nil {
		return nil, err
	}
	a.janitor.findDeleted()
	a.tasks.Go(func() { a.janitor.run(a.ctx) })
	a.tasks.Go(func() { a.renewals.run(a.ctx) })
	a.tasks.Go(func() { a.syncLater(a.ctx) })
	a.tasks.Go(func() { a.sizes.run(a.ctx) })
	a.tasks.Go(func() { a.reaper.run(a.ctx) })
	return a, nil
}

// connect opens the connections: one to manage, and a few each to publish and to read, so that bulk reads do not
// stand in the way of acknowledgements.
func (a *Adapter) connect() (err error) {
	if a.manage, err = a.opts.Connect("weir: manage"); err != nil {
		return fmt.Errorf("connect to the store: %w", err)
	}
	if a.js, err = jetstream.New(a.manage); err != nil {
		return fmt.Errorf("use JetStream: %w", err)
	}
	for i := range min(4, runtime.GOMAXPROCS(0)) {
		pub, err := a.opts.Connect("weir: append " + strconv.Itoa(i))
		if err != nil {
			return fmt.Errorf("connect to the store: %w", err)
		}
		a.pubs = append(a.pubs, pub)
		a.tasks.Go(func() { a.watchReconnects(pub) })
		get, err := a.opts.Connect("weir: read " + strconv.Itoa(i))
		if err != nil {
			return fmt.Errorf("connect to the store: %w", err)
		}
		g, err := js.NewGetter(get)
		if err != nil {
			get.Close()
			return err
		}
		a.gets = append(a.gets, g)
	}
	return nil
}

// watchReconnects notifies the sequencers that publish over a connection when it is back, so that they need not wait for
// answers that were lost with it.
func (a *Adapter) watchReconnects(pub *nats.Conn) {
	back := pub.StatusChanged(nats.CONNECTED)
	defer pub.RemoveStatusListener(back)
	for {
		select {
		case _, ok := <-back:
			if !ok {
				return
			}
			for _, l := range a.logs.all() {
				if l.pub == pub {
					l.seq.in.postResumed()
					if l.own != nil {
						l.own.led() // it may have got a leader unheard
					}
				}
			}
		case <-a.ctx.Done():
			return
		}
	}
}

// openEntry opens the stream of an entry, which the caller releases.
func (a *Adapter) openEntry(ctx context.Context, e *catalog.Entry) (*stream, error) {
	l, err := a.logOf(ctx, e.Basin(), e.Log())
	if err != nil {
		return nil, err
	}
	return l.open(ctx, e)
}

// logOf returns the log of a basin with a number, opening it if needed. The caller has made sure that the basin exists.
func (a *Adapter) logOf(ctx context.Context, basin protocol.BasinName, n int) (*log, error) {
	id, ok := layout.LogOf(basin, n)
	if !ok {
		return nil, errNoLog(n)
	}
	return a.logs.get(ctx, id.Owner, id.Stream(a.opts.Prefix))
}

// openedLog returns the log of a basin with a number if it is open, or nil.
func (a *Adapter) openedLog(basin protocol.BasinName, n int) *log {
	id, ok := layout.LogOf(basin, n)
	if !ok {
		return nil
	}
	return a.logs.opened(id.Stream(a.opts.Prefix))
}

func errNoLog(n int) error {
	return protocol.Errorf(protocol.CodeStorage, "the catalog names log %d, and there is no log with that number", n)
}

// Close refuses new appends, settles those in flight until ctx ends, and closes the connections. Appends that cannot be
// settled in time are answered as unknown. Feeds end with code server_draining.
func (a *Adapter) Close(ctx context.Context) error {
	a.giveLogsAway(ctx)
	if !a.logs.shut() {
		return nil
	}
	a.cancel()
	a.tasks.Wait()
	var closing sync.WaitGroup
	for _, l := range a.logs.all() {
		closing.Go(func() { l.close(ctx, errDraining) })
	}
	closing.Wait()
	a.closeOwners(ctx)
	a.closeAll()
	return ctx.Err()
}

func (a *Adapter) closeAll() {
	a.cancel()
	a.tasks.Wait()
	a.closeOwners(context.Background())
	if a.commit != nil {
		a.commit.Close()
	}
	a.closeSync()
	a.watermarks.Close()
	for _, c := range a.pubs {
		c.Close()
	}
	a.senders.Wait()
	for _, g := range a.gets {
		g.Close()
	}
	a.bulk.close()
	if a.manage != nil {
		a.manage.Close()
	}
}

// Fail informs the adapter that the store does not work any more, although it still answers reads: every append that waits
// is answered with code storage, as unknown, and so is every one that comes. Without it they would wait for a JetStream
// that never answers. It is final, and may be called at any time and more than once.
func (a *Adapter) Fail(err error) { a.logs.fail(err) }
