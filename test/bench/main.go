// Command bench measures weir beside raw JetStream and the bare file system, in one process and one run, because only
// ratios mean anything on shared machines. It prints a table and writes the figures as JSON: a list of
// {name, unit, weir, baseline, ratio, target, pass}.
//
//	go run ./test/bench -out bench/latest.json            # make bench
//	go run ./test/bench -only 'append' -rounds 5
//	go run ./test/bench -only 'catch-up' -cpuprofile cpu.out
//	go run ./test/bench -only 'ten million' -rounds 1     # half an hour; as "logs", only if it is asked for by its name
//	go run ./test/bench -only 'cluster append'            # three brokers, likewise; also cluster tcp append, forward, follow, idle and gap
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/pprof"
	"text/tabwriter"
	"time"
)

// figure is one line of the table. Ratio is Weir / Baseline, or against the target if there is no baseline; Pass says
// whether it reaches Target.
type figure struct {
	Name     string  `json:"name"`
	Unit     string  `json:"unit"`
	Weir     float64 `json:"weir"`
	Baseline float64 `json:"baseline"`
	Ratio    float64 `json:"ratio"`
	Target   string  `json:"target"`
	Pass     bool    `json:"pass"`
}

// atLeast and atMost compare the ratio with a target; below and above compare the figure itself.
func (f figure) atLeast(ratio float64) figure {
	f.Ratio = f.Weir / f.Baseline
	f.Target, f.Pass = fmt.Sprintf(">= %g x", ratio), f.Ratio >= ratio
	return f
}

func (f figure) atMost(ratio float64) figure {
	f.Ratio = f.Weir / f.Baseline
	f.Target, f.Pass = fmt.Sprintf("<= %g x", ratio), f.Ratio <= ratio
	return f
}

func (f figure) below(limit float64) figure {
	f.Target, f.Pass = fmt.Sprintf("< %g %s", limit, f.Unit), f.Weir < limit
	f.Ratio = f.Weir / limit
	return f
}

func (f figure) above(limit float64) figure {
	f.Target, f.Pass = fmt.Sprintf(">= %g %s", limit, f.Unit), f.Weir >= limit
	f.Ratio = f.Weir / limit
	return f
}

// noTarget only compares the figure with its baseline.
func (f figure) noTarget() figure {
	f.Ratio = f.Weir / f.Baseline
	return f
}

// measure is one comparison; it may yield several figures.
type measure struct {
	name string
	run  func(ctx context.Context, e *env) ([]figure, error)
	// asked is set for a measure that runs only if -only is its very name.
	asked bool
}

var measures = []measure{
	{name: "append one stream", run: appendOneStream},
	{name: "append 64 streams", run: appendManyStreams},
	{name: "append latency", run: appendLatency},
	{name: "catch-up", run: catchUp},
	{name: "follow latency", run: followLatency},
	{name: "fan-out", run: fanOut},
	{name: "live tap", run: liveTap},
	{name: "seek", run: seek},
	{name: "many streams", run: manyStreams},
	{name: "many basins", run: manyBasins},
	{name: "million streams", run: millionStreams},
	{name: "ten million", run: tenMillion, asked: true},
	{name: "logs", run: logs, asked: true},
	{name: "delete beside appends", run: deleteBeside},
	{name: "fairness", run: fairness},
	{name: "http catch-up", run: httpCatchUp},
	{name: "http append", run: httpAppend},
	{name: "http latency", run: httpLatency},
	{name: "http fan-out", run: httpFanOut},
	{name: "durable streams", run: durableStreams},
	{name: "abuse", run: abuse},
	{name: "cluster append", run: clusterAppend, asked: true},
	{name: "cluster tcp append", run: clusterAppendTCP, asked: true},
	{name: "cluster forward", run: clusterForward, asked: true},
	{name: "cluster follow", run: clusterFollow, asked: true},
	{name: "cluster idle", run: clusterIdle, asked: true},
	{name: "cluster gap", run: clusterGap, asked: true},
}

func main() {
	var (
		out     = flag.String("out", "", "write the figures to this file as JSON")
		only    = flag.String("only", "", "run only the measures whose name matches this regular expression")
		rounds  = flag.Int("rounds", 3, "how often weir and its baseline are measured in turn; the medians count")
		scale   = flag.Float64("scale", 1, "size of the work relative to the full one, from 0.01 to 1")
		dir     = flag.String("dir", "", "where to put the stores (default: a temporary directory)")
		profile = flag.String("cpuprofile", "", "write a CPU profile to this file, and those of the processes that a measure starts to files beside it")
		memory  = flag.String("memprofile", "", "write an allocation profile to this file")
	)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if done, err := runChild(); done {
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	if done, err := runPhase(ctx); done {
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(ctx, *out, *only, *rounds, *scale, *dir, *profile, *memory); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out, only string, rounds int, scale float64, dir, profile, memory string) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "weir-bench-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	e := &env{dir: filepath.Join(dir, "weir-bench"), rounds: max(1, rounds), scale: min(1, max(0.01, scale))}
	if err := e.settle(); err != nil {
		return err
	}
	e.profile = profile
	stop, err := startProfile(profile)
	if err != nil {
		return err
	}
	defer stop()
	fmt.Printf("%s, %d cores, %d rounds, scale %g\n\n", runtime.Version(), runtime.GOMAXPROCS(0), e.rounds, e.scale)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "measure\tweir\tbaseline\tunit\tratio\ttarget\t\t")
	var all []figure
	for _, m := range measures {
		if !match.MatchString(m.name) || m.asked && only != m.name {
			continue
		}
		began := time.Now()
		figures, err := m.run(ctx, e)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		for _, f := range figures {
			verdict := "ok"
			if !f.Pass {
				verdict = "MISSED"
			}
			if f.Target == "" {
				verdict = ""
			}
			fmt.Fprintf(table, "%s\t%.4g\t%.4g\t%s\t%.2f\t%s\t%s\t\n", f.Name, f.Weir, f.Baseline, f.Unit, f.Ratio, f.Target, verdict)
		}
		all = append(all, figures...)
		fmt.Fprintf(os.Stderr, "%s: %.1f s\n", m.name, time.Since(began).Seconds())
	}
	table.Flush()
	if memory != "" {
		f, err := os.Create(memory)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.Lookup("allocs").WriteTo(f, 0); err != nil {
			return err
		}
	}
	if out == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	body, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(body, '\n'), 0o644)
}

// startProfile starts a CPU profile that is written to file when it is stopped; with "" there is none.
func startProfile(file string) (stop func(), err error) {
	if file == "" {
		return func() {}, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		if err := f.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
	}, nil
}
