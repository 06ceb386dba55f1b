package adapter

import (
	"sync"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/protocol"
)

const (
	// ringBatches is how many append batches a follower may lag behind; at least protocol.MinFollowLag.
	ringBatches = 64
	// ringBytes bounds the bytes that a ring holds beyond the first protocol.MinFollowLag batches.
	ringBytes = 4 << 20
)

// live is the part of a stream that readers see at once: its durable tail and trim point, and, while a reader follows, the
// latest batches. The sequencer writes it, readers read it, and no goroutine blocks while holding mu.
type live struct {
	mu   sync.Mutex
	tail protocol.Position // durable
	trim uint64
	last js.Seq // of the newest stored chunk; 0: none

	// followers counts the attached feeds; the ring is kept only while there are any.
	followers int
	ring      []protocol.ReadBatch // the batches numbered end-len(ring) to end-1
	bytes     int
	end       uint64
	changed   chan struct{} // closed and dropped at the next change; nil when no reader waits
	closed    error         // no batch will follow those in the ring
	final     bool          // the stream is closed: no batch will follow the tail
	stats     *liveStats    // of all streams
}

// begin sets the stored state at the load of the stream. closed says why no batch will follow; nil: some may.
func (v *live) begin(tail protocol.Position, trim uint64, last js.Seq, final bool, closed error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.tail, v.trim, v.last, v.final, v.closed = tail, trim, last, final, closed
}

// advance publishes a durable chunk: the new tail and one batch for each append that it holds. batches calls its
// argument once for each; it is not called when no reader follows. kept reports whether the batches' memory is kept.
func (v *live) advance(tail protocol.Position, trim uint64, last js.Seq, final bool, batches func(push func(protocol.Records))) (kept bool) {
	v.mu.Lock()
	v.tail, v.trim, v.last, v.final = tail, trim, last, final
	if v.followers > 0 {
		batches(v.pushLocked)
		kept = true
	}
	wake := v.waitersLocked()
	v.mu.Unlock()
	wake()
	return kept
}

func (v *live) pushLocked(r protocol.Records) {
	end := protocol.Position{SeqNum: r.Last().SeqNum + 1, Timestamp: r.Last().Timestamp}
	v.ring = append(v.ring, protocol.ReadBatch{Records: r, Tail: &end})
	v.bytes += len(r.Wire())
	v.end++
	drop := 0
	for n := len(v.ring) - drop; n > ringBatches || n > protocol.MinFollowLag && v.bytes > ringBytes; n-- {
		v.bytes -= len(v.ring[drop].Records.Wire())
		v.ring[drop] = protocol.ReadBatch{}
		drop++
	}
	v.ring = v.ring[drop:]
	if drop > 0 {
		v.stats.dropped.Add(uint64(drop))
	}
}

// waitersLocked returns how to wake those that wait for a change. That is done without the lock, which is the first thing
// that each of them takes.
func (v *live) waitersLocked() (wake func()) {
	changed := v.changed
	v.changed = nil
	return func() {
		if changed != nil {
			close(changed)
		}
	}
}

// reset forgets the ring after the stream's state was read again from the log: followers lag.
func (v *live) reset(tail protocol.Position, trim uint64, last js.Seq, final bool) {
	v.mu.Lock()
	v.tail, v.trim, v.last, v.final = tail, trim, last, final
	v.dropRingLocked()
	v.end++ // a batch that does not exist: a follower that expects it has lagged
	wake := v.waitersLocked()
	v.mu.Unlock()
	wake()
}

func (v *live) dropRingLocked() {
	v.ring, v.bytes = nil, 0
}

// close ends all feeds with err once they have delivered the batches in the ring.
func (v *live) close(err error) {
	v.mu.Lock()
	if v.closed == nil {
		v.closed = err
	}
	wake := v.waitersLocked()
	v.mu.Unlock()
	wake()
}

func (v *live) position() (tail protocol.StreamTail, trim uint64, closed error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return protocol.StreamTail{Position: v.tail, Closed: v.final}, v.trim, v.closed
}

// trimmed is the durable trim point, and where the stream's newest durable chunk stands.
func (v *live) trimmed() (trim uint64, newest js.Seq) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.trim, v.last
}

// followed reports whether a feed is attached.
func (v *live) followed() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.followers > 0
}

// newest is where the stream's newest durable chunk stands; 0: it has none.
func (v *live) newest() js.Seq {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.last
}

// Feed delivers the batches of a stream as they become durable; see sessions.Feed.
type Feed struct {
	v    *live
	next uint64 // number of the batch to deliver next
	// release gives back the source of the feed's batches; may be nil.
	release func()
}

// follow attaches a feed exactly at from; it is nil when the durable tail is not from, which is returned.
func (v *live) follow(from uint64) (*Feed, protocol.Position, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.tail.SeqNum != from:
		return nil, v.tail, nil
	case v.closed != nil:
		return nil, v.tail, v.closed
	case v.final:
		return nil, v.tail, protocol.ErrStreamEnd
	}
	v.followers++
	v.stats.followers.Add(1)
	return &Feed{v: v, next: v.end}, v.tail, nil
}

// Poll returns the next batch, or a channel that is closed when there may be one, or an error.
func (f *Feed) Poll() (protocol.ReadBatch, <-chan struct{}, error) {
	v := f.v
	v.mu.Lock()
	defer v.mu.Unlock()
	switch behind := v.end - f.next; {
	case behind > uint64(len(v.ring)):
		v.stats.lagged.Add(1)
		return protocol.ReadBatch{}, nil, protocol.ErrLagged
	case behind > 0:
		b := v.ring[uint64(len(v.ring))-behind]
		f.next++
		return b, nil, nil
	case v.closed != nil:
		return protocol.ReadBatch{}, nil, v.closed
	case v.final:
		return protocol.ReadBatch{}, nil, protocol.ErrStreamEnd
	}
	if v.changed == nil {
		v.changed = make(chan struct{})
	}
	return protocol.ReadBatch{}, v.changed, nil
}

// Close detaches the feed.
func (f *Feed) Close() {
	if f.release != nil {
		defer f.release()
	}
	v := f.v
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stats.followers.Add(-1)
	if v.followers--; v.followers == 0 {
		v.dropRingLocked()
	}
}
