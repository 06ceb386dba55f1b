package conformance

import (
	"maps"
	"slices"
	"time"

	"github.com/weirstream/weir/protocol"
)

// Usage is a query of usage metrics: the account's, a basin's or a stream's.
type Usage func(protocol.MetricsQuery) ([]protocol.Metric, error)

// Account asks of the account.
func (e *Env) accountUsage(q protocol.MetricsQuery) ([]protocol.Metric, error) {
	return e.Service.AccountMetrics(e.ctx, q)
}

func (b *Basin) usage(q protocol.MetricsQuery) ([]protocol.Metric, error) {
	return b.e.Service.BasinMetrics(b.e.ctx, b.Name, q)
}

func (s *Stream) usage(q protocol.MetricsQuery) ([]protocol.Metric, error) {
	return s.e.Service.StreamMetrics(s.e.ctx, s.StreamRef, q)
}

// within makes a query of the seconds from start, inclusive, to end, exclusive.
func within(set protocol.MetricSet, start, end time.Time, interval ...protocol.MetricInterval) protocol.MetricsQuery {
	from, to := uint32(start.Unix()), uint32(end.Unix())
	q := protocol.MetricsQuery{Set: set, Start: &from, End: &to}
	if len(interval) > 0 {
		q.Interval = interval[0]
	}
	return q
}

// lately makes a query of the last hour and this very moment.
func lately(set protocol.MetricSet, interval ...protocol.MetricInterval) protocol.MetricsQuery {
	return within(set, time.Now().Add(-time.Hour), time.Now().Add(30*time.Second), interval...)
}

// measure asks, which must succeed, and checks the promises of every answer (control plane 6.4): the kind and the unit, the
// interval that was used, and points that rise, stand at the beginning of their bucket, and lie within the range.
func (e *Env) measure(ask Usage, q protocol.MetricsQuery, kind protocol.MetricKind, unit string, used protocol.MetricInterval) map[string][]protocol.MetricPoint {
	e.t.Helper()
	metrics, err := ask(q)
	e.must(err, "metrics of "+string(q.Set))
	widths := map[protocol.MetricInterval]int64{"": 1, protocol.IntervalMinute: 60, protocol.IntervalHour: 3600, protocol.IntervalDay: 86400}
	out := map[string][]protocol.MetricPoint{}
	for _, m := range metrics {
		if m.Kind != kind || m.Unit != unit || m.Interval != used || m.Name == "" {
			e.t.Fatalf("%s: got %+v, want kind %d in %s, interval %q", q.Set, m, kind, unit, used)
		}
		last := int64(-1)
		for _, p := range m.Points {
			at := p.At.Unix()
			if at <= last || at%widths[used] != 0 || at < int64(*q.Start) || at >= int64(*q.End) {
				e.t.Fatalf("%s: points of %s are %v", q.Set, m.Name, m.Points)
			}
			last = at
		}
		if _, twice := out[m.Name]; twice {
			e.t.Fatalf("%s: two metrics are called %s", q.Set, m.Name)
		}
		out[m.Name] = m.Points
	}
	return out
}

// sum adds the values of a metric up; 0 if there is none.
func sum(points []protocol.MetricPoint) (total float64) {
	for _, p := range points {
		total += p.Value
	}
	return total
}

// names are the names of metrics, in order.
func names(metrics map[string][]protocol.MetricPoint) []string {
	return slices.Sorted(maps.Keys(metrics))
}
