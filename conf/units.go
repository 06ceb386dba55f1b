package conf

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseDuration reads a duration such as 500ms, 10s, 1h30m, 7d, 2w or 0. A day is 24 hours, a week 7 days. Units are
// those of [time.ParseDuration] with d and w in front. Negative durations are refused.
func ParseDuration(s string) (time.Duration, error) {
	rest, total := s, time.Duration(0)
	for _, u := range []struct {
		name string
		size time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}} {
		head, tail, found := strings.Cut(rest, u.name)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(head, 10, 32)
		if err != nil || n > uint64((math.MaxInt64-total)/u.size) {
			return 0, durationError(s)
		}
		total += time.Duration(n) * u.size
		rest = tail
	}
	if rest == "" && rest != s {
		return total, nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil || strings.HasPrefix(rest, "-") || strings.HasPrefix(rest, "+") || d > math.MaxInt64-total {
		return 0, durationError(s)
	}
	return total + d, nil
}

func durationError(s string) error {
	return fmt.Errorf("%q is not a duration like 500ms, 10s, 1h30m or 7d", s)
}

// FormatDuration writes d as short as [ParseDuration] reads it: 10s, 1h30m, 7d, 36h.
func FormatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// sizeUnits are NATS's: one letter is decimal, with b, i or ib it is binary.
var sizeUnits = map[string]uint64{
	"": 1, "b": 1,
	"k": 1e3, "kb": 1 << 10, "ki": 1 << 10, "kib": 1 << 10,
	"m": 1e6, "mb": 1 << 20, "mi": 1 << 20, "mib": 1 << 20,
	"g": 1e9, "gb": 1 << 30, "gi": 1 << 30, "gib": 1 << 30,
	"t": 1e12, "tb": 1 << 40, "ti": 1 << 40, "tib": 1 << 40,
}

// ParseSize reads a number of bytes such as 8MiB, 8MB (the same), 512k (decimal) or 1048576, as nats-server does.
func ParseSize(s string) (int64, error) {
	t := strings.ToLower(strings.TrimSpace(s))
	digits := strings.TrimRight(t, "abcdefghijklmnopqrstuvwxyz")
	unit, ok := sizeUnits[t[len(digits):]]
	n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 63)
	if !ok || err != nil || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("%q is not a size like 8MiB, 512k or 1048576", s)
	}
	return int64(n * unit), nil
}

// FormatSize writes n bytes in the largest binary unit that divides it.
func FormatSize(n int64) string {
	for _, u := range []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n != 0 && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}
