package adapter

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/weirstream/weir/adapter/internal/catalog"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

const (
	// sweepEvery is how often the janitor looks at the next sweepStreams streams of the catalog: a million streams take
	// about a quarter of an hour. Readers never see expired records, so this bounds only how late space is given back.
	sweepEvery   = 2 * time.Second
	sweepStreams = 2000
	// sweepChunks bounds the chunks of one stream that a pass looks at.
	sweepChunks = 256
	// recheckAfter is when a stream whose check failed is looked at again.
	recheckAfter = time.Minute
	// unloadAfter is how long a stream stays loaded without being used (data plane 4.14).
	unloadAfter = 60 * time.Second
)

// The janitor gives space back: it purges chunks below a trim point, chunks that have expired, deleted streams and
// deleted basins. Every step can be repeated, and work that a crash interrupts is found again: deletions by their mark in the
// catalog, trims and expiries by the sweep over all streams.
type janitor struct {
	a    *Adapter
	wake chan struct{}

	mu      sync.Mutex
	trims   map[*stream]struct{} // with a reference each
	streams map[incarnation]*catalog.Entry
	basins  map[protocol.BasinName]struct{}
	held    map[layout.StreamID]int // streams that are being forked, of which nothing is purged

	// purging has room for one: a step that purges, from the look at the forks' needs to the end of the purge.
	purging chan struct{}

	at       protocol.StreamRef // where the sweep goes on; owned by run
	unloaded time.Time          // owned by run
	holds    unusedHolds        // owned by run
}

// incarnation is one stream of a name. A stream that is being deleted and its shadow have the same id.
type incarnation struct {
	ref protocol.StreamRef
	id  layout.StreamID
}

func newJanitor(a *Adapter) *janitor {
	return &janitor{a: a, wake: make(chan struct{}, 1), trims: map[*stream]struct{}{}, streams: map[incarnation]*catalog.Entry{},
		basins: map[protocol.BasinName]struct{}{}, held: map[layout.StreamID]int{}, purging: make(chan struct{}, 1)}
}

// findDeleted notes the deletions that the catalog had marked when it was loaded. In a shared store those of streams are noted when this node begins
// to own their log.
func (j *janitor) findDeleted() {
	j.a.catalog.View.EachDeleting(j.removeBasin, j.removeStream)
}

func (j *janitor) poke() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// trim asks for the chunks below the stream's durable trim point to be purged. It is called by the sequencer.
func (j *janitor) trim(st *stream) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.holdLocked(st)
	j.poke()
}

// holdLocked notes a stream to be trimmed, with a reference to it.
func (j *janitor) holdLocked(st *stream) {
	if _, ok := j.trims[st]; !ok {
		st.acquire()
		j.trims[st] = struct{}{}
	}
}

// removeStream asks for a deleted stream to be removed, by the node that tends it: where that is another one, it has got the mark as well.
func (j *janitor) removeStream(e *catalog.Entry) {
	if !j.a.tends(e) {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.streams[incarnation{e.Ref(), e.ID}] = e
	j.poke()
}

func (j *janitor) removeBasin(name protocol.BasinName) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.basins[name] = struct{}{}
	j.poke()
}

