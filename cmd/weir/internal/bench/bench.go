// Package bench measures a stream from outside: it appends at a rate or as fast as it goes, reads the same records live
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
	// TargetMiBps is the rate of metered bytes; 0 goes as fast as the broker acknowledges.
	TargetMiBps float64
	// Duration is how long records are appended.
	Duration time.Duration
	// CatchupDelay is the pause before all records are read again.
	CatchupDelay time.Duration
	// Records are the options of the sessions.
	Records []protocol.RecordOption
	// Progress is told of the state about ten times a second, if it is set.
	Progress func(Progress)
}

// MinRecordSize leaves room for what the check needs.
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

func throughput(records uint64, size int, took time.Duration, h *Histogram) Throughput {
	t := Throughput{Records: records, Bytes: records * uint64(size), Secs: took.Seconds()}
	if took > 0 {
		t.MiBPerSec = float64(t.Bytes) / (1 << 20) / took.Seconds()
		t.RecordsPerSec = float64(records) / took.Seconds()
	}
	if h != nil {
		t.LatencyMS = h.Latency()
	}
	return t
}

// StreamConfig is what the stream of a run needs: timestamps are microseconds since the run began, by which the live
// reader knows how long a record took.
func StreamConfig() protocol.StreamConfig {
	mode, uncapped := protocol.TimestampClientRequire, true
	retention := protocol.RetentionPolicy{AgeSecs: 3600}
	return protocol.StreamConfig{TimestampingMode: &mode, Uncapped: &uncapped, RetentionPolicy: &retention}
}

// run is the state that the goroutines of one run share.
type run struct {
	svc   protocol.RecordService
	ref   protocol.StreamRef
	o     Options
	began time.Time

	// acked and read count records, for the progress and for the live reader to know its end.
	acked, read atomic.Uint64
	// appended is closed once acked is final.
	appended chan struct{}
}

// Run puts the load on an empty stream with [StreamConfig]. When stop is closed the appending ends early; what was
// appended is still read and reported. A canceled context ends the run with its cause.
func Run(ctx context.Context, svc protocol.RecordService, ref protocol.StreamRef, o Options, stop <-chan struct{}) (Result, error) {
	r := &run{svc: svc, ref: ref, o: o, began: time.Now(), appended: make(chan struct{})}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	progress := r.reportProgress(ctx)
	defer progress.Wait()
	defer cancel(nil)

	var res Result
	var group sync.WaitGroup
	group.Go(func() {
		var err error
		if res.Live, err = r.readLive(ctx); err != nil {
			cancel(fmt.Errorf("live read: %w", err))
		}
	})
	group.Go(func() {
		var err error
		if res.Append, err = r.append(ctx, stop); err != nil {
			cancel(fmt.Errorf("append: %w", err))
		}
		close(r.appended)
	})
	group.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return res, cause
	}
	if err := pause(ctx, o.CatchupDelay); err != nil {
		return res, err
	}
	var err error
	if res.Catchup, err = r.readAgain(ctx); err != nil {
		err = fmt.Errorf("catch-up read: %w", err)
	}
	return res, err
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

func (r *run) reportProgress(ctx context.Context) *sync.WaitGroup {
	var wg sync.WaitGroup
	if r.o.Progress == nil {
		return &wg
	}
	wg.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p := Progress{Phase: "append", Elapsed: time.Since(r.began), Acked: r.acked.Load(), Read: r.read.Load()}
				select {
				case <-r.appended:
					p.Phase = "catch-up"
				default:
				}
				r.o.Progress(p)
			case <-ctx.Done():
				return
			}
		}
	})
	return &wg
}

// errEnded says that a session ended without the records that it owes.
var errEnded = errors.New("the session ended early")
