package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// seek measures one-record reads at random places of a stream of ten million records, against one JetStream get of a
// message at a random place. Cold: the first one after a restart, when JetStream has to load and index the block that
// holds the message. Warm: the same one again.
func seek(ctx context.Context, e *env) ([]figure, error) {
	dir, err := e.newDir("seek")
	if err != nil {
		return nil, err
	}
	b, stop, err := openBroker(ctx, dir, conf.DurabilityInterval)
	if err != nil {
		return nil, err
	}
	records := e.scaled(10_000_000, 500_000)
	err = fillSeek(ctx, b.Service(), records)
	stop()
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(3, 4))
	kinds := []struct {
		name string
		read func(b *broker.Broker) (func() error, error)
	}{
		{"get", func(b *broker.Broker) (func() error, error) { return rawGet(b, rng) }},
		{"seq_num", readAt(ctx, func() protocol.Start { return protocol.FromSeqNum(uint64(rng.IntN(records - 1))) })},
		{"timestamp", readAt(ctx, func() protocol.Start { return protocol.FromTimestamp(seekStamp(rng.IntN(records - 1))) })},
	}
	cold, warm := map[string][]time.Duration{}, map[string][]time.Duration{}
	for range 15 {
		for _, kind := range kinds {
			if err := timeSeek(ctx, dir, kind.name, kind.read, cold, warm); err != nil {
				return nil, err
			}
		}
	}
	var figures []figure
	for _, kind := range kinds[1:] {
		figures = append(figures,
			figure{Name: fmt.Sprintf("seek by %s in %d records, cold, median / one cold JetStream get", kind.name, records), Unit: "us",
				Weir: quantile(cold[kind.name], 0.5), Baseline: quantile(cold["get"], 0.5)}.atMost(20),
			figure{Name: fmt.Sprintf("seek by %s, warm, median / one warm JetStream get", kind.name), Unit: "us",
				Weir: quantile(warm[kind.name], 0.5), Baseline: quantile(warm["get"], 0.5)}.atMost(3))
	}
	return figures, nil
}

// timeSeek starts the broker again and times one operation cold and then warm.
func timeSeek(ctx context.Context, dir, name string, prepare func(*broker.Broker) (func() error, error), cold, warm map[string][]time.Duration) error {
	b, stop, err := openBroker(ctx, dir, conf.DurabilityInterval)
	if err != nil {
		return err
	}
	defer stop()
	op, err := prepare(b)
	if err != nil {
		return err
	}
	for i := range 11 {
		began := time.Now()
		if err := op(); err != nil {
			return err
		}
		if took := time.Since(began); i == 0 {
			cold[name] = append(cold[name], took)
		} else {
			warm[name] = append(warm[name], took)
		}
	}
	return nil
}

// readAt prepares reads of one record at one place. The stream is loaded before, by asking for its tail.
func readAt(ctx context.Context, place func() protocol.Start) func(*broker.Broker) (func() error, error) {
	return func(b *broker.Broker) (func() error, error) {
		ref := protocol.StreamRef{Basin: basin, Stream: "seek"}
		one := uint64(1)
		req := protocol.ReadRequest{Start: place(), Count: &one}
		_, err := b.Service().CheckTail(ctx, ref)
		return func() error {
			got, err := b.Service().Read(ctx, ref, req)
			if err == nil && got.Records.Len() != 1 {
				err = fmt.Errorf("read at %v returned %d records", req.Start, got.Records.Len())
			}
			return err
		}, err
	}
}

// rawGet prepares direct gets of one message.
func rawGet(b *broker.Broker, rng *rand.Rand) (func() error, error) {
	nc, err := b.Connect()
	if err != nil {
		return nil, err
	}
	name := "S2_LOG_express_0"
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	info, err := js.Stream(context.Background(), name)
	if err != nil {
		return nil, err
	}
	body := fmt.Appendf(nil, `{"seq":%d}`, 1+rng.Int64N(int64(info.CachedInfo().State.LastSeq)))
	return func() error {
		m, err := nc.Request("$JS.API.DIRECT.GET."+name, body, 10*time.Second)
		if err == nil && len(m.Data) == 0 {
			err = fmt.Errorf("direct get: status %s", m.Header.Get("Status"))
		}
		return err
	}, nil
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
