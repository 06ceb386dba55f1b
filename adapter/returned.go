package adapter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// removeReturned removes the chunks of deleted streams that are in the logs again after a crash. JetStream notes a purge in its
// files, and loses some of these notes: when it compacts a block while it recovers, and when it removes the block that they are in
// (docs/adr/0022). The next recovery finds the chunks again. Those of streams that live lie below a trim point or have expired,
// and the sweep removes them. Those of deleted streams belong to nothing that the janitor looks at.
//
// Chunks are removed only if the catalog proves that their stream was deleted: all its entries can be read, none of them has the
// stream's id, and the catalog was written to after the newest of the chunks, as it is when a stream is removed. A catalog that
// has lost its newest entries does not prove it. In a shared store an entry that another server has written may not be known yet.
//
// A failure is logged: the chunks cost space and do no other harm. The next start after a crash tries again.
func (a *Adapter) removeReturned(ctx context.Context) {
	if !a.opts.Recovered || a.opts.Shared || a.opts.Memory || a.opts.AcceptLoss != "" || a.catalog.Asides() > 0 {
		return
	}
	if err := a.findReturned(ctx); err != nil {
		a.logger.Warn("chunks of deleted streams that JetStream may have brought back could not be removed; they cost space until the next start after a crash",
			slog.Any("error", err))
	}
}

func (a *Adapter) findReturned(ctx context.Context) error {
	state, err := js.StreamState(ctx, a.manage, layout.Catalog(a.opts.Prefix))
	if err != nil {
		return fmt.Errorf("look at the catalog: %w", err)
	}
	subjects := map[string]uint64{} // how many a log has
	list := a.js.ListStreams(ctx, jetstream.WithStreamListSubject(a.opts.Prefix+".log.>"))
	for s := range list.Info() {
		subjects[s.Config.Name] = s.State.NumSubjects
	}
	if err := list.Err(); err != nil {
		return fmt.Errorf("list the logs: %w", err)
	}
	known := a.catalog.View.StreamIDs()
	for name, n := range subjects {
		id, ok := layout.ParseLog(a.opts.Prefix, name)
		if !ok || n == 0 || !a.settled(id.Owner) {
			continue
		}
		returned := map[protocol.BasinName][]layout.StreamID{}
		err := a.eachSubject(ctx, id, n, subjectsAtOnce, func(subject string) {
			place, ok := layout.ParseSubject(a.opts.Prefix, subject)
			if _, lives := known[place.ID]; ok && !lives && a.settled(place.Basin) {
				returned[place.Basin] = append(returned[place.Basin], place.ID)
			}
		})
		if err != nil {
			return fmt.Errorf("list the streams in %s: %w", name, err)
		}
		if len(returned) == 0 {
			continue
		}
		l, err := a.logs.get(ctx, id.Owner, name)
		if err != nil {
			return err
		}
		if err := l.removeReturned(ctx, returned, state.LastTime); err != nil {
			return fmt.Errorf("remove chunks from %s: %w", name, err)
		}
	}
	return nil
}

// subjectsAtOnce is how many subjects JetStream reports in one answer.
const subjectsAtOnce = 100_000

// eachSubject yields the subjects of a log that has n of them. For every answer JetStream collects all that match, so that more than
// atOnce are asked for bucket by bucket.
func (a *Adapter) eachSubject(ctx context.Context, id layout.Log, n, atOnce uint64, yield func(subject string)) error {
	name, prefix := id.Stream(a.opts.Prefix), a.opts.Prefix
	if n <= atOnce {
		return js.Subjects(ctx, a.manage, name, id.Filter(prefix), func(subject string, _ uint64) { yield(subject) })
	}
	const anyBasin = "*"
	for bucket, seen := uint32(0), uint64(0); seen < n && bucket < mostBuckets; bucket++ {
		err := js.Subjects(ctx, a.manage, name, id.Bucket(prefix, anyBasin, bucket), func(subject string, _ uint64) {
			seen++
			yield(subject)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// mostBuckets bounds how many buckets are looked at: a basin that has created more streams than 512 times as many takes a while.
const mostBuckets = 1 << 16

// settled reports whether all chunks of a basin belong to streams of the catalog: it is neither being deleted nor being restored.
// No basin, "", is settled as well.
func (a *Adapter) settled(basin protocol.BasinName) bool {
	rec, _, ok := a.catalog.View.Basin(basin)
	return !ok || !rec.Deleting() && !rec.Hidden()
}

// removeReturned purges the chunks of these streams, of a store that is not shared. Those of a stream stay if one of them is not older than before.
func (l *log) removeReturned(ctx context.Context, streams map[protocol.BasinName][]layout.StreamID, before time.Time) error {
	began, removed, kept := time.Now(), 0, 0
	remove := func(filter string, ids []layout.StreamID, remove func() error) error {
		older, err := l.olderThan(ctx, filter, before)
		if err == nil && older {
			err = remove()
		}
		if older {
			removed += len(ids)
		} else {
			kept += len(ids)
		}
		return err
	}
	for basin, ids := range streams {
		if _, _, ok := l.a.catalog.View.Basin(basin); !ok {
			all := l.id.Basin(l.a.opts.Prefix, basin)
			if err := remove(all, ids, func() error { return l.removeBasin(ctx, basin, ids, nil) }); err != nil {
				return err
			}
			continue
		}
		for _, id := range ids {
			if err := remove(l.subject(basin, id), []layout.StreamID{id}, func() error { return l.removeStream(ctx, basin, id) }); err != nil {
				return err
			}
		}
	}
	if kept > 0 {
		l.logger.Warn("a log holds chunks of streams that the catalog does not know and that are newer than its newest entry: they are kept",
			slog.Int("streams", kept))
	}
	if removed == 0 {
		return nil
	}
	if err := l.a.onDisk(ctx); err != nil {
		return err
	}
	l.logger.Warn("removed chunks of deleted streams that JetStream had brought back when it recovered; no record of a stream that exists was among them",
		slog.Int("streams", removed), slog.Duration("took", time.Since(began)))
	return nil
}

// olderThan reports whether the newest message that a filter matches was stored before t.
func (l *log) olderThan(ctx context.Context, filter string, t time.Time) (bool, error) {
	newest, err := js.LeaderGet(ctx, l.a.manage, l.name, js.Wanted{LastFor: filter})
	var unreadable *js.HeaderError
	if err != nil && !errors.As(err, &unreadable) {
		return false, err
	}
	stored, err := time.Parse(time.RFC3339Nano, newest.Time)
	if err != nil {
		return false, fmt.Errorf("message %d: %w", newest.Seq, err)
	}
	return stored.Before(t), nil
}
