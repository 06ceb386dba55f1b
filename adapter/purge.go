package adapter

import (
	"context"
	"errors"
	"time"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

const (
	// purgeAtOnce is how many messages of a basin are purged in one step: about a millisecond, in which the log stores
	// nothing.
	purgeAtOnce = 1000
	// purgeWindow is how many sequences of a log one step goes through when a basin's chunks are scattered. Each step costs a
	// walk over the basin's subjects as well, so it is worth more.
	purgeWindow = 10_000
	// purgeShare is which part of the time the steps may take: one in so many.
	purgeShare = 11
)

// purge removes the chunks of a subject below seq; with seq 0 all of them. The newest chunk of a stream that lives must stay.
func (l *log) purge(ctx context.Context, subject string, seq js.Seq) error {
	return js.Purge(ctx, l.a.manage, l.name, subject, seq)
}

// removeStream purges all chunks of a stream.
func (l *log) removeStream(ctx context.Context, basin protocol.BasinName, id layout.StreamID) error {
	subject := l.subject(basin, id)
	return l.removing(ctx, func(newest string) bool { return newest == subject },
		func() error { return l.purge(ctx, subject, 0) })
}

// removing runs remove, which purges subjects for which covers holds. When the log's newest message has such a subject,
// JetStream notes the last sequence in a block of its own, and removes the one before: until both are on disk, a power cut may
// leave neither. The log's watermark must not take that for a loss.
func (l *log) removing(ctx context.Context, covers func(newest string) bool, remove func() error) error {
	last, err := l.lastSeq(ctx)
	if err != nil {
		return err
	}
	if last == 0 {
		return remove() // nothing was ever written
	}
	newest, err := js.LeaderGet(ctx, l.a.manage, l.name, js.Wanted{Seq: last})
	var unreadable *js.HeaderError
	switch {
	case err == nil || errors.As(err, &unreadable):
		if !covers(newest.Subject) {
			return remove() // a newer message stays, and so does the last sequence
		}
	case !errors.Is(err, js.ErrNotFound):
		return err
	}
	return l.a.unwatched(ctx, l.name, remove)
}

// unwatched runs remove, which may take the newest message of a JetStream stream away, while its watermark says nothing.
func (a *Adapter) unwatched(ctx context.Context, stream string, remove func() error) error {
	a.watermarks.Suspend(stream)
	if err := a.commit.Wait(ctx); err != nil {
		a.watermarks.Resume(stream)
		return err
	}
	// When one of these fails, the state on disk is unknown, and the watermark stays away until the next start.
	if err := remove(); err != nil {
		return err
	}
	if err := a.commit.Wait(ctx); err != nil {
		return err
	}
	a.watermarks.Resume(stream)
	return nil
}

// errOtherBasin says that the chunks of a basin are not removed, because its name may be that of another basin.
var errOtherBasin = errors.New("the name of the basin may be that of another one")

// removeBasin purges all chunks of a basin, of which these streams are known, in steps that leave appends of other basins
// most of the time (docs/adr/0015). It can be repeated, and goes on where it was interrupted. Where several brokers share the store, still says whether the
// catalog has the reason for the removal: it is asked when it is known which chunks there are, and if it says no, the removal fails with errOtherBasin.
func (l *log) removeBasin(ctx context.Context, basin protocol.BasinName, streams []layout.StreamID, still func(ctx context.Context) (bool, error)) error {
	var messages uint64
	var err error
	if l.a.opts.Shared {
		messages, err = l.count(ctx, basin) // a replica may be behind
	} else {
		messages, err = l.get.Pending(ctx, l.name, l.id.Basin(l.a.opts.Prefix, basin), 1)
	}
	if js.NoResponders(err) {
		if _, err := l.lastSeq(ctx); js.StreamMissing(err) {
			return nil // nothing was ever written to it
		}
	}
	if err != nil {
		return readFailure(err)
	}
	if messages == 0 {
		return nil
	}
	end := js.Seq(0)
	if l.a.opts.Shared {
		// This node may be stopped for any time between any two steps, others be through with the basin meanwhile, and chunks of a new basin of the name be
		// there. The chunks before end are older than the answer of still, and those behind it stay.
		last, err := l.lastSeq(ctx)
		if err != nil {
			return err
		}
		end = max(last, js.Seq(l.reached.Load())) + 1
		if ok, err := still(ctx); err != nil {
			return err
		} else if !ok {
			return errOtherBasin
		}
	}
	covers := func(newest string) bool {
		place, ok := layout.ParseSubject(l.a.opts.Prefix, newest)
		return ok && place.Basin == basin
	}
	return l.removing(ctx, covers, func() error { return l.removeInSteps(ctx, basin, streams, messages, end) })
}

// removeInSteps removes the chunks before end; 0: all.
func (l *log) removeInSteps(ctx context.Context, basin protocol.BasinName, streams []layout.StreamID, messages uint64, end js.Seq) error {
	prefix := l.a.opts.Prefix
	everything := l.id.Basin(prefix, basin)
	step := func(filter string, below js.Seq) error {
		began := time.Now()
		err := l.purge(ctx, filter, below)
		if err == nil {
			sleep(ctx, (purgeShare-1)*time.Since(began))
			err = ctx.Err()
		}
		return err
	}
	buckets := map[uint32]struct{}{}
	for _, id := range streams {
		buckets[id.Bucket()] = struct{}{}
	}
	switch {
	case messages <= purgeAtOnce:
	case len(streams) >= 16*len(buckets) && messages <= 4*uint64(len(streams)):
		// The streams were created many at a time and hold little: the chunks of a bucket lie together.
		for bucket := range buckets {
			if err := step(l.id.Bucket(prefix, basin, bucket), end); err != nil {
				return err
			}
		}
	default:
		state, err := js.StreamState(ctx, l.a.manage, l.name)
		if err != nil {
			return err
		}
		last := state.LastSeq
		if end != 0 {
			last = min(last, end)
		}
		for below := state.FirstSeq + purgeWindow; below <= last; below += purgeWindow {
			if err := step(everything, below); err != nil {
				return err
			}
		}
	}
	return l.purge(ctx, everything, end) // all that is left
}
