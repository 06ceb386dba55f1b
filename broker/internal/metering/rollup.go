package metering

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// rollAfter is how long a day is over before its hours become one value. It is not written any more then, even if the
// clocks of two brokers differ by as much as the difference to lateFor.
const rollAfter = lateFor + time.Hour

// rollUp puts the hours of days that are over, of all processes, into one value for each scope and day. A process that comes
// first makes the value, and then the hours are removed; where the value exists, queries ignore the hours, so that it may
// be interrupted anywhere and done by several brokers at once. Where several share a store, one of them does it.
func (m *Meter) rollUp(ctx context.Context, now time.Time) error {
	m.flushing.Lock()
	rolled := m.rolled
	m.flushing.Unlock()
	before := seconds(now.Add(-rollAfter)) / daySeconds
	if rolled >= before || !m.sizes.KeepsAccount() {
		return nil
	}
	scopes := map[string]bool{}
	err := m.store.Scan(ctx, HourKind, "", func(key Key, _ []byte) {
		if key.Period/24 < before {
			scopes[key.Scope] = true
		}
	})
	if err != nil {
		return fmt.Errorf("list the hours to roll up: %w", err)
	}
	for scope := range scopes {
		if err := m.rollUpScope(ctx, scope, before); err != nil {
			return fmt.Errorf("roll up %s: %w", scope, err)
		}
	}
	m.flushing.Lock()
	m.rolled = before
	m.flushing.Unlock()
	return nil
}

func (m *Meter) rollUpScope(ctx context.Context, scope string, before uint32) error {
	days := map[uint32]*bucket{}
	hours := map[uint32]bool{}
	latest := map[Key]*bucket{} // a value that is replaced meanwhile may come twice
	err := m.store.Scan(ctx, HourKind, scope, func(key Key, value []byte) {
		if key.Period/24 < before {
			hours[key.Period] = true
			if b, ok := m.decode(key, value); ok {
				latest[key] = &b
			}
		}
	})
	if err != nil {
		return err
	}
	for key, b := range latest {
		day := days[key.Period/24]
		if day == nil {
			day = &bucket{}
			days[key.Period/24] = day
		}
		day.merge(b, key.Period%24*60)
	}
	for day, b := range days {
		err := m.store.Create(ctx, Key{DayKind, scope, day, allWriters}, b.encode())
		if err != nil && !errors.Is(err, ErrExists) {
			return err
		}
	}
	for n := range hours {
		if err := m.store.Remove(ctx, HourKind, scope, n); err != nil {
			return err
		}
	}
	return nil
}

// decode reads a stored bucket. One that cannot be read is left out: the rest is worth more than nothing.
func (m *Meter) decode(key Key, value []byte) (bucket, bool) {
	b, err := decodeBucket(value)
	if err != nil {
		m.log.Warn("a stored part of the usage is left out", slog.String("scope", key.Scope), slog.Uint64("period", uint64(key.Period)),
			slog.String("kind", string(key.Kind)), slog.Any("error", err))
	}
	return b, err == nil
}
