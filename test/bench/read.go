package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// catchUp compares one read session over a gigabyte to a raw ordered consumer over the very same messages, and weighs
// the heap while it reads.
func catchUp(ctx context.Context, e *env) ([]figure, error) {
	dir, err := e.newDir("catch-up")
	if err != nil {
		return nil, err
	}
	b, stop, err := openBroker(ctx, dir, conf.DurabilityInterval)
	if err != nil {
		return nil, err
	}
	recs := batch(1000, 1024)
	batches := e.scaled(1024, 64)
	total := batches * len(recs) * 1024
	_, err = sessionRate(ctx, b.Service(), recs, batches, total/batches)
	stop()
	if err != nil {
		return nil, err
	}
	if b, stop, err = openBroker(ctx, dir, conf.DurabilityInterval); err != nil {
		return nil, err
	}
	idle := heap()
	watch := watchHeap()
	err = readWhole(ctx, b.Service(), batches*len(recs))
	above := (watch() - idle) / (1 << 20)
	stop()
	if err != nil {
		return nil, err
	}
	var weir, base []float64
	for range e.rounds {
		rate, err := orderedConsumer(ctx, dir, batches, total)
		if err != nil {
			return nil, fmt.Errorf("baseline: %w", err)
		}
		base = append(base, rate)
		if b, stop, err = openBroker(ctx, dir, conf.DurabilityInterval); err != nil {
			return nil, err
		}
		began := time.Now()
		err = readWhole(ctx, b.Service(), batches*len(recs))
		weir = append(weir, mibs(total, time.Since(began)))
		stop()
		if err != nil {
			return nil, err
		}
	}
	return []figure{
		figure{Name: "catch-up read of 1 GiB, in process / raw ordered consumer over the same messages", Unit: "MiB/s",
			Weir: median(weir), Baseline: median(base)}.atLeast(0.7),
		figure{Name: "heap above idle while one session reads it, garbage included", Unit: "MiB", Weir: above}.below(64),
	}, nil
}

// readWhole reads the stream to its tail and checks the number of records.
func readWhole(ctx context.Context, svc protocol.Service, want int) error {
	n, err := readAll(ctx, svc, "one")
	if err == nil && n != want {
		err = fmt.Errorf("%d records of %d", n, want)
	}
	return err
}

// readAll reads a stream to its tail and counts the records.
func readAll(ctx context.Context, svc protocol.Service, name protocol.StreamName) (int, error) {
	all := ^uint64(0)
	s, err := svc.OpenReadSession(ctx, protocol.StreamRef{Basin: basin, Stream: name},
		protocol.ReadRequest{Start: protocol.FromSeqNum(0), Count: &all})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	n := 0
	for {
		b, err := s.Next(ctx)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		n += b.Records.Len()
	}
}

// orderedConsumer reads the log of a broker that was stopped, with nothing but NATS.
func orderedConsumer(ctx context.Context, dir string, messages, total int) (float64, error) {
	r, err := rawOver(dir)
	if err != nil {
		return 0, err
	}
	defer r.close()
	name := "S2_LOG_express_0"
	began := time.Now()
	c, err := r.js.OrderedConsumer(ctx, name, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return 0, err
	}
	var n atomic.Int64
	done := make(chan struct{})
	cc, err := c.Consume(func(jetstream.Msg) {
		if n.Add(1) == int64(messages) {
			close(done)
		}
	})
	if err != nil {
		return 0, err
	}
	defer cc.Stop()
	select {
	case <-done:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return mibs(total, time.Since(began)), nil
}

func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// watchHeap samples the heap until the returned function is called, which returns the highest sample. Samples include
// garbage that is not collected yet, which the process really holds.
func watchHeap() func() float64 {
	stop, result := make(chan struct{}), make(chan float64)
	go func() {
		var highest float64
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			highest = max(highest, float64(m.HeapAlloc))
			select {
			case <-tick.C:
			case <-stop:
				result <- highest
				return
			}
		}
	}()
	return func() float64 { close(stop); return <-result }
}
