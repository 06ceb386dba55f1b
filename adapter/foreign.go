package adapter

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/protocol"
)

// When other servers write to the log too, the sequencer's state of a stream may be old. A success does not depend on that:
// the publication is conditional. A refusal, a tail and a follower do. So the sequencer asks for the newest chunk of the stream
// before it refuses an append for a condition, before it reports a tail and before a follower attaches. While a reader follows,
// the log's chunks come by a consumer (foreignfeed.go). The newest chunk is adopted: it becomes the state of the stream.

// refresh brings the chunks that other servers have written to a stream into its state. After the call the state includes every
// chunk that they wrote before it.
func (st *stream) refresh(ctx context.Context) error {
	if !st.log.a.opts.Shared {
		return nil
	}
	known := st.live.newest() // before: the first chunk may be stored meanwhile
	newest, err := st.log.getLast(ctx, st.subject)
	switch {
	case errors.Is(err, js.ErrNotFound) && known == 0:
		return nil
	case errors.Is(err, js.ErrNotFound):
		return errStreamDeleted // the newest chunk of a stream goes only with the stream
	case err != nil:
		return readFailure(err)
	}
	return st.adopt(ctx, &newest)
}

// adopt makes a chunk that another server wrote the newest of the stream, unless there is a newer one.
func (st *stream) adopt(ctx context.Context, c *storedChunk) error {
	if st.live.newest() >= c.seq {
		return nil
	}
	done := make(chan error, 1)
	err := st.post(&request{ctx: ctx, st: st, kind: adoptRequest, foreign: c, done: func(_ protocol.AppendAck, err error) { done <- err }})
	if err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// admitAdopt takes in a chunk of another server. Nothing of the stream is in flight.
func (s *sequencer) admitAdopt(r *request) {
	if r.foreign.seq > r.st.live.newest() {
		s.adopt(r.st, r.foreign)
	}
	s.answer(r, protocol.AppendAck{}, nil)
}

func (s *sequencer) adopt(st *stream, c *storedChunk) {
	before := st.durable
	st.durable = stateOf(c)
	st.pendingState = st.durable
	if c.FirstSeqNum() == before.next {
		st.index.add(indexEntryOf(c.seq, &c.Chunk))
		st.live.advance(c.Tail(), c.Trim, c.seq, st.durable.isClosed(), func(push func(protocol.Records)) {
			if c.Records.Len() > 0 {
				push(c.Records)
			}
		})
	} else { // chunks between are not here: followers read them from the log
		st.index.reset()
		st.live.reset(c.Tail(), c.Trim, c.seq, st.durable.isClosed())
	}
	if st.durable.terminal {
		st.live.close(errStreamDeleted)
	}
	if c.Expiry != 0 {
		st.checks.At.Before(c.Expiry)
	}
	st.checks.MarkWritten()
	s.upkeep.changed(st)
	if len(s.unanswered) == 0 && s.storedCount-s.durableCount == uint64(len(s.flight)) {
		s.last = max(s.last, c.seq)
	}
}

// finding is the answer to a request for a stream's newest chunk, which was made on behalf of an append or a read.
type finding struct {
	req    *request
	known  js.Seq // the newest chunk that was known before; 0: none
	newest storedChunk
	err    error
}

// mustAsk reports whether a request would be refused by a state that may be old. It asks for the stream's newest chunk then.
func (s *sequencer) mustAsk(r *request) bool {
	st := r.st
	if r.asked == answered || r.kind != appendRequest || r.appender.failed || st.broken != nil {
		return false
	}
	_, _, done, err := st.pendingState.repeated(&r.in, r.producer)
	if err == nil && !done {
		_, err = st.pendingState.check(&r.in, r.producer, st.settings.Load())
	}
	if err == nil {
		return false
	}
	if st.newest != nil || r.asked == asking {
		return true
	}
	r.asked = asking
	a, known := s.log.a, st.live.newest()
	ask := func() {
		ctx, cancel := context.WithTimeout(a.ctx, js.Timeout)
		defer cancel()
		f := finding{req: r, known: known}
		f.newest, f.err = s.log.getLast(ctx, st.subject)
		if a.ctx.Err() != nil {
			f.err = errDraining
		}
		s.in.postFound(f)
	}
	if !a.logs.spawn(ask) {
		s.in.postFound(finding{req: r, err: errDraining})
	}
	return true
}

// settleFound takes in the answers to requests for newest chunks.
func (s *sequencer) settleFound(found []finding) {
	for i := range found {
		f := &found[i]
		st := f.req.st
		f.req.asked = answered
		switch {
		case errors.Is(f.err, js.ErrNotFound) && f.known > 0:
			f.req.unknown = errStreamDeleted
		case errors.Is(f.err, js.ErrNotFound):
		case f.err != nil:
			f.req.unknown = readFailure(f.err)
		case f.newest.seq > st.live.newest() && st.newest == nil:
			s.adopt(st, &f.newest)
		}
	}
}

// neverStored reports whether a chunk whose place in the log is empty was never stored there, because another server's stood
// there: the seq_nums of a stream have no gap, and its newest chunk stays as long as the stream. It counts only the answer of a
// server that knows the log beyond that place: a server that no longer leads the log may answer as well, and not know it.
func (s *sequencer) neverStored(ctx context.Context, p *pending) (bool, error) {
	if !s.shared || p.restored != nil {
		return false, nil
	}
	next, err := s.log.leaderGet(ctx, js.Wanted{Seq: p.seq, NextFor: p.st.subject})
	switch {
	case err == nil:
		return next.FirstSeqNum() < p.after.next, nil
	case protocol.CodeOf(err) == protocol.CodeStorage:
		return false, nil // no chunk
	case !errors.Is(err, js.ErrNotFound):
		return false, err
	}
	newest, upTo, err := s.log.get.Newest(ctx, s.log.name, p.st.subject)
	switch {
	case errors.Is(err, js.ErrNotFound):
		return false, nil // the stream has no chunk, or none any more
	case err != nil:
		return false, readFailure(err)
	}
	at, err := js.SeqOf(newest)
	return at < p.seq && p.seq <= upTo, err
}

// adrift reports whether a copy of a chunk that is looked for may still be stored: the log ends at last.
func (s *sequencer) adrift(last js.Seq) bool {
	return s.shared && slices.ContainsFunc(s.flight[s.storedCount-s.durableCount:], func(p *pending) bool {
		return p.adrift && !p.acked && p.seq > last
	})
}

// behind reports whether a server that says that the log ends at last does not know everything that is stored. It is one that no longer
// leads the log and does not know it yet. A log that stays so for maxBehind has lost messages.
func (s *sequencer) behind(last js.Seq) bool {
	if !s.shared {
		return false
	}
	floor := s.last
	for i, p := range s.flight[s.storedCount-s.durableCount:] {
		if i == 0 {
			floor = p.seq - 1
		}
		if p.acked {
			floor = max(floor, p.seq)
		}
	}
	if last >= floor {
		s.behindSince = time.Time{}
		return false
	}
	if s.behindSince.IsZero() {
		s.behindSince = time.Now()
	}
	return time.Since(s.behindSince) < maxBehind
}

// maxBehind is longer than a server believes that it leads a log after it was deposed.
const maxBehind = 30 * time.Second

// refusedForSure reports whether the log will never take one of the chunks that are looked for, although it has not passed their places:
// its stream has a newer chunk than the sequencer knew, or was removed. In the latter case it may have been stored before.
func (s *sequencer) refusedForSure(ctx context.Context) (sure bool, err error) {
	for _, p := range s.flight[s.storedCount-s.durableCount:] {
		if p.acked || p.restored != nil {
			continue
		}
		known := p.st.live.newest()
		if p.before != nil {
			known = p.before.seq
		}
		c, err := s.log.getLast(ctx, p.st.subject)
		switch {
		case errors.Is(err, js.ErrNotFound) && known > 0:
			p.purged, sure = true, true
		case errors.Is(err, js.ErrNotFound):
		case protocol.CodeOf(err) == protocol.CodeStorage:
			sure = true // the newest chunk is damaged
		case err != nil:
			return false, err
		case c.seq >= p.seq:
			return false, errBehind // the log has passed the place after all
		case c.seq > known:
			sure = true
		}
	}
	return sure, nil
}

// settleAdrift lets the log pass the places of chunks whose copies may still be stored, when another server's message has come
// between: were their appends decided again under new ids, a copy could be stored as well. It publishes these chunks again at
// their own places and reports whether it did. Appends of chunks whose place cannot be reached so get an answer that promises nothing.
func (s *sequencer) settleAdrift(last js.Seq) bool {
	if !s.adrift(last) {
		return false
	}
	var run []*pending
	next, reached := last+1, false
	for _, p := range s.flight[s.storedCount-s.durableCount:] {
		switch {
		case p.acked || p.seq <= last:
		case p.seq == next:
			next++
			run = append(run, p)
			reached = reached || p.adrift
		case p.adrift:
			p.purged = true
		}
	}
	if !reached {
		return false
	}
	clear(s.unanswered)
	s.sentBytes, s.last = 0, last
	for _, p := range run {
		s.publish(p)
	}
	return true
}
