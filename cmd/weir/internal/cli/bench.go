package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/cmd/weir/internal/bench"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

const benchHelp = `Create streams of its own in the basin, append to them for a while, read the records live and then again
from the start, print throughput and latencies, and delete the streams. Every record is checked on both
reads: none missing, none twice, none changed.

Without a target the command appends as fast as the broker acknowledges; latencies are then those of a
full pipeline. --unary appends without a session: on each stream one batch, by default of one record,
after the ack of the one before. --http goes through the HTTP API. Ctrl-C ends the appending early and
still reports; a second one gives up.

Sizes are metered bytes. Ack latency is from handing a batch over to its ack, live latency from making a
record to reading it in this same process.

--json prints what --compare reads: a later run with --compare FILE shows both and the change.`

// benchReport is the output of bench --json.
type benchReport struct {
	Basin        string                `json:"basin"`
	Stream       string                `json:"stream"` // of many, the prefix of their names
	Streams      int                   `json:"streams"`
	Over         string                `json:"over"` // nats or http
	Mode         string                `json:"mode"` // session or unary
	StorageClass protocol.StorageClass `json:"storage_class,omitempty"`
	RecordSize   int                   `json:"record_size"`
	BatchRecords int                   `json:"batch_records,omitempty"`
	TargetMiBps  float64               `json:"target_mibps,omitempty"`
	DurationSecs float64               `json:"duration_secs"`
	bench.Result
	Compared []benchChange `json:"compared,omitempty"`
}

// maxBenchStreams bounds the streams of a run: each has a session to append and one to read.
const maxBenchStreams = 1000

func (a *app) bench() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "bench BASIN",
		Short: "Measure throughput and latency of streams",
		Long:  benchHelp,
		Example: `  weir bench demo-basin --duration 10s
  weir bench demo-basin --duration 10s --target-mibps 20 --record-size 1024 --json
  weir bench demo-basin --duration 10s --streams 64 --unary --http http://127.0.0.1:8080
  weir bench demo-basin --duration 10s --json > before.json; weir bench demo-basin --duration 10s --compare before.json`,
		Args: need("BASIN"),
	})
	class := storageClassFlag(c.Flags(), "c", "storage class of the streams")
	size := c.Flags().IntP("record-size", "b", 8192, fmt.Sprintf("metered `bytes` of a record, %d to %d", bench.MinRecordSize, protocol.MaxBatchBytes))
	streams := c.Flags().Int("streams", 1, fmt.Sprintf("append to this many `streams` side by side, 1 to %d", maxBenchStreams))
	unary := c.Flags().Bool("unary", false, "append and read again without sessions")
	batch := c.Flags().Int("batch-records", 0, fmt.Sprintf("at most this many `records` in an append, 1 to %d; as many as fit by default, with --unary 1", protocol.MaxBatchRecords))
	web := c.Flags().String("http", "", "go through the HTTP API at this `URL`")
	before := c.Flags().String("compare", "", "show the figures of this `file`, which --json has written, beside the new ones")
	target := c.Flags().Float64P("target-mibps", "t", 0, "append this many `MiB` a second on all streams together; 0 is as fast as it goes")
	duration := durationFlag(c.Flags(), "duration", "d", 60*time.Second, "append for this long")
	delay := durationFlag(c.Flags(), "catchup-delay", "w", 0, "pause before the records are read again")
	key := a.addKeyFlags(c)
	c.RunE = a.verb(func(args []string) (call, error) {
		basin, err := basinArg(args[0])
		if *unary && *batch == 0 && !c.Flags().Changed("batch-records") {
			*batch = 1
		}
		switch {
		case err != nil:
			return nil, err
		case *size < bench.MinRecordSize || *size > protocol.MaxBatchBytes:
			return nil, usagef("--record-size is %d; allowed is from %d to %d", *size, bench.MinRecordSize, protocol.MaxBatchBytes)
		case *streams < 1 || *streams > maxBenchStreams:
			return nil, usagef("--streams is %d; allowed is from 1 to %d", *streams, maxBenchStreams)
		case c.Flags().Changed("batch-records") && (*batch < 1 || *batch > protocol.MaxBatchRecords):
			return nil, usagef("--batch-records is %d; allowed is from 1 to %d", *batch, protocol.MaxBatchRecords)
		case !(*target >= 0 && *target <= 1<<20): // also refuses NaN
			return nil, usagef("--target-mibps is %g; allowed is from 0 to %d", *target, 1<<20)
		case *duration <= 0:
			return nil, usagef("--duration must be above 0")
		case *web != "" && !strings.HasPrefix(*web, "http://") && !strings.HasPrefix(*web, "https://"):
			return nil, usagef("--http: %q begins with neither http:// nor https://", *web)
		}
		report := benchReport{
			Basin: string(basin), Stream: "bench/" + rand.Text(), Streams: *streams, Over: "nats", Mode: "session",
			RecordSize: *size, BatchRecords: *batch, TargetMiBps: *target, DurationSecs: duration.Seconds(),
		}
		if *web != "" {
			a.dial.HTTP, report.Over = strings.TrimRight(*web, "/"), "http"
		}
		if *unary {
			report.Mode = "unary"
		}
		if class.value != nil {
			report.StorageClass = *class.value
		}
		opts, err := key.options()
		if err != nil {
			return nil, err
		}
		old, err := readBenchReport(*before)
		if err != nil {
			return nil, err
		}
		o := bench.Options{
			RecordSize: *size, BatchRecords: *batch, Unary: *unary, TargetMiBps: *target, Duration: *duration,
			CatchupDelay: *delay, Records: opts,
		}
		return func(ctx context.Context, svc protocol.Service) error { return a.runBench(ctx, svc, report, old, o) }, nil
	})
	return c
}

