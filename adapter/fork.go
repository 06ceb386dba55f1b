package adapter

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/internal/catalog"
	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

// Forks (docs/adr/0020). A fork is a catalog entry that names the streams whose chunks hold its records below the position
// at which it begins on its own. The entry also keeps those chunks: there is no count of references beside it that could be
// wrong after a crash. Nothing is copied, and nothing but the entry is written.

// recheckForked is the time until the next check whether forks still need the records that a stream has lost.
const recheckForked = 10 * time.Minute

// maxForkSegments bounds the streams that a fork reads from, and so the size of its entry: forks of forks of forks.
const maxForkSegments = 64

// forkStream makes a stream that shares the records of another. It is called as newStream is.
func (a *Adapter) forkStream(ctx context.Context, ref protocol.StreamRef, b *catalog.BasinRecord, req protocol.CreateStreamRequest, key string) (*catalog.Entry, error) {
	if a.opts.Shared {
		return a.forkShared(ctx, ref, b, req, key)
	}
	from := protocol.StreamRef{Basin: ref.Basin, Stream: req.Fork.Source}
	source, release, err := a.holdSource(ctx, from)
	if err != nil {
		return nil, err
	}
	defer release()
	st, err := a.openEntry(ctx, source)
	if err != nil {
		return nil, err
	}
	defer st.release()
	if a.over(st, source) {
		return nil, streamDeleting(from)
	}
	h := &Stream{st: st}
	fork, _, err := h.forkAt(ctx, req.Fork.At)
	if err != nil {
		return nil, err
	}
	return a.addStream(ctx, ref, b, a.forkRecord(ref, source, req, key, fork), 0)
}

// forkRecord is the record of a new fork.
func (a *Adapter) forkRecord(ref protocol.StreamRef, source *catalog.Entry, req protocol.CreateStreamRequest, key string, fork *catalog.Fork) *catalog.StreamRecord {
	now := time.Now().UTC()
	rec := &catalog.StreamRecord{
		Name: ref.Stream, ID: layout.NewStreamID(a.catalog.View.NextBucket(ref.Basin)), CreatedAt: now,
		Cipher: source.Cipher(), Config: req.Config.Resolve(source.Config().Layer()), Key: key, Fork: fork,
	}
	rec.Config.Closed = false
	if age := rec.Config.RetentionPolicy.AgeSecs; age > 0 && len(fork.Segments) > 0 {
		fork.Until = satAdd(catalog.Millis(now), satMul(age, 1000))
	}
	return rec
}

// forkSource returns the entry of a stream that can be forked.
func (a *Adapter) forkSource(ref protocol.StreamRef) (*catalog.Entry, error) {
	e, _, purging := a.catalog.View.Stream(ref)
	switch {
	case purging:
		return nil, basinDeleting(ref.Basin)
	case e == nil:
		return nil, a.streamNotFound(ref)
	case e.Deleting(), e.Over(time.Now()):
		return nil, streamDeleting(ref)
	}
	return e, nil
}

