package adapter

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/adapter/internal/forward"
	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/internal/lease"
	"github.com/weirstream/weir/protocol"
)

// A sequencer of a log that several brokers use has a role: it owns the log and decides, or it forwards to the node that does, or
// it waits until it is known which. It changes its role when nothing is in flight any more.

// role is the ownership's word to the sequencer.
type role struct {
	owner  lease.Owner
	sealed js.Seq        // where the run ends that sealed the log, if the owner is this node
	left   chan struct{} // not nil: the log is to be given away; closed once nothing is in flight
}

// peerArrivals is the part of a sequencer's arrivals that has to do with other nodes.
type peerArrivals struct {
	roles   []role
	frames  []peerFrame  // requests of other nodes
	opened  []peerStream // streams that were opened for them
	answers []*nats.Msg  // to requests that were forwarded
	counted []counted
}

type peerFrame struct {
	forward.Frame
	reply string
}

// peerTick is how often a sequencer looks at requests that wait for something that does not wake it.
const peerTick = 100 * time.Millisecond

// owning is the part of a sequencer that knows its role. The sequencer's goroutine owns it.
type owning struct {
	own    *ownership
	wanted *role  // the role to take next
	epoch  uint64 // in which this node owns the log; 0: it does not
	sealed js.Seq // the newest message on the subject of the runs
	turn   uint64 // counts the turns as owner, and what makes the streams' states doubtful
	peer   *link  // to the owner; nil: it is this node, or not known
	doubt  bool   // an answer is held back until this node is sure of its lease
	again  []*request

	links map[string]*peerLink       // of other nodes to this one
	held  map[[16]byte][]heldRequest // requests of other nodes to streams that are being opened

	restores map[protocol.BasinName]*restoring // in this turn
}

// owns reports whether the sequencer decides: it is alone, or the owner and is to stay so.
func (s *sequencer) owns() bool { return s.own == nil || s.epoch != 0 && s.wanted == nil }

// sure reports whether what the sequencer knows is the newest state.
func (s *sequencer) sure() bool { return s.own == nil || s.own.owners.Sure(s.log.name, s.epoch) }

// takeRoles takes in the ownership's words, and follows the last one as soon as nothing is in flight.
func (s *sequencer) takeRoles(roles []role) {
	for i := range roles {
		if s.wanted != nil && s.wanted.left != nil {
			close(s.wanted.left) // the ownership knows better by now
		}
		s.wanted = &roles[i]
	}
	w := s.wanted
	if w == nil {
		return
	}
	if s.failed != nil { // everything is answered, and nothing more is published
		if s.wanted = nil; w.left != nil {
			close(w.left)
		}
		return
	}
	if s.epoch != 0 {
		if w.left == nil && w.owner.Mine && w.owner.Epoch == s.epoch {
			s.wanted = nil
			return
		}
		if len(s.flight) > 0 || len(s.open) > 0 {
			return
		}
		s.stepDown()
	}
	if s.peer != nil {
		if w.left == nil && s.peer.leadsTo(w.owner) {
			s.wanted = nil
			return
		}
		s.peer.over = true
		if !s.closePeer() {
			return
		}
	}
	s.wanted = nil
	switch {
	case w.left != nil:
		close(w.left)
	case w.owner.Mine:
		s.epoch, s.sealed, s.last = w.owner.Epoch, w.sealed, w.sealed
		s.newTurn()
	default:
		s.peer = newLink(s.log, w.owner)
	}
}

// newTurn lets the state of every stream be read again before it is used.
func (s *sequencer) newTurn() {
	s.turn++
	clear(s.restores)
	s.log.reached.Store(uint64(s.sealed)) // before the turn is seen
	s.log.turn.Store(s.turn)
	s.log.epoch.Store(s.epoch)
	s.upkeep.owned(s.log)
}

// sealedAt notes that the log was sealed again in the same turn, by a run that ends at last.
func (s *sequencer) sealedAt(last js.Seq) {
	s.sealed = last
	s.log.reached.Store(uint64(last))
}

// stepDown ends the sequencer's time as owner. Nothing is in flight. Requests of other nodes go back to them.
func (s *sequencer) stepDown() {
	s.epoch, s.doubt = 0, false
	clear(s.restores)
	s.log.epoch.Store(0)
	s.log.turn.Store(0)
	s.decideAgain()
	var ours []*request
	for _, r := range s.queue.takeAll() {
		if r.peer == nil {
			r.unknown = nil
			ours = append(ours, r)
		} else {
			s.giveBack(r)
		}
	}
	s.queue.pushFront(ours)
	s.giveHeldBack()
	for _, p := range s.links {
		p.over = true
	}
	s.answerPeers()
	clear(s.links)
}

// requeue puts requests back to the front of the queue, or gives them back to the nodes that they came from if this one does not own
// the log any more. They have had no effect. What an appender was told stays: none of its inputs counts behind one that failed.
func (s *sequencer) requeue(requests []*request) {
	var ours []*request
	for _, r := range requests {
		if r.appender != nil {
			r.appender.failed = r.appender.dead
		}
		if r.peer != nil && s.own != nil && s.epoch == 0 {
			s.giveBack(r)
			continue
		}
		ours = append(ours, r)
	}
	s.queue.pushFront(ours)
}

