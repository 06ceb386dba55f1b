package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// manyStreams creates 100,000 streams with one record each by appending to them, weighs the cost of a stream, and
// restarts the broker.
func manyStreams(ctx context.Context, e *env) ([]figure, error) {
	dir, err := e.newDir("many")
	if err != nil {
		return nil, err
	}
	b, stop, err := openBroker(ctx, dir, conf.DurabilityGroup)
	if err != nil {
		return nil, err
	}
	n := e.scaled(100_000, 5_000)
	before := memory()
	rate, err := createAll(ctx, b, n)
	if err != nil {
		stop()
		return nil, err
	}
	after := memory()
	stop()
	began := time.Now()
	b, stop, err = openBroker(ctx, dir, conf.DurabilityGroup)
	if err != nil {
		return nil, err
	}
	defer stop()
	restart := time.Since(began).Seconds()
	fresh := memory()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		tail, err := b.Service().CheckTail(ctx, manyRef(rng.IntN(n)))
		if err != nil || tail.SeqNum != 1 {
			return nil, fmt.Errorf("after the restart a stream has tail %v: %w", tail, err)
		}
	}
	return []figure{
		figure{Name: fmt.Sprintf("%d streams created and written, group", n), Unit: "streams/s", Weir: rate}.above(5000),
		figure{Name: "memory a stream, just written", Unit: "B", Weir: (after - before) / float64(n)}.below(4000),
		figure{Name: "memory a stream, after a restart", Unit: "B", Weir: (fresh - before) / float64(n)}.below(4000),
		figure{Name: "restart", Unit: "s", Weir: restart}.below(5),
	}, nil
}

func manyRef(i int) protocol.StreamRef {
	return protocol.StreamRef{Basin: basin, Stream: protocol.StreamName("user/" + strconv.Itoa(i) + "/events")}
}

func createAll(ctx context.Context, b *broker.Broker, n int) (float64, error) {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	svc := b.Service()
	in := protocol.AppendInput{Records: batch(1, 100)}
	began := time.Now()
	for range 64 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if _, err := svc.Append(ctx, manyRef(i), in); err != nil {
					failed.Store(&err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// memory is the process's memory after a collection: heap and stacks.
func memory() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}
