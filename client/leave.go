package client

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
)

const (
	// sessionsLeave is how long a client that is to leave its server waits for the acks of its append sessions. The server may cut the connection before.
	sessionsLeave = 30 * time.Second
	// requestsLeave is how long it waits for the answers to its requests.
	requestsLeave = 5 * time.Second
	// arriveAfter is how long it waits for another server before requests begin again; NATS keeps them until there is one.
	arriveAfter = 2 * time.Second
	// leavePause is between two moves: the next server may stop as well.
	leavePause = 100 * time.Millisecond
)

// gate counts what is under way at the server, so that the client can leave one that stops (protocol.HeaderLeave) without losing an answer. First the append
// sessions send nothing more, until all that they have sent is answered, while requests go on. Then requests are held back until all are answered and the
// connection has gone to another server. Its methods may be called at once.
type gate struct {
	nc       *nats.Conn
	patience time.Duration // requestsLeave

	mu       sync.Mutex    // guards the fields below
	requests int           // that are not answered
	sessions int           // append sessions of which something is not answered
	left     chan struct{} // closed when the client has left; nil while it does not leave
	holds    bool          // requests wait for that as well
	changed  chan struct{} // has room for one: a count has become 0
	parked   []func()      // called when the client has left
	moved    time.Time     // when it left a server last
}

// enter lets a request through, or waits until the client has left a server. The caller calls exit.
func (g *gate) enter(ctx context.Context) error {
	for {
		g.mu.Lock()
		left := g.left
		if !g.holds {
			g.requests++
			g.mu.Unlock()
			return nil
		}
		g.mu.Unlock()
		if err := await(ctx, left); err != nil {
			return err
		}
	}
}

func (g *gate) exit() { g.count(&g.requests, -1) }

// wait waits while the client leaves a server, which opens no sessions.
func (g *gate) wait(ctx context.Context) error {
	g.mu.Lock()
	left := g.left
	g.mu.Unlock()
	if left == nil {
		return nil
	}
	return await(ctx, left)
}

// session counts an append session of which something is not answered, and answered does so no more.
func (g *gate) session() { g.count(&g.sessions, 1) }

func (g *gate) answered() { g.count(&g.sessions, -1) }

// park reports whether the client leaves a server, and if so calls wake once it has.
func (g *gate) park(wake func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.left != nil {
		g.parked = append(g.parked, wake)
	}
	return g.left != nil
}

func (g *gate) count(n *int, by int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if *n += by; *n == 0 && g.left != nil {
		select {
		case g.changed <- struct{}{}:
		default:
		}
	}
}

// heed looks whether a message tells the client to leave the server that it is connected to, and reports whether it names a server that stops.
func (g *gate) heed(m *nats.Msg) bool {
	server := m.Header.Get(protocol.HeaderLeave)
	if server == "" {
		return false
	}
	if server == g.nc.ConnectedServerId() && len(g.nc.Servers()) > 1 {
		g.leave(server)
	}
	return true
}

// leave begins to leave a server, unless that is under way.
func (g *gate) leave(server string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.left == nil && time.Since(g.moved) >= leavePause {
		g.left, g.changed = make(chan struct{}), make(chan struct{}, 1)
		g.holds = g.sessions == 0
		go g.move(server)
	}
}

func (g *gate) move(server string) {
	g.until(sessionsLeave, func() bool { return g.sessions == 0 })
	g.mu.Lock()
	g.holds = true
	g.mu.Unlock()
	g.until(g.patience, func() bool { return g.sessions+g.requests == 0 })
	changed := g.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer g.nc.RemoveStatusListener(changed)
	if g.nc.ConnectedServerId() == server && g.nc.ForceReconnect() == nil {
		select {
		case <-changed:
		case <-time.After(arriveAfter):
		}
	}
	g.mu.Lock()
	close(g.left)
	parked := g.parked
	g.left, g.holds, g.moved, g.parked = nil, false, time.Now(), nil
	g.mu.Unlock()
	for _, wake := range parked {
		wake()
	}
}

// until waits until a condition on the counts holds, at most for d.
func (g *gate) until(d time.Duration, holds func() bool) {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		g.mu.Lock()
		done := holds()
		g.mu.Unlock()
		if done {
			return
		}
		select {
		case <-g.changed:
		case <-t.C:
			return
		}
	}
}

func await(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pause waits for d or the end of ctx, whose error it returns.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
