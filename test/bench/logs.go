package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// logCounts are the numbers of logs that are compared; the first is the baseline.
var logCounts = []int{1, 4, 8, 16}

// logs measures the number of logs that the basins share: appends of 64 appenders to as many basins, one record each, and the cost of
// the logs themselves. Processor time tells more than the rate when the machine is not quiet.
func logs(ctx context.Context, e *env) (figures []figure, err error) {
	results := make([][]logsResult, len(logCounts))
	for range e.rounds {
		for i, n := range logCounts {
			if err := e.settle(); err != nil {
				return nil, err
			}
			r, err := withLogs(ctx, e, n)
			if err != nil {
				return nil, err
			}
			results[i] = append(results[i], r)
		}
	}
	medianOf := func(i int, get func(logsResult) float64) float64 {
		var all []float64
		for _, r := range results[i] {
			all = append(all, get(r))
		}
		return median(all)
	}
	for i, n := range logCounts {
		for _, m := range []struct {
			name, unit string
			get        func(logsResult) float64
		}{
			{fmt.Sprintf("%d logs: 64 appenders to 64 basins, 200 B, group", n), "appends/s", func(r logsResult) float64 { return r.rate }},
			{"... processor time of an append", "us", func(r logsResult) float64 { return r.processor }},
			{"... heap in use", "MiB", func(r logsResult) float64 { return r.heap / (1 << 20) }},
			{"... goroutines", "", func(r logsResult) float64 { return r.goroutines }},
			{"... start", "ms", func(r logsResult) float64 { return r.start * 1000 }},
		} {
			figures = append(figures, figure{Name: m.name, Unit: m.unit, Weir: medianOf(i, m.get), Baseline: medianOf(0, m.get)}.noTarget())
		}
	}
	return figures, nil
}

type logsResult struct {
	rate       float64 // appends a second
	processor  float64 // microseconds of an append
	heap       float64 // bytes, after a start with all logs open
	goroutines float64
	start      float64 // seconds
}

func withLogs(ctx context.Context, e *env, n int) (r logsResult, err error) {
	dir, err := e.newDir("logs")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	set := func(c *conf.Config) { c.Logs = n }
	b, stop, err := openBroker(ctx, dir, conf.DurabilityGroup, set)
	if err != nil {
		return r, err
	}
	svc := b.Service()
	const basins, streams = 64, 4
	ref := func(i int) protocol.StreamRef {
		return protocol.StreamRef{Basin: protocol.BasinName("basin-" + strconv.Itoa(i%basins)), Stream: protocol.StreamName(strconv.Itoa(i / basins))}
	}
	input := protocol.AppendInput{Records: batch(1, 200)}
	err = workers(ctx, basins, func(i int) error {
		_, _, err := svc.EnsureBasin(ctx, ref(i).Basin, protocol.EnsureBasinRequest{Config: protocol.BasinConfig{CreateStreamOnAppend: true}})
		return err
	})
	if err == nil {
		err = workers(ctx, basins*streams, func(i int) error { // opens every log
			_, err := svc.Append(ctx, ref(i), input)
			return err
		})
	}
	if err != nil {
		stop()
		return r, err
	}
	var appended atomic.Int64
	load, end := context.WithTimeout(ctx, time.Duration(float64(5*time.Second)*e.scale))
	began, used := time.Now(), processorTime()
	var wg sync.WaitGroup
	for i := range basins {
		wg.Go(func() {
			for k := 0; load.Err() == nil; k++ {
				if _, err := svc.Append(load, ref(i+k%streams*basins), input); err == nil {
					appended.Add(1)
				}
			}
		})
	}
	wg.Wait()
	end()
	r.rate = float64(appended.Load()) / time.Since(began).Seconds()
	r.processor = (processorTime() - used) / float64(appended.Load()) * 1e6
	stop()
	before := memory()
	began = time.Now()
	if b, stop, err = openBroker(ctx, dir, conf.DurabilityGroup, set); err != nil {
		return r, err
	}
	defer stop()
	r.start = time.Since(began).Seconds()
	err = workers(ctx, basins*streams, func(i int) error {
		_, err := b.Service().CheckTail(ctx, ref(i))
		return err
	})
	r.heap, r.goroutines = memory()-before, float64(runtime.NumGoroutine())
	return r, err
}
