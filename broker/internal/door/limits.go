// Package door holds the code that the doors share. [Limiter] bounds the work of a door: a door takes a place for each
// request and session, and room for the bytes that they hold, before it does anything for them. A request beyond the limits
// is refused, not kept waiting. [Outbox] bounds the memory of readers that do not take their answers.
package door

import (
	"context"
	"sync"

	"github.com/weirstream/weir/protocol"
)

// Limits bound one door. The zero value works.
type Limits struct {
	Requests int     // unary requests being served; 0 means 4096
	Bytes    int64   // of requests and session inputs in flight; 0 means 256 MiB
	Sessions int     // open sessions; 0 means 16384
	Budget   *Budget // the bound of this door and others together; nil for no bound
}

const (
	defaultRequests = 4096
	defaultBytes    = 256 << 20
	defaultSessions = 16384
)

// The shares that one client may have of each limit, as a part of it.
const (
	TokenPart   = 4 // a quarter, of an access token
	AddressPart = 2 // a half, of an address where nothing is checked
)

// reservedPart is the part of the requests and sessions that is kept for the root token.
const reservedPart = 16

// Client identifies a client, whose requests are bounded together.
type Client struct {
	Key  string // distinguishes clients; "" is one without a share of its own
	Part int    // the client may have one Part-th of each limit
	Root bool   // may use the places that are kept for the root token
}

// Limiter counts the work of a door, and lets a door that drains wait for it. Make one with [New]; all methods may be
// called at once. The errors have code server_draining or rate_limited.
type Limiter struct {
	limits Limits

	mu       sync.Mutex      // guards the fields below, and the fields of all places and shares
	draining *protocol.Error // why everything new is refused; nil while nothing is
	all      use
	shares   map[string]*share // of clients with something in it
	idle     chan struct{}     // closed when draining and nothing is left
}

// use is the amount of the limits that is taken.
type use struct {
	requests, sessions int
	bytes              int64
}

// share is the amount that one client has taken.
type share struct {
	use
	part int
}

// New makes a limiter with nothing on it.
func New(limits Limits) *Limiter {
	if limits.Requests <= 0 {
		limits.Requests = defaultRequests
	}
	if limits.Bytes <= 0 {
		limits.Bytes = defaultBytes
	}
	if limits.Sessions <= 0 {
		limits.Sessions = defaultSessions
	}
	return &Limiter{limits: limits, shares: map[string]*share{}, idle: make(chan struct{})}
}

// Place is that of one request or session, with the bytes that it holds. Its methods may be called at once.
type Place struct {
	l       *Limiter
	client  Client
	session bool
	bytes   int64
	left    bool
}

// Request takes a place for one unary request with a body of so many bytes, as far as they are known. A single request passes
// at any size. The caller calls Leave.
func (l *Limiter) Request(client Client, bytes int) (*Place, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch limit, mine := l.limits.Requests, l.shares[client.Key]; {
	case l.draining != nil:
		return nil, l.draining
	case l.all.requests >= reserved(limit, client):
		return nil, protocol.Errorf(protocol.CodeRateLimited, "this server has %d requests in flight, its limit", l.all.requests)
	case mine != nil && mine.requests >= limit/mine.part:
		return nil, protocol.Errorf(protocol.CodeRateLimited, "this client has %d requests in flight, its share of the server's limit", mine.requests)
	case l.all.requests > 0 && l.all.bytes+int64(bytes) > l.limits.Bytes:
		return nil, l.errBytesLocked()
	case mine != nil && mine.requests > 0 && mine.bytes+int64(bytes) > l.limits.Bytes/int64(mine.part):
		return nil, errShareBytes(mine)
	case !l.limits.Budget.takeBytes(bytes):
		return nil, protocol.Errorf(protocol.CodeRateLimited, "this server has as many bytes of requests in flight as it takes at a time")
	}
	p := &Place{l: l, client: client, bytes: int64(bytes)}
	p.addLocked(use{requests: 1, bytes: int64(bytes)})
	return p, nil
}

