package adapter

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/adapter/internal/catalog"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

const (
	// sizeEvery is how often the streams that have changed are measured, at most sizeChanged of them with gets: at two
	// each that is about a percent of a core. They are taken up sizePage at a time.
	sizeEvery   = time.Minute
	sizeChanged = 20_000
	sizePage    = 5000
	// surveyEvery is how often the next surveyStreams of the catalog are looked at for streams that were never measured:
	// after the start, a million take a quarter of an hour, and from then on there is nothing to do.
	surveyEvery   = 2 * time.Second
	surveyStreams = 2000
	// expiredChunks bounds the chunks at a stream's beginning that are passed over because they are trimmed or expired; the
	// janitor is about to remove them. The chunks behind count as stored.
	expiredChunks = 64
)

// sizes knows how many metered bytes are stored: of each stream as of its last measurement, and of each basin as their
// sum, which the view keeps. A measurement is two gets, because chunks carry a running total, and none for a stream that was
// made here, has changed once and has lost nothing. Only streams that have changed since the last one are measured, so that
// unused streams cost nothing (docs/adr/0010).
type sizes struct {
	a *Adapter

	mu      sync.Mutex
	changed []sizeChange

	at      protocol.StreamRef // where the survey goes on; owned by run
	turns   map[*log]uint64    // in which this node owns logs all of whose streams this round of the survey looks at; owned by run
	surveys atomic.Int64       // how often the survey has been around
}

// sizeChange is a stream to be measured. total is the running total at its first change.
type sizeChange struct {
	ref   protocol.StreamRef
	id    layout.StreamID
	total uint64
}

func newSizes(a *Adapter) *sizes { return &sizes{a: a} }

// touch notes that a stream has changed; total is how many metered bytes were ever appended. It costs a look at flags when a second
// change is known already.
func (z *sizes) touch(ref protocol.StreamRef, id layout.StreamID, c *catalog.CheckTime, total uint64) {
	if c.Size.MarkChanged() {
		return
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.changed = append(z.changed, sizeChange{ref, id, total})
}

func (z *sizes) run(ctx context.Context) {
	survey, change := time.NewTicker(surveyEvery), time.NewTicker(sizeEvery)
	defer survey.Stop()
	defer change.Stop()
	for {
		select {
		case <-survey.C:
			z.survey(ctx)
		case <-change.C:
			z.measureChanged(ctx, nil)
		case <-ctx.Done():
			return
		}
	}
}

// measureChanged measures the streams that have changed and that want holds for; nil: for all.
func (z *sizes) measureChanged(ctx context.Context, want func(protocol.StreamRef) bool) {
	for gets := 0; gets < sizeChanged; {
		page := z.take(want)
		if len(page) == 0 {
			return
		}
		for i, c := range page {
			got, err := z.measureChange(ctx, c)
			if got {
				gets++
			}
			if err != nil {
				z.giveBack(page[i:])
				return
			}
		}
	}
}

// take takes the first streams out of the list that want holds for.
func (z *sizes) take(want func(protocol.StreamRef) bool) (page []sizeChange) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if want == nil {
		n := min(sizePage, len(z.changed))
		page, z.changed = z.changed[:n:n], z.changed[n:]
		if len(z.changed) == 0 {
			z.changed = nil
		}
		return page
	}
	var later []sizeChange
	for _, c := range z.changed {
		if len(page) < sizePage && want(c.ref) {
			page = append(page, c)
		} else {
			later = append(later, c)
		}
	}
	z.changed = later
	return page
}

func (z *sizes) giveBack(page []sizeChange) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.changed = append(z.changed, page...)
}

// measureChange measures a stream that has changed; got reports whether it took gets. An error says that the store does not answer.
func (z *sizes) measureChange(ctx context.Context, c sizeChange) (got bool, err error) {
	e, _, _ := z.a.catalog.View.Stream(c.ref)
	if e == nil || e.ID != c.id {
		return false, nil
	}
	if !z.a.tends(e) {
		e.Checks.Size.MarkMeasured() // the owner measures it
		return false, nil
	}
	again := e.Checks.Size.MarkMeasured() // a change from now on is seen the next time
	bytes := c.total
	if got = again || e.Deleting() || !e.Checks.IsWhole(catalog.Millis(time.Now())); got {
		bytes, err = z.update(ctx, e)
	} else {
		z.set(e, bytes)
	}
	if err != nil {
		z.report(ctx, e, err)
		if damaged(err) {
			return true, nil
		}
		e.Checks.Size.MarkChanged()
		return true, err
	}
	if f := z.a.opts.Observer.StreamSized; f != nil && !e.Deleting() {
		f(c.ref, bytes, time.Now())
	}
	return got, nil
}

