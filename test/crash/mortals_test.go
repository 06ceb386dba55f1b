package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/weirstream/weir/protocol"
)

const (
	mortalBasin protocol.BasinName = "crash-expiring"

	mortals = 4
	// clockSlack is how far apart the clocks of a client and a broker may be, which are one and may be set meanwhile.
	clockSlack = 50 * time.Millisecond
)

// A mortal is a stream with an expiry that one client at a time creates and fills again and again, and never deletes.
type mortal struct {
	ref    protocol.StreamRef
	life   life
	doubt  doubt // a creation or nothing
	config protocol.ResolvedStreamConfig
	m      *model
	rest   time.Time // until when the client does not use it

	// The last use that counts for an idle limit was between these times. sure is false after a restart, which may know an earlier
	// use only.
	usedFrom, usedTo time.Time
	sure             bool
}

func (n *mortal) String() string {
	return fmt.Sprintf("%s (expiry %+v)", (&name{ref: n.ref, life: n.life, doubt: n.doubt}).String(), n.config.Expiry)
}

// earliest is when the stream may be deleted, latest when it must be.
func (n *mortal) earliest() time.Time { return n.end(n.usedFrom) }

func (n *mortal) latest() time.Time {
	if n.sure {
		return n.end(n.usedTo)
	}
	return n.end(n.usedTo.Add(2 * time.Minute))
}

// end is when the expiry of a stream that was last used at a time comes.
func (n *mortal) end(used time.Time) time.Time {
	x := n.config.Expiry
	idle := used.Add(time.Duration(x.IdleSecs) * time.Second)
	if x.At == 0 || x.IdleSecs > 0 && idle.Before(x.AtTime()) {
		return idle
	}
	return x.AtTime()
}

// judge checks an answer to a request that was sent at a time. over reports that the stream is deleted.
func (n *mortal) judge(sent time.Time, err error, what string) (over bool, broken error) {
	now := time.Now()
	switch protocol.CodeOf(err) {
	case protocol.CodeStreamNotFound, protocol.CodeStreamDeletionPending:
		if early := n.earliest().Sub(now); early > clockSlack {
			broken = fmt.Errorf("%s: %s found it deleted %s before its time: %w", n, what, early, err)
		}
		return true, broken
	case "":
		if late := sent.Sub(n.latest()); late > clockSlack {
			broken = fmt.Errorf("%s: %s found it there %s after its time", n, what, late)
		}
	}
	return false, broken
}

func (n *mortal) step(r *round, svc protocol.Service, rnd *rand.Rand) bool {
	switch n.life {
	case gone:
		return n.create(r, svc, rnd)
	case dying:
		return n.awaitEnd(r, svc)
	}
	if until := time.Until(n.earliest()); until < 20*time.Millisecond {
		r.fuse.burn(onExpiry)
	}
	switch {
	case time.Now().Before(n.rest):
		return n.look(r, svc) && pause(r.ctx)
	case rnd.IntN(40) == 0:
		n.rest = time.Now().Add(time.Duration(n.config.Expiry.IdleSecs)*time.Second + 200*time.Millisecond)
	case rnd.IntN(4) == 0:
		return n.look(r, svc)
	}
	return n.append(r, svc, rnd)
}

func (n *mortal) create(r *round, svc protocol.Service, rnd *rand.Rand) bool {
	var x protocol.Expiry
	if rnd.IntN(3) > 0 {
		x.IdleSecs = 1
	}
	if x.IdleSecs == 0 || rnd.IntN(2) == 0 {
		x.At = uint64(time.Now().Add(300*time.Millisecond + time.Duration(rnd.Int64N(int64(2*load)))).UnixMilli())
	}
	config := protocol.StreamConfig{Expiry: &x}
	n.doubt, n.config, n.m, n.usedFrom, n.rest = creating, config.Resolve(protocol.StreamConfig{}), newModel(n.ref), time.Now(), time.Time{}
	_, result, err := svc.CreateStream(r.ctx, n.ref.Basin, protocol.CreateStreamRequest{Stream: n.ref.Stream, Config: config})
	n.usedTo, n.sure = time.Now(), true
	if err != nil {
		r.mayFail(err, "creation of "+n.String())
		return false
	}
	if result != protocol.ProvisionCreated {
		r.report(fmt.Errorf("creation of %s: expected %s, found %s", n, protocol.ProvisionCreated, result))
	}
	n.life, n.doubt = alive, noDoubt
	return !r.over()
}

