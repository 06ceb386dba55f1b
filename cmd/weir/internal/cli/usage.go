package cli

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

const usageHelp = `The time is from a start, inclusive, to an end, exclusive, at most 90 days apart. Operations and
throughput are added up in buckets by the minute, the hour or the day of UTC; a bucket belongs to the time if its
beginning does. Storage is a list of points in time, each with the size at that moment.`

// usageFlags are the time and the interval of a query of usage metrics.
type usageFlags struct {
	startAt, endAt   *optional[uint64]
	startAgo, endAgo *optional[time.Duration]
	interval         *optional[protocol.MetricInterval] // nil if the sets have none
}

// addUsageFlags adds the flags of a query whose sets have no intervals.
func addUsageFlags(c *cobra.Command) *usageFlags {
	fs := c.Flags()
	f := &usageFlags{
		startAt:  uintFlag(fs, "start-timestamp", "", "start of the time, in seconds since the epoch"),
		startAgo: agoFlag(fs, "start-ago", "start of the time, so long ago, like 1h"),
		endAt:    uintFlag(fs, "end-timestamp", "", "end of the time, in seconds since the epoch"),
		endAgo:   agoFlag(fs, "end-ago", "end of the time, so long ago, like 0s"),
	}
	c.MarkFlagsMutuallyExclusive("start-timestamp", "start-ago")
	c.MarkFlagsMutuallyExclusive("end-timestamp", "end-ago")
	return f
}

// withInterval adds the flag of the interval.
func (f *usageFlags) withInterval(c *cobra.Command) *usageFlags {
	f.interval = enumFlag(c.Flags(), "interval", "", "width of the buckets", protocol.IntervalMinute, protocol.IntervalHour, protocol.IntervalDay)
	return f
}

func agoFlag(fs *pflag.FlagSet, name, help string) *optional[time.Duration] {
	o := &optional[time.Duration]{kind: "duration", parse: conf.ParseDuration, show: conf.FormatDuration}
	fs.Var(o, name, help)
	return o
}

// query makes the query of a set, which must be one of sets. Those of plain take no interval (control plane 6.6).
func (f *usageFlags) query(set string, sets []protocol.MetricSet, plain protocol.MetricSet, now time.Time) (q protocol.MetricsQuery, err error) {
	q.Set = protocol.MetricSet(set)
	if !slices.Contains(sets, q.Set) {
		return q, usagef("there is no set %q; allowed are %s", set, list(sets, "and"))
	}
	if q.Start, err = instant("start", f.startAt, f.startAgo, now); err != nil {
		return q, err
	}
	if q.End, err = instant("end", f.endAt, f.endAgo, now); err != nil {
		return q, err
	}
	if f.interval != nil && f.interval.value != nil {
		if q.Set == plain {
			return q, usagef("--interval: the set %s has none", set)
		}
		q.Interval = *f.interval.value
	}
	return q, nil
}

func instant(what string, at *optional[uint64], ago *optional[time.Duration], now time.Time) (*uint32, error) {
	var secs uint64
	switch {
	case at.value != nil:
		secs = *at.value
	case ago.value != nil:
		secs = uint64(max(0, now.Add(-*ago.value).Unix())) // not negative
	default:
		return nil, usagef("one of --%s-timestamp and --%s-ago is needed", what, what)
	}
	if secs > math.MaxUint32 {
		return nil, usagef("--%s-timestamp is %d; at most %d seconds are allowed", what, secs, uint32(math.MaxUint32))
	}
	short := uint32(secs)
	return &short, nil
}

var (
	accountMetricSets = []protocol.MetricSet{protocol.MetricActiveBasins, protocol.MetricAccountOps, protocol.MetricBillableUsage}
	basinMetricSets   = []protocol.MetricSet{protocol.MetricStorage, protocol.MetricAppendOps, protocol.MetricReadOps,
		protocol.MetricReadThroughput, protocol.MetricAppendThroughput, protocol.MetricBasinOps}
	streamMetricSets = []protocol.MetricSet{protocol.MetricStorage}
)

func (a *app) getAccountMetrics() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "get-account-metrics SET",
		Short: "Show what was used of the account",
		Long:  "Show what was used of the account. SET is one of " + list(accountMetricSets, "and") + ".\n" + usageHelp,
		Example: `  weir get-account-metrics account-ops --start-ago 1d --end-ago 0s
  weir get-account-metrics active-basins --start-ago 7d --end-ago 0s --json`,
		Args: need("SET"),
	})
	f := addUsageFlags(c).withInterval(c)
	parse := func(args []string) (q usageOf[none], err error) {
		q.query, err = f.query(args[0], accountMetricSets, protocol.MetricActiveBasins, time.Now())
		return q, err
	}
	c.RunE = usageQuestion(a, parse, func(ctx context.Context, svc protocol.Service, q usageOf[none]) ([]protocol.Metric, error) {
		return svc.AccountMetrics(ctx, q.query)
	})
	return c
}

