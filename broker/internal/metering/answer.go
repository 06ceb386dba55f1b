package metering

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/weirstream/weir/protocol"
)

// Account answers a query of the account. Codes: bad_query, invalid, unavailable.
func (m *Meter) Account(ctx context.Context, q protocol.MetricsQuery) ([]protocol.Metric, error) {
	valid, err := validate(accountSets, q, time.Now())
	if err != nil {
		return nil, err
	}
	switch valid.name {
	case protocol.MetricActiveBasins:
		return m.activeBasins(ctx, valid)
	case protocol.MetricBillableUsage:
		return m.billable(ctx, valid, time.Now())
	}
	return m.accumulations(ctx, accountScope, valid)
}

// Basin answers a query of a basin, which need not exist. Codes as Account.
func (m *Meter) Basin(ctx context.Context, basin protocol.BasinName, q protocol.MetricsQuery) ([]protocol.Metric, error) {
	valid, err := validate(basinSets, q, time.Now())
	if err != nil {
		return nil, err
	}
	if valid.name != protocol.MetricStorage {
		return m.accumulations(ctx, string(basin), valid)
	}
	before := valid
	before.start -= min(before.start, sizeKeeps) // for the parts whose sizes hold at the beginning
	var sizes []size                             // with seconds since the epoch
	err = m.buckets(ctx, string(basin), before, func(begin uint32, b *bucket) {
		for _, s := range b.sizes {
			sizes = append(sizes, size{begin + s.second, s.part, s.bytes})
		}
	})
	if err != nil {
		return nil, err
	}
	at, now := valid.present(time.Now())
	now = now && m.sizes.BasinParts(ctx, basin, func(part int, bytes uint64) { sizes = append(sizes, size{at, uint16(part), bytes}) })
	points, sum := sums(sizes)
	if total, known := sum(at); now && known {
		points[at] = total
	}
	return storage(valid, points), nil
}

// sums adds up the parts of a basin: at each time at which one was observed, the newest sizes of all of them. A part that was not observed again for long
// is not there any more. At the same second the later one in the list counts. sum does so for a time behind all of them; it is not known if there is no part.
func sums(sizes []size) (points map[uint32]float64, sum func(at uint32) (total float64, known bool)) {
	slices.SortStableFunc(sizes, func(a, b size) int { return cmp.Compare(a.second, b.second) })
	parts := map[uint16]size{}
	sum = func(at uint32) (total float64, known bool) {
		for part, newest := range parts {
			if uint64(newest.second)+sizeKeeps < uint64(at) {
				delete(parts, part)
				continue
			}
			total += float64(newest.bytes)
		}
		return total, len(parts) > 0
	}
	points = map[uint32]float64{}
	for _, s := range sizes {
		parts[s.part] = s
		points[s.second], _ = sum(s.second)
	}
	return points, sum
}

// Stream answers a query of a stream, which need not exist. Codes as Account.
func (m *Meter) Stream(ctx context.Context, ref protocol.StreamRef, q protocol.MetricsQuery) ([]protocol.Metric, error) {
	valid, err := validate(streamSets, q, time.Now())
	if err != nil {
		return nil, err
	}
	points := map[uint32]float64{}
	scope := sampleScope(ref)
	take := func(quarter uint32, sizes []size) {
		for _, s := range sizes {
			points[quarter*quarterSeconds+s.second] = float64(s.bytes)
		}
	}
	err = m.store.Scan(ctx, SampleKind, scope, func(key Key, value []byte) {
		begin := uint64(key.Period) * quarterSeconds
		if begin >= uint64(valid.end) || begin+quarterSeconds <= uint64(valid.start) {
			return
		}
		if sizes, err := decodeSamples(value); err == nil { // one that cannot be read is left out
			take(key.Period, sizes)
		}
	})
	if err != nil {
		return nil, unavailable(err)
	}
	m.samples.of(scope, take)
	if at, ok := valid.present(time.Now()); ok {
		bytes, known, err := m.sizes.StreamBytes(ctx, ref)
		if err != nil {
			return nil, err
		}
		if known {
			points[at] = float64(bytes)
		}
	}
	return storage(valid, points), nil
}

// present is the point of the range that a size measured now stands for, if the range reaches to the last minute.
func (q *query) present(now time.Time) (second uint32, ok bool) {
	n := seconds(now)
	if q.end+sampleSeconds < n || q.start >= q.end {
		return 0, false
	}
	return max(q.start, min(n, q.end-1)), q.start <= n
}

const sampleSeconds = uint32(sampleEvery / time.Second)

func storage(q query, points map[uint32]float64) []protocol.Metric {
	return []protocol.Metric{{Kind: protocol.MetricGauge, Name: "storage", Unit: protocol.UnitBytes, Points: q.points(points)}}
}

// points are those of the range, in their order.
func (q *query) points(of map[uint32]float64) []protocol.MetricPoint {
	var out []protocol.MetricPoint
	for _, second := range slices.Sorted(maps.Keys(of)) {
		if second >= q.start && second < q.end {
			out = append(out, protocol.MetricPoint{At: time.Unix(int64(second), 0).UTC(), Value: of[second]})
		}
	}
	return out
}

