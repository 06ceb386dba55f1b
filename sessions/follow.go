package sessions

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/weirstream/weir/protocol"
)

// attach acts at the known tail (data plane 4.5, step 2): the session ends, or attaches to the live feed
// and sends a heartbeat, or finds that the tail moved on and goes back to catching up.
func (r *Read) attach(ctx context.Context) (out protocol.ReadBatch, ok bool, err error) {
	if !r.mayFollow {
		r.finish(io.EOF)
		return out, false, nil
	}
	bound, unbind := r.bind(ctx)
	defer unbind()
	feed, tail, err := r.stream.Follow(bound, r.next)
	switch {
	case errors.Is(err, protocol.ErrStreamEnd):
		r.finish(io.EOF)
		return out, false, nil
	case err != nil:
		return out, false, err
	case feed != nil:
		r.feed = feed
	case tail.SeqNum > r.next:
		r.tail = tail
		return out, false, nil
	default:
		// Going back to the same place would spin.
		return out, false, protocol.Errorf(protocol.CodeStorage, "following from seq_num %d met a tail of %v", r.next, tail)
	}
	now := time.Now()
	if r.wait != nil && r.deadline.IsZero() {
		r.deadline = now.Add(*r.wait)
	}
	if r.expired(now) {
		r.finish(io.EOF)
		return out, false, nil
	}
	return r.heartbeat(now), true, nil
}

// follow waits for the next live batch, heartbeat or end. A live batch that is there goes before everything else.
func (r *Read) follow(ctx context.Context) (out protocol.ReadBatch, ok bool, err error) {
	for {
		item, changed, err := r.feed.Poll()
		switch {
		case errors.Is(err, protocol.ErrLagged):
			// Back to the known tail, which attach finds outdated. The wait window stays as it is.
			r.closeFeed()
			return out, false, nil
		case errors.Is(err, protocol.ErrStreamEnd):
			r.finish(io.EOF)
			return out, false, nil
		case err != nil:
			return out, false, err
		case changed == nil:
			return r.deliver(item)
		}
		now := time.Now()
		if r.expired(now) {
			r.finish(io.EOF)
			return out, false, nil
		}
		if !now.Before(r.beatAt) {
			return r.heartbeat(now), true, nil
		}
		if err := r.pause(ctx, now, changed); err != nil {
			return out, false, err
		}
	}
}

// deliver cuts a live append batch to the limit. A cut ends the session.
func (r *Read) deliver(item protocol.ReadBatch) (out protocol.ReadBatch, ok bool, err error) {
	recs := item.Records
	if recs.Len() == 0 || item.Tail == nil || recs.First().SeqNum < r.next {
		return out, false, protocol.Errorf(protocol.CodeStorage, "following at seq_num %d gave %d records from %v", r.next, recs.Len(), recs.First())
	}
	taken, cut := recs.Take(r.limit)
	if taken.Len() > 0 {
		out, ok = r.emit(taken, item.Tail), true
		r.beatAt = time.Now().Add(r.opts.HeartbeatGap())
	}
	if cut {
		r.finish(io.EOF)
	}
	return out, ok, nil
}

// heartbeat returns the known tail, and draws the time of the next heartbeat.
func (r *Read) heartbeat(now time.Time) protocol.ReadBatch {
	r.beatAt = now.Add(r.opts.HeartbeatGap())
	tail := r.tail
	return protocol.ReadBatch{Tail: &tail}
}

// expired reports whether the wait window is over.
func (r *Read) expired(now time.Time) bool { return !r.deadline.IsZero() && !now.Before(r.deadline) }

// pause waits until the feed changes, or a heartbeat or the end of the wait window may be due.
func (r *Read) pause(ctx context.Context, now time.Time, changed <-chan struct{}) error {
	at := r.beatAt
	if !r.deadline.IsZero() && r.deadline.Before(at) {
		at = r.deadline
	}
	select {
	case <-changed:
	case <-r.alarm.at(at, now):
		r.alarm.rang()
	case <-ctx.Done():
		return ctx.Err()
	case <-r.life.Done():
		return errReadClosed
	}
	return nil
}

func (r *Read) closeFeed() {
	if r.feed != nil {
		r.feed.Close()
		r.feed = nil
	}
}

// alarm is a timer that may ring early. Each batch moves the heartbeat and the wait window, nearly always to a later
// time; the timer then stays as it is, and a follower that it wakes too early sets it again. So one timer serves both, and
// a busy follower hardly touches it: about once in five seconds in place of twice a batch.
type alarm struct {
	timer *time.Timer
	set   time.Time // when the timer rings; zero when it is not set
}

// at returns a channel that is ready at the given time, or before.
func (a *alarm) at(t, now time.Time) <-chan time.Time {
	switch {
	case a.timer == nil:
		a.timer = time.NewTimer(t.Sub(now))
		a.set = t
	case a.set.IsZero() || t.Before(a.set):
		a.timer.Reset(t.Sub(now))
		a.set = t
	}
	return a.timer.C
}

// rang says that the channel was received from.
func (a *alarm) rang() { a.set = time.Time{} }

func (a *alarm) stop() {
	if a.timer != nil {
		a.timer.Stop()
	}
}