// run works until ctx ends. A step that fails is logged and tried again at the next sweep.
func (j *janitor) run(ctx context.Context) {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		select {
		case <-j.wake:
			j.work(ctx)
		case <-sweep.C:
			j.work(ctx)
			j.sweep(ctx)
			j.sweepHolds(ctx)
			j.unload(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// work carries out the removals that were asked for.
func (j *janitor) work(ctx context.Context) {
	j.mu.Lock()
	trims, streams, basins := j.trims, j.streams, j.basins
	j.trims, j.streams, j.basins = map[*stream]struct{}{}, map[incarnation]*catalog.Entry{}, map[protocol.BasinName]struct{}{}
	j.mu.Unlock()
	points := make(map[*stream]uint64, len(trims))
	for st := range trims {
		if !st.log.mine() {
			delete(trims, st)
			st.release()
			continue
		}
		points[st] = j.noteTrim(st)
	}
	for _, e := range streams {
		if e.IsShadow() {
			j.learnTrims(ctx, e) //nolint:errcheck // records are kept until it is known
		}
	}
	var now uint64
	var unsettled error
	if len(trims)+len(streams) > 0 {
		now, unsettled = j.settle(ctx)
	}
	for st := range trims {
		err := unsettled
		if err == nil {
			err = j.exclusively(ctx, func() error { return st.purgeTrimmed(ctx, points[st], now) })
		}
		if err != nil && !st.log.closed() && !errors.Is(err, errNotOwner) {
			j.report(ctx, "trimmed records could not be removed yet", err, slog.String("stream", string(st.ref.Stream)))
			j.again(func() { j.holdLocked(st) })
		}
		st.release()
	}
	for id, e := range streams {
		err := unsettled
		if err == nil {
			err = j.end(ctx, e)
		}
		if err == nil {
			err = j.exclusively(ctx, func() error { return j.purgeStream(ctx, e, now) })
		}
		if err != nil && !errors.Is(err, errNotOwner) {
			j.report(ctx, "a deleted stream could not be removed yet", err, slog.String("stream", string(e.Name)))
			j.again(func() { j.streams[id] = e })
		}
	}
	for name := range basins {
		if err := j.purgeBasin(ctx, name); err != nil {
			j.report(ctx, "a deleted basin could not be removed yet", err, slog.String("basin", string(name)))
			j.again(func() { j.basins[name] = struct{}{} })
		}
	}
}

func (j *janitor) again(put func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	put()
}

func (j *janitor) report(ctx context.Context, what string, err error, attr slog.Attr) {
	if ctx.Err() == nil && !errors.Is(err, errHeld) && !errors.Is(err, errUnsure) && !errors.Is(err, catalog.ErrNotFollowed) {
		j.a.logger.LogAttrs(ctx, slog.LevelWarn, what, attr, slog.Any("error", err)) //nolint:sloglint // a constant of the caller
	}
}

// end lets a stream that another node has marked as deleted end behind the appends that are queued here.
func (j *janitor) end(ctx context.Context, e *catalog.Entry) error {
	if !j.a.opts.Shared {
		return nil // deleteStream has
	}
	if _, err := j.a.tended(ctx, e.Basin(), e.Log()); err != nil {
		return err
	}
	err := j.a.endStream(ctx, e)
	if wasDeleted(err) || damaged(err) || protocol.CodeOf(err) == protocol.CodeBasinDeletionPending {
		return nil // a damaged stream takes no appends, and to be deleted is the way out
	}
	return err
}

// purgeStream removes a deleted stream's chunks, and then its name; now is the result of settle.
func (j *janitor) purgeStream(ctx context.Context, e *catalog.Entry, now uint64) error {
	entry, _, purging := j.a.catalog.View.Stream(e.Ref())
	if entry == nil || entry.ID != e.ID || purging {
		return nil // it is deleted, or is deleted with its basin
	}
	l, err := j.a.tended(ctx, e.Basin(), e.Log())
	if err != nil {
		return err
	}
	if st := l.end(e.Basin(), e.ID); st != nil {
		select {
		case <-st.ready: // if it failed to load it has nothing in flight
		case <-ctx.Done():
			return ctx.Err()
		}
		st.ask(ctx, sealRequest) //nolint:errcheck // refused, but not before the chunks in flight are settled
	}
	needed, err := j.needed(e.Basin(), e.ID, now)
	switch {
	case err != nil:
		return err
	case len(needed) > 0 && e.IsShadow():
		return nil // until a fork that goes asks again
	case len(needed) > 0:
		err = j.shade(ctx, e)
	case !l.sure():
		err = errUnsure
	default:
		err = l.removeStream(ctx, e.Basin(), e.ID)
	}
	if err != nil {
		return err
	}
	if err := j.a.catalog.Remove(ctx, catalog.StreamKey(e.Ref()), entry.Revision); err != nil {
		return err
	}
	j.a.catalog.View.RemoveStream(e.Ref(), e.ID)
	l.drop(e.ID, errStreamDeleted)
	return j.endFork(ctx, e)
}

// sweep looks at the next streams of the catalog whose oldest chunk may have expired, or that were never looked at
// since the start.
func (j *janitor) sweep(ctx context.Context) {
	entries, done := j.a.catalog.View.Some(j.at, sweepStreams)
	if n := len(entries); n > 0 {
		j.at = entries[n-1].Ref()
	}
	if done {
		j.at = protocol.StreamRef{}
	}
	opened := 0
	round := round{a: j.a, unowned: func(name string) {
		if opened < openAtOnce && j.a.openUnowned(name) {
			opened++
		}
	}}
	for _, e := range entries {
		now := catalog.Millis(time.Now())
		if !round.tends(e) {
			continue
		}
		if e.IsShadow() && e.Checks.At.Load() <= now {
			e.Checks.At.Store(now + uint64(recheckForked.Milliseconds()))
			j.removeStream(e) // its forks may be trimmed by other nodes
		}
		if e.Deleting() || e.Checks.At.Load() > now {
			continue
		}
		e.Checks.MarkPart()
		e.Checks.At.Store(catalog.NeverCheck) // an append in the meantime lowers it again
		if err := j.exclusively(ctx, func() error { return j.check(ctx, e, now) }); err != nil {
			if ctx.Err() != nil {
				return
			}
			e.Checks.At.Before(now + uint64(recheckAfter.Milliseconds()))
			if errors.Is(err, errNotOwner) {
				continue
			}
			j.report(ctx, "a stream's retention could not be checked", err, slog.String("stream", string(e.Name)))
		}
	}
}

// check purges the expired or trimmed chunks at the beginning of a stream.
func (j *janitor) check(ctx context.Context, e *catalog.Entry, now uint64) error {
	if _, _, purging := j.a.catalog.View.Stream(e.Ref()); purging {
		return nil
	}
	l, err := j.a.tended(ctx, e.Basin(), e.Log())
	if err != nil {
		return err
	}
	subject := l.subjectOf(e)
	newest, err := l.newestChunk(ctx, subject)
	if errors.Is(err, js.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if newest.Trim == protocol.TerminalTrimPoint { // ended by delete-on-empty, and a crash came before the mark
		return j.a.deleteStream(ctx, e.Ref(), e.ID)
	}
	purgeable := func(c *storedChunk) bool {
		return c.Next <= newest.Trim || c.Expiry != 0 && c.Expiry <= now || c.Records.Len() == 0
	}
	if e.Fork() != nil {
		j.trimmedFork(e, newest.Trim)
	}
	if err := j.learnTrims(ctx, e); err != nil {
		return err
	}
	keep, passed := js.Seq(0), 0
	for ; passed < sweepChunks; passed++ {
		c, err := l.getNext(ctx, subject, keep+1)
		if errors.Is(err, js.ErrNotFound) {
			return nil // purged by another server meanwhile
		}
		if err != nil {
			return err
		}
		keep = c.seq
		if c.seq >= newest.seq || !purgeable(&c) {
			if c.Expiry != 0 {
				e.Checks.At.Before(c.Expiry)
			}
			break
		}
	}
	if passed == sweepChunks {
		e.Checks.At.Before(now) // go on in the next pass
	}
	expired := keep == newest.seq && newest.Records.Len() > 0 && newest.Expiry != 0 && newest.Expiry <= now
	if passed == 0 && !expired {
		return nil
	}
	settled, err := j.settle(ctx)
	if err != nil {
		return err
	}
	needed, err := j.needed(e.Basin(), e.ID, settled)
	if err != nil {
		return err
	}
	if len(needed) > 0 {
		return j.checkForked(ctx, l, e, &newest, needed, purgeable)
	}
	if expired {
		if keep, err = j.seal(ctx, l, e, newest.seq); err != nil {
			return err
		}
	}
	// The chunk that stays is the stream's checkpoint from now on: it must not be lost when the chunks that it replaces are removed.
	if err := j.a.commit.Wait(ctx); err != nil {
		return err
	}
	if !l.sure() {
		return errUnsure
	}
	if err := l.purge(ctx, subject, keep); err != nil {
		return err
	}
	j.a.sizes.touch(e.Ref(), e.ID, e.Checks, 0)
	return nil
}

// noteTrim returns how far a loaded stream is trimmed, and notes it if that is a fork.
func (j *janitor) noteTrim(st *stream) (trim uint64) {
	trim, _ = st.live.trimmed()
	if e, _, _ := j.a.catalog.View.Stream(st.ref); e != nil && e.ID == st.id && e.Fork() != nil && trim != protocol.TerminalTrimPoint {
		j.trimmedFork(e, trim)
	}
	return trim
}

// seal writes a state chunk behind a stream's newest records, so that those can be purged, unless something was appended since. It returns the place
// up to which everything can be purged then.
func (j *janitor) seal(ctx context.Context, l *log, e *catalog.Entry, newest js.Seq) (js.Seq, error) {
	st, err := l.open(ctx, e)
	if err != nil {
		return 0, err
	}
	defer st.release()
	if err := st.ask(ctx, sealRequest); err != nil {
		return 0, err
	}
	if st.live.newest() <= newest {
		return newest, nil // the stream is being deleted
	}
	return newest + 1, nil // later appends stay
}

// unload drops unused streams from memory.
func (j *janitor) unload(ctx context.Context) {
	now := time.Now()
	if now.Sub(j.unloaded) < unloadAfter/6 {
		return
	}
	j.unloaded = now
	for _, l := range j.a.logs.all() {
		j.a.noteUses(ctx, l, now.Add(-unloadAfter))
		l.unloadIdle(now.Add(-unloadAfter))
	}
}
