package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/internal/js"
)

// Follow brings the changes that other servers have made since the catalog was opened into the view, until ctx ends. Changes
// that are made while the store cannot be reached come when it can be reached again.
func (c *Catalog) Follow(ctx context.Context) (run func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	changes, err := c.watch(ctx)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("follow the catalog: %w", err)
	}
	return func() {
		defer cancel()
		back := c.config.Conn.StatusChanged(nats.CONNECTED)
		defer c.config.Conn.RemoveStatusListener(back)
		for ctx.Err() == nil {
			c.follow(ctx, changes, back)
			for changes = nil; changes == nil && ctx.Err() == nil; {
				if changes, err = c.watch(ctx); err != nil && ctx.Err() == nil {
					c.config.Logger.Warn("the changes of other servers to the catalog cannot be followed; trying again", slog.Any("error", err))
					pause(ctx, js.Attempt)
				}
			}
		}
		if changes != nil {
			changes.stop()
		}
	}, nil
}

// changes are what follows the loaded revision.
type changes struct {
	jetstream.KeyWatcher
	stop context.CancelFunc
}

// watch begins to deliver the changes. The client library gives its requests no limit, so each attempt gets one.
func (c *Catalog) watch(ctx context.Context) (w *changes, err error) {
	err = js.Contact(ctx, func(attempt context.Context) error {
		life, stop := context.WithCancel(ctx) // that of the watcher, when the attempt succeeds
		late := context.AfterFunc(attempt, stop)
		watcher, err := c.kv.WatchAll(life, jetstream.ResumeFromRevision(c.loaded+1))
		if !late() {
			err = errors.Join(attempt.Err(), err)
		}
		if err != nil {
			stop()
			return err
		}
		w = &changes{watcher, stop}
		return nil
	})
	return w, err
}

// drainTime is how long the end of a watcher is waited for.
const drainTime = time.Second

// follow takes changes in until they end. They end with ctx, when the client library gives the consumer up, and when the
// connection is back after a loss: the consumer may have gone with its server then, which the library notices late.
func (c *Catalog) follow(ctx context.Context, w *changes, back <-chan nats.Status) {
	var late <-chan time.Time
	done := ctx.Done()
	stop := func() {
		w.stop()
		done, back = nil, nil
		late = time.After(drainTime)
	}
	for {
		select {
		case e, ok := <-w.Updates():
			switch {
			case !ok:
				w.stop()
				return
			case e != nil: // nil is the end of the entries that were there
				_ = c.apply(entryOf(e)) // one that cannot be read is set aside
				c.loaded = max(c.loaded, e.Revision())
			}
		case <-back:
			stop()
		case <-done:
			stop()
		case <-late:
			return
		}
	}
}

func entryOf(e jetstream.KeyValueEntry) keyValue {
	return keyValue{key: e.Key(), value: e.Value(), revision: e.Revision(), deleted: e.Operation() != jetstream.KeyValuePut}
}
