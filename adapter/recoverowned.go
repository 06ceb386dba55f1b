package adapter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/internal/fence"
	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/internal/phases"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

// recoverOwned is tryRecover for the owner of a log that several brokers use. Before it looks for what is stored it seals the log, so that nothing
// that is under way can be stored any more, and finds out whether another node has taken the log over (docs/adr/0019). No answer but an
// acknowledgement shows that: when a server that led the log was cut off, two of them may get a publication, and the one that does not lead any more refuses
// it. Chunks of a log are stored in the order in which they were published and without a gap, so what is stored of those in flight is their beginning,
// unless a stranger has written into the log. The appends of the others had no effect, for good: they are decided again, here or by the new owner.
func (s *sequencer) recoverOwned(ctx context.Context, cause error) error {
	for !s.out.idle() { // the connection's own timeouts bound it
		if sleep(ctx, peerTick/20); ctx.Err() != nil {
			return ctx.Err()
		}
	}
	s.awaitAnswers(ctx)
	lost := s.flight[s.storedCount-s.durableCount:]
	if len(s.unanswered) == 0 && !s.late && js.Refused(cause) && len(lost) > 0 {
		s.last = lost[0].seq - 1 // there is no room for a run either
		s.refuse(lost, cause)
		return nil
	}
	last, err := s.own.takeOver(ctx, s.epoch)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = s.log.lastSeq(ctx)
	}
	if js.StreamMissing(err) {
		// The JetStream stream was deleted: nothing that was in flight is stored, nor will be.
		clear(s.unanswered)
		s.sentBytes, s.last = 0, 0
		s.refuse(lost, err)
		return nil
	}
	if err == nil && last == 0 {
		return errBehind // the stream is there after all
	}
	deposed := errors.Is(err, fence.ErrDeposed)
	var by uint64
	if deposed {
		if last, by, err = s.sealedBy(ctx); err == nil && by <= s.epoch {
			err = errBehind
		}
	}
	if err != nil {
		return err
	}
	ours, err := s.findStored(ctx, lost)
	if err != nil {
		return err
	}
	if ours && s.proven != nil {
		if err := s.proven(); err != nil {
			return err
		}
	}
	if err := s.dropOrphans(ctx, lost, deposed); err != nil {
		return err
	}
	for _, p := range lost {
		if p.found && !p.acked {
			p.acked = true
			p.ended(phases.Store)
		}
	}
	slices.SortStableFunc(lost, func(a, b *pending) int { return boolInt(b.acked) - boolInt(a.acked) })
	if !deposed {
		s.sealedAt(last)
		if err := s.doubtStrangers(ctx, lost, last); err != nil {
			return err
		}
	}
	s.countStored()
	if s.commit != nil {
		if err := s.commit.Wait(ctx); err != nil {
			return err
		}
	}
	s.settleDurable(s.storedCount)
	clear(s.unanswered)
	s.sentBytes = 0
	s.carryOn(cause, last, by)
	return nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// carryOn decides the appends in flight again, none of which is stored, unless their outcome is unknown.
func (s *sequencer) carryOn(cause error, last js.Seq, by uint64) {
	lost := slices.Clone(s.flight)
	s.forget(s.flight)
	if s.contradictions++; js.WrongSequence(cause) && by == 0 && s.contradictions > maxContradictions {
		for _, p := range lost {
			s.dropChunk(p, protocol.Wrap(protocol.CodeStorage, errContradiction(cause), "the store refused the append"))
		}
		lost = nil
	}
	var again []*request
	for _, p := range lost {
		if !p.purged {
			again = append(again, p.requests()...)
			continue
		}
		stay := p.replies[:0]
		for _, r := range p.replies {
			if r.req.kind == tailRequest {
				again = append(again, r.req)
			} else {
				stay = append(stay, r)
			}
		}
		p.replies = stay
		s.dropChunk(p, errUnknownOutcome)
	}
	if by > 0 {
		s.log.logger.Warn("another node has taken the log over", slog.Uint64("epoch", s.epoch), slog.Uint64("by", by))
		s.own.deposed(s.epoch, by)
		s.epoch = 0
		s.requeue(again)
		s.stepDown()
		return
	}
	s.last = last
	s.requeue(again)
}