func (z *sizes) report(ctx context.Context, e *catalog.Entry, err error) {
	if ctx.Err() == nil {
		z.a.logger.Warn("the size of a stream could not be measured", slog.String("basin", string(e.Basin())),
			slog.String("stream", string(e.Name)), slog.Any("error", err))
	}
}

// damaged reports that a stream cannot be measured, while the store answers: the others can. It is tried again when it
// changes.
func damaged(err error) bool { return err != nil && protocol.CodeOf(err) == protocol.CodeStorage }

// survey measures the streams among the next of the catalog whose size is not known and has not changed.
func (z *sizes) survey(ctx context.Context) {
	if z.at == (protocol.StreamRef{}) {
		z.turns = z.a.renewedTurns()
	}
	entries, done := z.a.catalog.View.Some(z.at, surveyStreams)
	round := round{a: z.a}
	for _, e := range entries {
		// One that has changed is about to be measured, mostly without gets: a survey of a million streams that are being made
		// would cost more than they do.
		if e.Checks.Size.Measured.Load() == 0 && !e.Checks.Size.IsChanged() && round.tends(e) {
			if _, err := z.update(ctx, e); err != nil {
				z.report(ctx, e, err)
				if !damaged(err) {
					return // the next time begins here
				}
			}
		}
		z.at = e.Ref()
	}
	if done {
		z.at = protocol.StreamRef{}
		z.surveys.Add(1)
		for l, turn := range z.turns {
			l.sized.Store(turn)
		}
	}
}

// update measures a stream and puts the result into the view.
func (z *sizes) update(ctx context.Context, e *catalog.Entry) (bytes uint64, err error) {
	if bytes, err = z.measure(ctx, e); err != nil && !damaged(err) {
		return 0, err
	}
	if err == nil {
		z.a.catalog.View.SetSize(e, bytes)
	}
	z.measured(e)
	return bytes, err
}

// set puts a size that is known without a measurement into the view.
func (z *sizes) set(e *catalog.Entry, bytes uint64) {
	z.a.catalog.View.SetSize(e, bytes)
	z.measured(e)
}

func (z *sizes) measured(e *catalog.Entry) {
	e.Checks.Size.Measured.Store(uint32(time.Now().Unix() / 60)) // good for 8000 years
}

// measure returns the metered bytes of a stream's records that are neither trimmed nor expired.
func (z *sizes) measure(ctx context.Context, e *catalog.Entry) (uint64, error) {
	if e.Deleting() || e.Checks.IsFresh() {
		return 0, nil
	}
	l, err := z.a.logOf(ctx, e.Basin(), e.Log())
	if err != nil {
		return 0, ignoreMissing(err)
	}
	subject := l.subjectOf(e)
	newest, err := l.newestChunk(ctx, subject)
	if err != nil || newest.Trim == protocol.TerminalTrimPoint {
		return 0, ignoreMissing(err)
	}
	now := catalog.Millis(time.Now())
	hidden := func(c *storedChunk) bool { return c.Next <= newest.Trim || len(c.visible(now).Wire()) == 0 }
	at := js.Seq(0)
	for range expiredChunks {
		c, err := l.getNext(ctx, subject, at+1)
		if err != nil {
			return 0, ignoreMissing(err)
		}
		if !hidden(&c) {
			return newest.Total - min(newest.Total, c.totalBefore(newest.Trim)), nil
		}
		if c.seq >= newest.seq {
			return 0, nil
		}
		at = c.seq
	}
	c, err := l.getNext(ctx, subject, at+1)
	if err != nil {
		return 0, ignoreMissing(err)
	}
	return newest.Total - min(newest.Total, c.totalBefore(newest.Trim)), nil
}

// totalBefore is how many metered bytes the stream had taken before the first record of the chunk that trim leaves.
func (c *storedChunk) totalBefore(trim uint64) uint64 {
	return c.Total - min(c.Total, c.meteredFrom(trim))
}

