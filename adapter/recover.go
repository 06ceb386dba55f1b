package adapter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/internal/phases"
	"github.com/weirstream/weir/protocol"
)

var (
	errNoAnswer        = errors.New("JetStream did not answer a publication in time")
	errForeignSequence = errors.New("JetStream stored a chunk at another sequence than expected")
	errUnknownOutcome  = protocol.Errorf(protocol.CodeOther, "it could not be found out whether the append was stored; it may have been")
)

const (
	recoverPatience = time.Second
	// maxContradictions is how often in a row JetStream may refuse a publication for a sequence that it reports to hold
	// before its appends fail. It does so for ever when it has found a block file damaged while it ran.
	maxContradictions = 4
	recoverBackoffMin = 20 * time.Millisecond
	recoverBackoffMax = 2 * time.Second
	// recoverBackoffRemote is the longest wait for a log that elects a leader, which takes seconds and ends at once.
	recoverBackoffRemote = 100 * time.Millisecond
)

// recover finds the outcome of the publications that failed or had no answer, by reading the log where they would
// stand (jetstream-notes, "Unknown outcome recipe"). A publication carries the expected last sequence, so there is one
// place for each, and every chunk carries an id of its own, which identifies the write that won:
//
//   - ours: stored, goes on as if it had been acknowledged, unless the store has failed: a message that could not be written or
//     synced is shown all the same;
//   - that of another server, which wrote to this log. The log's last sequence has then passed the sequences that our lost
//     publications expected, so they can never be stored any more: the streams' states are read again, and the appends
//     are decided again from their conditions;
//   - purged, and the stream's other chunks do not show whether it was ours: the appends get an answer that promises nothing;
//   - nothing: the chunk may still arrive. It is published again as it is, under the same id and with the same
//     expected sequence, so that at most one copy can win. A server that leads the log and is cut off refuses the second copy for
//     the first one's sake, for as long as it believes that it leads;
//   - JetStream refused it for want of room or a failure of its store: the appends get a storage error.
//
// It runs in the sequencer's goroutine, which has nothing better to do, until it succeeds, the store fails for good or
// ctx ends.
func (s *sequencer) recover(ctx context.Context) {
	cause := s.broken
	level := slog.LevelWarn
	if s.resent > 0 {
		level = slog.LevelDebug // said already
	}
	s.log.logger.Log(ctx, level, "a publication failed; reading the log to find out what is stored", slog.Any("cause", cause))
	for wait := recoverBackoffMin; ; wait = min(2*wait, s.backoff) {
		try := s.tryRecover
		if s.own != nil {
			try = s.recoverOwned
		}
		err := try(ctx, cause)
		if err == nil {
			s.broken, s.late = nil, false
			return
		}
		if s.failed = s.in.failure(); s.failed == nil && s.commit != nil {
			s.failed = s.commit.Failure()
		}
		if s.failed != nil || ctx.Err() != nil {
			return // failAll or abandon answers the rest
		}
		s.log.logger.Warn("the log cannot be read yet", slog.Any("error", err), slog.Duration("retry_in", wait))
		sleep(ctx, wait)
	}
}

func (s *sequencer) tryRecover(ctx context.Context, cause error) error {
	for !s.out.idle() { // the connection's own timeouts bound it
		if sleep(ctx, time.Millisecond); ctx.Err() != nil {
			return ctx.Err()
		}
	}
	s.awaitAnswers(ctx)
	last, err := s.log.lastSeq(ctx)
	if js.StreamMissing(err) {
		// The JetStream stream was deleted: nothing that was in flight is stored, nor will be.
		clear(s.unanswered)
		s.sentBytes, s.last = 0, 0
		s.refuse(s.flight[s.storedCount-s.durableCount:], err)
		return nil
	}
	if err != nil {
		return err
	}
	foreign, err := s.matchStored(ctx, last)
	if err != nil {
		return err
	}
	// A copy without an answer may still arrive, as long as the log has not passed its place.
	late := len(s.unanswered) > 0
	if foreign {
		if err := s.redecide(ctx); err != nil {
			return err // with s.last as it is: the next attempt must find the same
		}
		clear(s.unanswered)
		s.sentBytes, s.last = 0, last
		return nil
	}
	clear(s.unanswered)
	s.sentBytes, s.last = 0, last
	lost := s.flight[s.storedCount-s.durableCount:]
	if js.Refused(cause) && !late {
		s.refuse(lost, cause)
		return nil
	}
	if js.WrongSequence(cause) && !late {
		// The log is as the publication expected it, and JetStream refused it all the same.
		if s.contradictions++; s.contradictions > maxContradictions {
			s.refuse(lost, errContradiction(cause))
			return nil
		}
	}
	if s.resent > 0 {
		s.pause(ctx, last)
	}
	s.resent++
	for _, p := range lost {
		s.publish(p)
	}
	return nil
}

// pause waits before lost chunks are published again, the longer the more often in a row they were while the log ended at last.
func (s *sequencer) pause(ctx context.Context, last js.Seq) {
	if s.pausedAt != last {
		s.pausedAt, s.resent = last, 0
	}
	sleep(ctx, min(time.Millisecond<<min(s.resent, 12), s.backoff))
	s.resent++
}

