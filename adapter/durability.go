package adapter

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/internal/durable"
	"github.com/weirstream/weir/adapter/internal/js"
)

// openWatermarks opens the watermarks if any log is synced. Otherwise it removes what another durability has left.
func (a *Adapter) openWatermarks() (err error) {
	switch {
	case a.opts.Memory || a.opts.StoreDir == "":
		return nil
	case a.opts.syncs():
		a.watermarks, err = durable.OpenWatermarks(a.opts.StoreDir, a.logger)
		return err
	}
	return durable.RemoveWatermarks(a.opts.StoreDir)
}

// made prepares a JetStream stream that was made or changed for what is written to it, and puts its files on disk: a stream
// whose description is not there would be left out of the next start, with everything in it.
func (a *Adapter) made(ctx context.Context, stream string) error {
	if a.opts.Made != nil {
		if err := a.opts.Made(stream); err != nil {
			return err
		}
	}
	return a.commit.Wait(ctx)
}

// removeAll purges a subject of a log, the log's newest message perhaps included. JetStream then notes the last sequence
// in a block of its own, and removes the one before: until both are on disk, a power cut may leave neither. The log's
// watermark must not take that for a loss.
func (l *log) removeAll(ctx context.Context, subject string) error {
	l.a.watermarks.Suspend(l.name)
	if err := l.a.commit.Wait(ctx); err != nil {
		l.a.watermarks.Resume(l.name)
		return err
	}
	// When one of these fails, nobody knows what is on disk, and the watermark stays away until the next start.
	if err := l.purge(ctx, subject, 0); err != nil {
		return err
	}
	if err := l.a.commit.Wait(ctx); err != nil {
		return err
	}
	l.a.watermarks.Resume(l.name)
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
	needed := func(name string) bool { return name == a.opts.catalogStream() || a.needs(name) }
	return a.watermarks.Check(stored, needed, a.opts.AcceptLoss)
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
