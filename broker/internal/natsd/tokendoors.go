package natsd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker/internal/access"
	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/broker/internal/natsapi"
	"github.com/weirstream/weir/broker/internal/tap"
	"github.com/weirstream/weir/protocol"
)

const (
	// tokenDoorIdle is how long a token's door stays open after its last connection.
	tokenDoorIdle = time.Minute
	// sweepPeriod is how often the doors are looked after.
	sweepPeriod = 5 * time.Second
	// revokedDrain is the time that sessions get to say goodbye before the connections of a token that is over are cut.
	revokedDrain = time.Second
	// openDoorTimeout bounds how long a connection waits for its door.
	openDoorTimeout = 5 * time.Second
)

// tokenAccountPrefix begins the names of the accounts in which tokens live.
const tokenAccountPrefix = "WEIR-TOKEN-"

// tokenDoors gives each access token that connects a NATS account of its own with a door in it (ADR 9). The account is the
// identity: a request that arrives in it is made with that token, even if the message names another one. No connection
// receives the messages of another.
//
// The server cannot forget an account, so one that is no longer needed serves another token later, once no connection is in it.
// Names are not the same on two servers, so that a cluster cannot join the accounts of two tokens.
type tokenDoors struct {
	srv     *server.Server
	guard   *access.Guard
	opts    natsapi.Options
	connect func(account, name string) (*nats.Conn, error)
	openTap func(account string, caller *access.Caller) *tap.Outlet // nil: there are no live taps
	refused *refusals
	crowded *refusals // those that came when there were maxTokenDoors
	log     *slog.Logger
	series  string // begins the accounts' names
	others  bool   // there are other nodes, to which clients can go
	max     int    // of the doors; the root token gets one in any case

	// adding has room for one goroutine that makes an account or reloads the server. A reload drops the accounts that are not
	// in its options. It comes before mu.
	adding chan struct{}

	mu       sync.Mutex              // guards the fields below
	open     map[[32]byte]*tokenDoor // by the hash of the secret
	byConn   map[uint64]*tokenDoor   // those in open, by the server's numbers of their connections
	accounts []*server.Account       // all that were ever made
	free     []*server.Account       // those that wait for a token
	leaving  []*server.Account       // those that the connections of a former token are about to leave
	closing  bool
	stops    string // the id of this server, which clients are told to leave; "" before that

	stop    chan struct{} // closed by close
	workers sync.WaitGroup
}

// tokenDoor is a token that has connected. Fields but those of the lower half do not change once opened is closed.
type tokenDoor struct {
	caller  *access.Caller
	perms   *server.Permissions
	account *server.Account
	opened  chan struct{}
	door    *natsapi.Door // nil if the broker was closing already, or err is set
	outlet  *tap.Outlet   // nil if door is, or there are no live taps
	err     error
	idle    chan struct{} // closed when it was not used for long

	// Guarded by the mutex of tokenDoors.
	conns     map[uint64]struct{} // by the server's number; the sweep drops those that have ended
	idleSince time.Time           // zero while there are connections
	over      bool                // no connection enters any more
}

func newTokenDoors(srv *server.Server, guard *access.Guard, opts natsapi.Options, connect func(account, name string) (*nats.Conn, error), refused *refusals) *tokenDoors {
	opts.MaxInflight, opts.MaxInflightBytes, opts.MaxSessions = tokenMaxInflight, tokenMaxInflightBytes, tokenMaxSessions
	opts.Budget = door.NewBudget(allTokensInflightBytes, allTokensSessions)
	t := &tokenDoors{srv: srv, guard: guard, opts: opts, connect: connect, refused: refused, log: opts.Logger,
		crowded: &refusals{log: opts.Logger, why: fmt.Sprintf("%d access tokens are connected already", maxTokenDoors)},
		max:     maxTokenDoors, series: tokenAccountPrefix + srv.ID()[len(srv.ID())-8:] + "-",
		adding: make(chan struct{}, 1), open: map[[32]byte]*tokenDoor{}, byConn: map[uint64]*tokenDoor{}, stop: make(chan struct{})}
	t.workers.Go(t.sweepNowAndThen)
	return t
}

