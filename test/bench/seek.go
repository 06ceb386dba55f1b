package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// seek measures one-record reads at random places of a stream of ten million records, against the time of one
// JetStream get. Cold places were never visited since the start; warm ones are read again.
func seek(ctx context.Context, e *env) ([]figure, error) {
	dir, err := e.newDir("seek")
	if err != nil {
		return nil, err
	}
	b, stop, err := openBroker(ctx, dir, conf.DurabilityInterval)
	if err != nil {
		return nil, err
	}
	defer func() { stop() }()
	records := e.scaled(10_000_000, 500_000)
	if err := fillSeek(ctx, b.Service(), records); err != nil {
		return nil, err
	}
	ref := protocol.StreamRef{Basin: basin, Stream: "seek"}
	one := uint64(1)
	read := func(start protocol.Start) (time.Duration, error) {
		began := time.Now()
		got, err := b.Service().Read(ctx, ref, protocol.ReadRequest{Start: start, Count: &one})
		if err == nil && got.Records.Len() != 1 {
			err = fmt.Errorf("read at %v returned %d records", start, got.Records.Len())
		}
		return time.Since(began), err
	}
	rng := rand.New(rand.NewPCG(3, 4))
	var get []time.Duration
	for range 200 { // the tail is known to the index: one get
		d, err := read(protocol.FromTailOffset(1))
		if err != nil {
			return nil, err
		}
		get = append(get, d)
	}
	unit := quantile(get, 0.5)
	var figures []figure
	for _, kind := range []struct {
		name  string
		start func(n int) protocol.Start
	}{
		{"seq_num", func(n int) protocol.Start { return protocol.FromSeqNum(uint64(n)) }},
		{"timestamp", func(n int) protocol.Start { return protocol.FromTimestamp(seekStamp(n)) }},
	} {
		var cold, warm []time.Duration
		for range 20 {
			stop()
			if b, stop, err = openBroker(ctx, dir, conf.DurabilityInterval); err != nil {
				return nil, err
			}
			if _, err := b.Service().CheckTail(ctx, ref); err != nil {
				return nil, err
			}
			place := rng.IntN(records - 1)
			d, err := read(kind.start(place))
			if err != nil {
				return nil, err
			}
			cold = append(cold, d)
			for range 10 {
				if d, err = read(kind.start(place)); err != nil {
					return nil, err
				}
				warm = append(warm, d)
			}
		}
		figures = append(figures,
			figure{Name: fmt.Sprintf("seek by %s in %d records, cold, median / one get", kind.name, records), Unit: "us", Weir: quantile(cold, 0.5), Baseline: unit}.atMost(20),
			figure{Name: fmt.Sprintf("seek by %s, warm, median / one get", kind.name), Unit: "us", Weir: quantile(warm, 0.5), Baseline: unit}.atMost(3))
	}
	return figures, nil
}

// seekStamp is the timestamp of record n: rising, unevenly.
func seekStamp(n int) uint64 { return 1_000_000 + uint64(n)*3 + uint64(n%1000)/500 }

// fillSeek appends records in batches of uneven size, with another stream in between.
func fillSeek(ctx context.Context, svc protocol.Service, records int) error {
	require, uncapped := protocol.TimestampClientRequire, true
	ref := protocol.StreamRef{Basin: basin, Stream: "seek"}
	if _, _, err := svc.EnsureStream(ctx, ref, protocol.StreamConfig{TimestampingMode: &require, Uncapped: &uncapped}); err != nil {
		return err
	}
	s, err := svc.OpenAppendSession(ctx, ref)
	if err != nil {
		return err
	}
	defer s.Close()
	rng := rand.New(rand.NewPCG(5, 6))
	failed := make(chan error, 1)
	go func() {
		for n := 0; n < records; {
			size := min(records-n, 50+rng.IntN(200))
			recs := make([]protocol.Record, size)
			for i := range recs {
				ts := seekStamp(n + i)
				recs[i] = protocol.Record{Timestamp: &ts, Body: []byte("0123456789")}
			}
			if err := s.Submit(ctx, protocol.AppendInput{Records: recs}); err != nil {
				failed <- err
				return
			}
			if rng.IntN(4) == 0 {
				other := protocol.StreamRef{Basin: basin, Stream: "other"}
				if _, err := svc.Append(ctx, other, protocol.AppendInput{Records: recs[:1]}); err != nil {
					failed <- err
					return
				}
			}
			n += size
		}
		failed <- s.CloseSend()
	}()
	for {
		if _, err := s.Recv(ctx); err != nil {
			break
		}
	}
	return <-failed
}