// holdSource returns a stream whose chunks are not purged until release is called, nor those of the streams that it shares records of.
func (a *Adapter) holdSource(ctx context.Context, ref protocol.StreamRef) (e *catalog.Entry, release func(), err error) {
	if e, err = a.forkSource(ref); err != nil {
		return nil, nil, err
	}
	ids := []layout.StreamID{e.ID}
	if f := e.Fork(); f != nil {
		for _, s := range f.Segments {
			ids = append(ids, s.ID)
		}
	}
	if err := a.janitor.hold(ctx, ids); err != nil {
		return nil, nil, err
	}
	release = func() { a.janitor.letGo(ids) }
	// A purge from before the hold shows now: a source that is still there has all the records that it shows.
	again, err := a.forkSource(ref)
	if err == nil && again.ID != e.ID {
		err = a.streamNotFound(ref) // it was deleted, and another one of its name was made
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	return again, release, nil
}

// forkBounds are the durable tail and trim point of a stream that can be forked.
func (h *Stream) forkBounds() (tail protocol.Position, trim uint64, err error) {
	told, trim, closed := h.st.live.position()
	if trim == protocol.TerminalTrimPoint || closed != nil && h.st.ended.Load() {
		return tail, 0, errDeleting
	}
	return told.Position, trim, nil
}

func errForkTrimmed(at, trim uint64) error {
	return protocol.Errorf(protocol.CodeInvalid, "fork.at: is %d; the source is trimmed to %d", at, trim)
}

// forkAt is the shared part of a fork of the stream that begins at a seq_num; at the durable tail if it is nil. trim is the durable trim point.
func (h *Stream) forkAt(ctx context.Context, at *uint64) (f *catalog.Fork, trim uint64, err error) {
	tail, trim, err := h.forkBounds()
	if err != nil {
		return nil, 0, err
	}
	f = &catalog.Fork{At: tail}
	if at != nil {
		f.At = protocol.Position{SeqNum: *at}
	}
	switch {
	case f.At.SeqNum > tail.SeqNum:
		return nil, 0, protocol.Errorf(protocol.CodeInvalid, "fork.at: is %d; the tail of the source is %d", f.At.SeqNum, tail.SeqNum)
	case f.At.SeqNum < trim:
		return nil, 0, errForkTrimmed(f.At.SeqNum, trim)
	}
	first, err := h.firstOf(ctx, trim, f.At.SeqNum)
	if err != nil {
		return nil, 0, err
	}
	f.Trim = f.At.SeqNum
	if first.Len() > 0 {
		f.Trim = first.First().SeqNum
	}
	if f.At != tail && f.At.SeqNum > f.Trim {
		last, err := h.firstOf(ctx, f.At.SeqNum-1, f.At.SeqNum)
		if err != nil {
			return nil, 0, err
		}
		f.At.Timestamp = last.Last().Timestamp
	}
	if f.Segments = h.st.segmentsTo(f.Trim, f.At.SeqNum); len(f.Segments) > maxForkSegments {
		return nil, 0, protocol.Errorf(protocol.CodeInvalid, "fork.source: its records lie in %d streams, and a fork may share those of %d", len(f.Segments), maxForkSegments)
	}
	return f, trim, nil
}

// firstOf returns the first records that survive in a range; none if none does.
func (h *Stream) firstOf(ctx context.Context, from, to uint64) (protocol.Records, error) {
	c := h.Scan(from, to)
	defer c.Close()
	r, err := c.Next(ctx)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return r, err
}

// segmentsTo are the streams that hold the records from a seq_num up to another one.
func (st *stream) segmentsTo(from, to uint64) (all []catalog.Segment) {
	if from >= to {
		return nil
	}
	if st.fork != nil {
		for _, s := range st.fork.Segments {
			if s.To > from {
				s.To = min(s.To, to)
				all = append(all, s)
			}
			if s.To == to {
				return all
			}
		}
	}
	return append(all, catalog.Segment{ID: st.id, Name: st.ref.Stream, To: to})
}

// base is the newest chunk of a stream that has none: that of a fork says where it begins.
func base(f *catalog.Fork) storedChunk {
	if f == nil {
		return storedChunk{}
	}
	return storedChunk{Chunk: chunk.Chunk{Next: f.At.SeqNum, Last: f.At.Timestamp, Trim: f.Trim}}
}

// showsShared reports whether a fork that is trimmed to trim still shows records of others at now, in milliseconds.
func showsShared(f *catalog.Fork, trim, now uint64) bool {
	return f != nil && !f.Over(now) && max(trim, f.Trim) < f.At.SeqNum
}

// segments are the streams that a loaded fork reads from, found when they are needed.
type segments struct {
	mu    sync.Mutex
	found map[layout.StreamID]*stream
}

// segment returns a stream to read the records of a segment from. It is only for reading, and no other one has it.
func (st *stream) segment(ctx context.Context, s catalog.Segment) (*stream, error) {
	st.segments.mu.Lock()
	found := st.segments.found[s.ID]
	st.segments.mu.Unlock()
	if found != nil {
		return found, nil
	}
	a := st.log.a
	e := a.catalog.View.Source(st.ref.Basin, s)
	if e == nil {
		return nil, protocol.Errorf(protocol.CodeStorage, "the store is damaged: the records up to %d, which the fork shares with stream %q, are missing", s.To-1, s.Name)
	}
	l, err := a.logOf(ctx, st.ref.Basin, e.Log())
	if err != nil {
		return nil, err
	}
	found = &stream{log: l, ref: protocol.StreamRef{Basin: st.ref.Basin, Stream: s.Name}, id: s.ID, subject: l.subject(st.ref.Basin, s.ID), cipher: st.cipher,
		live: live{stats: &a.live, last: ^js.Seq(0)}}
	st.segments.mu.Lock()
	defer st.segments.mu.Unlock()
	if st.segments.found == nil {
		st.segments.found = map[layout.StreamID]*stream{}
	}
	st.segments.found[s.ID] = found
	return found, nil
}

// sharedCursor reads the records that a fork shares.
type sharedCursor struct {
	st       *stream // the fork
	from, to uint64
	segment  int
	now      *Cursor // over the segment; nil: not begun
}

// sharedScan returns a cursor over the shared part of a range; nil if there is none.
func (st *stream) sharedScan(from, to uint64) *sharedCursor {
	if st.fork == nil || from >= min(to, st.fork.At.SeqNum) {
		return nil
	}
	return &sharedCursor{st: st, from: max(from, st.fork.Trim), to: min(to, st.fork.At.SeqNum)}
}

// next returns the next run of records, all of one segment, or io.EOF.
func (c *sharedCursor) next(ctx context.Context) (protocol.Records, error) {
	f := c.st.fork
	for ; c.segment < len(f.Segments) && c.from < c.to; c.segment++ {
		if f.Over(catalog.Millis(time.Now())) {
			break
		}
		s := f.Segments[c.segment]
		if c.from >= s.To {
			continue
		}
		if c.now == nil {
			source, err := c.st.segment(ctx, s)
			if err != nil {
				return protocol.Records{}, err
			}
			c.now = &Cursor{st: source, sharer: c.st, from: c.from, to: min(c.to, s.To), size: firstGetBytes, count: firstGetMessages}
		}
		r, err := c.now.Next(ctx)
		if !errors.Is(err, io.EOF) {
			return r, err
		}
		c.from = c.now.to
		c.close()
	}
	c.close()
	return protocol.Records{}, io.EOF
}

func (c *sharedCursor) close() {
	if c.now != nil {
		c.now.Close()
		c.now = nil
	}
}

// checkShared checks records that a fork shares and that are missing before found: it must have trimmed them meanwhile.
func (c *Cursor) checkShared(found uint64) error {
	_, trim, _ := c.sharer.live.position()
	if trim >= found || c.sharer.fork.Over(catalog.Millis(time.Now())) {
		return nil
	}
	return errMissing(max(c.from, trim), found)
}

// seekShared returns the first record that a fork shares with a timestamp of at least ts; ok is false if there is none.
func (h *Stream) seekShared(ctx context.Context, ts uint64) (seq uint64, ok bool, err error) {
	f := h.st.fork
	_, trim, _ := h.st.live.position()
	if f == nil || ts > f.At.Timestamp || !showsShared(f, trim, catalog.Millis(time.Now())) {
		return 0, false, nil
	}
	for i, s := range f.Segments {
		from := max(f.From(i), trim)
		if from >= s.To {
			continue
		}
		source, err := h.st.segment(ctx, s)
		if err != nil {
			return 0, false, err
		}
		at, c, err := source.seek(ctx, ts, byTimestamp)
		for ; err == nil && at != 0; at, c = c.seq+1, nil {
			if c == nil {
				var next storedChunk
				if next, err = source.log.getNext(ctx, source.subject, at); err != nil {
					break
				}
				c = &next
			}
			if c.FirstSeqNum() >= s.To {
				break
			}
			if r := c.Records.From(from).FromTimestamp(ts); r.Len() > 0 && r.First().SeqNum < s.To {
				return r.First().SeqNum, true, nil
			}
			if c.Next >= s.To {
				break
			}
		}
		if err != nil && !errors.Is(err, js.ErrNotFound) {
			return 0, false, err
		}
	}
	return 0, false, nil
}

// hold keeps the chunks of streams from being purged until letGo, and returns when no purge that began before is under way.
func (j *janitor) hold(ctx context.Context, ids []layout.StreamID) error {
	j.mu.Lock()
	for _, id := range ids {
		j.held[id]++
	}
	j.mu.Unlock()
	select {
	case j.purging <- struct{}{}:
		<-j.purging
		return nil
	case <-ctx.Done():
		j.letGo(ids)
		return ctx.Err()
	}
}

func (j *janitor) letGo(ids []layout.StreamID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, id := range ids {
		if j.held[id]--; j.held[id] == 0 {
			delete(j.held, id)
		}
	}
}

// errHeld is why nothing of a stream is purged at the moment.
var errHeld = errors.New("the stream is being forked")

// settle makes sure that the view has every fork that may need records which there is reason to remove by now, which it returns in milliseconds. The
// caller has found the reason before: a trim point, a deletion. For records that have expired it must be at least the time by which they have.
func (j *janitor) settle(ctx context.Context) (now uint64, err error) {
	now = catalog.Millis(time.Now())
	if j.a.opts.Shared {
		ctx, cancel := context.WithTimeout(ctx, js.Timeout)
		defer cancel()
		err = j.a.catalog.Settle(ctx, now)
	}
	return now, err
}

// needed returns the records of a stream that forks need, or errHeld; now is the result of settle. The caller has the turn of purging.
func (j *janitor) needed(basin protocol.BasinName, id layout.StreamID, now uint64) ([]catalog.Range, error) {
	j.mu.Lock()
	held := j.held[id] > 0
	j.mu.Unlock()
	if held {
		return nil, errHeld
	}
	if j.a.catalog.AsideIn(basin) {
		return []catalog.Range{{From: 0, To: ^uint64(0)}}, nil // an entry that cannot be read may be that of a fork
	}
	return j.a.catalog.View.Needed(basin, id, now), nil
}

// exclusively runs a step that may purge.
func (j *janitor) exclusively(ctx context.Context, step func() error) error {
	select {
	case j.purging <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-j.purging }()
	return step()
}

// shade keeps a deleted stream whose records forks need under a hidden name, and frees its own name. It can be repeated.
func (j *janitor) shade(ctx context.Context, e *catalog.Entry) error {
	if e.IsShadow() {
		return nil // until the last fork goes
	}
	rec := e.Record()
	rec.Name, rec.Key = catalog.ShadowName(e.ID), ""
	if rec.DeletedAt.IsZero() { // e may be from before the mark
		rec.DeletedAt = time.Now().UTC()
	}
	rec.Fork = nil // its forks name all streams that they read from
	shadow := protocol.StreamRef{Basin: e.Basin(), Stream: rec.Name}
	err := j.a.catalog.Change(ctx, catalog.StreamKey(shadow), func() error {
		if old, _, _ := j.a.catalog.View.Stream(shadow); old != nil {
			return nil // a crash came before the stream's own name was removed
		}
		revision, err := j.a.catalog.Write(ctx, catalog.StreamKey(shadow), rec, 0)
		if err == nil {
			j.a.catalog.View.PutWritten(catalog.NewEntry(e.Basin(), rec, revision, &catalog.CheckTime{}))
		}
		return err
	})
	if err == nil {
		j.a.logger.Info("a deleted stream stays for its forks", slog.String("basin", string(e.Basin())), slog.String("stream", string(e.Name)))
	}
	return err
}

// freeSources asks for the removal of the streams that were kept for a fork that is deleted.
func (j *janitor) freeSources(basin protocol.BasinName, f *catalog.Fork) {
	if f == nil {
		return
	}
	for _, s := range f.Segments {
		switch e := j.a.catalog.View.Source(basin, s); {
		case e == nil:
		case e.IsShadow():
			j.removeStream(e)
		default:
			e.Checks.At.Before(0) // its trimmed records may be purged now
		}
	}
}

// trimmedFork notes how far a fork is trimmed, so that the records that it shared can be purged.
func (j *janitor) trimmedFork(e *catalog.Entry, trim uint64) {
	for _, source := range j.a.catalog.View.TrimFork(e, trim) {
		if source.IsShadow() {
			j.removeStream(source)
		} else {
			source.Checks.At.Before(0)
		}
	}
}

// deleteDenied is JetStream's refusal to delete single messages.
const deleteDenied = 10057

// checkForked is check for a stream whose records forks need: the chunks between the needed ones are removed one by one, since a
// purge takes all chunks before a place. newest stays in any case.
func (j *janitor) checkForked(ctx context.Context, l *log, e *catalog.Entry, newest *storedChunk, needed []catalog.Range, purgeable func(*storedChunk) bool) error {
	st, err := l.open(ctx, e)
	if err != nil {
		return err
	}
	defer st.release()
	log, err := j.a.js.Stream(ctx, l.name)
	if err != nil {
		return errNoStore(err)
	}
	synced := false
	at := js.Seq(1)
	for range sweepChunks {
		c, err := l.getNext(ctx, st.subject, at)
		if errors.Is(err, js.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if c.seq >= newest.seq || !purgeable(&c) {
			if c.Expiry != 0 {
				e.Checks.At.Before(c.Expiry)
			}
			return nil
		}
		if end, ok := neededBy(needed, &c); ok {
			e.Checks.At.Before(catalog.Millis(time.Now().Add(recheckForked)))
			next, _, err := st.seek(ctx, end, bySeqNum)
			if err != nil {
				return err
			}
			if at = c.seq + 1; next > at {
				at = next
			}
			continue
		}
		if !synced {
			if err := j.a.commit.Wait(ctx); err != nil {
				return err
			}
			synced = true
		}
		err = log.DeleteMsg(ctx, uint64(c.seq))
		if refused, ok := errors.AsType[*jetstream.APIError](err); ok && refused.ErrorCode == deleteDenied {
			return nil // a log that somebody else has made: the chunks between stay
		}
		if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
			return errNoStore(err)
		}
		at = c.seq + 1
	}
	e.Checks.At.Before(catalog.Millis(time.Now())) // go on in the next pass
	return nil
}

// neededBy reports whether forks need a record of a chunk, and where the run ends that has it.
func neededBy(needed []catalog.Range, c *storedChunk) (end uint64, ok bool) {
	for _, r := range needed {
		if c.Records.Len() > 0 && c.FirstSeqNum() < r.To && c.Next > r.From {
			return r.To, true
		}
	}
	return 0, false
}
