package broker

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// healthAge is how long an answer of the store to the health check counts, so that a flood of probes costs one question.
	healthAge = time.Second
	// healthTimeout is how long the store may take to say that something is missing.
	healthTimeout = time.Second
)

// storeHealth is the store's last answer.
type storeHealth struct {
	mu  sync.Mutex // guards the fields below, and is held while the store is asked
	at  time.Time
	err error
}

// health is why the broker should get no requests; nil while it should.
func (b *Broker) health() error {
	if b.storeDead() {
		return errors.New("the store has failed")
	}
	if err := b.st.Quorum(); err != nil {
		return err
	}
	if err := b.ad.NodeHealth(); err != nil {
		return err
	}
	h := &b.storeHealth
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := time.Now(); now.Sub(h.at) >= healthAge {
		ctx, cancel := context.WithTimeout(b.life, healthTimeout)
		defer cancel()
		h.err = b.ad.Health(ctx)
		h.at = now
	}
	return h.err
}
