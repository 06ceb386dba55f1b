package adapter

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/internal/catalog"
	"github.com/weirstream/weir/adapter/internal/durable"

	"github.com/weirstream/weir/protocol"
)

// StoredBlock is a file of a JetStream stream, and StoredMessage a message in it.
type (
	StoredBlock   = catalog.StoredBlock
	StoredMessage = catalog.StoredMessage
)

// openCatalog opens the catalog, and follows the writes of other servers to a shared one until the adapter closes.
func (a *Adapter) openCatalog(ctx context.Context) (err error) {
	a.catalog, err = catalog.Open(ctx, catalog.Config{
		Prefix: a.opts.Prefix, Conn: a.manage, Getters: a.gets, Logger: a.logger, Shared: a.opts.Shared, Memory: a.opts.Memory,
		Replicas: a.opts.Replicas, Blocks: a.catalogBlocks(), Location: a.opts.Locations[0], Duplicates: leastDuplicates, Writes: a.opts.Observer.WritesCatalog,
		Contact: a.leaseAge,
	}, catalogStore{a}, catalogListener{a})
	if err != nil || !a.opts.Shared {
		return err
	}
	follow, err := a.catalog.Follow(a.ctx)
	if err == nil {
		a.tasks.Go(follow)
	}
	return err
}

// catalogBlocks returns the way to the files of the catalog; nil where it has none, or others write to them.
func (a *Adapter) catalogBlocks() func(string) ([]StoredBlock, error) {
	if a.opts.Shared || a.opts.Memory {
		return nil
	}
	return a.opts.Blocks
}

// catalogStore is the store as the catalog sees it.
type catalogStore struct{ a *Adapter }

func (s catalogStore) JetStream() jetstream.JetStream                { return s.a.js }
func (s catalogStore) Committer() *durable.Committer                 { return s.a.commit }
func (s catalogStore) Made(ctx context.Context, stream string) error { return s.a.made(ctx, stream) }
func (s catalogStore) Proven() error                                 { return s.a.proven() }

// catalogListener hands the changes of the catalog on to the parts that depend on them.
type catalogListener struct{ a *Adapter }

func (l catalogListener) StreamShown(e *catalog.Entry) {
	l.a.reaper.watch(e)
	if !l.a.opts.Shared {
		return
	}
	if e.Deleting() && l.a.tends(e) {
		l.a.sizes.touch(e.Ref(), e.ID, e.Checks, 0)
		l.a.janitor.removeStream(e)
	}
	if log := l.a.openedLog(e.Basin(), e.Log()); log != nil {
		log.configure(e)
	}
}

// BasinShown wakes the janitor for each step in the removal of a basin, which each node may have a part in.
func (l catalogListener) BasinShown(r *catalog.BasinRecord) {
	if r.Deleting() {
		l.a.janitor.removeBasin(r.Name)
	}
}

func (l catalogListener) StreamForgotten(e *catalog.Entry) {
	if log := l.a.openedLog(e.Basin(), e.Log()); log != nil {
		log.end(e.Basin(), e.ID)
		log.drop(e.ID, errStreamDeleted)
	}
}

func (l catalogListener) BasinForgotten(name protocol.BasinName) {
	for _, log := range l.a.logs.all() {
		log.endLoaded(name)
		log.forgetBasin(name)
		if log.id.Owner == name {
			l.a.logs.takeOut(log, func() { log.close(l.a.ctx, basinDeleting(name)) })
		}
	}
}

func (l catalogListener) HoldForgotten(h *catalog.StoredHold) {
	l.a.janitor.freeSources(h.Basin, h.Fork)
}

// restBetweenSteps waits between the steps in which a catalog's entries are removed, so that the purges of a removed basin keep
// their share of the time.
func restBetweenSteps(ctx context.Context, worked time.Duration) { sleep(ctx, (purgeShare-1)*worked/2) }

// CatalogJSON returns the value of a key of the catalog in JSON, for people and for tools that read a store.
func CatalogJSON(key string, value []byte) ([]byte, error) { return catalog.JSON(key, value) }
