package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/protocol"
)

// A round is what clients do between two kills.
type round struct {
	e    *episode
	ctx  context.Context // ends when the broker is gone
	svcs []protocol.Service
	fuse *fuse

	mu  sync.Mutex
	bad error // the first broken promise
}

var batchIDs atomic.Uint64

// report notes a broken promise.
func (r *round) report(err error) {
	if err == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bad == nil {
		r.bad = err
	}
}

// over reports whether a client should stop: the broker is gone, or its connection.
func (r *round) over() bool { return r.ctx.Err() != nil }

// A role is how the clients of a stream behave.
type role struct {
	name    string
	streams int
	clients int
	work    func(r *round, svc protocol.Service, m *model, rnd *rand.Rand, client int)
	follow  bool
}

var roles = []role{
	{"unary", 5, 3, (*round).appendUnary, true},
	{"trimmed", 3, 2, (*round).appendAndTrim, true},
	{"session", 4, 2, (*round).appendSession, true},
	{"trimmed-session", 2, 2, (*round).appendAndTrimSession, false},
	{"matched", 3, 1, (*round).appendMatched, true},
	{"contended", 2, 3, (*round).appendContended, false},
	{"fenced", 3, 3, (*round).appendFenced, false},
	{"produced", 3, 3, (*round).appendProduced, true},
}

// try appends a batch and notes the outcome. It returns false when the client should stop.
func (r *round) try(svc protocol.Service, m *model, b *batch) (protocol.AppendAck, error, bool) {
	m.sent(b)
	ack, err := svc.Append(r.ctx, m.ref, b.input())
	r.report(m.answered(b, ack, err))
	if err == nil {
		r.fuse.burn(onAck)
		return ack, nil, !r.over()
	}
	// A refusal is part of the plan; any other failure is the broker's end, or else must not happen.
	if protocol.CodeOf(err) == protocol.CodeConditionFailed {
		return ack, err, !r.over()
	}
	r.mayFail(err, "append to "+m.ref.String())
	return ack, err, false
}

// mayFail reports a failure that no crash explains. The cases that a crash explains are told by what the client sees of a
// broker that is gone, or that has not gone yet but is about to.
func (r *round) mayFail(err error, what string) {
	switch protocol.CodeOf(err) {
	case protocol.CodeClientHangup, protocol.CodeUnavailable, protocol.CodeRequestTimeout, protocol.CodeServerDraining, protocol.CodeOther:
		<-r.ctx.Done()
	default:
		r.report(fmt.Errorf("%s failed: %w", what, err))
	}
}

func (r *round) appendUnary(svc protocol.Service, m *model, rnd *rand.Rand, _ int) {
	for {
		if rnd.IntN(16) == 0 && !r.checkTail(svc, m) {
			return
		}
		if _, _, ok := r.try(svc, m, newBatch(batchIDs.Add(1), rnd)); !ok {
			return
		}
	}
}

// checkTail asks for the tail, which must not be behind any ack that was delivered before.
func (r *round) checkTail(svc protocol.Service, m *model) bool {
	least := m.knownTail()
	tail, err := svc.CheckTail(r.ctx, m.ref)
	if err != nil {
		r.mayFail(err, "check-tail of "+m.ref.String())
		return false
	}
	if tail.SeqNum < least {
		r.report(fmt.Errorf("%s: expected a tail of at least %d, which was acknowledged, found %v", m.ref, least, tail))
	}
	return !r.over()
}

func (r *round) appendAndTrim(svc protocol.Service, m *model, rnd *rand.Rand, _ int) {
	for {
		b := newBatch(batchIDs.Add(1), rnd)
		if rnd.IntN(12) == 0 {
			b.trimming(rnd, m.knownTail())
			r.fuse.burn(onTrim)
		}
		if _, _, ok := r.try(svc, m, b); !ok {
			return
		}
	}
}

// appendMatched is the only writer of its stream, and pipelines batches that each demand their place.
func (r *round) appendMatched(svc protocol.Service, m *model, rnd *rand.Rand, _ int) {
	m.mu.Lock()
	next := m.base.tail.SeqNum
	var again *batch
	for _, b := range m.batches {
		if b.outcome == found && b.match != nil {
			again = b
		}
	}
	m.mu.Unlock()
	// Whoever sends a batch again that was stored after all, in doubt, is refused.
	if again != nil {
		_, err := svc.Append(r.ctx, m.ref, again.input())
		switch protocol.CodeOf(err) {
		case protocol.CodeConditionFailed:
		case "":
			r.report(fmt.Errorf("%s: %v was sent again and expected to be refused, and was acknowledged", m.ref, again))
			return
		default:
			r.mayFail(err, "append to "+m.ref.String())
			return
		}
	}
	r.pipeline(svc, m, func() *batch {
		b := newBatch(batchIDs.Add(1), rnd)
		match := next
		b.match = &match
		next += uint64(b.n)
		return b
	})
}