// Session takes a place for a session. The caller calls Leave.
func (l *Limiter) Session(client Client) (*Place, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch limit, mine := l.limits.Sessions, l.shares[client.Key]; {
	case l.draining != nil:
		return nil, l.draining
	case l.all.sessions >= reserved(limit, client):
		return nil, protocol.Errorf(protocol.CodeRateLimited, "this server has %d sessions open, its limit", l.all.sessions)
	case mine != nil && mine.sessions >= max(limit/mine.part, 1):
		return nil, protocol.Errorf(protocol.CodeRateLimited, "this client has %d sessions open, its share of the server's limit", mine.sessions)
	case !l.limits.Budget.takeSession():
		return nil, protocol.Errorf(protocol.CodeRateLimited, "this server has as many sessions open as it takes at a time")
	}
	p := &Place{l: l, client: client, session: true}
	p.addLocked(use{sessions: 1})
	return p, nil
}

// reserved is the limit for the client: all of it for the root token, and for clients that share nothing.
func reserved(limit int, c Client) int {
	if c.Root || c.Key == "" {
		return limit
	}
	return limit - limit/reservedPart
}

// addLocked counts u for the door and for the client.
func (p *Place) addLocked(u use) {
	l := p.l
	l.all.add(u)
	if p.client.Key == "" {
		return
	}
	s := l.shares[p.client.Key]
	if s == nil {
		s = &share{part: max(p.client.Part, 1)}
		l.shares[p.client.Key] = s
	}
	if s.add(u); s.use == (use{}) {
		delete(l.shares, p.client.Key)
	}
}

func (u *use) add(v use) {
	u.requests += v.requests
	u.sessions += v.sessions
	u.bytes += v.bytes
}

// Leave gives back the place and all bytes that it still holds. It may be called again.
func (p *Place) Leave() {
	l := p.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.left {
		return
	}
	p.left = true
	back := use{requests: -1, bytes: -p.bytes}
	if p.session {
		back = use{sessions: -1, bytes: -p.bytes}
		l.limits.Budget.giveSession()
	}
	l.limits.Budget.giveBytes(int(p.bytes))
	p.addLocked(back)
	p.bytes = 0
	l.checkIdleLocked()
}

// Client is the client that holds the place.
func (p *Place) Client() Client { return p.client }

// Grow takes room for bytes that have come for a request or session which has a place. It never waits: bodies that wait
// for each other's room would wait for ever.
func (p *Place) Grow(bytes int) error {
	l := p.l
	l.mu.Lock()
	defer l.mu.Unlock()
	mine := l.shares[p.client.Key]
	switch {
	case p.left:
		return nil // no caller is left to give it back
	case mine != nil && mine.bytes+int64(bytes) > l.limits.Bytes/int64(mine.part):
		return errShareBytes(mine)
	case l.all.bytes+int64(bytes) > l.limits.Bytes || !l.limits.Budget.takeBytes(bytes):
		return l.errBytesLocked()
	}
	p.bytes += int64(bytes)
	p.addLocked(use{bytes: int64(bytes)})
	return nil
}

// Shrink gives back the bytes that Grow took.
func (p *Place) Shrink(bytes int) {
	l := p.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.left {
		return // Leave gave all back
	}
	p.bytes -= int64(bytes)
	p.addLocked(use{bytes: -int64(bytes)})
	l.limits.Budget.giveBytes(bytes)
}

func (l *Limiter) errBytesLocked() error {
	return protocol.Errorf(protocol.CodeRateLimited, "this server has %d bytes of requests in flight, its limit is %d", l.all.bytes, l.limits.Bytes)
}

func errShareBytes(s *share) error {
	return protocol.Errorf(protocol.CodeRateLimited, "this client has %d bytes of requests in flight, its share of the server's limit", s.bytes)
}

// Drain refuses everything new from now on, with the reason. It may be called again; the first reason stays.
func (l *Limiter) Drain(reason *protocol.Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.draining == nil {
		l.draining = reason
	}
	l.checkIdleLocked()
}

func (l *Limiter) checkIdleLocked() {
	if l.draining == nil || l.all.requests > 0 || l.all.sessions > 0 {
		return
	}
	select {
	case <-l.idle:
	default:
		close(l.idle)
	}
}

// Wait waits, after Drain, until nothing is left or ctx ends, whose error it returns.
func (l *Limiter) Wait(ctx context.Context) error {
	select {
	case <-l.idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ErrDraining refuses the requests that come to a door that drains, and ends the sessions that it has.
func ErrDraining() *protocol.Error {
	return protocol.Errorf(protocol.CodeServerDraining, "this server is stopping: ask again, another may answer")
}