// append uses the stream.
func (n *mortal) append(r *round, svc protocol.Service, rnd *rand.Rand) bool {
	b := newBatch(batchIDs.Add(1), rnd)
	n.m.sent(b)
	sent := time.Now()
	ack, err := svc.Append(r.ctx, n.ref, b.input())
	r.report(n.m.answered(b, ack, err))
	over, broken := n.judge(sent, err, "an append")
	r.report(broken)
	n.usedTo = time.Now()
	switch {
	case over:
		n.life = dying
	case err != nil:
		n.sure = false
		r.mayFail(err, "append to "+n.String())
		return false
	default:
		n.usedFrom, n.sure = sent, true
		r.fuse.burn(onAck)
	}
	return !r.over()
}

// look asks for the tail, which is no use.
func (n *mortal) look(r *round, svc protocol.Service) bool {
	sent := time.Now()
	tail, err := svc.CheckTail(r.ctx, n.ref)
	over, broken := n.judge(sent, err, "a check-tail")
	r.report(broken)
	switch {
	case over:
		n.life = dying
	case err != nil:
		r.mayFail(err, "check-tail of "+n.String())
		return false
	case tail.SeqNum != n.m.knownTail():
		r.report(fmt.Errorf("%s: expected the tail %d, found %v", n, n.m.knownTail(), tail))
	}
	return !r.over()
}

func (n *mortal) awaitEnd(r *round, svc protocol.Service) bool {
	_, err := svc.GetStreamConfig(r.ctx, n.ref)
	switch protocol.CodeOf(err) {
	case protocol.CodeStreamNotFound:
		r.fuse.burn(onGone)
		n.life = gone
		return !r.over()
	case protocol.CodeStreamDeletionPending:
		return !r.over() && pause(r.ctx)
	case "":
		r.report(fmt.Errorf("%s: expected an expired stream to stay deleted, found it there", n))
		return false
	}
	r.mayFail(err, "configuration of "+n.String())
	return false
}

// verify compares the stream with what a restarted broker says of it, and ends all doubt.
func (n *mortal) verify(ctx context.Context, svc protocol.Service) error {
	n.sure = false
	sent := time.Now()
	_, err := svc.CheckTail(ctx, n.ref)
	code := protocol.CodeOf(err)
	there, over := code == "", code == protocol.CodeStreamNotFound || code == protocol.CodeStreamDeletionPending
	switch {
	case !there && !over:
		return fmt.Errorf("%s: check-tail: %w", n, err)
	case there && (n.life == dying || n.life == gone && n.doubt != creating):
		return fmt.Errorf("%s: expected no stream, found it", n)
	case over && n.life == gone:
		return n.verifyEnd(ctx, svc) // its creation was not made, or its time has come since
	case n.life == dying:
		return n.verifyEnd(ctx, svc)
	}
	n.life, n.doubt = alive, noDoubt
	if over, broken := n.judge(sent, err, "a check-tail after the restart"); broken != nil || over {
		if broken != nil {
			return broken
		}
		return n.verifyEnd(ctx, svc)
	}
	sent = time.Now()
	config, err := svc.GetStreamConfig(ctx, n.ref)
	if err == nil && config != n.config {
		return fmt.Errorf("%s: expected the configuration %+v, found %+v", n, n.config, config)
	}
	var o *observed
	if err == nil {
		o, err = observe(ctx, svc, n.ref)
	}
	if err != nil { // it may have ended since
		over, broken := n.judge(sent, err, "a look after the restart")
		switch {
		case broken != nil:
			return broken
		case !over:
			return fmt.Errorf("%s: %w", n, err)
		}
		return n.verifyEnd(ctx, svc)
	}
	if err := n.m.verify(o); err != nil {
		return fmt.Errorf("%s: %w", n, err)
	}
	n.usedFrom, n.usedTo = sent, time.Now()
	return nil
}

func (n *mortal) verifyEnd(ctx context.Context, svc protocol.Service) error {
	n.life, n.doubt = gone, noDoubt
	return until(ctx, n.String()+": expected an expired stream to end up gone", func() (bool, error) {
		_, err := svc.GetStreamConfig(ctx, n.ref)
		switch protocol.CodeOf(err) {
		case protocol.CodeStreamNotFound:
			return true, nil
		case protocol.CodeStreamDeletionPending:
			return false, nil
		}
		return false, fmt.Errorf("%s: expected an expired stream to end up gone, found: %w", n, err)
	})
}
