package adapter

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/weirstream/weir/adapter/internal/catalog"
	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// Forks where several brokers share a store (docs/adr/0026). The janitor of another node may remove records of the source while a fork is made here, and may
// have decided to long before it does. What counts is the order of the catalog's changes: the fork's hold is stored first, and then the source is looked at
// again; a janitor has a reason to remove records first, then writes to the catalog, and then looks for holds. One of the two sees the other.

const (
	// forkAttempts bounds how often a fork at the tail begins anew because its source was trimmed meanwhile.
	forkAttempts = 5
	// unusedFor is how long a hold may be without its fork until it is taken for left over. A fork that takes longer fails.
	unusedFor = time.Minute
	// forksAsked bounds the forks of a stream whose trim points are asked for at once.
	forksAsked = 64
)

// errForkAgain says that the source of a fork at the tail was trimmed while it was made: at no moment did the source hold the records that the fork would.
var errForkAgain = errors.New("the source was trimmed meanwhile")

// forkShared is forkStream where several brokers share the store.
func (a *Adapter) forkShared(ctx context.Context, ref protocol.StreamRef, b *catalog.BasinRecord, req protocol.CreateStreamRequest, key string) (*catalog.Entry, error) {
	for range forkAttempts {
		e, err := a.tryFork(ctx, ref, b, req, key)
		if !errors.Is(err, errForkAgain) {
			return e, err
		}
	}
	return nil, protocol.Errorf(protocol.CodeTransactionConflict, "fork.source: it was trimmed again and again while it was forked; nothing was done")
}

func (a *Adapter) tryFork(ctx context.Context, ref protocol.StreamRef, b *catalog.BasinRecord, req protocol.CreateStreamRequest, key string) (*catalog.Entry, error) {
	from := protocol.StreamRef{Basin: ref.Basin, Stream: req.Fork.Source}
	if err := a.catalog.LatestStream(ctx, from); err != nil {
		return nil, err
	}
	source, err := a.forkSource(from)
	if err != nil {
		return nil, err
	}
	st, err := a.openEntry(ctx, source)
	if err != nil {
		return nil, err
	}
	defer st.release()
	if err := st.refresh(ctx); err != nil {
		return nil, err
	}
	h := &Stream{st: st}
	fork, trim, err := h.forkAt(ctx, req.Fork.At)
	if err != nil {
		return nil, err
	}
	rec := a.forkRecord(ref, source, req, key, fork)
	if err := rec.Config.Check(rec.CreatedAt); err != nil {
		return nil, err
	}
	if len(fork.Segments) == 0 {
		return a.addStream(ctx, ref, b, rec, 0)
	}
	reserved, err := a.catalog.Reserve(ctx, catalog.StreamKey(ref))
	if err != nil {
		return nil, err
	}
	hold, err := a.catalog.PutHold(ctx, ref.Basin, catalog.Hold{Name: ref.Stream, ID: rec.ID, Reserved: reserved, Fork: fork})
	if err != nil {
		return nil, err // if it is stored, sweepHolds removes it
	}
	if rec.Fork, err = a.heldFork(ctx, h, source, hold, req.Fork.At, trim); err != nil {
		a.dropHold(ctx, hold)
		return nil, err
	}
	e, err := a.addStream(ctx, ref, b, rec, reserved)
	if err != nil {
		a.dropUnused(ctx, hold)
	}
	return e, err
}

// heldFork is a fork as it can be made now that its hold is stored: without those records that a janitor may have decided to remove before. trim is the
// source's trim point from before.
func (a *Adapter) heldFork(ctx context.Context, h *Stream, source *catalog.Entry, hold *catalog.StoredHold, at *uint64, trim uint64) (*catalog.Fork, error) {
	if err := a.catalog.ForkView(ctx, source.Ref(), hold); err != nil {
		return nil, err
	}
	if _, _, err := a.liveBasin(source.Basin()); err != nil {
		return nil, err
	}
	now, err := a.forkSource(source.Ref())
	switch {
	case err != nil:
		return nil, err
	case now.ID != source.ID: // it was deleted, and another one of its name was made
		return nil, a.streamNotFound(source.Ref())
	}
	if err := h.st.refresh(ctx); err != nil {
		return nil, err
	}
	_, newTrim, err := h.forkBounds()
	switch {
	case err != nil:
		return nil, err
	case newTrim == trim:
	case at == nil:
		return nil, errForkAgain
	case *at < newTrim:
		return nil, errForkTrimmed(*at, newTrim)
	}
	first, err := h.firstKept(ctx, hold.Fork, newTrim, max(a.catalog.View.Horizon(), catalog.Millis(time.Now())))
	if err != nil {
		return nil, err
	}
	return hold.Fork.Since(first), nil
}

