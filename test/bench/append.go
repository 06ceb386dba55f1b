package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// appendOneStream compares full batches through one append session, with the two durability classes, to raw JetStream
// publishing messages of the same total size, unsynced.
func appendOneStream(ctx context.Context, e *env) ([]figure, error) {
	batches := e.scaled(500, 50)
	recs := batch(1000, 1024)
	recs = recs[:min(len(recs), protocol.MaxBatchBytes/int(recs[0].MeteredSize()))]
	size := len(recs) * 1024
	var figures []figure
	for _, c := range []struct {
		class  conf.Durability
		target float64
	}{{conf.DurabilityInterval, 0.7}, {conf.DurabilityGroup, 0.5}} {
		weir := func() (float64, error) {
			b, stop, err := e.broker(ctx, c.class)
			if err != nil {
				return 0, err
			}
			defer stop()
			return sessionRate(ctx, b.Service(), recs, batches, size)
		}
		w, base, err := e.turns(weir, func() (float64, error) { return e.rawRate(ctx, size, batches) })
		if err != nil {
			return nil, err
		}
		figures = append(figures, figure{Name: fmt.Sprintf("append, one stream, %d x 1 KiB batches, %s / raw publish of as many bytes", len(recs), c.class),
			Unit: "MiB/s", Weir: w, Baseline: base}.atLeast(c.target))
	}
	return figures, nil
}

func sessionRate(ctx context.Context, svc protocol.Service, recs []protocol.Record, batches, size int) (float64, error) {
	s, err := svc.OpenAppendSession(ctx, protocol.StreamRef{Basin: basin, Stream: "one"})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	began := time.Now()
	failed := make(chan error, 1)
	go func() {
		for range batches {
			if err := s.Submit(ctx, protocol.AppendInput{Records: recs}); err != nil {
				failed <- err
				return
			}
		}
		failed <- s.CloseSend()
	}()
	for {
		_, err := s.Recv(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	return mibs(batches*size, time.Since(began)), <-failed
}

func (e *env) rawRate(ctx context.Context, size, messages int) (float64, error) {
	r, err := e.raw(syncLater)
	if err != nil {
		return 0, err
	}
	defer r.close()
	if err := r.stream(ctx, "one"); err != nil {
		return 0, err
	}
	// As many bytes in flight as weir's session allows.
	js, err := jetstream.New(r.nc, jetstream.WithPublishAsyncMaxPending(8))
	if err != nil {
		return 0, err
	}
	body := bytes.Repeat([]byte("x"), size)
	began := time.Now()
	for range messages {
		if _, err := js.PublishAsync("one.x", body, jetstream.WithStallWait(30*time.Second)); err != nil {
			return 0, err
		}
	}
	<-js.PublishAsyncComplete()
	return mibs(messages*size, time.Since(began)), nil
}

// appendManyStreams compares 64 appenders, each on a stream of its own and one record of 200 B at a time, to 64 raw
// publishers on a server that syncs every write.
func appendManyStreams(ctx context.Context, e *env) ([]figure, error) {
	const appenders = 64
	body := bytes.Repeat([]byte("x"), 200)
	span := time.Duration(float64(3*time.Second) * max(0.2, e.scale))
	weir := func() (float64, error) {
		b, stop, err := e.broker(ctx, conf.DurabilityGroup)
		if err != nil {
			return 0, err
		}
		defer stop()
		svc := b.Service()
		return together(span, appenders, func(i int) (func() error, error) {
			ref := protocol.StreamRef{Basin: basin, Stream: protocol.StreamName("s" + strconv.Itoa(i))}
			in := protocol.AppendInput{Records: []protocol.Record{{Body: body}}}
			return func() error { _, err := svc.Append(ctx, ref, in); return err }, nil
		})
	}
	base := func() (float64, error) {
		r, err := e.raw(syncAlways)
		if err != nil {
			return 0, err
		}
		defer r.close()
		if err := r.stream(ctx, "many"); err != nil {
			return 0, err
		}
		return together(span, appenders, func(i int) (func() error, error) {
			subject := "many." + strconv.Itoa(i)
			return func() error { _, err := r.js.Publish(ctx, subject, body); return err }, nil
		})
	}
	w, b, err := e.turns(weir, base)
	return []figure{figure{Name: "append, 64 appenders x 64 streams, 200 B, group / raw sync_always", Unit: "appends/s", Weir: w, Baseline: b}.atLeast(6)}, err
}

// together runs n workers for span and returns how many operations they did per second.
func together(span time.Duration, n int, worker func(i int) (func() error, error)) (float64, error) {
	var count atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	began := time.Now()
	for i := range n {
		op, err := worker(i)
		if err != nil {
			return 0, err
		}
		wg.Go(func() {
			for time.Since(began) < span {
				if err := op(); err != nil {
					failed.Store(&err)
					return
				}
				count.Add(1)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(count.Load()) / time.Since(began).Seconds(), nil
}

// appendLatency compares one appender, one record of 200 B at a time, to write and fdatasync of 4 KiB in a file of the
// same directory, in turn.
func appendLatency(ctx context.Context, e *env) ([]figure, error) {
	b, stop, err := e.broker(ctx, conf.DurabilityGroup)
	if err != nil {
		return nil, err
	}
	defer stop()
	svc := b.Service()
	f, err := os.Create(filepath.Join(e.dir, "fdatasync"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	ref := protocol.StreamRef{Basin: basin, Stream: "latency"}
	in := protocol.AppendInput{Records: batch(1, 200)}
	page := make([]byte, 4096)
	var weir, bare []time.Duration
	for i := range e.scaled(2000, 200) {
		began := time.Now()
		if _, err := svc.Append(ctx, ref, in); err != nil {
			return nil, err
		}
		if i > 0 {
			weir = append(weir, time.Since(began))
		}
		began = time.Now()
		if _, err := f.Write(page); err != nil {
			return nil, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return nil, err
		}
		bare = append(bare, time.Since(began))
	}
	figures := []figure{
		figure{Name: "append latency, one appender, 200 B, group, median / write + fdatasync of 4 KiB", Unit: "us",
			Weir: quantile(weir, 0.5), Baseline: quantile(bare, 0.5)}.atMost(1.5),
		{Name: "append latency, p99", Unit: "us", Weir: quantile(weir, 0.99), Baseline: quantile(bare, 0.99),
			Ratio: quantile(weir, 0.99) / quantile(bare, 0.99)},
	}
	return figures, nil
}
