package main

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// followLatency compares the time from an append to its delivery to a follower to that from a raw publish to an ordered
// consumer; one record at a time, unsynced.
func followLatency(ctx context.Context, e *env) ([]figure, error) {
	n := e.scaled(5000, 500)
	weir := func() (float64, error) {
		b, stop, err := e.broker(ctx, conf.DurabilityInterval)
		if err != nil {
			return 0, err
		}
		defer stop()
		svc := b.Service()
		ref := protocol.StreamRef{Basin: basin, Stream: "follow"}
		if _, _, err := svc.EnsureStream(ctx, ref, protocol.StreamConfig{}); err != nil {
			return 0, err
		}
		s, err := svc.OpenReadSession(ctx, ref, protocol.ReadRequest{Start: protocol.FromSeqNum(0)})
		if err != nil {
			return 0, err
		}
		defer s.Close()
		got := make(chan time.Time, 1)
		go func() {
			for {
				b, err := s.Next(ctx)
				if err != nil {
					return
				}
				if b.Records.Len() > 0 {
					got <- time.Now()
				}
			}
		}()
		var took []time.Duration
		in := protocol.AppendInput{Records: batch(1, 200)}
		for range n {
			began := time.Now()
			go svc.Append(ctx, ref, in) // a failure shows as a missing delivery
			took = append(took, (<-got).Sub(began))
		}
		return quantile(took, 0.5), nil
	}
	base := func() (float64, error) {
		r, err := e.raw(syncLater)
		if err != nil {
			return 0, err
		}
		defer r.close()
		if err := r.stream(ctx, "follow"); err != nil {
			return 0, err
		}
		c, err := r.js.OrderedConsumer(ctx, "follow", jetstream.OrderedConsumerConfig{})
		if err != nil {
			return 0, err
		}
		got := make(chan time.Time, 1)
		cc, err := c.Consume(func(jetstream.Msg) { got <- time.Now() })
		if err != nil {
			return 0, err
		}
		defer cc.Stop()
		var took []time.Duration
		body := make([]byte, 200)
		for range n {
			began := time.Now()
			go r.js.Publish(ctx, "follow.x", body) // as above
			took = append(took, (<-got).Sub(began))
		}
		return quantile(took, 0.5), nil
	}
	w, b, err := e.turns(weir, base)
	return []figure{figure{Name: "append to follower, one stream, interval, median / raw publish to ordered consumer", Unit: "us", Weir: w, Baseline: b}.atMost(3)}, err
}

// fanOut measures the time from an append to each of 1000 followers of one stream at 50 records a second.
func fanOut(ctx context.Context, e *env) ([]figure, error) {
	b, stop, err := e.broker(ctx, conf.DurabilityInterval)
	if err != nil {
		return nil, err
	}
	defer stop()
	svc := b.Service()
	ref := protocol.StreamRef{Basin: basin, Stream: "fan-out"}
	if _, _, err := svc.EnsureStream(ctx, ref, protocol.StreamConfig{}); err != nil {
		return nil, err
	}
	const followers = 1000
	records := e.scaled(250, 50)
	var (
		mu   sync.Mutex
		took = make([]time.Duration, 0, followers*records)
		wg   sync.WaitGroup
	)
	for range followers {
		s, err := svc.OpenReadSession(ctx, ref, protocol.ReadRequest{Start: protocol.FromSeqNum(0)})
		if err != nil {
			return nil, err
		}
		wg.Go(func() {
			defer s.Close()
			mine := make([]time.Duration, 0, records)
			for len(mine) < records {
				b, err := s.Next(ctx)
				if err != nil {
					return
				}
				now := time.Now()
				for r := range b.Records.All() {
					mine = append(mine, now.Sub(time.Unix(0, int64(binary.LittleEndian.Uint64(r.Body)))))
				}
			}
			mu.Lock()
			took = append(took, mine...)
			mu.Unlock()
		})
	}
	tick := time.NewTicker(time.Second / 50)
	defer tick.Stop()
	for range records {
		<-tick.C
		body := binary.LittleEndian.AppendUint64(nil, uint64(time.Now().UnixNano()))
		if _, err := svc.Append(ctx, ref, protocol.AppendInput{Records: []protocol.Record{{Body: body}}}); err != nil {
			return nil, err
		}
	}
	wg.Wait()
	return []figure{
		figure{Name: "1000 followers of one stream at 50 records/s, append to receive, p99", Unit: "ms", Weir: quantile(took, 0.99) / 1e3}.below(7),
		{Name: "1000 followers, median", Unit: "ms", Weir: quantile(took, 0.5) / 1e3},
	}, nil
}
