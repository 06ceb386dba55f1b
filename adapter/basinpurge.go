package adapter

import (
	"context"
	"errors"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/internal/catalog"
	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// A deleted basin is removed in steps, all of which can be repeated: the chunks in shared logs, the logs of its own, the names of its streams, its own name.
// Where several brokers share the store, the owner of each log removes the chunks in it and notes so in the basin's entry, and the keeper does the rest when
// all of them have. Every node looks at the basin whenever its entry changes.

// purgeBasin does the rest of the work for a deleted basin, as far as it is this node's.
func (j *janitor) purgeBasin(ctx context.Context, name protocol.BasinName) error {
	j.a.logs.unbar(name) // an earlier attempt may have failed, and another node have finished the removal since
	rec, revision, ok := j.a.catalog.View.Basin(name)
	if !ok || !rec.Deleting() {
		return nil
	}
	if err := j.a.catalog.WaitFollowed(ctx, revision); err != nil {
		return err // streams that other nodes have made may not be in the view
	}
	streams := map[int][]layout.StreamID{} // by log
	entries := j.a.catalog.View.MarkPurging(name)
	for _, e := range entries {
		streams[e.Log()] = append(streams[e.Log()], e.ID)
	}
	if rec.Hidden() {
		// Chunks may have been on their way when the restore was given up.
		if err := j.a.bulk.settle(ctx, name); err != nil {
			return err
		}
		for _, number := range j.a.logNumbers(&rec) {
			if _, ok := streams[number]; !ok {
				streams[number] = nil
			}
		}
	}
	if err := j.purgeShared(ctx, &rec, streams); err != nil {
		return err
	}
	if j.a.opts.Shared {
		before := rec
		if rec, revision, ok = j.a.catalog.View.Basin(name); !ok || !rec.Deleting() || !rec.Is(&before) {
			return nil
		}
		if left, err := j.leftToOthers(ctx, &rec, streams); left || err != nil {
			return err
		}
	}
	j.a.logs.bar(name)
	if rec.DedicatedLogs > 0 {
		if err := j.removeDedicatedLogs(ctx, name); err != nil {
			return err
		}
	}
	if err := j.a.onDisk(ctx); err != nil {
		return err
	}
	if err := j.a.catalog.RemoveStreams(ctx, entries, restBetweenSteps); err != nil {
		return err
	}
	if err := j.a.catalog.RemoveHolds(ctx, name, restBetweenSteps); err != nil {
		return err
	}
	// Nothing can be opened in the basin until its entry is removed, and from then on a basin of the same name may come.
	for number := range streams {
		if l := j.a.openedLog(name, number); l != nil {
			l.forgetBasin(name)
		}
	}
	j.a.logs.unbar(name)
	j.a.bulk.forget(name)
	if err := j.a.catalog.Remove(ctx, catalog.BasinKey(name), revision); err != nil {
		return err
	}
	j.a.catalog.View.RemoveBasin(name, revision)
	return nil
}

// purgeShared removes the chunks of a deleted basin from those of the logs that basins share which are this node's.
func (j *janitor) purgeShared(ctx context.Context, rec *catalog.BasinRecord, streams map[int][]layout.StreamID) error {
	var purged []int
	var unsure error
	for number, ids := range streams {
		id, ok := layout.LogOf(rec.Name, number)
		if !ok || id.Owner != "" || slices.Contains(rec.Purged, number) {
			continue
		}
		if !j.a.opts.Shared && j.a.openedLog(rec.Name, number) == nil {
			// A log that was never written to, or was lost, is not made for this.
			if missing, err := j.missing(ctx, id); missing || err != nil {
				if err != nil {
					return err
				}
				continue
			}
		}
		l, err := j.a.tended(ctx, rec.Name, number)
		switch {
		case errors.Is(err, errNotOwner):
			continue
		case errors.Is(err, errUnsure):
			unsure = err // the others do not wait for it
			continue
		case err != nil:
			return err
		}
		if !j.knows(rec) {
			return nil // the basin is removed
		}
		if err := l.endBasin(ctx, rec.Name); err != nil {
			return err
		}
		if !j.knows(rec) {
			l.forgetBasin(rec.Name) // it was removed before its streams were ended: a new basin may have the name
			return nil
		}
		err = l.removeBasin(ctx, rec.Name, ids, func(ctx context.Context) (bool, error) { return j.stillDeleting(ctx, rec) })
		if errors.Is(err, errOtherBasin) {
			l.forgetBasin(rec.Name)
			return nil
		}
		if err != nil {
			return err
		}
		purged = append(purged, number)
	}
	if !j.a.opts.Shared || len(purged) == 0 {
		return unsure
	}
	if err := j.a.onDisk(ctx); err != nil {
		return err
	}
	if err := j.notePurged(ctx, rec, purged); err != nil {
		return err
	}
	return unsure
}

// stillDeleting reports whether a deleted basin is in the catalog, as the servers know it now. Codes: unavailable.
func (j *janitor) stillDeleting(ctx context.Context, rec *catalog.BasinRecord) (bool, error) {
	if err := j.a.catalog.Latest(ctx, catalog.BasinKey(rec.Name)); err != nil {
		return false, err
	}
	return j.knows(rec), nil
}

// knows reports whether a deleted basin is in the view.
func (j *janitor) knows(rec *catalog.BasinRecord) bool {
	now, _, ok := j.a.catalog.View.Basin(rec.Name)
	return ok && now.Deleting() && now.Is(rec)
}

// missing reports whether the JetStream stream of a log is not there.
func (j *janitor) missing(ctx context.Context, id layout.Log) (bool, error) {
	_, err := js.StreamState(ctx, j.a.manage, id.Stream(j.a.opts.Prefix))
	if js.StreamMissing(err) {
		return true, nil
	}
	return false, err
}

// notePurged notes in the entry of a deleted basin that logs hold no chunk of it any more, nor will. A new basin of its name may be deleted by now.
func (j *janitor) notePurged(ctx context.Context, of *catalog.BasinRecord, logs []int) error {
	return j.a.catalog.Change(ctx, catalog.BasinKey(of.Name), func() error {
		if !j.knows(of) {
			return nil
		}
		rec, revision, _ := j.a.catalog.View.Basin(of.Name)
		all := slices.Clone(rec.Purged)
		for _, n := range logs {
			if !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
		if len(all) == len(rec.Purged) {
			return nil
		}
		slices.Sort(all)
		rec.Purged = all
		return j.a.updateBasin(ctx, &rec, revision)
	})
}

// leftToOthers reports whether other nodes go on with a deleted basin: the owners of logs with chunks of it, or the keeper.
func (j *janitor) leftToOthers(ctx context.Context, rec *catalog.BasinRecord, streams map[int][]layout.StreamID) (bool, error) {
	switch {
	case !j.a.keeper.is():
		return true, nil
	case !j.a.KeepsAccount():
		return false, errUnsure
	}
	left := false
	for number := range streams {
		id, ok := layout.LogOf(rec.Name, number)
		if !ok || id.Owner != "" || slices.Contains(rec.Purged, number) {
			continue
		}
		if j.a.openedLog(rec.Name, number) == nil {
			missing, err := j.missing(ctx, id)
			if err != nil {
				return false, err
			}
			if missing {
				continue
			}
			// It may have no owner. Opening it gives it one.
			if _, err := j.a.logOf(ctx, rec.Name, number); err != nil {
				return false, err
			}
		}
		left = true
	}
	return left, nil
}

// removeDedicatedLogs stops the sequencers of a basin's own logs and deletes their JetStream streams with all records.
func (j *janitor) removeDedicatedLogs(ctx context.Context, basin protocol.BasinName) error {
	logs, err := j.a.dedicatedLogs(ctx, basin)
	if err != nil {
		return err
	}
	for _, id := range logs {
		name := id.Stream(j.a.opts.Prefix)
		if err := j.a.logs.remove(ctx, name, basinDeleting(basin)); err != nil {
			return err
		}
		j.a.watermarks.Remove(name)
		if !j.a.KeepsAccount() {
			return errUnsure // another node may be through, and the name may be that of a log of a new basin
		}
		bounded, cancel := context.WithTimeout(ctx, js.Timeout)
		err := j.a.js.DeleteStream(bounded, name)
		cancel()
		if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return err
		}
		if j.a.owners != nil {
			if err := j.a.owners.Forget(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}