// firstKept is the first record of a fork of the stream that has neither been trimmed nor expired by a time, in milliseconds since the epoch. A janitor that
// goes by this trim point and time, or by earlier ones, leaves it and all behind it.
func (h *Stream) firstKept(ctx context.Context, fork *catalog.Fork, trim, expired uint64) (uint64, error) {
	from, end := max(fork.Trim, trim), fork.At.SeqNum
	if own := h.st.fork; own != nil && from < own.At.SeqNum {
		if !own.Over(expired) {
			return from, nil
		}
		from = own.At.SeqNum
	}
	if from >= end {
		return end, nil
	}
	at, c, err := h.st.seek(ctx, from, bySeqNum)
	for ; err == nil && at != 0; at, c = c.seq+1, nil {
		if c == nil {
			var next storedChunk
			if next, err = h.st.log.getNext(ctx, h.st.subject, at); err != nil {
				break
			}
			c = &next
		}
		switch {
		case c.FirstSeqNum() >= end:
			return end, nil
		case c.Records.Len() > 0 && c.Next > from && (c.Expiry == 0 || c.Expiry > expired):
			return max(from, c.FirstSeqNum()), nil
		}
	}
	if err != nil && !errors.Is(err, js.ErrNotFound) {
		return 0, err
	}
	return end, nil
}

// dropHold removes the hold of a fork that is not there, of which this process knows that it will never be.
func (a *Adapter) dropHold(ctx context.Context, hold *catalog.StoredHold) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), js.Timeout)
	defer cancel()
	if err := a.catalog.RemoveHold(ctx, hold); err != nil {
		a.logger.Info("the records that a fork was to share are kept a while longer", slog.String("basin", string(hold.Basin)),
			slog.String("stream", string(hold.Name)), slog.Any("error", err))
		return
	}
	a.janitor.freeSources(hold.Basin, hold.Fork)
}

// dropUnused removes a hold if its fork is not there and will never be.
func (a *Adapter) dropUnused(ctx context.Context, hold *catalog.StoredHold) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), js.Timeout)
	defer cancel()
	unused, err := a.catalog.Abandoned(ctx, hold)
	switch {
	case err != nil:
		a.logger.Info("it is not known yet whether a fork was made", slog.String("basin", string(hold.Basin)),
			slog.String("stream", string(hold.Name)), slog.Any("error", err))
	case unused:
		a.dropHold(ctx, hold)
	}
}

// unusedHolds is the janitor's memory of holds without forks.
type unusedHolds struct {
	looked time.Time
	since  map[layout.StreamID]time.Time
}

// sweepHolds removes holds that were left over when a server ended while it made or removed a fork.
func (j *janitor) sweepHolds(ctx context.Context) {
	now := time.Now()
	if !j.a.opts.Shared || now.Sub(j.holds.looked) < unusedFor/2 {
		return
	}
	j.holds.looked = now
	before := j.holds.since
	j.holds.since = map[layout.StreamID]time.Time{}
	for _, h := range j.a.catalog.View.UnusedHolds() {
		since, known := before[h.ID]
		if !known {
			since = now
		}
		j.holds.since[h.ID] = since
		if now.Sub(since) >= unusedFor && ctx.Err() == nil {
			j.a.dropUnused(ctx, h)
		}
	}
}

// endFork removes what a fork that is removed has kept.
func (j *janitor) endFork(ctx context.Context, fork *catalog.Entry) error {
	if fork.Fork() == nil {
		return nil
	}
	if hold := j.a.catalog.View.Hold(fork.Basin(), fork.ID); hold != nil {
		if err := j.a.catalog.RemoveHold(ctx, hold); err != nil {
			return err // sweepHolds does it
		}
	}
	j.freeSources(fork.Basin(), fork.Fork())
	return nil
}

// learnTrims asks how far the forks of a stream are trimmed, from time to time: other nodes may have noticed it.
func (j *janitor) learnTrims(ctx context.Context, source *catalog.Entry) error {
	if !j.a.opts.Shared {
		return nil
	}
	now := time.Now()
	for _, e := range j.a.catalog.View.ForksOf(source.Basin(), source.ID, now.Add(-recheckForked).UnixMilli(), now.UnixMilli(), forksAsked) {
		l, err := j.a.logOf(ctx, e.Basin(), e.Log())
		if err != nil {
			return err
		}
		newest, err := l.getLast(ctx, l.subjectOf(e))
		switch {
		case errors.Is(err, js.ErrNotFound):
		case err != nil:
			return err
		case newest.Trim != protocol.TerminalTrimPoint:
			j.trimmedFork(e, newest.Trim)
		}
	}
	return nil
}
