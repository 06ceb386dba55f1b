package adapter

import (
	"context"
	"fmt"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
)

// Health looks whether the catalog is there, and each log of which JetStream has said that it does not exist. That a store does not
// answer in time is no verdict: it may be busy, or have no leader for a moment.
func (a *Adapter) Health(ctx context.Context) error {
	_, err := js.StreamState(ctx, a.manage, layout.Catalog(a.opts.Prefix))
	if js.StreamMissing(err) {
		return fmt.Errorf("the catalog %s is missing", layout.Catalog(a.opts.Prefix))
	}
	for _, l := range a.logs.all() {
		if !l.missing.Load() {
			continue
		}
		if _, err := l.lastSeq(ctx); js.StreamMissing(err) {
			return fmt.Errorf("the log %s is missing", l.name)
		}
	}
	return nil
}
