package natsd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/weirstream/weir/broker/internal/access"
	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/broker/internal/natsapi"
	"github.com/weirstream/weir/broker/internal/tap"
	"github.com/weirstream/weir/protocol"
)

// Doors are the NATS doors, one in each account that is to see the service.
type Doors struct {
	st   Store
	svc  protocol.Service // of requests without an access token; nil if there must be one
	opts natsapi.Options
	log  *slog.Logger
	// tokens are the doors of the clients that connect with an access token; nil if weir does not decide which clients may
	// connect.
	tokens *tokenDoors
	// taps publishes the records, in the accounts of an embedded server whose doors need no token in each
	// request; nil where the subscriptions, or the rights of the readers, cannot be known.
	taps   *tap.Hub
	caller *access.Caller

	mu      sync.Mutex // guards the fields below
	open    map[string]accountDoor
	leaving []uint64 // connections of clients that were told to leave, by the server's numbers
}

// accountDoor is the open door and tap of an account.
type accountDoor struct {
	*natsapi.Door
	outlet *tap.Outlet // nil: none
}

// Close drains the door and then the tap, so that the appends that the door has taken are published.
func (d accountDoor) Close(ctx context.Context) error {
	err := d.Door.Close(ctx)
	if d.outlet != nil {
		d.outlet.Close(ctx)
	}
	return err
}

// NewDoors makes the doors, none of which is open. Where NATS has users of its own, weir cannot know their access tokens, so
// that each request must carry one, unless nothing is checked at all. Records are published from taps.
func NewDoors(st Store, guard *access.Guard, taps *tap.Hub, opts natsapi.Options) *Doors {
	opts.AssumedPayload = st.AssumedPayload()
	opts.Outbox, opts.Unacked = door.NewOutbox(door.OutboxBytes/2, nil), door.NewUnacked()
	ds := &Doors{st: st, opts: opts, log: opts.Logger, open: map[string]accountDoor{}}
	e, embedded := st.(*Embedded)
	ours := embedded && !e.ownUsers() // Only this program enters the accounts in which Sync opens doors, or everybody may.
	if ours || guard.Open() {
		ds.svc = guard.Root().Service()
		ds.caller = guard.Root()
		if embedded {
			ds.taps = taps
		}
	}
	if ours && !guard.Open() {
		ds.tokens = newTokenDoors(e.srv, guard, opts, e.Connect, e.cred.refused)
		ds.tokens.others = e.cfg.Cluster.Enabled()
		ds.tokens.openTap = func(account string, caller *access.Caller) *tap.Outlet { return taps.Open(e.tapOf(account, caller)) }
	}
	return ds
}

// TokensLogIn reports whether clients connect with an access token.
func (ds *Doors) TokensLogIn() bool { return ds.tokens != nil }

// LetIn begins to let the clients in that connect with an access token.
func (ds *Doors) LetIn() {
	if ds.tokens != nil {
		ds.st.(*Embedded).cred.letIn(ds.tokens) //nolint:forcetypeassert // only an embedded server has tokens
	}
}

// Sync opens the doors of accounts that are new and closes those of accounts that do not exist any more.
func (ds *Doors) Sync(ctx context.Context) error {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	want := ds.st.Services()
	var errs []error
	for account, d := range ds.open {
		if !slices.Contains(want, account) {
			errs = append(errs, d.Close(ctx))
			delete(ds.open, account)
		}
	}
	for _, account := range want {
		if _, ok := ds.open[account]; ok {
			continue
		}
		d, err := ds.openDoor(ctx, account)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ds.open[account] = d
		ds.log.Debug("nats door is open", slog.String("account", account))
	}
	return errors.Join(errs...)
}

func (ds *Doors) openDoor(ctx context.Context, account string) (accountDoor, error) {
	nc, err := ds.st.Connect(account, "weir-door")
	if err != nil {
		return accountDoor{}, err
	}
	d, err := natsapi.Serve(ctx, nc, ds.svc, ds.opts)
	if err != nil {
		nc.Close()
		return accountDoor{}, fmt.Errorf("open the NATS door in the account %s: %w", account, err)
	}
	open := accountDoor{Door: d}
	if ds.taps != nil {
		e := ds.st.(*Embedded) //nolint:forcetypeassert // only an embedded server has taps
		open.outlet = ds.taps.Open(e.tapOf(account, ds.caller))
	}
	return open, nil
}

// Leave tells the clients of an embedded server to go to another node, in lame duck notices and in all answers. They are still served. The clients of
// an external one stay, and the doors of other brokers serve them.
func (ds *Doors) Leave(ctx context.Context) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	e, ok := ds.st.(*Embedded)
	if !ok {
		for _, d := range ds.open {
			if err := d.Withdraw(ctx); err != nil {
				ds.log.Debug("withdraw a nats door", slog.Any("error", err))
			}
		}
		return
	}
	for _, d := range ds.open {
		d.Leave(e.srv.ID())
	}
	if ds.tokens != nil {
		ds.tokens.leave(e.srv.ID())
	}
	ds.leaving = e.outsideClients()
	for _, id := range ds.leaving {
		_ = e.srv.LDMClientByID(id) // An error says that it has ended, or takes no notices.
	}
}

// Remaining is how many of the clients that were told to leave are connected still.
func (ds *Doors) Remaining() int {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if e, ok := ds.st.(*Embedded); ok {
		ds.leaving = slices.DeleteFunc(ds.leaving, func(id uint64) bool { return e.srv.GetClient(id) == nil })
	}
	return len(ds.leaving)
}

// Close drains all doors at once.
func (ds *Doors) Close(ctx context.Context) error {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	var closers []func(context.Context) error
	for _, d := range ds.open {
		closers = append(closers, d.Close)
	}
	if ds.tokens != nil {
		closers = append(closers, ds.tokens.close)
	}
	errs := make([]error, len(closers))
	var wg sync.WaitGroup
	for i, closeOne := range closers {
		wg.Go(func() { errs[i] = closeOne(ctx) })
	}
	wg.Wait()
	clear(ds.open)
	return errors.Join(errs...)
}
