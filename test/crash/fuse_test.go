package crash

import (
	"math/rand/v2"
	"sync"
	"time"
)

// moment is something that a client is about to do, or has just seen, at which a broker may be killed.
type moment uint8

const (
	onTime moment = iota // no moment: after some time
	onAck
	onTrim
	onFence
	onCreateStream
	onFork
	onDeleteStream
	onReconfigure
	onCreateBasin
	onDeleteBasin
	onGone // a deletion is complete
	onExpiry
	moments
)

func (m moment) String() string {
	return [...]string{"some time", "an ack", "a trim", "a fence", "the creation of a stream", "a fork", "the deletion of a stream",
		"a reconfiguration", "the creation of a basin", "the deletion of a basin", "the end of a deletion",
		"an expiry"}[m]
}

// A fuse tells when to kill: a little after the n-th time that clients reach a moment, or at the latest after limit.
type fuse struct {
	at    moment
	after time.Duration
	limit time.Duration

	mu   sync.Mutex
	left int
	lit  chan struct{}
}

func newFuse(rnd *rand.Rand, load time.Duration) *fuse {
	f := &fuse{at: moment(rnd.IntN(int(moments))), lit: make(chan struct{}), limit: 2 * load}
	switch f.at {
	case onTime:
		f.limit = load/50 + time.Duration(rnd.Int64N(int64(load)))
	case onAck:
		f.left = 1 + rnd.IntN(3000)
	case onTrim, onFence:
		f.left = 1 + rnd.IntN(60)
	default:
		f.left = 1 + rnd.IntN(8)
	}
	if rnd.IntN(3) > 0 {
		f.after = time.Duration(rnd.IntN(4000)) * time.Microsecond
	}
	return f
}

// burn tells the fuse that a client is at a moment.
func (f *fuse) burn(at moment) {
	if at != f.at {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left--; f.left == 0 {
		close(f.lit)
	}
}

// wait returns when the broker is to be killed.
func (f *fuse) wait() {
	limit := time.NewTimer(f.limit)
	defer limit.Stop()
	select {
	case <-f.lit:
		if f.after > 0 {
			delay := time.NewTimer(f.after)
			defer delay.Stop()
			<-delay.C
		}
	case <-limit.C:
	}
}
