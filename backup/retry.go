package backup

import (
	"context"
	"sync"
	"time"

	"github.com/weirstream/weir/protocol"
)

// callTimeout bounds one call. That of a broker that was killed has no answer, and is made again after it.
var callTimeout = 15 * time.Second

const (
	// patience is how long a broker that does not answer is waited for, and failureTries how often a call may fail in
	// another way that can pass.
	patience     = 2 * time.Minute
	failureTries = 4
	backoffMin   = 50 * time.Millisecond
	backoffMax   = 2 * time.Second
)

// again calls f until it succeeds, or fails in a way that does not pass. All calls of backups and restores may be made
// again.
func again(ctx context.Context, f func(ctx context.Context) error, passing ...protocol.Code) error {
	giveUp := time.Now().Add(patience)
	failures := 0
	for wait := backoffMin; ; wait = min(2*wait, backoffMax) {
		bounded, cancel := context.WithTimeout(ctx, callTimeout)
		err := f(bounded)
		cancel()
		if err == nil || ctx.Err() != nil || time.Now().After(giveUp) {
			return err
		}
		switch code := protocol.CodeOf(err); code {
		case protocol.CodeUnavailable, protocol.CodeServerDraining, protocol.CodeRequestTimeout, protocol.CodeRateLimited:
		case protocol.CodeStorage:
			if failures++; failures >= failureTries {
				return err
			}
		default:
			passes := false
			for _, p := range passing {
				passes = passes || p == code
			}
			if !passes {
				return err
			}
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// reach makes one call, once: a broker that is not there, or does not want to, is no reason to wait.
func reach(ctx context.Context, b interface {
	ExportCatalog(ctx context.Context, req protocol.ExportCatalogRequest) (protocol.ExportCatalogPage, error)
}) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := b.ExportCatalog(ctx, protocol.ExportCatalogRequest{MaxBytes: 1})
	return err
}

// pause waits for d.
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

// pace keeps the bytes that pass below a rate.
type pace struct {
	rate int64 // bytes a second; 0: no limit

	mu    sync.Mutex // guards the rest
	began time.Time
	bytes int64
}

func (p *pace) passed(ctx context.Context, n int) error {
	if p.rate <= 0 {
		return nil
	}
	p.mu.Lock()
	if p.began.IsZero() {
		p.began = time.Now()
	}
	p.bytes += int64(n)
	due := p.began.Add(time.Duration(float64(p.bytes) / float64(p.rate) * float64(time.Second)))
	p.mu.Unlock()
	if d := time.Until(due); d > 0 {
		return pause(ctx, d)
	}
	return nil
}