func (a *app) getBasinMetrics() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "get-basin-metrics BASIN SET",
		Short: "Show what was used of a basin",
		Long:  "Show what was used of a basin. SET is one of " + list(basinMetricSets, "and") + ".\n" + usageHelp,
		Example: `  weir get-basin-metrics demo-basin append-throughput --start-ago 1h --end-ago 0s
  weir get-basin-metrics demo-basin storage --start-ago 7d --end-ago 0s`,
		Args: need("BASIN", "SET"),
	})
	f := addUsageFlags(c).withInterval(c)
	parse := func(args []string) (q usageOf[protocol.BasinName], err error) {
		if q.of, err = basinArg(args[0]); err == nil {
			q.query, err = f.query(args[1], basinMetricSets, protocol.MetricStorage, time.Now())
		}
		return q, err
	}
	c.RunE = usageQuestion(a, parse, func(ctx context.Context, svc protocol.Service, q usageOf[protocol.BasinName]) ([]protocol.Metric, error) {
		return svc.BasinMetrics(ctx, q.of, q.query)
	})
	return c
}

func (a *app) getStreamMetrics() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:     "get-stream-metrics URI SET",
		Short:   "Show what was used of a stream",
		Long:    "Show what was used of a stream. SET is " + list(streamMetricSets, "and") + ".\n" + usageHelp,
		Example: "  weir get-stream-metrics s2://demo-basin/greetings storage --start-ago 1h --end-ago 0s",
		Args:    need("URI", "SET"),
	})
	f := addUsageFlags(c)
	parse := func(args []string) (q usageOf[protocol.StreamRef], err error) {
		if q.of, err = streamArg(args[0]); err == nil {
			q.query, err = f.query(args[1], streamMetricSets, protocol.MetricStorage, time.Now())
		}
		return q, err
	}
	c.RunE = usageQuestion(a, parse, func(ctx context.Context, svc protocol.Service, q usageOf[protocol.StreamRef]) ([]protocol.Metric, error) {
		return svc.StreamMetrics(ctx, q.of, q.query)
	})
	return c
}

// usageOf is a query of the usage of something.
type usageOf[T any] struct {
	of    T
	query protocol.MetricsQuery
}

// usageQuestion makes the function of a verb that shows usage.
func usageQuestion[T any](a *app, parse func([]string) (usageOf[T], error),
	ask func(context.Context, protocol.Service, usageOf[T]) ([]protocol.Metric, error)) func(*cobra.Command, []string) error {
	show := func(_ usageOf[T], metrics []protocol.Metric) error {
		if a.json {
			return a.printJSON(protocol.MetricsAnswer{Values: metrics})
		}
		return a.printMetrics(metrics)
	}
	return question[usageOf[T], []protocol.Metric]{parse: parse, ask: ask, show: show}.verb(a)
}

// printMetrics writes names one a line, and numbers as a table: a line for each time, a column for each metric.
func (a *app) printMetrics(metrics []protocol.Metric) error {
	head := []string{"time"}
	cells := map[int64][]string{}
	for i, m := range metrics {
		for _, label := range m.Labels {
			if err := a.printf("%s\n", label); err != nil {
				return err
			}
		}
		if m.Kind == protocol.MetricLabel {
			return nil
		}
		head = append(head, metricTitle(m))
		for _, p := range m.Points {
			at := p.At.Unix()
			for len(cells[at]) <= i {
				cells[at] = append(cells[at], "-")
			}
			cells[at][i] = strconv.FormatFloat(p.Value, 'f', -1, 64)
		}
	}
	if len(cells) == 0 {
		a.note("no data")
		return nil
	}
	rows := [][]string{head}
	times := make([]int64, 0, len(cells))
	for at := range cells {
		times = append(times, at)
	}
	slices.Sort(times)
	for _, at := range times {
		rows = append(rows, append([]string{time.Unix(at, 0).UTC().Format(time.RFC3339)}, cells[at]...))
	}
	return a.printTable(rows)
}

// metricTitle is the heading of a metric's column.
func metricTitle(m protocol.Metric) string {
	title := m.Name + " (" + m.Unit
	if m.Interval != "" {
		title += " by " + string(m.Interval)
	}
	return title + ")"
}

// printTable writes rows of cells, the first being the heading; a row may be short.
func (a *app) printTable(rows [][]string) error {
	widths := make([]int, len(rows[0]))
	for _, cells := range rows {
		for i, cell := range cells {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for _, cells := range rows {
		var line strings.Builder
		for i := range widths {
			cell := "-"
			if i < len(cells) {
				cell = cells[i]
			}
			line.WriteString(cell + strings.Repeat(" ", widths[i]-len(cell)+2))
		}
		if err := a.printf("%s\n", strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}
