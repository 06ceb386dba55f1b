package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
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
	stop  context.CancelFunc
	since uint64 // last revision when the watcher was made
}

// watch begins to deliver the changes. The client library gives its requests no limit, so each attempt gets one.
func (c *Catalog) watch(ctx context.Context) (w *changes, err error) {
	err = js.Contact(ctx, func(attempt context.Context) error {
		state, err := js.StreamState(attempt, c.config.Conn, layout.Catalog(c.config.Prefix))
		if err != nil {
			return err
		}
		life, stop := context.WithCancel(ctx) // that of the watcher, when the attempt succeeds
		late := context.AfterFunc(attempt, stop)
		watcher, err := c.kv.WatchAll(life, jetstream.ResumeFromRevision(c.progress.come()+1))
		if !late() {
			err = errors.Join(attempt.Err(), err)
		}
		if err != nil {
			stop()
			return err
		}
		w = &changes{watcher, stop, uint64(state.LastSeq)}
		return nil
	})
	return w, err
}

// drainTime is how long the end of a watcher is waited for.
const drainTime = time.Second

// pulseTime is how often the leader of the bucket is asked for its last revision. A change that has not come a pulse later will not:
// the consumer's server is lost, which the client library notices after 10 s and more. So others know of a revoked token in time.
const pulseTime = time.Second

// A pulse is the last revision of the bucket, or a later one than that at the moment when it was asked for.
type pulse struct {
	last  uint64
	known uint64 // the revision up to which the view was known then
	asked time.Time
}

// pulse sends pulses until ctx ends.
func (c *Catalog) pulse(ctx context.Context, pulses chan<- pulse) {
	tick := time.NewTicker(pulseTime)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		asked, known := time.Now(), c.known.Load()
		attempt, cancel := context.WithTimeout(ctx, 2*js.Attempt)
		state, err := js.StreamState(attempt, c.config.Conn, layout.Catalog(c.config.Prefix))
		cancel()
		if err != nil {
			continue // there is no leader now
		}
		select {
		case pulses <- pulse{uint64(state.LastSeq), known, asked}:
		case <-ctx.Done():
			return
		}
	}
}

// reached notes that the view has everything that was in the bucket when a pulse was asked for, if it has.
func (c *Catalog) reached(p pulse) {
	c.known.Store(c.loaded)
	// A server that is cut off before it got the bucket answers with an empty state.
	if at := p.asked.Sub(c.opened); p.known <= p.last && p.last <= c.loaded && at > time.Duration(c.current.Load()) {
		c.current.Store(int64(at))
	}
}

// ErrNotFollowed says that changes of other servers have not come yet.
var ErrNotFollowed = errors.New("the changes of other servers to the catalog have not come yet")

// followTime is how long WaitFollowed waits.
const followTime = time.Second

// WaitFollowed returns when the view has all that was written up to a revision, by any server. It fails with [ErrNotFollowed] if that takes long.
func (c *Catalog) WaitFollowed(ctx context.Context, revision uint64) error {
	if !c.config.Shared {
		return nil
	}
	short, cancel := context.WithTimeout(ctx, followTime)
	defer cancel()
	err := c.progress.wait(short, revision)
	if err != nil && ctx.Err() == nil {
		return ErrNotFollowed
	}
	return err
}

// Age is for how long the catalog may have been changed by other servers without a trace in the view. A server of the bucket that is cut off, and
// does not know it yet, may make it too small. Only of a catalog that is followed.
func (c *Catalog) Age() time.Duration { return time.Since(c.opened) - time.Duration(c.current.Load()) }

// follow takes changes in until they end. They end with ctx, when the client library gives the consumer up, when a pulse finds that
// changes do not come, and when the connection is back after a loss: the consumer may have gone with its server then.
func (c *Catalog) follow(ctx context.Context, w *changes, back <-chan nats.Status) {
	var late <-chan time.Time
	c.known.Store(c.loaded)
	done := ctx.Done()
	pulses, newest := make(chan pulse), pulse{}
	var pulsing sync.WaitGroup
	defer pulsing.Wait()
	beating, cancel := context.WithCancel(ctx)
	defer cancel()
	pulsing.Go(func() { c.pulse(beating, pulses) })
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
			case e == nil: // the end of the entries that were there
				c.loaded = max(c.loaded, w.since) // the last ones may have been removed
			default:
				c.View.come(e.Revision())
				_ = c.apply(entryOf(e)) // one that cannot be read is set aside
				c.loaded = max(c.loaded, e.Revision())
				c.progress.to(e.Revision())
			}
			c.reached(newest)
		case p := <-pulses:
			if newest.last > c.loaded && late == nil {
				c.config.Logger.Info("changes of other servers to the catalog do not come; asking for them anew",
					slog.Uint64("revision", newest.last), slog.Uint64("known", c.loaded))
				stop()
			}
			newest = p
			c.reached(newest)
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
