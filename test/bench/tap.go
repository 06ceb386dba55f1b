package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// liveTap measures how many records a second of 1,000 streams reach one plain subscription, while 32 appenders write batches of
// 20. All must arrive.
func liveTap(ctx context.Context, e *env) ([]figure, error) {
	b, stop, err := e.broker(ctx, conf.DurabilityInterval)
	if err != nil {
		return nil, err
	}
	defer stop()
	nc, err := b.Connect()
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	const streams, appenders, size = 1000, 32, 20
	batches := e.scaled(50, 5) // of each stream
	want := int64(streams * batches * size)
	var got atomic.Int64
	all := make(chan struct{})
	sub, err := nc.Subscribe("s2.live."+string(basin)+".tap.>", func(*nats.Msg) {
		if got.Add(1) == want {
			close(all)
		}
	})
	if err != nil {
		return nil, err
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, err
	}
	if err := nc.Flush(); err != nil {
		return nil, err
	}
	svc := b.Service()
	in := protocol.AppendInput{Records: batch(size, 100)}
	began := time.Now()
	var wg sync.WaitGroup
	errs := make(chan error, appenders)
	for a := range appenders {
		wg.Go(func() {
			for range batches {
				for s := a; s < streams; s += appenders {
					ref := protocol.StreamRef{Basin: basin, Stream: protocol.StreamName(fmt.Sprintf("tap/%d", s))}
					if _, err := svc.Append(ctx, ref, in); err != nil {
						errs <- err
						return
					}
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return nil, err
	case <-all:
	case <-time.After(30 * time.Second):
		return nil, fmt.Errorf("%d of %d records arrived", got.Load(), want)
	}
	rate := float64(want) / time.Since(began).Seconds()
	return []figure{figure{Name: "live tap, one subscriber of 1,000 streams", Unit: "records/s", Weir: rate}.above(100_000)}, nil
}
