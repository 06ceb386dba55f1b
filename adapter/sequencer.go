package adapter

import (
	"context"
	"runtime"
	"strconv"
	"time"

	"github.com/weirstream/weir/adapter/internal/catalog"
	"github.com/weirstream/weir/adapter/internal/durable"
	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/internal/phases"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

// The publications that JetStream has not answered are bounded: behind them appends wait in the queue, where
// those of one stream join into one chunk. JetStream's own queue for a stream holds 128 MiB.
const (
	maxUnansweredBytes  = 16 << 20
	maxUnansweredChunks = 512
	// The chunks that are not durable are bounded as well: a request waits for the turn and the sync before it, which take the longer
	// the more they have to do. So a basin that appends as fast as it can does not keep another one waiting for long.
	maxUndurableBytes    = 8 << 20
	maxUndurableRequests = 8192
	// The same while several basins append to the log, which they do for so long after the last change from one to another. One
	// basin alone has no other to wait for, and larger syncs are fewer.
	sharedUndurableBytes    = 2 << 20
	sharedUndurableRequests = 1024
	// What one of several basins may have of that: a request of another one is let in at once, behind little.
	basinUndurableBytes    = 256 << 10
	basinUndurableRequests = 128
	sharedFor              = 10_000 // milliseconds
	// largeRequest is the size of a request, or of a chunk, from which on others notice its encoding and its way to the disk.
	largeRequest = 64 << 10
	// publishTimeout is how long a publication to a server in this process may go without an answer before the log is read to
	// find its fate. One that may get lost on its way has js.Attempt.
	publishTimeout = 10 * time.Second
)

// A sequencer orders all appends of a log. Its goroutine, run, owns every field below in and the speculative state of
// the log's streams; everybody else sends it messages through its inbox.
//
// The life of an append: post -> admit (conditions, seq_nums, encoding into a chunk) -> publish -> PubAck (stored) ->
// committer -> durable -> the tail moves, followers get the batch, the request is answered.
type sequencer struct {
	log    *log
	upkeep upkeep
	later  func(log string, seq js.Seq) // receives the last stored sequence if chunks count before they are synced; may be nil
	proven func() error                 // fails if messages that JetStream shows may not be on disk; may be nil
	commit *durable.Committer           // nil: a stored chunk counts as durable at once
	// timeout is how long a publication may go without an answer, and backoff the longest time between two attempts to find
	// its outcome.
	timeout, backoff time.Duration
	prefix           string // of chunk ids
	in               inbox

	queue        fairQueue  // waiting for room in the pipeline
	open         []*pending // chunks being filled in this turn, in order of publication
	flight       []*pending // published and not durable, in order
	storedCount  uint64     // chunks stored since the start; those at the head of flight are stored
	durableCount uint64     // chunks durable since the start, taken off flight

	admission uint64 // counts the calls of admitAll
	sharing   sharing
	shares    bool // small appends wait for others, where several brokers share the store

	lastBasin   protocol.BasinName // of the last request that was sequenced
	sharedUntil uint64             // several basins append to the log, as far as is known, until then, in milliseconds

	used [basinSlots]undurableShare // by slot of the basin; good while requests are admitted
	// yields is, by slot of the basin, how many chunks must be durable before the basin's next request is taken; see yield.
	yields [basinSlots]uint64

	last           js.Seq              // the log's last sequence once all of flight is stored
	unanswered     map[uint64]*pending // by publication token
	sentBytes      int                 // payload bytes in unanswered
	token          uint64              // of the next publication
	chunkID        uint64              // of the next chunk
	broken         error               // a publication failed: recover before going on
	late           bool                // one has no answer: it may still be stored
	resent         int                 // how often in a row lost chunks were published again
	pausedAt       js.Seq              // where the log ended when that was counted
	contradictions int                 // refusals in a row that the log's state does not explain
	failed         error               // the store failed for good

	owning // where several brokers share the store

	out   *publisher
	stats sequencerStats // for everybody
	done  chan struct{}
}

// newSequencer makes the sequencer of a log whose last sequence is last.
func newSequencer(l *log, last js.Seq) *sequencer {
	s := &sequencer{log: l, upkeep: l.a, prefix: l.a.incarnation, in: inbox{wake: make(chan struct{}, 1)}, last: last, unanswered: map[uint64]*pending{},
		done: make(chan struct{}), timeout: publishTimeout, backoff: recoverBackoffMax}
	if js.MayLose(l.pub) {
		s.timeout, s.backoff = js.Attempt, recoverBackoffRemote
	}
	s.out = newPublisher(l.pub, l.replyPrefix, func(token uint64, err error) { s.in.postAck(pubAck{token: token, err: err}) })
	return s
}

// Name, Durable and Failed make a sequencer a durable.Log.
func (s *sequencer) Name() string { return s.log.name }

func (s *sequencer) Durable(n uint64) { s.in.postDurable(n) }
func (s *sequencer) Failed(err error) { s.in.postFailed(err) }

// run is the sequencer's goroutine. When its inbox is closed it settles the chunks in flight and returns; when ctx ends it
// answers the remaining appends as unknown.
func (s *sequencer) run(ctx context.Context) {
	defer close(s.done)
	defer s.out.stop()
	overdue := time.NewTimer(s.timeout)
	overdue.Stop()
	watching := false // overdue runs
	tick := time.NewTimer(peerTick)
	defer tick.Stop()
	ticking := true
	gather := time.NewTimer(gatherMost) // runs while requests wait for others
	defer gather.Stop()
	answered := time.Now()
	var got arrivals
	for {
		ticked := false
		select {
		case <-s.in.wake:
			if s.own != nil {
				runtime.Gosched() // requests that are about to come share the turn, or the frame
			}
		case <-gather.C:
		case <-tick.C:
			ticking, ticked = false, true
		case <-overdue.C:
			watching = false
			if len(s.unanswered) > 0 && time.Since(answered) >= s.timeout {
				s.broken = errNoAnswer
			}
		case <-ctx.Done():
			s.abandon()
			return
		}
		got = s.in.take(got)
		if len(got.acks) > 0 || len(s.unanswered) == 0 {
			answered = time.Now()
		}
		s.settleAcks(got.acks)
		if got.failed != nil {
			s.failed = got.failed
		}
		if s.failed == nil {
			s.settleDurable(got.durable)
		}
		if got.resumed && len(s.unanswered) > 0 && s.broken == nil {
			s.broken = errNoAnswer
		}
		if s.broken != nil && s.failed == nil {
			s.recover(ctx)
			answered = time.Now()
		}
		s.decideAgain()
		for _, r := range got.requests {
			s.queue.push(r)
		}
		if s.own != nil {
			s.settleFound(got.found)
			s.peerWork(&got.peers, ticked)
		}
		if s.failed != nil {
			s.failAll()
		}
		s.shares = false
		switch {
		case s.owns():
			s.admitAll()
			s.publishAll()
		case s.peer != nil && s.wanted == nil:
			s.forwardAll()
		case s.epoch == 0:
			s.waitForOwner()
		}
		if len(s.links) > 0 {
			s.answerPeers()
		}
		s.show()
		if s.own != nil && !ticking && s.mustLookAgain() {
			tick.Reset(peerTick)
			ticking = true
		}
		if s.shares && s.sharing.gathering && s.queue.len() > 0 {
			gather.Reset(time.Until(s.sharing.until))
		}
		if len(s.unanswered) > 0 && !watching {
			overdue.Reset(s.timeout)
			watching = true
		}
		if s.in.isShut() && s.idle() {
			overdue.Stop()
			return
		}
	}
}

func (s *sequencer) idle() bool {
	return len(s.flight) == 0 && s.queue.len() == 0 && s.in.waiting() == 0 && (s.peer == nil || len(s.peer.out) == 0)
}

// admitAll sequences queued requests, basins and streams in turn, while the pipeline has room.
func (s *sequencer) admitAll() {
	if s.doubt && !s.sure() {
		s.waitForOwner()
		return
	}
	s.doubt = false
	began := time.Now()
	s.shares = s.own != nil && s.sharing.wait(s.flight, s.queue.len(), began)
	if s.queue.len() == 0 {
		return
	}
	now := catalog.Millis(began)
	maxBytes, maxRequests := s.undurable(now)
	room, bytes, requests := s.sentBytes, 0, 0
	several := now < s.sharedUntil // one basin alone has no share to count
	if several {
		clear(s.used[:])
	}
	s.admission++
	for _, p := range s.flight {
		bytes += len(p.wire)
		requests += len(p.replies)
		if several {
			s.used[p.st.slot].add(len(p.wire), len(p.replies))
		}
	}
	over := func(slot uint8) bool { return several && (s.used[slot].over() || s.yielding(slot)) }
	admitted := false
	s.queue.serve(over, func(r *request) (cost int, wait, full bool) {
		if s.doubt || len(s.unanswered)+len(s.open) >= maxUnansweredChunks || room >= maxUnansweredBytes ||
			bytes >= maxBytes || requests >= maxRequests {
			return 0, false, true
		}
		if s.mustWait(r) || s.shares && r.shareable() && r.st.open == nil {
			return 0, true, false
		}
		if s.own != nil && !s.shares && r.shareable() {
			s.sharing.takes(s.admission, began)
		}
		room += int(r.cost)
		bytes += int(r.cost)
		requests++
		if several {
			s.used[r.st.slot].add(int(r.cost), 1)
		}
		s.noteBasin(r.st.ref.Basin, now)
		admitted = true
		if several && r.cost >= largeRequest {
			// Small ones need not wait until it is encoded. Nor need those that were answered just now: their goroutines are in the
			// queue of this processor, where they would stay until the large chunk is encoded, published and stored, as each of these
			// steps hands the processor over to the next one.
			s.publishAll()
			runtime.Gosched()
		}
		s.admit(r, now)
		return int(r.cost), false, false
	})
	s.decideAgain()
	if admitted && s.queue.len() > 0 && !s.doubt && len(s.flight)+len(s.open) == 0 {
		s.in.poke() // all of the turn stored nothing, so that no answer of JetStream begins the next one
	}
}

// undurable is how many bytes and requests may be on their way to the disk.
func (s *sequencer) undurable(now uint64) (bytes, requests int) {
	if now < s.sharedUntil {
		return sharedUndurableBytes, sharedUndurableRequests
	}
	return maxUndurableBytes, maxUndurableRequests
}

// noteBasin notes which basin's request is sequenced.
func (s *sequencer) noteBasin(name protocol.BasinName, now uint64) {
	if name != s.lastBasin {
		if s.lastBasin != "" {
			s.sharedUntil = now + sharedFor
		}
		s.lastBasin = name
	}
}

// admit decides one request: into a chunk, or a rejection.
func (s *sequencer) admit(r *request, now uint64) {
	st := r.st
	if r.times != nil {
		r.times.Ended(phases.Queue, time.Now())
	}
	if st.broken != nil {
		s.reject(r, 0, st.broken)
		return
	}
	if r.unknown != nil {
		s.reject(r, 0, r.unknown)
		return
	}
	if st.ended.Load() {
		s.reject(r, 0, errStreamDeleted)
		return
	}
	if r.kind == tailRequest {
		s.hold(r, everything, protocol.AppendAck{}, nil)
		return
	}
	//exhaustive:enforce
	switch r.kind {
	case terminalRequest:
		s.admitTerminal(r, now)
		return
	case sealRequest:
		s.admitSeal(r, now)
		return
	case retireRequest, expireRequest:
		s.admitRetire(r, now)
		return
	case restoreRequest:
		s.admitRestored(r)
		return
	case adoptRequest:
		s.admitAdopt(r)
		return
	case appendRequest, tailRequest:
	}
	if r.appender.failed {
		s.reject(r, 0, errPoisoned)
		return
	}
	if err := r.ctx.Err(); err != nil {
		s.reject(r, 0, err)
		return
	}
	if ack, threshold, done, err := st.pendingState.repeated(&r.in, r.producer); err != nil {
		s.reject(r, threshold, err)
		return
	} else if done {
		s.settled(r, threshold, ack)
		return
	}
	set := st.settings.Load()
	if threshold, err := st.pendingState.check(&r.in, r.producer, set); err != nil {
		s.reject(r, threshold, err)
		return
	}
	if len(r.in.Records) == 0 {
		s.admitClose(r, now, set)
		return
	}
	p := s.chunkFor(st, len(r.in.Records), uint64(r.cost), now, set)
	start := st.pendingState.next
	var first uint64
	for i := range r.in.Records {
		rec := &r.in.Records[i]
		ts := p.after.timestamp(rec, set, p.arrived)
		if i == 0 {
			first = ts
		}
		p.add(rec, ts)
		p.after.apply(rec, ts)
	}
	p.after.wrote = chunk.LastAppend{At: p.arrived, AgeSecs: set.ageSecs, MinAgeSecs: set.minAge}
	p.after.total += uint64(r.cost)
	if r.in.Close && p.after.closed == chunk.NotClosed {
		p.after.closed = chunk.Closed
	}
	p.after.wroteSeq(&r.in)
	if r.producer != nil {
		p.after.produced(r, protocol.Position{SeqNum: start, Timestamp: first})
	}
	st.pendingState = p.after
	end := st.pendingState.tail()
	r.appender.end = end.SeqNum
	p.metered += uint64(r.cost)
	p.traced = p.traced || r.times != nil
	p.replies = append(p.replies, reply{req: r, wireEnd: len(p.wire),
		ack: protocol.AppendAck{Start: protocol.Position{SeqNum: start, Timestamp: first}, End: end, Tail: end}})
}

// chunkFor returns the open chunk of the stream, or a new one when there is none or it has no room.
func (s *sequencer) chunkFor(st *stream, records int, metered, now uint64, set *settings) *pending {
	if p := st.open; p != nil && p.settings == set && p.fits(records, metered) {
		return p
	}
	st.checks.MarkWritten()
	s.chunkID++
	p := &pending{st: st, turn: s.admission, id: s.prefix + strconv.FormatUint(s.chunkID, 36), arrived: now,
		settings: set, expiry: set.expiry(now), after: st.pendingState}
	if records > 0 {
		limit := protocol.MaxBatchRecords
		if now < s.sharedUntil {
			limit = basinUndurableRequests - s.used[st.slot].requests + 1 // the first is counted
		}
		var requests int
		requests, records, metered = st.waiting.together(limit, records, metered)
		if st.cipher != protocol.CipherNone {
			metered += encryptedOverhead * uint64(records)
		}
		p.wire = newWire(records, metered)
		p.replies = make([]reply, 0, requests)
	}
	st.open, st.newest = p, p
	s.open = append(s.open, p)
	return p
}

// admitClose closes a stream without records: in the open chunk, or in a state chunk.
func (s *sequencer) admitClose(r *request, now uint64, set *settings) {
	st := r.st
	p := s.chunkFor(st, 0, 0, now, set)
	if p.count == 0 {
		p.expiry = 0
	}
	p.after.closed = chunk.Closed
	p.after.wroteSeq(&r.in)
	if r.producer != nil {
		p.after.produced(r, p.after.tail())
	}
	st.pendingState = p.after
	tail := st.pendingState.tail()
	p.replies = append(p.replies, reply{req: r, ack: protocol.AppendAck{Start: tail, End: tail, Tail: tail}})
}

func (s *sequencer) admitTerminal(r *request, now uint64) {
	st := r.st
	if st.pendingState.terminal {
		s.reject(r, 0, nil) // a second delete has nothing to do but wait for the first
		return
	}
	set := st.settings.Load()
	p := s.chunkFor(st, 1, terminalRecord.MeteredSize(), now, set)
	ts := max(p.arrived, st.pendingState.last)
	if set.uncapped {
		ts = ^uint64(0)
	}
	p.add(&terminalRecord, ts)
	p.metered += terminalRecord.MeteredSize()
	p.after.total += terminalRecord.MeteredSize()
	p.after.end(ts)
	start := st.pendingState.next
	st.pendingState = p.after
	end := st.pendingState.tail()
	p.replies = append(p.replies, reply{req: r, wireEnd: len(p.wire),
		ack: protocol.AppendAck{Start: protocol.Position{SeqNum: start, Timestamp: ts}, End: end, Tail: end}})
}

// admitRetire ends a stream that delete-on-empty found empty, or whose idle time is over, unless it is in use again: the last
// word before records could be lost.
func (s *sequencer) admitRetire(r *request, now uint64) {
	st := r.st
	set := st.settings.Load()
	wanted := r.kind == retireRequest && set.minAge > 0 || r.kind == expireRequest && set.idleSecs > 0 && st.reads.open.Load() == 0
	if st.newest != nil || st.pendingState.next != r.next || st.pendingState.terminal || !wanted {
		s.reject(r, 0, errInUse)
		return
	}
	s.admitTerminal(r, now)
}

// admitRestored makes a chunk of one that a backup holds. After one that failed none of the same appender is stored, so that
// the chunks of a restore have no gap.
func (s *sequencer) admitRestored(r *request) {
	if r.appender.failed {
		s.reject(r, 0, errPoisoned)
		return
	}
	if s.own != nil && !s.placed(r) {
		return
	}
	p := &pending{st: r.st, turn: s.admission, id: r.restored.id, restored: r.restored, header: r.restored.header, wire: r.restored.payload}
	p.replies = append(p.replies, reply{req: r})
	s.open = append(s.open, p)
	if s.own != nil {
		b := s.restores[r.st.ref.Basin]
		b.have++
		b.newest = p
	}
}

// admitSeal writes a state chunk if nothing is on its way that would serve as the newest chunk as well.
func (s *sequencer) admitSeal(r *request, now uint64) {
	st := r.st
	if st.newest == nil && !st.pendingState.terminal {
		p := s.chunkFor(st, 0, 0, now, st.settings.Load())
		p.expiry = 0
		st.open = nil // nothing joins: the chunk must not expire
	}
	s.reject(r, st.pendingState.next, nil)
}

// reject answers a request without storing it, but not before the durable tail has reached threshold; for a session
// not before its last accepted input is durable either (data plane 3.7).
func (s *sequencer) reject(r *request, threshold uint64, err error) {
	if r.appender != nil {
		r.appender.failed = true
	}
	s.hold(r, threshold, protocol.AppendAck{}, err)
}

// settled answers a request that was done before, and waits as reject does.
func (s *sequencer) settled(r *request, threshold uint64, ack protocol.AppendAck) {
	s.hold(r, threshold, ack, nil)
}

// hold answers a request that stores nothing once the durable tail has reached threshold, and everything that its appender
// did before is durable.
func (s *sequencer) hold(r *request, threshold uint64, ack protocol.AppendAck, err error) {
	if r.appender != nil {
		threshold = max(threshold, r.appender.end)
	}
	if r.st.pendingState.closed != r.st.durable.closed {
		threshold = everything // no seq_num shows that the closing is durable
	}
	if p := r.st.newest; p != nil && (threshold > r.st.durable.next || r.kind != appendRequest) {
		p.replies = append(p.replies, reply{req: r, ack: ack, err: err, stays: true})
		return
	}
	if !s.sure() {
		s.holdBack(r)
		return
	}
	s.answer(r, ack, err)
}

func (s *sequencer) answer(r *request, ack protocol.AppendAck, err error) {
	if r.cost > 0 && r.peer == nil {
		s.upkeep.answered(r.st.ref.Basin, r.cost)
	}
	if r.kind == tailRequest && s.peer == nil && err == nil {
		r.newest = r.st.live.newest()
	}
	if err != nil && r.appender != nil {
		r.appender.dead = true
	}
	r.done(ack, err)
	r.st.release()
}

// publishAll sends the chunks filled in this turn.
func (s *sequencer) publishAll() {
	for i, p := range s.open {
		if p.st.open == p {
			p.st.open = nil
		}
		s.open[i] = nil
		if p.restored == nil {
			c := p.chunk(s.epoch)
			p.header = c.EncodeHeader()
		}
		s.flight = append(s.flight, p)
		s.publish(p)
	}
	s.open = s.open[:0]
}

// publish sends one chunk to stand right behind all that was sent before.
func (s *sequencer) publish(p *pending) {
	pub := publication{token: s.token, subject: p.st.subject, header: p.header, expected: s.last, wire: p.wire}
	if p.restored != nil {
		pub.subject = p.restored.subject
	}
	s.unanswered[s.token] = p
	p.size = len(p.wire)
	s.sentBytes += len(p.wire)
	s.token++
	s.last++
	p.seq = s.last
	s.out.send(pub)
	p.ended(phases.Publish)
}
