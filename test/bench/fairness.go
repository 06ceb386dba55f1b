package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/internal/phases"
	"github.com/weirstream/weir/protocol"
)

// fairness measures the latency of a basin with few appends while another one in the same log appends as fast as it can,
// against its latency alone.
func fairness(ctx context.Context, e *env) ([]figure, error) {
	dir, err := e.newDir("fairness")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	// As the command runs it: the collection of garbage is a good part of what one basin does to another.
	b, stop, err := openBrokerWith(ctx, dir, conf.DurabilityGroup, []broker.Option{broker.WithOwnProcess()})
	if err != nil {
		return nil, err
	}
	defer stop()
	svc := b.Service()
	const quiet protocol.BasinName = "quiet-basin"
	_, _, err = svc.EnsureBasin(ctx, quiet, protocol.EnsureBasinRequest{Config: protocol.BasinConfig{CreateStreamOnAppend: true}})
	if err != nil {
		return nil, err
	}
	alone, err := quietAppends(ctx, e, svc, quiet)
	if err != nil {
		return nil, err
	}
	var figures []figure
	for _, load := range []busyLoad{{"small appends", 64, 1, 100}, {"large batches", 16, 1000, 1000}} {
		busy, end := context.WithCancel(ctx)
		appended, wait, err := load.begin(busy, svc)
		if err != nil {
			end()
			wait()
			return nil, err
		}
		time.Sleep(time.Second)
		before, began := appended.Load(), time.Now()
		beside, err := quietAppends(ctx, e, svc, quiet)
		rate := float64(appended.Load()-before) / time.Since(began).Seconds()
		end()
		wait()
		if err != nil {
			return nil, err
		}
		figures = append(figures, figure{Name: fmt.Sprintf("p99 beside a basin with %s", load.name), Unit: "ms", Weir: beside.quantile(0.99), Baseline: alone.quantile(0.99)}.atMost(3),
			figure{Name: "... median", Unit: "ms", Weir: beside.quantile(0.5), Baseline: alone.quantile(0.5)}.noTarget())
		for p, name := range []string{"queued", "published", "stored", "synced"} {
			figures = append(figures, figure{Name: "... the slowest 2 %: " + name, Unit: "ms", Weir: beside.slowest(phases.Phase(p)), Baseline: alone.slowest(phases.Phase(p))}.noTarget())
		}
		figures = append(figures, figure{Name: "... the busy basin", Unit: "appends/s", Weir: rate})
	}
	return figures, nil
}

// busyLoad is what the busy basin does: sessions that append batches to a stream each, as fast as they are taken.
type busyLoad struct {
	name                     string
	streams, records, record int
}

// begin starts the load, which ends with ctx. wait returns once it has ended; it may be called if begin fails.
func (l busyLoad) begin(ctx context.Context, svc protocol.Service) (appended *atomic.Int64, wait func(), err error) {
	appended = &atomic.Int64{}
	var wg sync.WaitGroup
	input := protocol.AppendInput{Records: batch(l.records, l.record)}
	for i := range l.streams {
		s, err := svc.OpenAppendSession(ctx, protocol.StreamRef{Basin: basin, Stream: protocol.StreamName(l.name + strconv.Itoa(i))})
		if err != nil {
			return nil, wg.Wait, err
		}
		wg.Go(func() {
			for s.Submit(ctx, input) == nil {
			}
		})
		wg.Go(func() {
			defer s.Close()
			for {
				if _, err := s.Recv(ctx); err != nil {
					return
				}
				appended.Add(1)
			}
		})
	}
	return appended, wg.Wait, nil
}

// latency is that of one append: from the call to its return, and of its phases, in milliseconds.
type latency struct {
	all    float64
	phases [phases.Count]float64
}

// latencies are sorted by all.
type latencies []latency

func (l latencies) quantile(q float64) float64 { return l[min(len(l)-1, int(float64(len(l))*q))].all }

// slowest is the mean of a phase of the slowest fiftieth of the appends.
func (l latencies) slowest(p phases.Phase) float64 {
	slow, sum := l[len(l)*98/100:], 0.0
	for i := range slow {
		sum += slow[i].phases[p]
	}
	return sum / float64(len(slow))
}

// quietAppends measures appends of a small record, one after the other with a pause between.
func quietAppends(ctx context.Context, e *env, svc protocol.Service, basin protocol.BasinName) (latencies, error) {
	const milli = float64(time.Millisecond)
	ref := protocol.StreamRef{Basin: basin, Stream: "s"}
	input := protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, 200)}}}
	var all latencies
	until := time.Now().Add(10 * time.Second)
	for range e.scaled(3000, 300) {
		if time.Now().After(until) {
			break
		}
		times := &phases.Times{}
		began := time.Now()
		if _, err := svc.Append(phases.With(ctx, times), ref, input); err != nil {
			return nil, err
		}
		l, at := latency{all: float64(time.Since(began)) / milli}, times.At()
		for p, from := 0, at.Begin; p < phases.Count; p++ {
			l.phases[p] = float64(at.End[p].Sub(from)) / milli
			from = at.End[p]
		}
		all = append(all, l)
		time.Sleep(time.Millisecond)
	}
	slices.SortFunc(all, func(a, b latency) int { return cmp.Compare(a.all, b.all) })
	return all, nil
}
