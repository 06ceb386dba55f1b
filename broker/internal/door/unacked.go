package door

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// Unacked bounds the bytes that the read sessions of one client have sent and the client has not acknowledged, over all its
// sessions. Without that bound a client that opens many sessions and acknowledges nothing gets a full window for each of them, and
// the broker does nothing else meanwhile. A client that acknowledges at once notices nothing.
//
// Bytes that nobody acknowledges are forgotten at a low rate, so that sessions of the same client whose frames are taken go on beside
// sessions that have stalled.
//
// Make one with [NewUnacked]; all methods may be called at once.
type Unacked struct {
	mu      sync.Mutex // guards clients, and their sessions
	clients map[string]*unackedClient
}

const (
	// UnackedBytes is the bound of a client. One frame, or one batch, may go beyond. It is the sum of the windows that package client asks
	// for at most, and half of what may wait for a connection before the NATS server closes it.
	UnackedBytes = 32 << 20
	// forgottenRate is how many bytes a second are forgotten. Reading and sending as many takes a few hundredths of a processor.
	forgottenRate = 8 << 20
)

// NewUnacked makes one with nothing on it.
func NewUnacked() *Unacked { return &Unacked{clients: map[string]*unackedClient{}} }

// unackedClient is what one client has not acknowledged.
type unackedClient struct {
	sessions int // guarded by the mutex of Unacked

	mu      sync.Mutex // guards the fields below, and the field taken of credits
	bytes   int64      // not acknowledged and not forgotten
	since   time.Time  // until when it was forgotten
	waiting list.List  // of *unackedWait, first come, first served
	timer   *time.Timer
}

// unackedWait is a session that waits until its client may be sent more.
type unackedWait struct {
	credit  *Credit
	bytes   int64
	granted chan struct{} // closed when it has got them
}

// Credit is the part of one session.
type Credit struct {
	u     *Unacked
	key   string
	c     *unackedClient // nil: nothing bounds the client
	taken int64          // sent and not acknowledged
}

// Open returns the credit of a session; the caller calls Close. The root token, and clients without a share of their own, are not
// bounded.
func (u *Unacked) Open(client Client) *Credit {
	if client.Key == "" || client.Root {
		return &Credit{}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	c := u.clients[client.Key]
	if c == nil {
		c = &unackedClient{since: time.Now()}
		u.clients[client.Key] = c
	}
	c.sessions++
	return &Credit{u: u, key: client.Key, c: c}
}

// Take counts bytes that are about to be sent, once the client has acknowledged enough of those before. When ctx ends first it
// returns its cause and counts nothing.
func (t *Credit) Take(ctx context.Context, bytes int) error {
	c := t.c
	if c == nil {
		return nil
	}
	c.mu.Lock()
	c.forgetLocked(time.Now())
	if c.waiting.Len() == 0 && c.bytes < UnackedBytes {
		c.countLocked(t, int64(bytes))
		c.mu.Unlock()
		return nil
	}
	w := &unackedWait{credit: t, bytes: int64(bytes), granted: make(chan struct{})}
	place := c.waiting.PushBack(w)
	c.grantLocked()
	c.mu.Unlock()
	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-w.granted:
		c.countLocked(t, -w.bytes)
	default:
		c.waiting.Remove(place)
	}
	c.grantLocked()
	return context.Cause(ctx)
}

// Adjust counts more bytes, or fewer if bytes is negative, without waiting: what was taken turned out to be larger, or smaller, or was
// acknowledged.
func (t *Credit) Adjust(bytes int) {
	if t.c == nil || bytes == 0 {
		return
	}
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	t.c.forgetLocked(time.Now())
	t.c.countLocked(t, max(int64(bytes), -t.taken))
	t.c.grantLocked()
}

// Close gives back what is left: the session has ended. Nothing may be taken afterwards.
func (t *Credit) Close() {
	if t.c == nil {
		return
	}
	t.c.mu.Lock()
	t.c.forgetLocked(time.Now())
	t.c.countLocked(t, -t.taken)
	t.c.grantLocked()
	t.c.mu.Unlock()
	t.u.mu.Lock()
	defer t.u.mu.Unlock()
	if t.c.sessions--; t.c.sessions == 0 {
		delete(t.u.clients, t.key)
	}
}

func (c *unackedClient) countLocked(t *Credit, bytes int64) {
	t.taken += bytes
	c.bytes = max(c.bytes+bytes, 0)
}

// forgetLocked forgets what may be forgotten by now.
func (c *unackedClient) forgetLocked(now time.Time) {
	forgotten := int64(now.Sub(c.since).Seconds() * forgottenRate)
	if c.bytes == 0 {
		c.since = now
	} else if forgotten > 0 {
		c.since = now
		c.bytes = max(c.bytes-forgotten, 0)
	}
}

// grantLocked lets those go on that may, and sees to it that the next one can.
func (c *unackedClient) grantLocked() {
	for c.bytes < UnackedBytes && c.waiting.Len() > 0 {
		w := c.waiting.Remove(c.waiting.Front()).(*unackedWait) //nolint:forcetypeassert // nothing else is in there
		c.countLocked(w.credit, w.bytes)
		close(w.granted)
	}
	switch {
	case c.waiting.Len() == 0:
		if c.timer != nil {
			c.timer.Stop()
			c.timer = nil
		}
	case c.timer == nil:
		over := time.Duration(float64(c.bytes-UnackedBytes+1) / forgottenRate * float64(time.Second))
		c.timer = time.AfterFunc(over+time.Microsecond, c.wake)
	}
}

func (c *unackedClient) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = nil
	c.forgetLocked(time.Now())
	c.grantLocked()
}
