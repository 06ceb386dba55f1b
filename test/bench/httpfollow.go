package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// httpFanOut measures the time from an append to its arrival at each of 1000 SSE followers of one stream, every one on a
// connection of its own over the loopback, at 50 records a second. Followers and server share the machine's cores and
// the process, so a follower is a plain connection that reads lines and nothing more.
func httpFanOut(ctx context.Context, e *env) ([]figure, error) {
	b, stop, err := e.httpBroker(ctx, conf.DurabilityInterval)
	if err != nil {
		return nil, err
	}
	defer stop()
	ref := protocol.StreamRef{Basin: basin, Stream: "fan-out"}
	if _, _, err := b.Service().EnsureStream(ctx, ref, protocol.StreamConfig{}); err != nil {
		return nil, err
	}
	const followers = 1000
	records := e.scaled(250, 50)
	f := &sseFollowers{took: make([]time.Duration, 0, followers*records)}
	for range followers {
		c, err := f.open(ctx, b, ref)
		if err != nil {
			f.close()
			return nil, err
		}
		f.wg.Go(func() { f.follow(c, records) })
	}
	err = appendPaced(ctx, b.Service(), ref, records, time.Second/50)
	if err != nil {
		f.close()
	}
	f.wg.Wait()
	f.close()
	if err == nil {
		err = f.failed
	}
	if err != nil {
		return nil, err
	}
	return []figure{
		figure{Name: "1000 SSE followers of one stream at 50 records/s, append to receive, p99", Unit: "ms", Weir: quantile(f.took, 0.99) / 1e3}.below(8),
		{Name: "1000 SSE followers, median", Unit: "ms", Weir: quantile(f.took, 0.5) / 1e3},
	}, nil
}

// appendPaced appends records at a steady pace, each with the moment at which it is appended, as decimal nanoseconds.
func appendPaced(ctx context.Context, svc protocol.Service, ref protocol.StreamRef, records int, pace time.Duration) error {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for range records {
		<-tick.C
		body := strconv.AppendInt(nil, time.Now().UnixNano(), 10)
		if _, err := svc.Append(ctx, ref, protocol.AppendInput{Records: []protocol.Record{{Body: body}}}); err != nil {
			return err
		}
	}
	return nil
}

// sseFollowers are connections that follow a stream.
type sseFollowers struct {
	wg    sync.WaitGroup
	conns []net.Conn

	mu     sync.Mutex // guards what follows
	took   []time.Duration
	failed error
}

// open asks for the events of the stream and reads the head of the answer.
func (f *sseFollowers) open(ctx context.Context, b *broker.Broker, ref protocol.StreamRef) (*bufio.Reader, error) {
	var d net.Dialer
	host := strings.TrimPrefix(b.HTTPURL(), "http://")
	c, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	f.conns = append(f.conns, c)
	if _, err := fmt.Fprintf(c, "GET /v1/streams/%s/records?seq_num=0 HTTP/1.1\r\nHost: %s\r\nS2-Basin: %s\r\nAccept: %s\r\n\r\n",
		ref.Stream, host, ref.Basin, protocol.MediaEventStream); err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(c, 1024)
	status, err := in.ReadString('\n')
	if err != nil || !strings.HasPrefix(status, "HTTP/1.1 200 ") {
		return nil, fmt.Errorf("follow: %q, %w", status, err)
	}
	for {
		line, err := in.ReadSlice('\n')
		if err != nil || len(line) <= 2 {
			return in, err
		}
	}
}

// follow reads events until all records have come. Only the lines that carry bodies matter: the marks of chunks around
// events are on lines of their own.
func (f *sseFollowers) follow(in *bufio.Reader, records int) {
	mine := make([]time.Duration, 0, records)
	err := func() error {
		for len(mine) < records {
			line, err := in.ReadSlice('\n')
			if err != nil {
				return err
			}
			now := time.Now()
			for _, after, ok := bytes.Cut(line, []byte(`"body":"`)); ok; _, after, ok = bytes.Cut(after, []byte(`"body":"`)) {
				digits, _, _ := bytes.Cut(after, []byte(`"`))
				sent, err := strconv.ParseInt(string(digits), 10, 64)
				if err != nil {
					return err
				}
				mine = append(mine, time.Duration(now.UnixNano()-sent))
			}
		}
		return nil
	}()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.took = append(f.took, mine...)
	if err != nil && f.failed == nil {
		f.failed = err
	}
}

func (f *sseFollowers) close() {
	for _, c := range f.conns {
		c.Close()
	}
}