// sealedBy returns the place of the newest message of the runs, and its epoch.
func (s *sequencer) sealedBy(ctx context.Context) (js.Seq, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, js.Attempt)
	defer cancel()
	at, by, err := fence.Newest(ctx, s.log.a.js, s.log.name, s.own.runs)
	return js.Seq(at), by, err
}

// findStored looks for the chunks at their places, all of which the log has passed. It marks those that are there, and those whose places are empty although
// no later one shows that they were; ours reports whether it found any.
func (s *sequencer) findStored(ctx context.Context, lost []*pending) (ours bool, err error) {
	for _, p := range lost {
		p.found, p.purged = p.acked, false
	}
	for _, p := range lost {
		if p.acked {
			continue
		}
		m, err := js.LeaderGet(ctx, s.log.a.manage, s.log.name, js.Wanted{Seq: p.seq, NextFor: ">"})
		_, unreadable := errors.AsType[*js.HeaderError](err)
		switch {
		case errors.Is(err, js.ErrNotFound):
			return false, errBehind
		case err != nil && !unreadable:
			return false, fmt.Errorf("look for a chunk: %w", err)
		case m.Seq > p.seq:
			p.purged = true
			continue
		}
		c, err := chunk.Decode(m.Header.Get(chunk.Header), m.Data)
		p.found = err == nil && c.ID == p.id
		ours = ours || p.found
		if m.Subject == s.own.runs {
			break // it covers all the places behind, too
		}
	}
	later := map[*stream]bool{} // a later chunk of the stream is stored
	for _, p := range slices.Backward(lost) {
		if p.purged && later[p.st] {
			p.found, p.purged = true, false
		}
		later[p.st] = later[p.st] || p.found
	}
	return ours, nil
}

// doubtStrangers lets the states of streams be read again into which a stranger has written before the run that ends at last.
func (s *sequencer) doubtStrangers(ctx context.Context, lost []*pending, last js.Seq) error {
	const most = 16 // messages that are looked at one by one
	from := s.last + 1
	ours := map[js.Seq]bool{}
	for _, p := range lost {
		from = min(from, p.seq)
		ours[p.seq] = p.found
	}
	var strange []js.Seq
	for seq := from; seq < js.Seq(fence.First(uint64(last))) && len(strange) <= most; seq++ {
		if !ours[seq] {
			strange = append(strange, seq)
		}
	}
	if len(strange) > most {
		s.newTurn()
		return nil
	}
	for _, seq := range strange {
		m, err := js.LeaderGet(ctx, s.log.a.manage, s.log.name, js.Wanted{Seq: seq, NextFor: ">"})
		if _, unreadable := errors.AsType[*js.HeaderError](err); err != nil && !unreadable {
			return fmt.Errorf("look for a stranger's message: %w", err)
		}
		place, ok := layout.ParseSubject(s.log.a.opts.Prefix, m.Subject)
		if !ok {
			continue
		}
		if st := s.log.ready(place.ID); st != nil {
			st.turn = 0
			st.release()
		}
	}
	return nil
}

// dropOrphans removes chunks that are stored although an earlier one of their stream in flight is not: a stranger's message took its place. None of them was
// acknowledged to an appender.
func (s *sequencer) dropOrphans(ctx context.Context, lost []*pending, deposed bool) error {
	missing := map[*stream]bool{}
	for _, p := range lost {
		switch {
		case !p.found:
			missing[p.st] = true
		case missing[p.st] && deposed:
			s.log.logger.Error("a stranger has written into the log while it was taken over: records of a stream are missing", slog.Uint64("sequence", uint64(p.seq)))
		case missing[p.st]:
			stream, err := s.log.a.js.Stream(ctx, s.log.name)
			if err != nil {
				return err
			}
			if err := stream.DeleteMsg(ctx, uint64(p.seq)); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) && !errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
				return fmt.Errorf("remove a chunk behind a stranger's message: %w", err)
			}
			p.found, p.acked = false, false
		}
	}
	return nil
}
