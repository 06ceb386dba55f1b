package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/weirstream/weir/broker/natsapi"
	"github.com/weirstream/weir/protocol"
)

// doors are the NATS doors, one in each account that is to see the service.
type doors struct {
	st   store
	svc  protocol.Service
	opts natsapi.Options
	log  *slog.Logger

	mu   sync.Mutex // guards open
	open map[string]*natsapi.Door
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
	all := slices.Collect(maps.Values(ds.open))
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, d := range all {
		wg.Go(func() { errs[i] = d.Close(ctx) })
	}
	wg.Wait()
	clear(ds.open)
	return errors.Join(errs...)
}
