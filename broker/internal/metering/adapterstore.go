package metering

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/weirstream/weir/adapter"
)

// AdapterStore is the [Store] in the adapter. It spells the keys of usage as the names that the adapter stores under: <kind>.<scope>.<period>.<writer>.
type AdapterStore struct{ *adapter.UsageStore }

var _ Store = AdapterStore{}

func usageName(key Key) string {
	return usagePeriod(key.Kind, key.Scope, key.Period) + "." + key.Writer
}

func usagePeriod(kind Kind, scope string, period uint32) string {
	return string(kind) + "." + scope + "." + strconv.FormatUint(uint64(period), 10)
}

// parseUsageName is the inverse of usageName. A scope may have several tokens.
func parseUsageName(name string) (key Key, ok bool) {
	tokens := strings.Split(name, ".")
	n := len(tokens)
	if n < 4 || len(tokens[0]) != 1 {
		return key, false
	}
	period, err := strconv.ParseUint(tokens[n-2], 10, 32)
	return Key{Kind: Kind(tokens[0][0]), Scope: strings.Join(tokens[1:n-2], "."), Period: uint32(period),
		Writer: tokens[n-1]}, err == nil
}

func (u AdapterStore) Put(ctx context.Context, key Key, value []byte) error {
	return u.UsageStore.Put(ctx, usageName(key), value)
}

func (u AdapterStore) Create(ctx context.Context, key Key, value []byte) error {
	err := u.UsageStore.Create(ctx, usageName(key), value)
	if errors.Is(err, adapter.ErrUsageExists) {
		return ErrExists
	}
	return err
}

func (u AdapterStore) Remove(ctx context.Context, kind Kind, scope string, period uint32) error {
	return u.UsageStore.Remove(ctx, usagePeriod(kind, scope, period)+".>")
}

func (u AdapterStore) Scan(ctx context.Context, kind Kind, scope string, yield func(Key, []byte)) error {
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
