package broker

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/weirstream/weir/internal/declare"
	"github.com/weirstream/weir/protocol"
)

// readInitFile reads and checks the resource spec that the broker is to apply at its start (control plane 9.4); a path of
// "" is none.
func readInitFile(path string) (declare.Resources, error) {
	if path == "" {
		return declare.Resources{}, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return declare.Resources{}, fmt.Errorf("init file: %w", err)
	}
	res, err := declare.Parse(data)
	if err != nil {
		return declare.Resources{}, fmt.Errorf("init file %s:\n%w", path, err)
	}
	return res, nil
}

// applyInitFile makes the spec true. It is called before any door opens, so that no request is served by half of it; its
// failure fails the start.
func (b *Broker) applyInitFile(ctx context.Context, res declare.Resources) error {
	if b.cfg.InitFile == "" {
		return nil
	}
	counts := map[protocol.ProvisionResult]int{}
	err := declare.Apply(ctx, b.svc, res, func(item declare.Item, result protocol.ProvisionResult) {
		counts[result]++
		b.log.Debug("applied an item of the init file", slog.String("resource", item.String()), slog.String("result", string(result)))
	})
	if err != nil {
		return fmt.Errorf("init file %s: %w", b.cfg.InitFile, err)
	}
	b.log.Info("init file applied", slog.String("path", b.cfg.InitFile), slog.Int("created", counts[protocol.ProvisionCreated]),
		slog.Int("updated", counts[protocol.ProvisionUpdated]), slog.Int("unchanged", counts[protocol.ProvisionNoop]))
	return nil
}
