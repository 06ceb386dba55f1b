package conformance

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// Short names for values that are checked again and again.
const (
	accumulation = protocol.MetricAccumulation
	gauge        = protocol.MetricGauge
	operations   = protocol.UnitOperations
	inBytes      = protocol.UnitBytes
	minutely     = protocol.IntervalMinute
	hourly       = protocol.IntervalHour
	daily        = protocol.IntervalDay
)

// everySet are the sets of control plane 6.2, with the account, basin or stream that has each.
func everySet(e *Env, s *Stream) map[protocol.MetricSet]Usage {
	return map[protocol.MetricSet]Usage{
		protocol.MetricActiveBasins: e.accountUsage, protocol.MetricAccountOps: e.accountUsage,
		protocol.MetricBillableUsage: e.accountUsage,
		protocol.MetricAppendOps:     s.basin().usage, protocol.MetricReadOps: s.basin().usage,
		protocol.MetricReadThroughput: s.basin().usage, protocol.MetricAppendThroughput: s.basin().usage,
		protocol.MetricBasinOps: s.basin().usage, protocol.MetricStorage: s.usage,
	}
}

// usageCases: control plane A.21.
var usageCases = []Case{
	{Row: "cp A.21/379", Name: "active basins", Run: func(t *testing.T, e *Env) {
		s, none := e.Stream(), e.Basin()
		metrics, err := e.accountUsage(lately(protocol.MetricActiveBasins))
		e.must(err, "metrics")
		if len(metrics) != 1 || metrics[0].Kind != protocol.MetricLabel || metrics[0].Name != "active_basins" {
			t.Fatalf("got %+v", metrics)
		}
		has := func(b *Basin) bool { return slices.Contains(metrics[0].Labels, string(b.Name)) }
		equal(t, "a basin with a stream", has(s.basin()), true)
		equal(t, "a basin without", has(none), false)
	}},
	{Row: "cp 6.2", Name: "estimated billable usage", Run: func(t *testing.T, e *Env) {
		for _, interval := range []protocol.MetricInterval{"", hourly, daily} {
			q := lately(protocol.MetricBillableUsage)
			q.Interval = interval
			metrics, err := e.accountUsage(q)
			e.must(err, "metrics")
			for _, m := range metrics { // none without a price list
				equal(t, "name", m.Name, "total")
				equal(t, "unit", m.Unit, protocol.UnitUSD)
			}
		}
		q := lately(protocol.MetricBillableUsage)
		q.Interval = protocol.IntervalMinute
		_, err := e.accountUsage(q)
		e.fails(err, protocol.CodeInvalid)
	}},
	{Row: "cp A.21/379", Name: "a basin was active while it had a stream", Timed: true, Run: func(t *testing.T, e *Env) {
		began := time.Now()
		s := e.Stream()
		time.Sleep(time.Hour)
		s.Delete()
		time.Sleep(48 * time.Hour)
		active := func(start, end time.Time) bool {
			metrics, err := e.accountUsage(within(protocol.MetricActiveBasins, start, end))
			e.must(err, "metrics")
			return slices.Contains(metrics[0].Labels, string(s.StreamRef.Basin))
		}
		equal(t, "with the stream", active(began, began.Add(time.Minute)), true)
		equal(t, "before it", active(began.Add(-time.Hour), began), false)
		equal(t, "after it", active(began.Add(30*time.Hour), time.Now()), false)
	}},
	{Row: "cp A.21/380", Name: "operations of the account", Timed: true, Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		e.Basin()
		b.Config()
		b.Ensure(protocol.BasinConfig{})
		e.NoBasin().Ensure(protocol.BasinConfig{})
		_, err := e.Service.ListBasins(e.ctx, protocol.ListRequest{})
		e.must(err, "list basins")
		_, err = e.Service.GetBasinConfig(e.ctx, e.NoBasin().Name) // a failure is no use
		e.fails(err, protocol.CodeBasinNotFound)
		got := e.measure(e.accountUsage, lately(protocol.MetricAccountOps), accumulation, operations, hourly)
		equal(t, "operations", strings.Join(names(got), " "), "create-basin get-basin-config list-basins reconfigure-basin")
		equal(t, "creations", sum(got["create-basin"]), 3)
		equal(t, "reconfigurations", sum(got["reconfigure-basin"]), 1)
	}},
	{Row: "cp A.21/381", Name: "operations of the account by interval", Run: func(t *testing.T, e *Env) {
		e.Basin()
		now := time.Now()
		for _, interval := range []protocol.MetricInterval{minutely, hourly, daily} {
			got := e.measure(e.accountUsage, within(protocol.MetricAccountOps, now.Add(-25*time.Hour), now.Add(time.Minute), interval), accumulation,
				operations, interval)
			equal(t, string(interval), sum(got["create-basin"]) > 0, true)
		}
	}},
	{Row: "cp A.21/382,383", Name: "storage of a basin", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(numbered(0, 10))
		for _, q := range []protocol.MetricsQuery{lately(protocol.MetricStorage), lately(protocol.MetricStorage, hourly)} {
			// Of a basin that was there before the broker it is known a little later.
			e.eventually("what is stored in the basin", func() bool {
				got := e.measure(s.basin().usage, q, gauge, inBytes, "")
				equal(t, "metrics", strings.Join(names(got), " "), "storage")
				points := got["storage"]
				return len(points) > 0 && points[len(points)-1].Value == float64(10*numberedSize)
			})
		}
	}},
	{Row: "cp A.21/384", Name: "storage of a basin has no other interval", Run: func(t *testing.T, e *Env) {
		for _, interval := range []protocol.MetricInterval{minutely, daily} {
			_, err := e.Basin().usage(lately(protocol.MetricStorage, interval))
			e.fails(err, protocol.CodeInvalid)
		}
	}},
	{Row: "cp A.21/385", Name: "append operations", Timed: true, Run: func(t *testing.T, e *Env) {
		began := time.Now()
		b := e.Basin()
		express, standard := b.Stream("express"), b.Stream("standard", class(protocol.StorageStandard))
		for range 3 { // within a minute
			express.Append(text("a"))
		}
		standard.Append(text("a"))
		time.Sleep(time.Minute)
		express.Append(text("a"))
		_, err := express.tryAppend(text("a"), at(100))
		e.fails(err, protocol.CodeConditionFailed)
		q := within(protocol.MetricAppendOps, began, time.Now().Add(time.Second))
		got := e.measure(b.usage, q, accumulation, operations, minutely)
		equal(t, "metrics", strings.Join(names(got), " "), "express standard")
		// express is the class of a stream whose configuration names none.
		equal(t, "express", sum(got["express"]), 2)
		equal(t, "minutes of express", len(got["express"]), 2)
		equal(t, "standard", sum(got["standard"]), 1)
	}},
	{Row: "cp A.21/386", Name: "read operations", Timed: true, Run: func(t *testing.T, e *Env) {
		began := time.Now()
		s := e.Stream()
		s.Append(numbered(0, 4))
		s.Read(from(0), count(1))
		s.Read(from(0))
		s.All()
		s.Tail()
		got := e.measure(s.basin().usage, within(protocol.MetricReadOps, began, time.Now().Add(time.Second)), accumulation, operations, minutely)
		equal(t, "metrics", strings.Join(names(got), " "), "streaming unary")
		equal(t, "unary", sum(got["unary"]), 2)
		equal(t, "streaming", sum(got["streaming"]), 1)
	}},
	{Row: "cp A.21/387", Name: "throughput", Timed: true, Run: func(t *testing.T, e *Env) {
		began := time.Now()
		s := e.Stream()
		s.Append(numbered(0, 4))
		s.Append(numbered(4, 6))
		s.Read(from(0), count(3)) // delivered records count, not the requested ones
		s.Read(from(8), count(1000))
		s.All()
		until := time.Now().Add(time.Second)
		read := e.measure(s.basin().usage, within(protocol.MetricReadThroughput, began, until), accumulation, inBytes, minutely)
		equal(t, "metrics", strings.Join(names(read), " "), "read_throughput")
		equal(t, "read", sum(read["read_throughput"]), float64((3+2+10)*numberedSize))
		appended := e.measure(s.basin().usage, within(protocol.MetricAppendThroughput, began, until), accumulation, inBytes, minutely)
		equal(t, "metrics", strings.Join(names(appended), " "), "express standard")
		equal(t, "appended", sum(appended["express"]), float64(10*numberedSize))
		equal(t, "standard", sum(appended["standard"]), 0)
	}},
	{Row: "cp A.21/388", Name: "operations of a basin", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.basin().Holds("stream")
		s.Config()
		s.Tail()
		s.Tail()
		got := e.measure(s.basin().usage, lately(protocol.MetricBasinOps), accumulation, operations, hourly)
		equal(t, "operations", strings.Join(names(got), " "), "check-tail create-stream get-stream-config list-streams")
		equal(t, "tails", sum(got["check-tail"]), 2)
	}},
	{Row: "cp A.21/389", Name: "storage of a stream", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		for _, want := range []uint64{0, 10} {
			for _, q := range []protocol.MetricsQuery{lately(protocol.MetricStorage), lately(protocol.MetricStorage, minutely)} {
				points := e.measure(s.usage, q, gauge, inBytes, "")["storage"]
				if len(points) == 0 || points[len(points)-1].Value != float64(want*numberedSize) {
					t.Fatalf("got %v, want %d bytes", points, want*numberedSize)
				}
			}
			if want == 0 {
				s.Append(numbered(0, 10))
			}
		}
		s.Append(trim(4))
		points := e.measure(s.usage, lately(protocol.MetricStorage), gauge, inBytes, "")["storage"]
		record := protocol.TrimRecord(4)
		equal(t, "after a trim", points[len(points)-1].Value, float64(6*numberedSize+record.MeteredSize()))
	}},
	{Row: "cp A.21/390", Name: "storage of a stream has no other interval", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		for _, interval := range []protocol.MetricInterval{hourly, daily} {
			_, err := s.usage(lately(protocol.MetricStorage, interval))
			e.fails(err, protocol.CodeInvalid)
		}
	}},
	{Row: "cp A.21/391", Name: "every set answers", Run: func(t *testing.T, e *Env) {
		for set, ask := range everySet(e, e.Stream()) {
			_, err := ask(lately(set))
			e.must(err, string(set))
		}
	}},
	{Row: "cp A.21/392", Name: "the beginning and the end are required", Run: func(t *testing.T, e *Env) {
		for set, ask := range everySet(e, e.Stream()) {
			q := lately(set)
			for _, bad := range []protocol.MetricsQuery{{Set: set, Start: q.Start}, {Set: set, End: q.End}, {Set: set}} {
				_, err := ask(bad)
				if f := e.fails(err, protocol.CodeInvalid); !strings.Contains(f.Message, "start and end params required") {
					t.Fatalf("got message %q", f.Message)
				}
			}
		}
	}},
	{Row: "cp A.21/393,394,395", Name: "times that no query may have", Run: func(t *testing.T, e *Env) {
		now := time.Now()
		for set, ask := range everySet(e, e.Stream()) {
			for _, r := range [][2]time.Duration{{-time.Hour, -2 * time.Hour}, {-time.Hour, 10 * time.Minute}, {-100 * 24 * time.Hour, 0}} {
				_, err := ask(within(set, now.Add(r[0]), now.Add(r[1])))
				e.fails(err, protocol.CodeInvalid)
			}
			_, err := ask(within(set, now, now)) // legal, and empty
			e.must(err, string(set))
		}
	}},
	{Row: "cp A.21/396", Name: "a time long ago has no data", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("a"))
		long := time.Unix(1_000_000, 0)
		for set, ask := range everySet(e, s) {
			metrics, err := ask(within(set, long, long.Add(time.Hour)))
			e.must(err, string(set))
			for _, m := range metrics {
				if sum(m.Points) != 0 || len(m.Labels) != 0 {
					t.Fatalf("%s: got %+v", set, m)
				}
			}
		}
	}},
	{Row: "cp A.21/398", Name: "sets that are not there", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		for _, set := range []protocol.MetricSet{"", "nothing", "Storage", protocol.MetricStorage} {
			_, err := e.accountUsage(lately(set))
			e.fails(err, protocol.CodeBadQuery)
		}
		for _, set := range []protocol.MetricSet{"", "nothing", protocol.MetricActiveBasins} {
			_, err := s.basin().usage(lately(set))
			e.fails(err, protocol.CodeBadQuery)
		}
		for _, set := range []protocol.MetricSet{"", "nothing", protocol.MetricAppendOps} {
			_, err := s.usage(lately(set))
			e.fails(err, protocol.CodeBadQuery)
		}
		_, err := s.basin().usage(lately(protocol.MetricAppendOps, "week"))
		e.fails(err, protocol.CodeBadQuery)
	}},
	{Row: "cp A.21/399", Name: "what is not there has no data", Run: func(t *testing.T, e *Env) {
		b := e.NoBasin()
		for _, set := range []protocol.MetricSet{protocol.MetricStorage, protocol.MetricAppendOps, protocol.MetricReadOps,
			protocol.MetricReadThroughput, protocol.MetricAppendThroughput, protocol.MetricBasinOps} {
			metrics, err := b.usage(lately(set))
			e.must(err, string(set))
			for _, m := range metrics {
				equal(t, string(set), sum(m.Points), 0)
			}
		}
		for _, s := range []*Stream{b.Missing("stream"), e.Basin().Missing("a/b c")} {
			metrics, err := s.usage(lately(protocol.MetricStorage))
			e.must(err, "storage")
			for _, m := range metrics {
				equal(t, "storage", len(m.Points), 0)
			}
		}
	}},
	{Row: "cp A.21/401", Name: "what is used shows within 120 s", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("a"))
		e.eventually("the append", func() bool {
			return sum(e.measure(s.basin().usage, lately(protocol.MetricAppendOps), accumulation, operations, minutely)["express"]) > 0
		})
		e.eventually("the creation of the basin", func() bool {
			return sum(e.measure(e.accountUsage, lately(protocol.MetricAccountOps, minutely), accumulation, operations, minutely)["create-basin"]) > 0
		})
	}},
	{Row: "cp 6.5", Name: "a session is a connection of its own", Timed: true, Run: func(t *testing.T, e *Env) {
		began := time.Now()
		s := e.Stream()
		s.Append(text("a"))
		for range 2 {
			session, err := e.Service.OpenAppendSession(e.ctx, s.StreamRef)
			e.must(err, "open append session")
			for range 2 {
				e.must(session.Submit(e.ctx, input(text("a"))), "submit")
				_, err = session.Recv(e.ctx)
				e.must(err, "receive")
			}
			e.must(session.Close(), "close")
		}
		got := e.measure(s.basin().usage, within(protocol.MetricAppendOps, began, time.Now().Add(time.Second)), accumulation, operations, minutely)
		equal(t, "append operations", sum(got["express"]), 3)
	}},
}
