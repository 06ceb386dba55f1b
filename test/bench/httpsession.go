package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/s2s"
)

// httpCatchUp compares an s2s read session over HTTP/2 and the loopback, from the first record to the tail, to the same
// session in process.
func httpCatchUp(ctx context.Context, e *env) ([]figure, error) {
	b, stop, err := e.httpBroker(ctx, conf.DurabilityInterval)
	if err != nil {
		return nil, err
	}
	defer stop()
	recs := batch(1000, 1024)
	batches := e.scaled(1024, 64)
	total := batches * len(recs) * 1024
	if _, err := sessionRate(ctx, b.Service(), recs, batches, total/batches); err != nil {
		return nil, err
	}
	var direct, over, over1 []float64
	for range e.rounds {
		for _, way := range []struct {
			rates *[]float64
			read  func() error
		}{
			{&direct, func() error { return readWhole(ctx, b.Service(), batches*len(recs)) }},
			{&over, func() error { return readFrames(ctx, b, http2, batches*len(recs)) }},
			{&over1, func() error { return readFrames(ctx, b, http1, batches*len(recs)) }},
		} {
			began := time.Now()
			if err := way.read(); err != nil {
				return nil, err
			}
			*way.rates = append(*way.rates, mibs(total, time.Since(began)))
		}
	}
	d, h1 := median(direct), median(over1)
	return []figure{
		figure{Name: "catch-up read of 1 GiB, s2s over HTTP/2 / in process", Unit: "MiB/s", Weir: median(over), Baseline: d}.atLeast(0.5),
		{Name: "catch-up read of 1 GiB, s2s over HTTP/1.1 / in process", Unit: "MiB/s", Weir: h1, Baseline: d, Ratio: h1 / d},
	}, nil
}

// readFrames reads the stream to its tail and checks the number of records.
func readFrames(ctx context.Context, b *broker.Broker, version httpVersion, want int) error {
	w := newWeb(b, version)
	defer w.close()
	resp, err := w.open(ctx, http.MethodGet, "one", fmt.Sprintf("?seq_num=0&count=%d", uint64(math.MaxUint64)), nil,
		"Content-Type", protocol.MediaS2S)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	in := frames{r: resp.Body}
	n := 0
	for {
		msg, err := in.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		batch, err := protocol.UnmarshalReadBatch(msg)
		if err != nil {
			return err
		}
		n += batch.Records.Len()
	}
	if n != want {
		return fmt.Errorf("%d records of %d", n, want)
	}
	return nil
}

// httpAppend compares full batches through an s2s append session over HTTP/2 and the loopback to an append session in
// process.
func httpAppend(ctx context.Context, e *env) ([]figure, error) {
	batches := e.scaled(500, 50)
	recs := batch(1000, 1024)
	recs = recs[:min(len(recs), protocol.MaxBatchBytes/int(recs[0].MeteredSize()))]
	size := len(recs) * 1024
	over := func() (float64, error) {
		b, stop, err := e.httpBroker(ctx, conf.DurabilityInterval)
		if err != nil {
			return 0, err
		}
		defer stop()
		return frameRate(ctx, b, recs, batches, size)
	}
	direct := func() (float64, error) {
		b, stop, err := e.broker(ctx, conf.DurabilityInterval)
		if err != nil {
			return 0, err
		}
		defer stop()
		return sessionRate(ctx, b.Service(), recs, batches, size)
	}
	o, d, err := e.turns(over, direct)
	return []figure{figure{Name: fmt.Sprintf("append session, %d x 1 KiB batches, interval, s2s over HTTP/2 / in process", len(recs)),
		Unit: "MiB/s", Weir: o, Baseline: d}.atLeast(0.4)}, err
}

// frameRate is sessionRate over s2s.
func frameRate(ctx context.Context, b *broker.Broker, recs []protocol.Record, batches, size int) (float64, error) {
	w := newWeb(b, http2)
	defer w.close()
	began := time.Now()
	r, body := io.Pipe()
	defer r.Close() // ends the goroutine below if the session fails
	go func() {
		var frame []byte
		for range batches {
			var err error
			// Each input is encoded, as a client has to.
			msg := protocol.MarshalAppendInput(&protocol.AppendInput{Records: recs})
			if frame, err = s2s.AppendFrame(frame[:0], msg, s2s.Head{}); err == nil {
				_, err = body.Write(frame)
			}
			if err != nil {
				body.CloseWithError(err)
				return
			}
		}
		body.Close()
	}()
	resp, err := w.open(ctx, http.MethodPost, "one", "", r, "Content-Type", protocol.MediaS2S)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	in := frames{r: bufio.NewReader(resp.Body)}
	acks := 0
	for {
		msg, err := in.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, err
		}
		if _, err := protocol.UnmarshalAppendAck(msg); err != nil {
			return 0, err
		}
		acks++
	}
	if acks != batches {
		return 0, fmt.Errorf("%d acks for %d inputs", acks, batches)
	}
	return mibs(batches*size, time.Since(began)), nil
}