// benchStreams are the streams of a run.
func (r *benchReport) benchStreams() []protocol.StreamRef {
	refs := make([]protocol.StreamRef, r.Streams)
	for i := range refs {
		name := r.Stream
		if r.Streams > 1 {
			name = fmt.Sprintf("%s/%04d", r.Stream, i)
		}
		refs[i] = protocol.StreamRef{Basin: protocol.BasinName(r.Basin), Stream: protocol.StreamName(name)}
	}
	return refs
}

func (a *app) runBench(ctx context.Context, svc protocol.Service, report benchReport, old *benchReport, o bench.Options) (err error) {
	refs := report.benchStreams()
	config := bench.StreamConfig()
	if report.StorageClass != "" {
		config.StorageClass = &report.StorageClass
	}
	made := 0
	defer func() {
		for _, ref := range refs[:made] {
			err = errors.Join(err, a.removeStream(ctx, svc, ref))
		}
	}()
	for _, ref := range refs {
		if err := a.makeStream(ctx, svc, ref, config); err != nil {
			return err
		}
		made++
	}
	if !a.json {
		a.note("%s: %s", refs[0], report.loadText(o))
	}
	line := a.progressLine(o)
	if line != nil {
		o.Progress = line.show
	}
	// The first signal only ends the appending; runs go on with the reads and the report.
	runCtx, giveUp := a.untilNextSignal(ctx)
	defer giveUp()
	report.Result, err = bench.Run(runCtx, svc, refs, o, ctx.Done())
	if line != nil {
		line.clear()
	}
	if err != nil {
		return err
	}
	if old != nil {
		report.Compared = compareBench(&report, old)
	}
	if a.json {
		return a.printJSON(report)
	}
	if err := a.printBench(report.Result); err != nil || old == nil {
		return err
	}
	return a.printBenchChanges(&report, old)
}

// loadText describes a run for people.
func (r *benchReport) loadText(o bench.Options) string {
	text := fmt.Sprintf("%d-byte records for %s, %s", o.RecordSize, conf.FormatDuration(o.Duration), targetText(o.TargetMiBps))
	if r.Streams > 1 {
		text += fmt.Sprintf(", on %d streams", r.Streams)
	}
	if r.Mode == "unary" {
		text += ", without sessions"
	}
	if r.Over == "http" {
		text += ", over HTTP"
	}
	return text + "; Ctrl-C ends early"
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
	}{{"ack", r.Append.LatencyMS}, {"live read", r.Live.LatencyMS}, {"unary read", r.Catchup.LatencyMS}} {
		if p.l == nil && p.name == "unary read" {
			continue // it was read again in a session
		}
		if p.l == nil {
			p.l = &bench.Latency{}
		}
		if err := a.printf("%-14s %9.3f %9.3f %9.3f %9.3f %9.3f %9.3f\n", p.name, p.l.Min, p.l.P50, p.l.P90, p.l.P99, p.l.P999, p.l.Max); err != nil {
			return err
		}
	}
	return nil
}