// The limits of one token's door. They are lower than those of a door for many users.
const (
	tokenMaxInflight      = 1024
	tokenMaxInflightBytes = 64 << 20
	tokenMaxSessions      = 4096
)

// The limits of all of them together, those of a door for many users: a client that may issue tokens could have any number.
const (
	allTokensInflightBytes = 256 << 20
	allTokensSessions      = 16384
	maxTokenDoors          = 1024
)

var errCrowded = errors.New("too many access tokens are connected")

// admit lets a connection in if its secret is that of a live token. It waits until the token's door is open.
func (t *tokenDoors) admit(c server.ClientAuthentication, secret string) bool {
	if known := t.doorWith(c.GetID()); known != nil {
		return t.admitAgain(known, c, secret)
	}
	for {
		caller, err := t.guard.Authenticate(secret)
		if err != nil {
			return false
		}
		d, err := t.doorOf(caller)
		if errors.Is(err, errCrowded) {
			t.crowded.add(c.RemoteAddress())
			return false
		}
		if err == nil {
			<-d.opened
			err = d.err
		}
		if err != nil {
			t.log.Error("a nats connection was refused because the door of its token did not open",
				slog.String("token", string(caller.ID())), slog.Any("error", err))
			return false
		}
		if in, again := t.enter(d, c); !again {
			return in
		}
	}
}

// keep reports whether a connection may stay when the server is reloaded. A connection that was not let in yet stays:
// its own goroutine decides.
func (t *tokenDoors) keep(c server.ClientAuthentication, secret string) bool {
	known := t.doorWith(c.GetID())
	return known == nil || t.admitAgain(known, c, secret)
}

// doorWith is the door to which a connection belongs already, or nil.
func (t *tokenDoors) doorWith(conn uint64) *tokenDoor {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byConn[conn]
}

// admitAgain looks again at a connection that was let in: on a reload, or because it has sent another CONNECT, before
// which the server has taken it out of its account. It keeps its token for life, since its sessions are that token's.
func (t *tokenDoors) admitAgain(d *tokenDoor, c server.ClientAuthentication, secret string) bool {
	caller, err := t.guard.Authenticate(secret)
	if err != nil || caller.Key() != d.caller.Key() {
		return false
	}
	in, _ := t.enter(d, c)
	return in
}

// enter puts the connection into the token's account; again reports that the door was closed in the meantime.
func (t *tokenDoors) enter(d *tokenDoor, c server.ClientAuthentication) (in, again bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d.over {
		return false, true
	}
	until := d.caller.Info().ExpiresAt
	if !until.IsZero() {
		until = until.Add(2 * revokedDrain) // Usually expel comes first, which lets the sessions say why.
	}
	if !enter(c, d.account, d.perms, until) {
		return false, false
	}
	d.conns[c.GetID()] = struct{}{}
	t.byConn[c.GetID()] = d
	d.idleSince = time.Time{}
	return true, false
}

