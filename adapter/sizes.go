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
	// resurveyAfter is when a stream is measured again that other servers may have written to.
	resurveyAfter = 30 * time.Minute
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
	entries, done := z.a.catalog.View.Some(z.at, surveyStreams)
	for _, e := range entries {
		at := e.Checks.Size.Measured.Load()
		again := z.a.opts.Shared && time.Since(time.Unix(int64(at)*60, 0)) > resurveyAfter
		// One that has changed is about to be measured, mostly without gets: a survey of a million streams that are being made
		// would cost more than they do.
		if at == 0 && !e.Checks.Size.IsChanged() || again {
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
	newest, err := l.getLast(ctx, subject)
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

// BasinBytes returns the metered bytes stored in a basin, the latest writes included. It is not known until all
// streams were measured once after the start.
func (a *Adapter) BasinBytes(ctx context.Context, basin protocol.BasinName) (bytes uint64, known bool) {
	a.sizes.measureChanged(ctx, func(ref protocol.StreamRef) bool { return ref.Basin == basin })
	bytes, streams, ok := a.catalog.View.BasinSize(basin)
	return bytes, ok && (streams == 0 || a.sizes.known()) // an empty basin is known at once
}

func (z *sizes) known() bool { return z.surveys.Load() > 0 }

// EachBasin yields the metered bytes stored in every basin, as of the last minute; nothing until they are known.
func (a *Adapter) EachBasin(yield func(basin protocol.BasinName, bytes uint64)) {
	if a.sizes.known() {
		a.catalog.View.EachSize(yield)
	}
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
