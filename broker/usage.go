package broker

import (
	"context"
	"log/slog"
	"time"

	"github.com/weirstream/weir/adapter"
	"github.com/weirstream/weir/broker/internal/metering"
	"github.com/weirstream/weir/protocol"
)

var _ metering.Sizes = (*adapter.Adapter)(nil)

func (s *service) AccountMetrics(ctx context.Context, q protocol.MetricsQuery) ([]protocol.Metric, error) {
	return do(s, func() ([]protocol.Metric, error) { return s.meter.Account(ctx, q) })
}

func (s *service) BasinMetrics(ctx context.Context, basin protocol.BasinName, q protocol.MetricsQuery) ([]protocol.Metric, error) {
	return do(s, func() ([]protocol.Metric, error) { return s.meter.Basin(ctx, basin, q) })
}

func (s *service) StreamMetrics(ctx context.Context, ref protocol.StreamRef, q protocol.MetricsQuery) ([]protocol.Metric, error) {
	return do(s, func() ([]protocol.Metric, error) { return s.meter.Stream(ctx, ref, q) })
}

// startUsage begins to keep the usage that is counted.
func (b *Broker) startUsage() {
	b.meter.Start(metering.AdapterStore{UsageStore: b.ad.UsageStore()}, b.ad)
}

// usageFlush bounds the last write of the usage.
const usageFlush = 2 * time.Second

// stopUsage writes the usage that was counted last. If that fails the broker has still stopped well: a killed broker loses
// the same counts.
func (b *Broker) stopUsage(ctx context.Context) {
	if b.meter == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, usageFlush)
	defer cancel()
	if err := b.meter.Close(ctx); err != nil {
		b.log.Warn("the usage of the last seconds could not be written", slog.Any("error", err))
	}
}
