package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/weirstream/weir/broker/internal/access"
	"github.com/weirstream/weir/broker/internal/natsapi"
	"github.com/weirstream/weir/protocol"
)

// doors are the NATS doors, one in each account that is to see the service.
type doors struct {
	st   store
	svc  protocol.Service // of requests without an access token; nil if there must be one
	opts natsapi.Options
	log  *slog.Logger
	// tokens are the doors of those who connect with an access token; nil if weir does not say who may connect.
	tokens *tokenDoors

	mu   sync.Mutex // guards open
	open map[string]*natsapi.Door
}

// newDoors makes the doors, none of which is open. Where NATS says who its users are, weir cannot know whose token they
// have, so that each request must carry one, unless nothing is checked at all.
func newDoors(st store, guard *access.Guard, opts natsapi.Options) *doors {
	ds := &doors{st: st, opts: opts, log: opts.Logger, open: map[string]*natsapi.Door{}}
	e, embedded := st.(*embedded)
	ours := embedded && !e.ownUsers() // Only this program enters the accounts in which sync opens doors, or everybody may.
	if ours || guard.Open() {
		ds.svc = guard.Root().Service()
	}
	if ours && !guard.Open() {
		ds.tokens = newTokenDoors(e.srv, guard, opts, e.connect, e.cred.refused)
	}
	return ds
}

// letIn begins to let those in who connect with an access token.
func (ds *doors) letIn() {
	if ds.tokens != nil {
		ds.st.(*embedded).cred.letIn(ds.tokens)
	}
}

// sync opens the doors of accounts that are new and closes those of accounts that are gone.
func (ds *doors) sync(ctx context.Context) error {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	want := ds.st.services()
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

func (ds *doors) openDoor(ctx context.Context, account string) (*natsapi.Door, error) {
	nc, err := ds.st.connect(account, "weir-door")
	if err != nil {
		return nil, err
	}
	d, err := natsapi.Serve(ctx, nc, ds.svc, ds.opts)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("open the NATS door in the account %s: %w", account, err)
	}
	return d, nil
}

// close drains all doors at once.
func (ds *doors) close(ctx context.Context) error {
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
