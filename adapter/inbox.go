package adapter

import (
	"sync"

	"github.com/weirstream/weir/adapter/internal/js"
)

// inbox is how the rest of the process speaks to a sequencer. Senders never wait: their messages are bounded by the
// budget of bytes in flight and by the number of chunks in the pipeline.
type inbox struct {
	mu       sync.Mutex
	received arrivals
	shut     error // why no request is taken any more
	wake     chan struct{}
}

// arrivals is everything that came in since the sequencer looked.
type arrivals struct {
	requests []*request
	acks     []pubAck
	found    []finding
	peers    peerArrivals
	durable  uint64 // so many chunks are durable, counted since the sequencer started
	failed   error  // the store failed for good
	resumed  bool   // the connection was lost and is back: answers may have been lost with it
}

// pubAck is JetStream's answer to a publication.
type pubAck struct {
	token uint64
	seq   js.Seq
	err   error
}

func (m *inbox) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// post queues a request, unless the inbox is closed.
func (m *inbox) post(r *request) error {
	m.mu.Lock()
	if m.shut != nil {
		defer m.mu.Unlock()
		return m.shut
	}
	m.received.requests = append(m.received.requests, r)
	m.mu.Unlock()
	m.poke()
	return nil
}

func (m *inbox) postAck(a pubAck) {
	m.mu.Lock()
	m.received.acks = append(m.received.acks, a)
	m.mu.Unlock()
	m.poke()
}

func (m *inbox) postFound(f finding) {
	m.mu.Lock()
	m.received.found = append(m.received.found, f)
	m.mu.Unlock()
	m.poke()
}

// postPeer passes on what comes from other nodes, or about them.
func (m *inbox) postPeer(add func(*peerArrivals)) {
	m.mu.Lock()
	add(&m.received.peers)
	m.mu.Unlock()
	m.poke()
}

func (m *inbox) postRole(r role) { m.postPeer(func(p *peerArrivals) { p.roles = append(p.roles, r) }) }

func (m *inbox) postDurable(n uint64) {
	m.mu.Lock()
	m.received.durable = max(m.received.durable, n)
	m.mu.Unlock()
	m.poke()
}

func (m *inbox) postResumed() {
	m.mu.Lock()
	m.received.resumed = true
	m.mu.Unlock()
	m.poke()
}

func (m *inbox) postFailed(err error) {
	m.mu.Lock()
	m.received.failed = err
	m.mu.Unlock()
	m.poke()
}

// take swaps out the arrivals; old's slices are used again.
func (m *inbox) take(old arrivals) arrivals {
	clear(old.requests)
	fresh := arrivals{requests: old.requests[:0], acks: old.acks[:0]}
	m.mu.Lock()
	defer m.mu.Unlock()
	got := m.received
	fresh.durable, fresh.failed = got.durable, got.failed
	m.received = fresh
	return got
}

// takeAcks takes only the acks, for a sequencer that is busy recovering.
func (m *inbox) takeAcks() []pubAck {
	m.mu.Lock()
	defer m.mu.Unlock()
	acks := m.received.acks
	m.received.acks = nil
	return acks
}

// failure returns the failure of the store, if it has come in.
func (m *inbox) failure() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.received.failed
}

// waiting is how many requests the sequencer has not taken.
func (m *inbox) waiting() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.received.requests)
}

// close makes the inbox refuse requests, which get reason, and wakes the sequencer.
func (m *inbox) close(reason error) {
	m.mu.Lock()
	if m.shut == nil {
		m.shut = reason
	}
	m.mu.Unlock()
	m.poke()
}

func (m *inbox) isShut() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.shut != nil
}
