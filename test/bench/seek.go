package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

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
		open seeker
	}{
		{"get", rawGet(rng)},
		{"seq_num", readAt(ctx, func() protocol.Start { return protocol.FromSeqNum(uint64(rng.IntN(records - 1))) })},
		{"timestamp", readAt(ctx, func() protocol.Start { return protocol.FromTimestamp(seekStamp(rng.IntN(records - 1))) })},
	}
	cold, warm := map[string][]time.Duration{}, map[string][]time.Duration{}
	for range 15 {
		for _, kind := range kinds {
			if err := timeSeek(dir, kind.name, kind.open, cold, warm); err != nil {
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

// seeker opens the store in a directory and returns the operation to time.
type seeker func(dir string) (op func() error, stop func(), err error)

// timeSeek opens the store again and times one operation cold and then warm.
func timeSeek(dir, name string, open seeker, cold, warm map[string][]time.Duration) error {
	op, stop, err := open(dir)
	if err != nil {
		return err
	}
	defer stop()
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
func readAt(ctx context.Context, place func() protocol.Start) seeker {
	return func(dir string) (func() error, func(), error) {
		b, stop, err := openBroker(ctx, dir, conf.DurabilityInterval)
		if err != nil {
			return nil, nil, err
		}
		ref := protocol.StreamRef{Basin: basin, Stream: "seek"}
		one := uint64(1)
		req := protocol.ReadRequest{Start: place(), Count: &one}
		if _, err := b.Service().CheckTail(ctx, ref); err != nil {
			stop()
			return nil, nil, err
		}
		return func() error {
			got, err := b.Service().Read(ctx, ref, req)
			if err == nil && got.Records.Len() != 1 {
				err = fmt.Errorf("read at %v returned %d records", req.Start, got.Records.Len())
			}
			return err
		}, stop, nil
	}
}

// rawGet prepares direct gets of one message, with nothing but NATS.
func rawGet(rng *rand.Rand) seeker {
	return func(dir string) (func() error, func(), error) {
		r, err := rawOver(dir)
		if err != nil {
			return nil, nil, err
		}
		name := "S2_LOG_express_0"
		info, err := r.js.Stream(context.Background(), name)
		if err != nil {
			r.close()
			return nil, nil, err
		}
		body := fmt.Appendf(nil, `{"seq":%d}`, 1+rng.Int64N(int64(info.CachedInfo().State.LastSeq)))
		return func() error {
			m, err := r.nc.Request("$JS.API.DIRECT.GET."+name, body, 10*time.Second)
			if err == nil && len(m.Data) == 0 {
				err = fmt.Errorf("direct get: status %s", m.Header.Get("Status"))
			}
			return err
		}, r.close, nil
	}
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
