package adapter

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// Where several brokers share a store, one of them, the keeper, does the background work of the account that belongs to no log: it removes the names of
// deleted basins, and rolls the usage up. Who it is follows from a claim, as with a log. Nothing fences a keeper that was deposed and does not know it yet:
// each step of this work can be done twice.

// accountClaim is the claim of the keeper. No log has this name.
const accountClaim = "account"

// keeper knows whether this node is the keeper.
type keeper struct {
	a     *Adapter
	wake  chan struct{} // has room for one
	epoch atomic.Uint64 // in which it is; 0: it is not
	stop  func()        // set by start
}

func newKeeper(a *Adapter) *keeper { return &keeper{a: a, wake: make(chan struct{}, 1)} }

func (k *keeper) poke() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// start follows the claim until stop, or until the adapter closes.
func (k *keeper) start(o owners) {
	ctx, cancel := context.WithCancel(k.a.ctx)
	done := make(chan struct{})
	k.stop = func() {
		cancel()
		<-done
	}
	k.a.tasks.Go(func() {
		defer close(done)
		k.run(ctx, o)
	})
}

func (k *keeper) run(ctx context.Context, o owners) {
	for ctx.Err() == nil {
		who, err := o.Owner(ctx, accountClaim)
		if err != nil {
			if ctx.Err() == nil {
				k.a.logger.Debug("the keeper of the account is not known yet", slog.Any("error", err))
			}
			sleep(ctx, ownerPauseMax)
			continue
		}
		epoch := uint64(0)
		if who.Mine {
			epoch = who.Epoch
		}
		if k.epoch.Swap(epoch) != epoch && epoch != 0 {
			for _, basin := range k.a.catalog.View.DeletingBasins() {
				k.a.janitor.removeBasin(basin)
			}
		}
		select {
		case <-k.wake:
		case <-ctx.Done():
		}
	}
}

// is reports whether this node is the keeper, as far as it knows.
func (k *keeper) is() bool { return k.epoch.Load() != 0 }

// KeepsAccount reports whether this broker does the background work of the account: its store is its own, or it is the keeper and is sure of that.
func (a *Adapter) KeepsAccount() bool {
	if !a.opts.Shared {
		return true
	}
	epoch := a.keeper.epoch.Load()
	return epoch != 0 && a.owners.Sure(accountClaim, epoch)
}
