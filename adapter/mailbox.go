package adapter

import (
	"sync"

	"github.com/weirstream/weir/adapter/internal/js"
)

// mailbox is how the rest of the process speaks to a sequencer. Senders never wait: what they send is bounded by the
// budget of bytes in flight and by the number of chunks in the pipeline.
type mailbox struct {
	mu   sync.Mutex
	mail mail
	shut error // why no request is taken any more
	wake chan struct{}
}

// mail is everything that came in since the sequencer looked.
type mail struct {
	requests []*request
	acks     []pubAck
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

func (m *mailbox) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// post queues a request, unless the sequencer has shut its door.
func (m *mailbox) post(r *request) error {
	m.mu.Lock()
	if m.shut != nil {
		defer m.mu.Unlock()
		return m.shut
	}
	m.mail.requests = append(m.mail.requests, r)
	m.mu.Unlock()
	m.poke()
	return nil
}

func (m *mailbox) postAck(a pubAck) {
	m.mu.Lock()
	m.mail.acks = append(m.mail.acks, a)
	m.mu.Unlock()
	m.poke()
}

func (m *mailbox) postDurable(n uint64) {
	m.mu.Lock()
	m.mail.durable = max(m.mail.durable, n)
	m.mu.Unlock()
	m.poke()
}

func (m *mailbox) postResumed() {
	m.mu.Lock()
	m.mail.resumed = true
	m.mu.Unlock()
	m.poke()
}

func (m *mailbox) postFailed(err error) {
	m.mu.Lock()
	m.mail.failed = err
	m.mu.Unlock()
	m.poke()
}

// take swaps out what has come in; old's slices are used again.
func (m *mailbox) take(old mail) mail {
	clear(old.requests)
	fresh := mail{requests: old.requests[:0], acks: old.acks[:0]}
	m.mu.Lock()
	defer m.mu.Unlock()
	got := m.mail
	fresh.durable, fresh.failed = got.durable, got.failed
	m.mail = fresh
	return got
}

// takeAcks takes only the acks, for a sequencer that is busy recovering.
func (m *mailbox) takeAcks() []pubAck {
	m.mu.Lock()
	defer m.mu.Unlock()
	acks := m.mail.acks
	m.mail.acks = nil
	return acks
}

// failure returns the failure of the store, if it has come in.
func (m *mailbox) failure() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mail.failed
}

// waiting is how many requests the sequencer has not taken.
func (m *mailbox) waiting() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.mail.requests)
}

// close shuts the door for requests, which get reason, and wakes the sequencer.
func (m *mailbox) close(reason error) {
	m.mu.Lock()
	if m.shut == nil {
		m.shut = reason
	}
	m.mu.Unlock()
	m.poke()
}

func (m *mailbox) isShut() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.shut != nil
}
