package metering

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/weirstream/weir/protocol"
)

// Prices are an operator's price list, in US dollars. The zero value is none.
type Prices struct {
	// Stored is for a GiB that is stored for 30 days.
	Stored float64
	// Written and Read are for a GiB of metered bytes appended and delivered.
	Written, Read float64
	// Operations is for a million operations: of the account, of basins and streams, appends and reads.
	Operations float64
}

const (
	gib          = 1 << 30
	hourSeconds  = 3600
	monthHours   = 30 * 24
	sizeKeeps    = 25 * hourSeconds // a size that is not observed again for longer belongs to a deleted basin
	opsInAMillon = 1e6
)

// of is the price of the counted usage.
func (p *Prices) of(v *values) float64 {
	written := v[appendBytesStandard] + v[appendBytesExpress]
	ops := v[appendOpsStandard] + v[appendOpsExpress] + v[readOpsUnary] + v[readOpsStreaming]
	for _, n := range v[firstOperation:] {
		ops += n
	}
	return float64(written)/gib*p.Written + float64(v[readBytes])/gib*p.Read + float64(ops)/opsInAMillon*p.Operations
}

// billable estimates the price of the usage (control plane 6.2): of each hour, the price of the usage that was counted in it
// and of the bytes stored at its end. Without a price list the answer is empty.
func (m *Meter) billable(ctx context.Context, q query, now time.Time) ([]protocol.Metric, error) {
	if m.prices == (Prices{}) {
		return []protocol.Metric{}, nil
	}
	wide := width(q.interval)
	whole := q
	whole.start -= min(whole.start, sizeKeeps) // for the sizes that hold at the beginning
	whole.end = min(q.end, seconds(now)+1)
	if rest := whole.end % wide; rest > 0 {
		whole.end += wide - rest // the last bucket may reach behind the range
	}
	scopes, err := m.usedScopes(ctx, whole)
	if err != nil {
		return nil, err
	}
	points := map[uint32]float64{}
	add := func(second uint32, usd float64) {
		if at := second / wide * wide; usd != 0 && at >= q.start && at < q.end {
			points[at] += usd
		}
	}
	for _, scope := range scopes {
		var sizes []size // with seconds since the epoch
		err := m.buckets(ctx, scope, whole, func(begin uint32, b *bucket) {
			for n, v := range b.minutes {
				add(begin+n*60, m.prices.of(v))
			}
			for _, s := range b.sizes {
				sizes = append(sizes, size{begin + s.second, s.part, s.bytes})
			}
		})
		if err != nil {
			return nil, err
		}
		parts := map[uint16][]size{}
		for _, s := range sizes {
			parts[s.part] = append(parts[s.part], s)
		}
		for _, sizes := range parts {
			m.prices.storage(sizes, whole.end, seconds(now), add)
		}
	}
	return []protocol.Metric{{Kind: protocol.MetricAccumulation, Name: "total", Unit: protocol.UnitUSD, Interval: q.interval,
		Points: q.points(points)}}, nil
}

// storage adds the price of each hour by the newest size that was observed up to its end.
func (p *Prices) storage(sizes []size, end, now uint32, add func(second uint32, usd float64)) {
	slices.SortFunc(sizes, func(a, b size) int { return int(a.second) - int(b.second) })
	for i, s := range sizes {
		until := min(uint64(s.second)+sizeKeeps, uint64(end), uint64(now))
		if i+1 < len(sizes) {
			until = min(until, uint64(sizes[i+1].second))
		}
		usd := float64(s.bytes) / gib * p.Stored / monthHours
		// Hours whose end lies in (observed, until]: the next size counts from its own hour on.
		for hour := uint64(s.second) / hourSeconds; hour*hourSeconds < until; hour++ {
			last := i+1 == len(sizes) || uint64(sizes[i+1].second)/hourSeconds > hour
			if last {
				add(uint32(hour*hourSeconds), usd)
			}
		}
	}
}

// usedScopes are the account and the basins of which something was counted or observed in the range.
func (m *Meter) usedScopes(ctx context.Context, q query) ([]string, error) {
	met := map[string]bool{accountScope: true}
	m.eachScope(func(s *Scope) { met[s.name] = true })
	for kind, long := range map[Kind]uint64{HourKind: hourSeconds, DayKind: daySeconds} {
		err := m.store.Scan(ctx, kind, "", func(key Key, _ []byte) {
			if begin := uint64(key.Period) * long; begin < uint64(q.end) && begin+long > uint64(q.start) && !met[key.Scope] {
				met[strings.Clone(key.Scope)] = true
			}
		})
		if err != nil {
			return nil, unavailable(err)
		}
	}
	names := make([]string, 0, len(met))
	for name := range met {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}
