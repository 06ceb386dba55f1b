package natsapi

import (
	"sync"
	"time"

	"github.com/weirstream/weir/protocol"
)

const (
	// defaultWindow and maxWindow bound the unacknowledged bytes of a read session; one frame may go beyond. The sum
	// over the sessions of one connection must stay well below the 64 MiB at which NATS drops a slow connection.
	defaultWindow = 1 << 20
	maxWindow     = 4 << 20
	// ackTimeout is how long a client may acknowledge nothing while a frame is unacknowledged.
	ackTimeout = 30 * time.Second
)

// window counts the frames that a read session has sent and its client has not acknowledged.
type window struct {
	size    int
	expired func() // called when ackTimeout passed without an acknowledgement

	mu     sync.Mutex // guards the fields below
	sent   uint64     // number of the last frame sent
	acked  uint64     // number of the last frame acknowledged, with all before it
	unread int        // bytes of the frames in between
	sizes  []int      // their sizes, in order
	room   chan struct{}
	timer  *time.Timer // runs while frames are unacknowledged; nil before the first
	closed bool
}

func newWindow(size int, expired func()) *window {
	return &window{size: size, expired: expired, room: make(chan struct{}, 1)}
}

// full reports whether the session must wait for room before it sends.
func (w *window) full() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unread >= w.size
}

// next counts a frame that is about to be sent and returns its number.
func (w *window) next(bytes int) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent++
	w.sizes = append(w.sizes, bytes+protocol.NATSFrameCost)
	w.unread += bytes + protocol.NATSFrameCost
	if len(w.sizes) == 1 {
		w.armLocked()
	}
	return w.sent
}

// last returns the number of the last frame sent.
func (w *window) last() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent
}

// ack takes an acknowledgement of frame n and all before it, and returns their bytes. Numbers out of range say nothing.
func (w *window) ack(n uint64) (bytes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n <= w.acked || n > w.sent {
		return 0
	}
	k := int(n - w.acked)
	for _, size := range w.sizes[:k] {
		bytes += size
	}
	w.unread -= bytes
	w.sizes = w.sizes[k:]
	w.acked = n
	if len(w.sizes) > 0 {
		w.armLocked()
	} else {
		w.timer.Stop()
		w.sizes = nil
	}
	select {
	case w.room <- struct{}{}:
	default:
	}
	return bytes
}

// armLocked starts the time of the client anew.
func (w *window) armLocked() {
	switch {
	case w.closed:
	case w.timer == nil:
		w.timer = time.AfterFunc(ackTimeout, w.expired)
	default:
		w.timer.Reset(ackTimeout)
	}
}

func (w *window) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.timer != nil {
		w.timer.Stop()
	}
}

// windowSize is the window that a client gets: the requested one, within bounds.
func windowSize(asked *uint64) int {
	if asked == nil {
		return defaultWindow
	}
	return int(min(max(*asked, 1), maxWindow))
}

func errNoAcks() *protocol.Error {
	return protocol.Errorf(protocol.CodeClientHangup, "the client acknowledged nothing for %v", ackTimeout)
}