func errContradiction(cause error) error {
	return fmt.Errorf("JetStream contradicts itself on the last sequence of the log, which is damaged; restart the broker: %w", cause)
}

// awaitAnswers gives the publications under way some time to be answered, which saves work. Correctness does not need
// it: a copy that arrives late finds that its expected sequence has passed, or is the one copy that wins.
func (s *sequencer) awaitAnswers(ctx context.Context) {
	timeout := time.NewTimer(recoverPatience)
	defer timeout.Stop()
	for len(s.unanswered) > 0 {
		s.settleAcks(s.in.takeAcks())
		if len(s.unanswered) == 0 || errors.Is(s.broken, errNoAnswer) {
			return
		}
		select {
		case <-s.in.wake:
			s.in.poke() // the rest stays for run
			sleep(ctx, time.Millisecond)
		case <-timeout.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// matchStored looks for the chunks in flight where they would stand, up to the log's last sequence. It marks those that
// are there and moves them to the front; foreign reports whether something else has come between them. A chunk behind a
// foreign one can be stored: it found the sequence that it expected, and no other writer had written to its stream.
func (s *sequencer) matchStored(ctx context.Context, last js.Seq) (foreign bool, err error) {
	lost := s.flight[s.storedCount-s.durableCount:]
	base, found := s.last, js.Seq(0)
	var ours []*pending
	if len(lost) > 0 {
		base = lost[0].seq - 1
	}
	for _, p := range lost {
		if !p.acked && p.seq <= last {
			c, err := s.log.leaderGet(ctx, js.Wanted{Seq: p.seq})
			switch {
			case errors.Is(err, js.ErrNotFound):
				p.purged = true
			case err != nil && protocol.CodeOf(err) != protocol.CodeStorage:
				return false, err
			case err == nil: // otherwise it is no chunk
				if c.ID == p.id {
					ours = append(ours, p)
				}
			}
		}
		if p.acked {
			found++
		}
	}
	if len(ours) > 0 && s.proven != nil {
		if err := s.proven(); err != nil {
			return false, err
		}
	}
	for _, p := range ours {
		p.acked = true
		p.ended(phases.Store)
		found++
	}
	slices.SortStableFunc(lost, func(a, b *pending) int {
		switch {
		case a.acked == b.acked:
			return 0
		case a.acked:
			return -1
		}
		return 1
	})
	s.countStored()
	return base+found != last, nil
}

// redecide puts the requests of lost chunks back to the front of the queue, after the streams' states were read again.
func (s *sequencer) redecide(ctx context.Context) error {
	if s.commit != nil {
		if err := s.commit.Wait(ctx); err != nil {
			return err
		}
	}
	s.settleDurable(s.storedCount)
	states, err := s.log.reload(ctx)
	if err != nil {
		return err
	}
	lost := slices.Clone(s.flight) // the stored chunks have just been settled
	var again []*request
	for _, p := range lost {
		if p.purged {
			continue
		}
		again = append(again, p.requests()...)
	}
	s.forget(s.flight)
	for _, p := range lost {
		if p.purged {
			s.dropChunk(p, errUnknownOutcome)
		}
	}
	for st, got := range states {
		if got.err == nil && got.last.seq == 0 && st.durable.next > 0 {
			got.err = errStreamDeleted // the newest chunk of a stream goes only with the stream
		}
		if got.err != nil {
			// Damage of one stream is no reason to stop the others. It is loaded anew when it is opened again.
			st.broken = got.err
			s.log.drop(st.id, got.err)
			continue
		}
		st.pendingState = stateOf(&got.last)
		st.durable = st.pendingState
		st.index.reset()
		st.live.reset(st.pendingState.tail(), st.pendingState.trim, got.last.seq, st.pendingState.isClosed())
		if st.pendingState.terminal {
			st.live.close(errStreamDeleted)
		}
	}
	s.requeue(again)
	return nil
}

// requests are those that hang on the chunk.
func (p *pending) requests() (requests []*request) {
	for i := range p.replies {
		requests = append(requests, p.replies[i].req)
	}
	return requests
}

// refuse answers the requests of chunks that JetStream could not store.
func (s *sequencer) refuse(lost []*pending, cause error) {
	err := protocol.Wrap(protocol.CodeStorage, cause, "the store refused the append: "+cause.Error())
	s.log.logger.Error("appends failed", slog.Int("chunks", len(lost)), slog.Any("error", cause))
	lost = slices.Clone(lost)
	s.forget(s.flight[len(s.flight)-len(lost):])
	for _, p := range lost {
		s.dropChunk(p, err)
	}
}

// forget takes lost chunks, which are the end of flight, out of their streams' states.
func (s *sequencer) forget(lost []*pending) {
	keep := s.flight[:len(s.flight)-len(lost)]
	for _, p := range lost {
		p.st.newest, p.st.pendingState = nil, p.st.durable
	}
	for _, p := range keep {
		p.st.newest, p.st.pendingState = p, p.after
	}
	clear(lost)
	clear(s.restores) // they are counted again
	s.flight = keep
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