// doorOf returns the token's door, which may not be open yet.
func (t *tokenDoors) doorOf(caller *access.Caller) (*tokenDoor, error) {
	t.mu.Lock()
	d := t.open[caller.Key()]
	t.mu.Unlock()
	if d != nil {
		return d, nil
	}
	select {
	case t.adding <- struct{}{}:
		defer func() { <-t.adding }()
	case <-time.After(openDoorTimeout):
		return nil, errors.New("the server is being reloaded")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if d := t.open[caller.Key()]; d != nil {
		return d, nil
	}
	if len(t.open) >= t.max && caller != t.guard.Root() {
		return nil, errCrowded
	}
	account, err := t.accountLocked()
	if err != nil {
		return nil, err
	}
	d = &tokenDoor{caller: caller, perms: tokenPermissions(caller.Info(), t.opts.Prefix), account: account,
		opened: make(chan struct{}), idle: make(chan struct{}), conns: map[uint64]struct{}{}}
	t.open[caller.Key()] = d
	t.workers.Go(func() { t.live(d) })
	return d, nil
}

// accountLocked returns an account without connections.
func (t *tokenDoors) accountLocked() (*server.Account, error) {
	if n := len(t.free); n > 0 {
		account := t.free[n-1]
		t.free = t.free[:n-1]
		return account, nil
	}
	account, err := t.srv.RegisterAccount(fmt.Sprintf("%s%d", t.series, len(t.accounts)+1))
	if err != nil {
		return nil, fmt.Errorf("make a nats account for a token: %w", err)
	}
	t.accounts = append(t.accounts, account)
	return account, nil
}

// live is the life of a door.
func (t *tokenDoors) live(d *tokenDoor) {
	d.door, d.err = t.openDoor(d)
	close(d.opened)
	if d.err != nil {
		t.retire(d)
		t.release(d)
		return
	}
	select {
	case <-d.caller.Done():
		t.expel(d)
		t.release(d)
	case <-d.idle:
		t.closeDoor(d)
		t.release(d)
	case <-t.stop:
	}
}

func (t *tokenDoors) openDoor(d *tokenDoor) (*natsapi.Door, error) {
	t.mu.Lock()
	closing := t.closing
	t.mu.Unlock()
	if closing {
		return nil, nil // A client that still comes finds no responder, and looks for another server.
	}
	nc, err := t.connect(d.account.Name, "weir-token-door")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), openDoorTimeout)
	defer cancel()
	opts := t.opts
	opts.Reader = d.reader(t.guard)
	served, err := natsapi.Serve(ctx, nc, d.caller.Service(), opts)
	if err != nil {
		nc.Close()
		return nil, err
	}
	t.mu.Lock()
	server := t.stops
	t.mu.Unlock()
	if server != "" {
		served.Leave(server)
	}
	if t.openTap != nil {
		d.outlet = t.openTap(d.account.Name, d.caller)
	}
	t.log.Debug("the door of a token is open", slog.String("token", string(d.caller.ID())), slog.String("account", d.account.Name))
	return served, nil
}

// reader is the client as which the token's reads are counted: the same one as in the other doors.
func (d *tokenDoor) reader(guard *access.Guard) door.Client {
	return door.Client{Key: d.caller.ShareKey(), Part: door.TokenPart, Root: d.caller == guard.Root()}
}

// retire keeps everybody out from now on, and returns the connections that are in.
func (t *tokenDoors) retire(d *tokenDoor) (conns []uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d.over = true
	delete(t.open, d.caller.Key())
	conns = slices.Collect(maps.Keys(d.conns))
	for _, id := range conns {
		delete(t.byConn, id)
	}
	return conns
}

// expel ends the sessions of a token that was revoked or has expired, with the reason, and then its connections.
func (t *tokenDoors) expel(d *tokenDoor) {
	conns := t.retire(d)
	cut := func() {
		for _, id := range conns {
			_ = t.srv.DisconnectClientByID(id) // An error says that it has ended by itself.
		}
	}
	patience := time.AfterFunc(2*revokedDrain, cut) // The cut comes even if a request still waits.
	if d.door != nil {
		d.door.Expel(protocol.Errorf(protocol.CodeAuthn, "the access token was revoked or has expired"))
		t.closeDoor(d)
	}
	patience.Stop()
	cut()
	t.log.Info("the nats connections of an access token that is over are closed",
		slog.String("token", string(d.caller.ID())), slog.Int("connections", len(conns)))
}

func (t *tokenDoors) closeDoor(d *tokenDoor) {
	if d.door == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), revokedDrain)
	defer cancel()
	if err := d.door.Close(ctx); err != nil {
		t.log.Warn("closing the door of a token", slog.String("token", string(d.caller.ID())), slog.Any("error", err))
	}
	d.closeTap(ctx)
}

