package broker

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/adapter"
	"github.com/weirstream/weir/broker/internal/access"
	"github.com/weirstream/weir/broker/internal/metering"
	"github.com/weirstream/weir/protocol"
)

var (
	_ metering.Sizes = (*adapter.Adapter)(nil)
	_ metering.Store = usageStore{}
)

func (s *service) AccountMetrics(ctx context.Context, q protocol.MetricsQuery) ([]protocol.Metric, error) {
	return do(s, func() ([]protocol.Metric, error) { return s.meter.Account(ctx, q) })
}

func (s *service) BasinMetrics(ctx context.Context, basin protocol.BasinName, q protocol.MetricsQuery) ([]protocol.Metric, error) {
	return do(s, func() ([]protocol.Metric, error) { return s.meter.Basin(ctx, basin, q) })
}

func (s *service) StreamMetrics(ctx context.Context, ref protocol.StreamRef, q protocol.MetricsQuery) ([]protocol.Metric, error) {
	return do(s, func() ([]protocol.Metric, error) { return s.meter.Stream(ctx, ref, q) })
}

// usageStore spells the keys of usage as the names that the adapter stores under: <kind>.<scope>.<period>.<writer>.
type usageStore struct{ *adapter.UsageStore }

func usageName(key metering.Key) string {
	return usagePeriod(key.Kind, key.Scope, key.Period) + "." + key.Writer
}

func usagePeriod(kind metering.Kind, scope string, period uint32) string {
	return string(kind) + "." + scope + "." + strconv.FormatUint(uint64(period), 10)
}

// parseUsageName is the inverse of usageName. A scope may have several tokens.
func parseUsageName(name string) (key metering.Key, ok bool) {
	tokens := strings.Split(name, ".")
	n := len(tokens)
	if n < 4 || len(tokens[0]) != 1 {
		return key, false
	}
	period, err := strconv.ParseUint(tokens[n-2], 10, 32)
	return metering.Key{Kind: metering.Kind(tokens[0][0]), Scope: strings.Join(tokens[1:n-2], "."), Period: uint32(period),
		Writer: tokens[n-1]}, err == nil
}

func (u usageStore) Put(ctx context.Context, key metering.Key, value []byte) error {
	return u.UsageStore.Put(ctx, usageName(key), value)
}

func (u usageStore) Create(ctx context.Context, key metering.Key, value []byte) error {
	err := u.UsageStore.Create(ctx, usageName(key), value)
	if errors.Is(err, adapter.ErrUsageExists) {
		return metering.ErrExists
	}
	return err
}

func (u usageStore) Remove(ctx context.Context, kind metering.Kind, scope string, period uint32) error {
	return u.UsageStore.Remove(ctx, usagePeriod(kind, scope, period)+".>")
}

func (u usageStore) Scan(ctx context.Context, kind metering.Kind, scope string, yield func(metering.Key, []byte)) error {
	pattern := string(kind) + ".>"
	if scope != "" {
		pattern = string(kind) + "." + scope + ".>"
	}
	return u.UsageStore.Scan(ctx, pattern, func(name string, value []byte) {
		if key, ok := parseUsageName(name); ok {
			yield(key, value)
		}
	})
}

// countedTokens counts the operations on access tokens.
type countedTokens struct {
	access.Tokens
	meter *metering.Meter
}

func (t countedTokens) count(op protocol.Operation, err error) error {
	if err == nil {
		t.meter.Operation(op)
	}
	return err
}

func (t countedTokens) PutToken(ctx context.Context, token protocol.StoredToken) error {
	return t.count(protocol.OpIssueAccessToken, t.Tokens.PutToken(ctx, token))
}

func (t countedTokens) RemoveToken(ctx context.Context, id protocol.AccessTokenID) error {
	return t.count(protocol.OpRevokeAccessToken, t.Tokens.RemoveToken(ctx, id))
}

func (t countedTokens) ListTokens(ctx context.Context, req protocol.ListRequest) ([]protocol.StoredToken, bool, error) {
	page, more, err := t.Tokens.ListTokens(ctx, req)
	return page, more, t.count(protocol.OpListAccessTokens, err)
}

// startUsage begins to keep what is counted.
func (b *Broker) startUsage() {
	b.meter.Start(usageStore{b.ad.UsageStore()}, b.ad)
}

// usageFlush bounds the last write of the usage.
const usageFlush = 2 * time.Second

// stopUsage writes what was counted last. That it cannot is no reason to say that the broker did not stop well: it is what
// a killed broker loses too.
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