// mustWait reports whether a request has to wait until the newest state of its stream is known.
func (s *sequencer) mustWait(r *request) bool {
	st := r.st
	if s.own != nil && r.kind == restoreRequest {
		return s.mustCount(r)
	}
	if s.own == nil || st.turn == s.turn || r.kind == adoptRequest || st.broken != nil || r.unknown != nil {
		return false
	}
	if st.newest != nil { // loaded before the turn, and used in it: cannot be
		return true
	}
	if st.asking == s.turn {
		return true
	}
	st.asking = s.turn
	a, turn, sealed, known := s.log.a, s.turn, js.Seq(s.log.reached.Load()), st.live.newest()
	ask := func() {
		ctx, cancel := context.WithTimeout(a.ctx, js.Timeout)
		defer cancel()
		f := finding{req: r, turn: turn, known: known}
		f.newest, f.err = s.log.newestBeyond(ctx, st.subject, sealed)
		if errors.Is(f.err, js.ErrNotFound) && known == 0 {
			f.err = st.mayBeEmpty(ctx)
		}
		if a.ctx.Err() != nil {
			f.err = errDraining
		}
		s.in.postFound(f)
	}
	if !a.logs.spawn(ask) {
		s.in.postFound(finding{req: r, turn: turn, err: errDraining})
	}
	return true
}

// finding is the answer to a request for a stream's newest chunk, which was made on behalf of a request.
type finding struct {
	req    *request
	turn   uint64
	known  js.Seq // the newest chunk that was known before; 0: none
	newest storedChunk
	err    error
}

// settleFound takes in the answers to requests for newest chunks.
func (s *sequencer) settleFound(found []finding) {
	for i := range found {
		f := &found[i]
		st := f.req.st
		if f.turn != s.turn || s.epoch == 0 {
			continue
		}
		st.asking = 0
		switch {
		case errors.Is(f.err, js.ErrNotFound) && f.known > 0:
			f.req.unknown = errStreamDeleted
		case f.err != nil:
			f.req.unknown = readFailure(f.err)
		case f.newest.seq == 0: // nothing was ever appended
			st.turn = s.turn
		default:
			st.turn = s.turn
			if f.newest.seq > st.live.newest() {
				s.adopt(st, &f.newest)
			} else {
				st.pendingState = st.durable
			}
		}
	}
}

// decideAgain puts the requests whose answers were held back to the queue.
func (s *sequencer) decideAgain() {
	if len(s.again) > 0 {
		s.requeue(s.again)
		clear(s.again)
		s.again = s.again[:0]
	}
}

// holdBack keeps an answer that stores nothing until this node is sure of its lease, or does not own the log any more: the request is
// decided again.
func (s *sequencer) holdBack(r *request) {
	s.doubt = true
	s.again = append(s.again, r)
}

// waitForOwner answers the requests whose callers do not wait any more, while the owner is not known, or this node is not sure of its lease.
func (s *sequencer) waitForOwner() {
	s.queue.serve(unshared, func(r *request) (cost int, wait, full bool) {
		switch err := r.ctx.Err(); {
		case r.kind == adoptRequest:
			s.admitAdopt(r)
		case err != nil:
			s.fail(r, err)
		default:
			return 0, true, false
		}
		return 0, false, false
	})
}

// mustLookAgain reports whether something waits that does not wake the sequencer.
func (s *sequencer) mustLookAgain() bool {
	return s.queue.len() > 0 && (s.doubt || s.epoch == 0) || s.peer != nil && len(s.peer.out) > 0
}

// fail answers a request that had no effect.
func (s *sequencer) fail(r *request, err error) {
	if r.appender != nil {
		r.appender.failed = true
	}
	s.answer(r, protocol.AppendAck{}, err)
}

// peerWork carries on with the work that comes from other nodes, or goes to them.
func (s *sequencer) peerWork(got *peerArrivals, tick bool) {
	s.takeFrames(got.frames)
	s.takeOpened(got.opened)
	s.takeCounted(got.counted)
	if s.peer != nil {
		s.takeAnswers(got.answers)
		if tick {
			s.watchPeer()
		}
	}
	s.takeRoles(got.roles)
	if s.doubt && tick {
		s.own.poke() // the log may be another node's
	}
	if s.peer != nil && s.peer.over && s.wanted == nil {
		s.closePeer()
	}
}

// closePeer drops a link that is over once all that was sent by it is answered, and puts what was not taken back to the queue.
func (s *sequencer) closePeer() bool {
	l := s.peer
	if len(l.out) > 0 {
		return false
	}
	s.peer = nil
	l.close()
	slices.SortFunc(l.moved, func(a, b *sentRequest) int { return int(a.number) - int(b.number) })
	var again []*request
	for _, m := range l.moved {
		if m.r.moves++; m.r.moves > maxMoves {
			s.fail(m.r, errNoOwner)
			continue
		}
		again = append(again, m.r)
	}
	s.requeue(again)
	if s.wanted == nil {
		s.own.l.a.logs.spawn(func() {
			sleep(s.own.l.a.ctx, movePause)
			s.own.mistaken()
		})
	}
	return true
}

const (
	// movePause is between two attempts to hand requests to the owner, of which there are at most maxMoves. Until then the caller has mostly given up.
	movePause = 20 * time.Millisecond
	maxMoves  = 1000
)

var errNoOwner = protocol.Errorf(protocol.CodeUnavailable, "the node that owns the stream's log was not found; nothing was stored")