func (r *round) appendSession(svc protocol.Service, m *model, rnd *rand.Rand, _ int) {
	r.pipeline(svc, m, func() *batch { return newBatch(batchIDs.Add(1), rnd) })
}

func (r *round) appendAndTrimSession(svc protocol.Service, m *model, rnd *rand.Rand, _ int) {
	r.pipeline(svc, m, func() *batch {
		b := newBatch(batchIDs.Add(1), rnd)
		if rnd.IntN(12) == 0 {
			b.trimming(rnd, m.knownTail())
			r.fuse.burn(onTrim)
		}
		return b
	})
}

// pipeline appends through a session, many batches ahead of their acks.
func (r *round) pipeline(svc protocol.Service, m *model, next func() *batch) {
	s, err := svc.OpenAppendSession(r.ctx, m.ref)
	if err != nil {
		r.mayFail(err, "append session on "+m.ref.String())
		return
	}
	defer s.Close()
	const ahead = 24
	sent := make(chan *batch, ahead)
	go func() {
		defer close(sent)
		for !r.over() {
			b := next()
			m.sent(b)
			select {
			case sent <- b:
			case <-r.ctx.Done():
				return
			}
			if err := s.Submit(r.ctx, b.input()); err != nil {
				return
			}
		}
	}()
	var at uint64
	var end error
	for b := range sent {
		if end != nil {
			// Behind a failure that promises no effect nothing of the session is sequenced.
			r.report(m.answered(b, protocol.AppendAck{}, end))
			continue
		}
		ack, err := s.Recv(r.ctx)
		r.report(m.answered(b, ack, err))
		if err != nil {
			end = err
			r.mayFail(err, "append session on "+m.ref.String())
			continue
		}
		if ack.Start.SeqNum < at {
			r.report(fmt.Errorf("%s: %v was acknowledged at %d after another of its session that ends at %d", m.ref, b, ack.Start.SeqNum, at))
		}
		at = ack.End.SeqNum
		r.fuse.burn(onAck)
	}
}

// appendContended races others with match_seq_num at the tail last seen.
func (r *round) appendContended(svc protocol.Service, m *model, rnd *rand.Rand, _ int) {
	next := m.knownTail()
	for {
		b := newBatch(batchIDs.Add(1), rnd)
		match := next
		b.match = &match
		ack, err, ok := r.try(svc, m, b)
		if !ok {
			return
		}
		var e *protocol.Error
		switch {
		case err == nil:
			next = ack.End.SeqNum
		case errors.As(err, &e) && e.SeqNumMismatch != nil:
			next = *e.SeqNumMismatch
		}
	}
}

// appendFenced appends under the token last seen, and takes the stream over with one of its own now and then.
func (r *round) appendFenced(svc protocol.Service, m *model, rnd *rand.Rand, _ int) {
	m.mu.Lock()
	token := m.base.token
	m.mu.Unlock()
	for {
		b := newBatch(batchIDs.Add(1), rnd)
		if rnd.IntN(10) != 0 {
			held := token
			b.token = &held
		}
		if rnd.IntN(20) == 0 {
			b.fencing(rnd)
			r.fuse.burn(onFence)
		}
		_, err, ok := r.try(svc, m, b)
		if !ok {
			return
		}
		var e *protocol.Error
		switch {
		case err == nil && b.fenceAt >= 0:
			token = b.newToken()
		case errors.As(err, &e) && e.FencingTokenMismatch != nil:
			token = *e.FencingTokenMismatch
		}
	}
}

// services are the clients of a round, on a few connections that end with the broker: what was not answered by then can
// never be sent.
func (e *episode) services() (svcs []protocol.Service, closeAll func()) {
	var closers []func()
	for range 4 {
		nc := e.machine.connect(false)
		closers = append(closers, nc.Close)
		svcs = append(svcs, client.New(nc, client.Options{}))
	}
	return svcs, func() {
		for _, c := range closers {
			c()
		}
	}
}