// cut ends the connections of a token whose door is about to close. Nobody would answer them then, until the server has ended them one by one: doors of
// other nodes are in accounts of their own. Client libraries go to another node at once.
func (t *tokenDoors) cut(d *tokenDoor) {
	t.mu.Lock()
	conns := slices.Collect(maps.Keys(d.conns))
	t.mu.Unlock()
	for _, id := range conns {
		_ = t.srv.DisconnectClientByID(id) // An error says that it has ended by itself.
	}
}

// awaitClients gives the clients that a refusal told to leave a moment to do so: a request that they send when they are cut off gets no answer.
func (t *tokenDoors) awaitClients(ctx context.Context, d *tokenDoor) {
	const moment, step = 100 * time.Millisecond, 2 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	for range moment / step {
		if !t.hasClients(d) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// hasClients reports whether a client of the token is connected.
func (t *tokenDoors) hasClients(d *tokenDoor) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := range d.conns {
		if t.srv.GetClient(id) != nil {
			return true
		}
	}
	return false
}

func (d *tokenDoor) closeTap(ctx context.Context) {
	if d.outlet != nil {
		d.outlet.Close(ctx)
	}
}

// release gives the account back for another token. It must be empty first, which the sweep finds out.
func (t *tokenDoors) release(d *tokenDoor) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leaving = append(t.leaving, d.account)
}

func (t *tokenDoors) sweepNowAndThen() {
	tick := time.NewTicker(sweepPeriod)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			t.sweep(now)
			t.refused.tell(now)
			t.crowded.tell(now)
		case <-t.stop:
			return
		}
	}
}

// sweep forgets connections that have ended, closes doors that were not used for long, and frees accounts.
func (t *tokenDoors) sweep(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, d := range t.open {
		for id := range d.conns {
			if t.srv.GetClient(id) == nil {
				delete(d.conns, id)
				delete(t.byConn, id)
			}
		}
		switch {
		case len(d.conns) > 0:
			d.idleSince = time.Time{}
		case d.idleSince.IsZero():
			d.idleSince = now
		case now.Sub(d.idleSince) >= tokenDoorIdle:
			d.over = true
			delete(t.open, key)
			close(d.idle)
		}
	}
	t.leaving = slices.DeleteFunc(t.leaving, func(account *server.Account) bool {
		empty := account.NumLocalConnections() == 0
		if empty {
			t.free = append(t.free, account)
		}
		return empty
	})
}

// freeze lets no account be made until thaw is called, and returns the accounts that there are in the form in which a
// reload of the server wants them: it drops those that its new options do not have.
func (t *tokenDoors) freeze() (accounts []*server.Account, thaw func()) {
	t.adding <- struct{}{}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range t.accounts {
		accounts = append(accounts, server.NewAccount(a.Name))
	}
	return accounts, func() { <-t.adding }
}

// leave tells all clients to leave this server.
func (t *tokenDoors) leave(server string) {
	t.mu.Lock()
	t.stops = server
	doors := slices.Collect(maps.Values(t.open))
	t.mu.Unlock()
	for _, d := range doors {
		if <-d.opened; d.door != nil {
			d.door.Leave(server)
		}
	}
}

// close drains all doors at once. The connections stay until the server stops.
func (t *tokenDoors) close(ctx context.Context) error {
	t.mu.Lock()
	t.closing = true
	doors := slices.Collect(maps.Values(t.open))
	t.mu.Unlock()
	close(t.stop)
	errs := make([]error, len(doors))
	var wg sync.WaitGroup
	for i, d := range doors {
		wg.Go(func() {
			if <-d.opened; d.door != nil {
				if t.others && d.door.Drain(ctx) == nil {
					t.awaitClients(ctx, d)
					t.cut(d)
				}
				errs[i] = d.door.Close(ctx)
				d.closeTap(ctx)
			}
		})
	}
	wg.Wait()
	t.workers.Wait()
	return errors.Join(errs...)
}