// ignoreMissing turns the word that there is nothing, or nothing any more, into none.
func ignoreMissing(err error) error {
	if errors.Is(err, js.ErrNotFound) || protocol.CodeOf(err) == protocol.CodeBasinDeletionPending {
		return nil
	}
	return err
}

// BasinParts yields the metered bytes stored in a basin, the latest writes included, in parts that do not change: in a shared store the streams of each
// log that this node owns, or else all of them. Nothing comes of a part until all its streams were measured once after the start, or after this node began to own
// the log. It returns false if there is no such basin, or a broker that has its store alone does not know its size yet.
func (a *Adapter) BasinParts(ctx context.Context, basin protocol.BasinName, yield func(part int, bytes uint64)) bool {
	a.sizes.measureChanged(ctx, func(ref protocol.StreamRef) bool { return ref.Basin == basin })
	if !a.opts.Shared {
		bytes, streams, ok := a.catalog.View.BasinSize(basin)
		if !ok || streams > 0 && !a.sizes.known() { // an empty basin is known at once
			return false
		}
		yield(wholeBasin, bytes)
		return true
	}
	streams, ok := a.catalog.View.PartSizes(basin, func(n int, bytes uint64) {
		if l := a.openedLog(basin, n); l != nil && l.isSized() {
			yield(logPart(n), bytes)
		}
	})
	if ok && streams == 0 {
		yield(wholeBasin, 0)
	}
	return ok
}

// wholeBasin is the part that has all streams of a basin; logPart that of a log.
const wholeBasin = 0

func logPart(number int) int { return number + 1 }

// isSized reports whether this node is sure that it owns the log, and has measured all its streams since it does.
func (l *log) isSized() bool {
	turn := l.turn.Load()
	return turn != 0 && l.sized.Load() == turn && l.sure()
}

// renewedTurns are the logs that this node owns, and the turns in which it forgot all it had known of their streams.
func (a *Adapter) renewedTurns() map[*log]uint64 {
	turns := map[*log]uint64{}
	for _, l := range a.logs.all() {
		if turn := l.turn.Load(); turn != 0 && l.renewed.Load() == turn {
			turns[l] = turn
		}
	}
	return turns
}

// known reports whether all streams were measured that are this node's.
func (z *sizes) known() bool {
	if z.surveys.Load() == 0 {
		return false
	}
	for _, l := range z.a.logs.all() {
		if turn := l.turn.Load(); turn != l.sized.Load() && turn != 0 {
			return false
		}
	}
	return true
}

// EachPart yields the metered bytes stored in every basin, as of the last minute, in the parts of [Adapter.BasinParts]; nothing until they are known.
func (a *Adapter) EachPart(yield func(basin protocol.BasinName, part int, bytes uint64)) {
	if !a.opts.Shared {
		if a.sizes.known() {
			a.catalog.View.EachSize(func(basin protocol.BasinName, bytes uint64) { yield(basin, wholeBasin, bytes) })
		}
		return
	}
	sized := map[layout.Log]bool{}
	a.catalog.View.EachPart(func(basin protocol.BasinName, n int, bytes uint64) {
		id, ok := layout.LogOf(basin, n)
		if !ok {
			return
		}
		known, looked := sized[id]
		if !looked {
			l := a.logs.opened(id.Stream(a.opts.Prefix))
			known = l != nil && l.isSized()
			sized[id] = known
		}
		if known {
			yield(basin, logPart(n), bytes)
		}
	})
}

// StreamBytes returns the metered bytes stored in a stream; known is false if there is none.
func (a *Adapter) StreamBytes(ctx context.Context, ref protocol.StreamRef) (bytes uint64, known bool, err error) {
	e, _, purging := a.catalog.View.Stream(ref)
	if e == nil || e.Deleting() || purging {
		return 0, false, nil
	}
	bytes, err = a.sizes.update(ctx, e)
	return bytes, err == nil, err
}

// BasinsWithStreams returns the basins that have a stream that was there before t.
func (a *Adapter) BasinsWithStreams(t time.Time) []protocol.BasinName {
	return a.catalog.View.BasinsWithStreams(t)
}

// streamsDeleted reports streams whose deletion was accepted to the observer.
func (a *Adapter) streamsDeleted(basin protocol.BasinName, since, until time.Time) {
	if f := a.opts.Observer.StreamsDeleted; f != nil {
		f(basin, since, until)
	}
}
