package adapter

import (
	"time"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/internal/phases"
	"github.com/weirstream/weir/protocol"
)

// What becomes of chunks and of the requests on them once JetStream has answered: stored, durable, or failed.

// settleAcks takes in JetStream's answers and passes on how much of the log is stored.
func (s *sequencer) settleAcks(acks []pubAck) {
	for _, a := range acks {
		p, ok := s.unanswered[a.token]
		if !ok {
			continue // answered after a recovery had found the outcome
		}
		delete(s.unanswered, a.token)
		s.sentBytes -= len(p.wire)
		switch {
		case a.err != nil:
			s.late = s.late || !js.Reported(a.err)
			if s.broken == nil {
				s.broken = a.err
			}
		case a.seq != p.seq:
			s.broken = errForeignSequence
		default:
			p.acked, s.contradictions, s.resent = true, 0, 0
			p.ended(phases.Store)
		}
	}
	s.countStored()
}

// countStored moves the count of stored chunks over the head of flight and reports it to the committer.
func (s *sequencer) countStored() {
	before := s.storedCount
	for i := s.storedCount - s.durableCount; i < uint64(len(s.flight)) && s.flight[i].acked; i++ {
		s.storedCount++
	}
	s.upkeep.stored(s.storedCount - before)
	switch {
	case s.storedCount == before:
	case s.commit != nil:
		s.commit.Stored(s, s.storedCount, s.flight[s.storedCount-s.durableCount-1].seq)
	default:
		s.Durable(s.storedCount)
		if s.later != nil {
			s.later(s.log.name, s.flight[s.storedCount-s.durableCount-1].seq)
		}
	}
}

// settleDurable finishes the chunks up to number n: the tails move, followers get the batches and appenders their answers.
func (s *sequencer) settleDurable(n uint64) {
	done := 0
	for ; s.durableCount < n && done < len(s.flight); done++ {
		s.finish(s.flight[done])
		s.durableCount++
	}
	if done > 0 && s.own != nil {
		s.sharing.settled(s.flight[:done], time.Now())
	}
	s.yield(s.flight[:done], s.flight[done:])
	rest := copy(s.flight, s.flight[done:])
	clear(s.flight[rest:])
	s.flight = s.flight[:rest]
}

// yield makes the basins whose large chunks have become durable wait until the small chunks that are on the way are durable as
// well. Those have waited for a large chunk, and would wait for the next one too, which is encoded, stored and synced beside them.
// A basin waits for none that comes later, so that it goes on after one more sync.
func (s *sequencer) yield(durable, rest []*pending) {
	for len(rest) > 0 && rest[len(rest)-1].size >= largeRequest {
		rest = rest[:len(rest)-1]
	}
	for _, p := range durable {
		if p.size >= largeRequest {
			s.yields[p.st.slot] = s.durableCount + uint64(len(rest))
		}
	}
}

// yielding reports whether a basin waits for small chunks of others, see yield.
func (s *sequencer) yielding(slot uint8) bool {
	return len(s.flight) > 0 && s.durableCount < s.yields[slot]
}

func (s *sequencer) finish(p *pending) {
	if s.own != nil {
		s.log.reached.Store(uint64(p.seq))
	}
	if p.restored != nil {
		if b := s.restores[p.st.ref.Basin]; b != nil && b.newest == p {
			b.newest = nil
		}
		s.answerAll(p)
		return
	}
	st := p.st
	if st.newest == p {
		st.newest = nil
	}
	trimmed := p.after.trim != st.durable.trim
	st.durable = p.after
	p.ended(phases.Sync)
	s.upkeep.changed(st)
	st.index.add(indexEntry{p.seq, p.after.next - uint64(p.count), p.after.next, p.first.Timestamp, p.after.last})
	kept := st.live.advance(p.after.tail(), p.after.trim, p.seq, p.after.isClosed(), p.batches)
	if st.tap != nil && p.count > 0 && st.tap(p.records()) {
		kept = true
	}
	if p.after.terminal {
		st.live.close(errStreamDeleted)
	}
	if p.expiry != 0 {
		st.checks.At.Before(p.expiry)
	}
	if p.after.wrote.MinAgeSecs > 0 && p.count > 0 && !p.after.terminal {
		s.upkeep.armed(st, p.after)
	}
	if trimmed && !p.after.terminal {
		s.upkeep.trimmed(st)
	}
	s.answerAll(p)
	if !kept {
		freeWire(p.wire)
		p.wire = nil
	}
}

// answerAll answers everything that hangs on a chunk that is durable.
func (s *sequencer) answerAll(p *pending) {
	for i := range p.replies {
		r := &p.replies[i]
		if r.stays && !s.sure() {
			s.holdBack(r.req)
			continue
		}
		s.answer(r.req, r.ack, r.err)
	}
}

// failAll answers everything with a storage failure, after the store failed for good.
func (s *sequencer) failAll() {
	err := protocol.Wrap(protocol.CodeStorage, s.failed, "the store failed; the records may have been stored")
	for _, p := range s.flight {
		s.dropChunk(p, err)
	}
	s.flight = s.flight[:0]
	clear(s.unanswered)
	s.decideAgain()
	for _, r := range s.queue.takeAll() {
		s.answer(r, protocol.AppendAck{}, err)
	}
}

// dropChunk answers everything that hangs on a chunk with err, withheld rejections included (data plane 3.7).
func (s *sequencer) dropChunk(p *pending, err error) {
	if p.st.newest == p {
		p.st.newest = nil
	}
	for i := range p.replies {
		r := p.replies[i].req
		if r.appender != nil {
			r.appender.failed = true
		}
		s.answer(r, protocol.AppendAck{}, err)
	}
}

// abandon answers the remaining requests when the time to shut down is over.
func (s *sequencer) abandon() {
	s.in.close(errDraining)
	got := s.in.take(arrivals{})
	s.settleAcks(got.acks)
	unknown := protocol.Errorf(protocol.CodeOther, "the broker stopped before the append was confirmed; it may have been stored")
	for _, p := range s.flight {
		s.dropChunk(p, unknown)
	}
	s.flight = nil
	if s.peer != nil { // of one appender, the requests that were handed over come before those that wait
		s.takeAnswers(got.peers.answers)
		s.loseSent(nil)
		for _, m := range s.peer.moved {
			s.fail(m.r, errDraining)
		}
	}
	s.decideAgain()
	for _, r := range append(s.queue.takeAll(), got.requests...) {
		if r.peer != nil {
			s.giveBack(r)
		} else {
			s.answer(r, protocol.AppendAck{}, errDraining)
		}
	}
	s.giveHeldBack()
	s.answerPeers()
}