// accumulations adds up counters. A bucket belongs to the range if its beginning does, and is then reported whole.
func (m *Meter) accumulations(ctx context.Context, scope string, q query) ([]protocol.Metric, error) {
	wide := width(q.interval)
	sums := map[uint32]*values{} // by the beginning of the bucket
	whole := q
	whole.end = q.end + wide - 1 // the last bucket may reach behind the range
	if whole.end < q.end {
		whole.end = ^uint32(0)
	}
	err := m.buckets(ctx, scope, whole, func(begin uint32, b *bucket) {
		for n, v := range b.minutes {
			at := (begin + n*60) / wide * wide
			if at < q.start || at >= q.end {
				continue
			}
			if sums[at] == nil {
				sums[at] = &values{}
			}
			sums[at].add(v)
		}
	})
	if err != nil {
		return nil, err
	}
	out := []protocol.Metric{}
	pointsOf := func(c counter) map[uint32]float64 {
		points := map[uint32]float64{}
		for at, v := range sums {
			if v[c] != 0 {
				points[at] = float64(v[c])
			}
		}
		return points
	}
	add := func(name string, points map[uint32]float64) {
		out = append(out, protocol.Metric{Kind: protocol.MetricAccumulation, Name: name, Unit: q.unit, Interval: q.interval,
			Points: q.points(points)})
	}
	for _, s := range q.series {
		add(s.name, pointsOf(s.counter))
	}
	for _, op := range q.operations {
		if points := pointsOf(operationCounter(op)); len(points) > 0 {
			add(op.String(), points)
		}
	}
	return out, nil
}

// buckets yields the counts of a scope, of all processes, in periods that touch the range; begin is where a period
// begins. Hours whose day is rolled up are left out. Hours are read before days, so that nothing is missed while a day is
// being rolled up.
func (m *Meter) buckets(ctx context.Context, scope string, q query, yield func(begin uint32, b *bucket)) error {
	touches := func(begin, long uint64) bool { return begin < uint64(q.end) && begin+long > uint64(q.start) }
	own := m.ownHours(scope)
	hours := maps.Clone(own)
	err := m.store.Scan(ctx, HourKind, scope, func(key Key, value []byte) {
		if own[key] != nil || !touches(uint64(key.Period)*3600, 3600) {
			return // the bucket in memory is newer
		}
		if b, ok := m.decode(key, value); ok {
			hours[key] = &b
		}
	})
	if err != nil {
		return unavailable(err)
	}
	days := map[uint32]*bucket{}
	if seconds(time.Now().Add(-rollAfter))/daySeconds > q.start/daySeconds {
		err = m.store.Scan(ctx, DayKind, scope, func(key Key, value []byte) {
			if !touches(uint64(key.Period)*daySeconds, daySeconds) {
				return
			}
			if b, ok := m.decode(key, value); ok {
				days[key.Period] = &b
			}
		})
		if err != nil {
			return unavailable(err)
		}
	}
	for key, b := range hours {
		if days[key.Period/24] == nil {
			yield(key.Period*3600, b)
		}
	}
	for n, b := range days {
		yield(n*daySeconds, b)
	}
	return nil
}

// ownHours copies the hours of a scope that this process has in memory.
func (m *Meter) ownHours(scope string) map[Key]*bucket {
	hours := map[Key]*bucket{}
	found, ok := m.scopes.Load(scope)
	if !ok {
		return hours
	}
	s := found.(*Scope) //nolint:forcetypeassert // nothing else is in there
	s.mu.Lock()
	defer s.mu.Unlock()
	s.collectLocked()
	for n, h := range s.hours {
		b := &bucket{}
		b.merge(&h.bucket, 0)
		hours[Key{HourKind, scope, n, h.writer}] = b
	}
	return hours
}

func unavailable(err error) error {
	return protocol.Wrap(protocol.CodeUnavailable, err, "the stored usage cannot be read now")
}

// activeBasins names the basins that had a stream at some time of the range (control plane 6.2).
func (m *Meter) activeBasins(ctx context.Context, q query) ([]protocol.Metric, error) {
	names := map[string]bool{}
	now := seconds(time.Now())
	if q.start <= now && q.start < q.end {
		for _, basin := range m.sizes.BasinsWithStreams(time.Unix(int64(q.end), 0)) {
			names[string(basin)] = true
		}
	}
	take := func(basin protocol.BasinName, s span) {
		if s.since < q.end && s.until >= q.start && q.start < q.end {
			names[string(basin)] = true
		}
	}
	err := m.store.Scan(ctx, GoneKind, "", func(key Key, value []byte) {
		if s, err := decodeSpan(value); err == nil { // one that cannot be read is left out
			take(protocol.BasinName(key.Scope), s)
		}
	})
	if err != nil {
		return nil, unavailable(err)
	}
	m.deleted.each(take)
	return []protocol.Metric{{Kind: protocol.MetricLabel, Name: "active_basins", Labels: slices.Sorted(maps.Keys(names))}}, nil
}
