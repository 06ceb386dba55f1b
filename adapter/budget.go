package adapter

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/weirstream/weir/protocol"
)

// appendBudget bounds the metered bytes of appends that are not answered. A basin gets at most half of them, so that one that
// appends as fast as it can leaves room for the others at once.
type appendBudget struct {
	all   *semaphore.Weighted
	share int64 // of a basin

	mu     sync.Mutex // guards the fields below; nothing is waited for with it held
	basins map[protocol.BasinName]*basinBudget
}

// basinBudget is the part of one basin.
type basinBudget struct {
	bytes *semaphore.Weighted
	users int // appends that hold or wait for a part; guarded by appendBudget.mu
}

// idleBudgets is how many basins without appends are remembered.
const idleBudgets = 256

func newAppendBudget(bytes int64) *appendBudget {
	return &appendBudget{all: semaphore.NewWeighted(bytes), share: max(bytes/2, protocol.MaxBatchBytes),
		basins: map[protocol.BasinName]*basinBudget{}}
}

// acquire waits for room, first come, first served within a basin, until ctx ends.
func (b *appendBudget) acquire(ctx context.Context, basin protocol.BasinName, cost int64) error {
	own := b.enter(basin)
	if err := take(ctx, own.bytes, cost); err != nil {
		b.leave(basin, own)
		return err
	}
	if err := take(ctx, b.all, cost); err != nil {
		own.bytes.Release(cost)
		b.leave(basin, own)
		return err
	}
	return nil
}

// take is Acquire, which asks for the channel of ctx even if there is room; to make one costs more than the rest.
func take(ctx context.Context, s *semaphore.Weighted, n int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.TryAcquire(n) {
		return nil
	}
	return s.Acquire(ctx, n)
}

// release gives back the bytes that acquire got.
func (b *appendBudget) release(basin protocol.BasinName, cost int64) {
	b.all.Release(cost)
	b.mu.Lock()
	own := b.basins[basin]
	b.mu.Unlock()
	own.bytes.Release(cost)
	b.leave(basin, own)
}

func (b *appendBudget) enter(basin protocol.BasinName) *basinBudget {
	b.mu.Lock()
	defer b.mu.Unlock()
	own := b.basins[basin]
	if own == nil {
		own = &basinBudget{bytes: semaphore.NewWeighted(b.share)}
		b.basins[basin] = own
	}
	own.users++
	return own
}

func (b *appendBudget) leave(basin protocol.BasinName, own *basinBudget) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if own.users--; own.users == 0 && len(b.basins) > idleBudgets {
		delete(b.basins, basin)
	}
}
