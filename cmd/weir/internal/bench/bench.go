// Package bench measures streams from outside: it appends at a rate or as fast as it goes, reads the same records live
// and again from the start, and checks on the way that every record arrives once, in order and whole.
package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/protocol"
)

// Options describes the load.
type Options struct {
	// RecordSize is the metered size of each record in bytes, from MinRecordSize to 1 MiB.
	RecordSize int
	// BatchRecords is how many records an append has at most; 0: as many as fit.
	BatchRecords int
	// Unary appends without a session, the next batch of a stream after the ack of the one before, and reads again with single
	// reads.
	Unary bool
	// TargetMiBps is the rate of metered bytes on all streams together; 0 goes as fast as the broker acknowledges.
	TargetMiBps float64
	// Duration is how long records are appended.
	Duration time.Duration
	// CatchupDelay is the pause before all records are read again.
	CatchupDelay time.Duration
	// Records are the options of the sessions.
	Records []protocol.RecordOption
	// Progress receives the state about ten times a second, if it is set.
	Progress func(Progress)
}

// MinRecordSize leaves room for the data of the check.
const MinRecordSize = 128

// Progress is how far a run is.
type Progress struct {
	// Phase is "append" (with the live read) or "catch-up".
	Phase string
	// Elapsed is the time since the run began.
	Elapsed time.Duration
	// Acked, Read are the numbers of records so far.
	Acked, Read uint64
}

// Result is the outcome of a run.
type Result struct {
	Append  Throughput `json:"append"`
	Live    Throughput `json:"live_read"`
	Catchup Throughput `json:"catchup_read"`
}

// Throughput is one phase. Bytes are metered.
type Throughput struct {
	Records       uint64   `json:"records"`
	Bytes         uint64   `json:"bytes"`
	Secs          float64  `json:"secs"`
	MiBPerSec     float64  `json:"mib_per_sec"`
	RecordsPerSec float64  `json:"records_per_sec"`
	LatencyMS     *Latency `json:"latency_ms,omitempty"`
}

// StreamConfig is the configuration for the stream of a run: timestamps are microseconds since the run began, by which the live
// reader knows how long a record took.
func StreamConfig() protocol.StreamConfig {
	mode, uncapped := protocol.TimestampClientRequire, true
	retention := protocol.RetentionPolicy{AgeSecs: 3600}
	return protocol.StreamConfig{TimestampingMode: &mode, Uncapped: &uncapped, RetentionPolicy: &retention}
}

// run is the state that the goroutines of one stream share.
type run struct {
	svc   protocol.RecordService
	ref   protocol.StreamRef
	o     Options
	share float64 // of the target
	began time.Time

	// acked and read count records, for the progress and for the live reader to know its end.
	acked, read atomic.Uint64
	// appended is closed once acked is final.
	appended chan struct{}
}

// Run puts the load on empty streams with [StreamConfig], on all of them side by side. When stop is closed the appending ends
// early; the appended records are still read and reported. A canceled context ends the run with its cause.
func Run(ctx context.Context, svc protocol.RecordService, refs []protocol.StreamRef, o Options, stop <-chan struct{}) (Result, error) {
	began := time.Now()
	runs := make([]*run, len(refs))
	for i, ref := range refs {
		runs[i] = &run{svc: svc, ref: ref, o: o, share: 1 / float64(len(refs)), began: began, appended: make(chan struct{})}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	progress := reportProgress(ctx, runs, o.Progress)
	defer progress.Wait()
	defer cancel(nil)

	var res Result
	appends, live := make([]phase, len(runs)), make([]phase, len(runs))
	var group sync.WaitGroup
	for i, r := range runs {
		group.Go(func() {
			var err error
			if live[i], err = r.readLive(ctx); err != nil {
				cancel(fmt.Errorf("live read: %w", err))
			}
		})
		group.Go(func() {
			var err error
			if appends[i], err = r.append(ctx, stop); err != nil {
				cancel(fmt.Errorf("append: %w", err))
			}
			close(r.appended)
		})
	}
	group.Wait()
	res.Append, res.Live = sum(appends, o.RecordSize), sum(live, o.RecordSize)
	if cause := context.Cause(ctx); cause != nil {
		return res, cause
	}
	if err := pause(ctx, o.CatchupDelay); err != nil {
		return res, err
	}
	again := make([]phase, len(runs))
	for i, r := range runs {
		group.Go(func() {
			var err error
			if again[i], err = r.readAgain(ctx); err != nil {
				cancel(fmt.Errorf("catch-up read: %w", err))
			}
		})
	}
	group.Wait()
	res.Catchup = sum(again, o.RecordSize)
	return res, context.Cause(ctx)
}

// phase is one stream's result of a phase.
type phase struct {
	records   uint64
	took      time.Duration
	latencies *Histogram
}

// sum is the throughput of all streams, which went side by side.
func sum(phases []phase, size int) Throughput {
	var records uint64
	var took time.Duration
	var latencies Histogram
	for _, p := range phases {
		records += p.records
		took = max(took, p.took)
		if p.latencies != nil {
			latencies.Add(p.latencies)
		}
	}
	t := Throughput{Records: records, Bytes: records * uint64(size), Secs: took.Seconds(), LatencyMS: latencies.Latency()}
	if took > 0 {
		t.MiBPerSec = float64(t.Bytes) / (1 << 20) / took.Seconds()
		t.RecordsPerSec = float64(records) / took.Seconds()
	}
	return t
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func reportProgress(ctx context.Context, runs []*run, tell func(Progress)) *sync.WaitGroup {
	var wg sync.WaitGroup
	if tell == nil {
		return &wg
	}
	wg.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p := Progress{Phase: "catch-up", Elapsed: time.Since(runs[0].began)}
				for _, r := range runs {
					p.Acked += r.acked.Load()
					p.Read += r.read.Load()
					select {
					case <-r.appended:
					default:
						p.Phase = "append"
					}
				}
				tell(p)
			case <-ctx.Done():
				return
			}
		}
	})
	return &wg
}

// errEnded says that a session ended without the records that it owes.
var errEnded = errors.New("the session ended early")
