package adapter

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/internal/durable"
	"github.com/weirstream/weir/adapter/internal/js"
)

// openWatermarks opens the watermarks if any log is synced. Otherwise it removes the file that another durability has left.
func (a *Adapter) openWatermarks() (err error) {
	switch {
	case a.opts.Memory || a.opts.StoreDir == "":
		return nil
	case a.syncs():
		a.watermarks, err = durable.OpenWatermarks(a.opts.StoreDir, a.logger)
		return err
	}
	return durable.RemoveWatermarks(a.opts.StoreDir)
}

// openSync finds the way to put files on disk. Only durability group cannot do without.
func (a *Adapter) openSync() error {
	if a.opts.StoreDir == "" || a.opts.Memory {
		if a.opts.groups() && !a.opts.Memory {
			return errors.New("adapter: durability group needs Options.StoreDir")
		}
		return nil
	}
	sync, closeFS, err := durable.NewSyncFS(a.opts.StoreDir)
	switch {
	case err == nil:
		a.sync, a.closeSync = sync, closeFS
	case a.opts.groups():
		return err
	}
	if a.opts.Durability != protocol.DurabilityAlways || a.syncs() {
		return nil
	}
	check, closeProbe, err := durable.NewProbe(a.opts.StoreDir)
	if err != nil {
		return err
	}
	closeFS = a.closeSync
	a.probe, a.closeSync = check, func() { closeProbe(); closeFS() }
	return nil
}

// syncs reports whether catalog, descriptions and the logs of class group are synced by the committer: always, unless
// JetStream does it.
func (a *Adapter) syncs() bool {
	return a.sync != nil && (a.opts.groups() || a.opts.Durability == protocol.DurabilityInterval)
}

// committed returns the function by which the committer makes sure that the messages that JetStream has stored are on disk. If it
// is nil, the committer relies on JetStream's answer.
func (a *Adapter) committed() func() error {
	if a.syncs() {
		return a.observed(a.sync)
	}
	return a.probe
}

// proven fails if messages that JetStream shows may not be on disk. JetStream shows messages that it could not sync or could not
// write: after a failure the store has failed as a whole.
func (a *Adapter) proven() error {
	var err error
	if a.opts.Failure != nil {
		err = a.opts.Failure()
	}
	if err == nil && a.opts.Durability == protocol.DurabilityAlways && a.sync != nil {
		err = a.sync()
	}
	if err != nil {
		err = fmt.Errorf("the store has failed, and nothing that it shows is known to be on disk: %w", err)
		a.Fail(err)
		a.opts.Fatal(err)
	}
	return err
}

// once is f for its first call, and nothing for others. f may be nil.
func once(f func(error)) func(error) {
	var called atomic.Bool
	return func(err error) {
		if f != nil && called.CompareAndSwap(false, true) {
			f(err)
		}
	}
}

// syncLater regularly syncs the chunks that count before they are on disk.
func (a *Adapter) syncLater(ctx context.Context) {
	if a.opts.SyncInterval <= 0 || !a.syncs() {
		return
	}
	t := time.NewTicker(a.opts.SyncInterval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if a.commit.Wait(ctx) != nil {
				return // it has failed for good, or the adapter closes
			}
		case <-ctx.Done():
			return
		}
	}
}

// made prepares a JetStream stream that was made or changed for later writes, and puts its files on disk: a stream
// whose description is not there would be left out of the next start, with everything in it.
func (a *Adapter) made(ctx context.Context, stream string) error {
	if a.opts.Made != nil {
		if err := a.opts.Made(stream); err != nil {
			return err
		}
	}
	return a.commit.Wait(ctx)
}

// onDisk returns once everything that JetStream has done before the call is on disk, in each class of durability if the store
// has a file system to sync. JetStream never syncs a purge by itself. A purge must be on disk before the names of purged streams and basins are
// removed, or chunks without an owner come back after a power cut.
func (a *Adapter) onDisk(ctx context.Context) error {
	if err := a.commit.Wait(ctx); err != nil {
		return err
	}
	if a.sync != nil && !a.syncs() {
		return a.sync()
	}
	return nil
}

// checkWatermarks refuses the start when records are missing, unless the operator has accepted exactly that. It is called
// once, when the catalog is loaded and no log is open. A log that goes with its basin, or went when a crash came, may be
// behind its watermark.
func (a *Adapter) checkWatermarks(ctx context.Context) error {
	if a.watermarks == nil {
		return nil
	}
	stored, err := a.lastSeqs(ctx)
	if err != nil {
		return err
	}
	needed := func(name string) bool { return name == layout.Catalog(a.opts.Prefix) || a.needs(name) }
	err = a.watermarks.Check(stored, needed, a.opts.AcceptLoss)
	if lost, ok := errors.AsType[durable.Losses](err); ok {
		a.tellStreams(ctx, lost)
	}
	return err
}

// toldStreams is how many streams of a log a refused start names.
const toldStreams = 12

// tellStreams adds to losses which streams they may be of: every one in the log, from its tail on.
func (a *Adapter) tellStreams(ctx context.Context, lost durable.Losses) {
	for i := range lost {
		l := &lost[i]
		id, isLog := layout.ParseLog(a.opts.Prefix, l.Log)
		if !isLog {
			continue
		}
		for _, e := range a.catalog.View.StreamsIn(id) {
			if len(l.Streams) == toldStreams {
				l.More++
				continue
			}
			from := uint64(0)
			m, err := js.LeaderGet(ctx, a.manage, l.Log, js.Wanted{LastFor: id.Subject(a.opts.Prefix, e.Basin(), e.ID)})
			if err == nil {
				c, err := chunk.Decode(m.Header.Get(chunk.Header), m.Data)
				if err != nil {
					continue // it is damaged as well, and a read will say so
				}
				from = c.Next
			}
			l.Streams = append(l.Streams, fmt.Sprintf("%v from seq_num %d on", e.Ref(), from))
		}
	}
}

// lastSeqs returns the last sequence of the catalog and of every log, by the name of the JetStream stream.
func (a *Adapter) lastSeqs(ctx context.Context) (map[string]js.Seq, error) {
	last := map[string]js.Seq{}
	for _, subject := range StorageSubjects(a.opts.Prefix) {
		list := a.js.ListStreams(ctx, jetstream.WithStreamListSubject(subject))
		for s := range list.Info() {
			last[s.Config.Name] = js.Seq(s.State.LastSeq)
		}
		if err := list.Err(); err != nil {
			return nil, fmt.Errorf("list the logs: %w", err)
		}
	}
	return last, nil
}
