package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/cmd/weir/internal/bench"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

const benchHelp = `Create a stream of its own in the basin, append to it for a while, read the records live and then again
from the start, print throughput and latencies, and delete the stream. Every record is checked on both
reads: none missing, none twice, none changed.

Without a target the command appends as fast as the broker acknowledges; latencies are then those of a
full pipeline. Ctrl-C ends the appending early and still reports; a second one gives up.

Sizes are metered bytes. Ack latency is from handing a batch over to its ack, live latency from making a
record to reading it in this same process.`

// benchReport is what bench --json prints.
type benchReport struct {
	Basin        string                `json:"basin"`
	Stream       string                `json:"stream"`
	StorageClass protocol.StorageClass `json:"storage_class,omitempty"`
	RecordSize   int                   `json:"record_size"`
	TargetMiBps  float64               `json:"target_mibps,omitempty"`
	DurationSecs float64               `json:"duration_secs"`
	bench.Result
}

func (a *app) bench() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "bench BASIN",
		Short: "Measure throughput and latency of a stream",
		Long:  benchHelp,
		Example: `  weir bench demo-basin --duration 10s
  weir bench demo-basin --duration 10s --target-mibps 20 --record-size 1024 --json`,
		Args: need("BASIN"),
	})
	class := storageClassFlag(c.Flags(), "c", "storage class of the stream")
	size := c.Flags().IntP("record-size", "b", 8192, fmt.Sprintf("metered `bytes` of a record, %d to %d", bench.MinRecordSize, protocol.MaxBatchBytes))
	target := c.Flags().Float64P("target-mibps", "t", 0, "append this many `MiB` a second; 0 is as fast as it goes")
	duration := durationFlag(c.Flags(), "duration", "d", 60*time.Second, "append for this long")
	delay := durationFlag(c.Flags(), "catchup-delay", "w", 0, "pause before the records are read again")
	key := a.addKeyFlags(c)
	c.RunE = a.verb(func(args []string) (call, error) {
		basin, err := basinArg(args[0])
		switch {
		case err != nil:
			return nil, err
		case *size < bench.MinRecordSize || *size > protocol.MaxBatchBytes:
			return nil, usagef("--record-size is %d; allowed is from %d to %d", *size, bench.MinRecordSize, protocol.MaxBatchBytes)
		case !(*target >= 0 && *target <= 1<<20): // also refuses NaN
			return nil, usagef("--target-mibps is %g; allowed is from 0 to %d", *target, 1<<20)
		case *duration <= 0:
			return nil, usagef("--duration must be above 0")
		}
		report := benchReport{
			Basin: string(basin), Stream: "bench/" + rand.Text(), RecordSize: *size, TargetMiBps: *target,
			DurationSecs: duration.Seconds(),
		}
		if class.value != nil {
			report.StorageClass = *class.value
		}
		opts, err := key.options()
		if err != nil {
			return nil, err
		}
		o := bench.Options{RecordSize: *size, TargetMiBps: *target, Duration: *duration, CatchupDelay: *delay, Records: opts}
		return func(ctx context.Context, svc protocol.Service) error { return a.runBench(ctx, svc, report, o) }, nil
	})
	return c
}

func (a *app) runBench(ctx context.Context, svc protocol.Service, report benchReport, o bench.Options) (err error) {
	ref := protocol.StreamRef{Basin: protocol.BasinName(report.Basin), Stream: protocol.StreamName(report.Stream)}
	config := bench.StreamConfig()
	if report.StorageClass != "" {
		config.StorageClass = &report.StorageClass
	}
	if err := a.makeStream(ctx, svc, ref, config); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.removeStream(ctx, svc, ref)) }()
	if !a.json {
		a.note("%s: %d-byte records for %s, %s; Ctrl-C ends early", ref, o.RecordSize, conf.FormatDuration(o.Duration), targetText(o.TargetMiBps))
	}
	line := a.progressLine(o)
	if line != nil {
		o.Progress = line.show
	}
	// The first signal only ends the appending; runs go on with the reads and the report.
	runCtx, giveUp := a.untilNextSignal(ctx)
	defer giveUp()
	report.Result, err = bench.Run(runCtx, svc, ref, o, ctx.Done())
	if line != nil {
		line.clear()
	}
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(report)
	}
	return a.printBench(report.Result)
}

func (a *app) makeStream(ctx context.Context, svc protocol.Service, ref protocol.StreamRef, config protocol.StreamConfig) error {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	_, _, err := svc.CreateStream(ctx, ref.Basin, protocol.CreateStreamRequest{Stream: ref.Stream, Config: config})
	return err
}

// removeStream deletes the stream also when the command was interrupted.
func (a *app) removeStream(ctx context.Context, svc protocol.Service, ref protocol.StreamRef) error {
	ctx, cancel := a.bounded(context.WithoutCancel(ctx))
	defer cancel()
	if err := svc.DeleteStream(ctx, ref); err != nil {
		return fmt.Errorf("%s is left behind: %w", ref, err)
	}
	return nil
}

func targetText(mibps float64) string {
	if mibps == 0 {
		return "as fast as it goes"
	}
	return fmt.Sprintf("at %g MiB/s", mibps)
}

func (a *app) printBench(r bench.Result) error {
	phases := []struct {
		name string
		t    bench.Throughput
	}{{"append", r.Append}, {"live read", r.Live}, {"catch-up read", r.Catchup}}
	if err := a.printf("%-14s %12s %12s %10s %9s\n", "", "records", "records/s", "MiB/s", "seconds"); err != nil {
		return err
	}
	for _, p := range phases {
		if err := a.printf("%-14s %12d %12.0f %10.1f %9.2f\n", p.name, p.t.Records, p.t.RecordsPerSec, p.t.MiBPerSec, p.t.Secs); err != nil {
			return err
		}
	}
	if err := a.printf("\n%-14s %9s %9s %9s %9s %9s %9s\n", "latency, ms", "min", "p50", "p90", "p99", "p99.9", "max"); err != nil {
		return err
	}
	for _, p := range []struct {
		name string
		l    *bench.Latency
	}{{"ack", r.Append.LatencyMS}, {"live read", r.Live.LatencyMS}} {
		if p.l == nil {
			p.l = &bench.Latency{}
		}
		if err := a.printf("%-14s %9.3f %9.3f %9.3f %9.3f %9.3f %9.3f\n", p.name, p.l.Min, p.l.P50, p.l.P90, p.l.P99, p.l.P999, p.l.Max); err != nil {
			return err
		}
	}
	return nil
}
