package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

const followerCount = 1000

// httpFanOut measures the time from an append to its arrival at each of 1000 SSE followers of one stream at 50 records a
// second, over the loopback: each on a connection of HTTP/1.1 of its own, and as streams of ten connections of HTTP/2, as
// proxies and browsers have them. Followers share the machine's cores and the process with the server, so they look for
// the records' bodies and do nothing more. Beside HTTP/1.1 stands the time of plain TCP connections for as many messages.
func httpFanOut(ctx context.Context, e *env) ([]figure, error) {
	records := e.scaled(250, 50)
	plain, err := plainFanOut(ctx, records)
	if err != nil {
		return nil, fmt.Errorf("baseline: %w", err)
	}
	http1, err := sseFanOut(ctx, e, followConns, records)
	if err != nil {
		return nil, err
	}
	http2, err := sseFanOut(ctx, e, followStreams, records)
	if err != nil {
		return nil, err
	}
	ms := func(took []time.Duration, q float64) float64 { return quantile(took, q) / 1e3 }
	p99 := figure{Name: "1000 SSE followers of one stream at 50 records/s, append to receive, p99 / plain TCP", Unit: "ms",
		Weir: ms(http1, 0.99), Baseline: ms(plain, 0.99)}.below(8)
	p50 := figure{Name: "1000 SSE followers, median / plain TCP", Unit: "ms", Weir: ms(http1, 0.5), Baseline: ms(plain, 0.5)}
	p99.Ratio, p50.Ratio = p99.Weir/p99.Baseline, p50.Weir/p50.Baseline
	return []figure{p99, p50,
		{Name: "1000 SSE followers on 10 connections of HTTP/2, p99", Unit: "ms", Weir: ms(http2, 0.99)},
		{Name: "1000 SSE followers on 10 connections of HTTP/2, median", Unit: "ms", Weir: ms(http2, 0.5)}}, nil
}

// follow opens followers of a stream. They begin when it returns; wait returns how long each record took to each.
type follow func(ctx context.Context, b *broker.Broker, ref protocol.StreamRef, records int) (wait func() ([]time.Duration, error), err error)

func sseFanOut(ctx context.Context, e *env, open follow, records int) ([]time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the followers that an error leaves open
	b, stop, err := e.httpBroker(ctx, conf.DurabilityInterval)
	if err != nil {
		return nil, err
	}
	defer stop()
	ref := protocol.StreamRef{Basin: basin, Stream: "fan-out"}
	if _, _, err := b.Service().EnsureStream(ctx, ref, protocol.StreamConfig{}); err != nil {
		return nil, err
	}
	wait, err := open(ctx, b, ref, records)
	if err != nil {
		return nil, err
	}
	// Each record is the moment at which it is appended, as decimal nanoseconds.
	tick := time.NewTicker(time.Second / 50)
	defer tick.Stop()
	for range records {
		<-tick.C
		body := strconv.AppendInt(nil, time.Now().UnixNano(), 10)
		if _, err := b.Service().Append(ctx, ref, protocol.AppendInput{Records: []protocol.Record{{Body: body}}}); err != nil {
			return nil, err
		}
	}
	return wait()
}

// followConns follows on connections of HTTP/1.1.
func followConns(ctx context.Context, b *broker.Broker, ref protocol.StreamRef, records int) (func() ([]time.Duration, error), error) {
	w, err := newWatcher()
	if err != nil {
		return nil, err
	}
	for range followerCount {
		c, err := askForEvents(ctx, strings.TrimPrefix(b.HTTPURL(), "http://"), ref)
		if err == nil {
			err = w.add(c, records)
		}
		if err != nil {
			w.close()
			return nil, err
		}
	}
	done := make(chan error, 1)
	go func() { defer w.close(); done <- w.run(ctx) }()
	return func() ([]time.Duration, error) { err := <-done; return w.took, err }, nil
}

// askForEvents opens a connection, asks for the events of the stream and reads the head of the answer.
func askForEvents(ctx context.Context, host string, ref protocol.StreamRef) (*net.TCPConn, error) {
	c, err := dialTCP(ctx, host)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(c, "GET /v1/streams/%s/records?seq_num=0 HTTP/1.1\r\nHost: %s\r\nS2-Basin: %s\r\nAccept: %s\r\n\r\n",
		ref.Stream, host, ref.Basin, protocol.MediaEventStream)
	if err != nil {
		return nil, err
	}
	// The bytes behind the head in the buffer are the first heartbeat or a part of it, and nothing that is measured.
	in := bufio.NewReaderSize(c, 1024)
	status, err := in.ReadString('\n')
	if err != nil || !strings.HasPrefix(status, "HTTP/1.1 200 ") {
		return nil, fmt.Errorf("follow: %q, %w", status, err)
	}
	for {
		line, err := in.ReadSlice('\n')
		if err != nil || len(line) <= 2 {
			return c, err
		}
	}
}

// streamsPerConn is how many requests a browser has on a connection at most.
const streamsPerConn = 100

// followStreams follows on a few connections of HTTP/2, with a goroutine for each follower.
func followStreams(ctx context.Context, b *broker.Broker, ref protocol.StreamRef, records int) (func() ([]time.Duration, error), error) {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex // guards the variables below
		took   []time.Duration
		failed error
		w      *web
	)
	for i := range followerCount {
		if i%streamsPerConn == 0 {
			w = newWeb(b, http2)
			context.AfterFunc(ctx, w.close)
		}
		resp, err := w.open(ctx, http.MethodGet, ref.Stream, "?seq_num=0", nil, "Accept", protocol.MediaEventStream)
		if err != nil {
			return nil, err
		}
		wg.Go(func() {
			defer resp.Body.Close()
			mine := make([]time.Duration, 0, records)
			in := bufio.NewReaderSize(resp.Body, 1024)
			var err error
			for len(mine) < records && err == nil {
				var line []byte
				if line, err = in.ReadSlice('\n'); err == nil {
					now := time.Now()
					err = eachBody(line, func(sent int64) { mine = append(mine, time.Duration(now.UnixNano()-sent)) })
				}
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
			if err != nil && failed == nil {
				failed = err
			}
		})
	}
	return func() ([]time.Duration, error) { wg.Wait(); return took, failed }, nil
}
