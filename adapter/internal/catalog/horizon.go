package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/nats-io/nuid"

	"github.com/weirstream/weir/protocol"
)

// Where several servers remove records and make forks, the order of the catalog's changes decides between them (docs/adr/0026). A server that is about
// to remove records writes the horizon, and waits until its view has come to that revision. Then it has the hold of every fork that was made before. A fork
// whose hold is written later knows the horizon, and every other reason to remove records that there was before.

// horizonKey is the catalog's key of the horizon. It is absent until records are to be removed, or a fork is made, where there are several servers.
const horizonKey = "h.horizon"

// horizonRecord is the value of horizonKey.
type horizonRecord struct {
	// Time is up to when records that expire may have been removed, in milliseconds since the epoch. It never falls.
	Time uint64 `json:"time"`
	// By makes each value different.
	By string `json:"by"`
}

// horizon is guarded by View.mu.
type horizon struct {
	time, revision uint64
}

func (c *Catalog) applyHorizon(e keyValue) error {
	if e.deleted {
		return nil
	}
	var r horizonRecord
	if err := json.Unmarshal(e.value, &r); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	c.View.setHorizon(r.Time, e.revision)
	return nil
}

// Horizon is the time up to which records that expire may have been removed by any server, in milliseconds since the epoch, as far as the view knows.
func (v *View) Horizon() uint64 { return v.horizonNow().time }

func (v *View) horizonNow() horizon {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.horizon
}

func (v *View) setHorizon(time, revision uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if revision > v.horizon.revision {
		v.horizon = horizon{max(time, v.horizon.time), revision}
	}
}

// Settle returns when the view has every hold that was stored before the call. Any fork whose hold is stored later spares the records that the caller has
// reason to remove: those that were trimmed, or whose stream was deleted, by changes that were durable before the call, and those that expired at or before at, in
// milliseconds since the epoch. Only of a catalog that is followed. Codes: unavailable, storage.
func (c *Catalog) Settle(ctx context.Context, at uint64) error {
	var revision uint64
	err := c.Change(ctx, horizonKey, func() (err error) {
		known := c.View.horizonNow()
		r := horizonRecord{Time: max(at, known.time), By: nuid.Next()}
		revision, err = c.Write(ctx, horizonKey, r, known.revision)
		if err == nil {
			c.View.setHorizon(r.Time, revision)
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.progress.wait(ctx, revision)
}

// progress is how far the changes of the bucket have come into the view. The zero value is ready.
type progress struct {
	mu      sync.Mutex
	at      uint64        // revision of the last change that came, or up to which the bucket was loaded
	changed chan struct{} // closed at the next change; nil while no call waits
}

func (p *progress) come() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}

func (p *progress) to(revision uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = max(p.at, revision)
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

func (p *progress) wait(ctx context.Context, revision uint64) error {
	for {
		p.mu.Lock()
		come := p.at >= revision
		if !come && p.changed == nil {
			p.changed = make(chan struct{})
		}
		changed := p.changed
		p.mu.Unlock()
		if come {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return protocol.Wrap(protocol.CodeUnavailable, ctx.Err(), "the changes of the catalog do not come")
		}
	}
}
