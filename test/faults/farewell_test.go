package faults

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// TestFaultStopAnswersEveryRequest stops a broker on which connections of HTTP/1.1, HTTP/2 and NATS send appends all the
// time: every request that was sent is answered, by its result or by a refusal, until its connection was told to go.
func TestFaultStopAnswersEveryRequest(t *testing.T) {
	var total atomic.Int64
	for round := range scale(4, 100) {
		cfg := conf.Default().WithMemory()
		cfg.LameDuck = 5 * time.Second
		cfg.NATS.Listen, cfg.HTTP.Listen = "127.0.0.1:0", "127.0.0.1:0"
		cfg.HTTP.TLSSelf = round%2 == 1
		b := start(t, cfg)
		_, _, err := b.Service().CreateBasin(t.Context(), protocol.CreateBasinRequest{
			Basin: "busy-basin", Config: protocol.BasinConfig{CreateStreamOnAppend: true},
		})
		must(t, err)
		f := &farewell{t: t, b: b.Broker}
		for range 20 {
			f.wg.Go(f.http1)
		}
		for range 5 {
			f.http2(5)
		}
		for range 10 {
			f.wg.Go(f.nats)
		}
		eventually(t, "the load is on", func() bool { return f.answered.Load() > 1000 })
		f.stop.Store(time.Now().UnixNano())
		must(t, b.close())
		f.wg.Wait()
		if n := f.unanswered.Load(); n > 0 {
			t.Errorf("round %d: %d requests got no answer, first: %v", round, n, f.first.Load())
		}
		if f.refused.Load() == 0 {
			t.Errorf("round %d: nobody was refused, so nothing was sent during the stop", round)
		}
		total.Add(f.answered.Load())
	}
	t.Logf("%d requests were answered", total.Load())
}

// farewell is the load on a broker that is about to stop.
type farewell struct {
	t  *testing.T
	b  *broker.Broker
	wg sync.WaitGroup

	stop                          atomic.Int64 // when it began, in nanoseconds; 0: it has not
	answered, refused, unanswered atomic.Int64
	first                         atomic.Value // the first failure
}

// done counts an answer. Anything but a success must be a refusal.
func (f *farewell) done(door string, success bool, body string) {
	f.answered.Add(1)
	switch {
	case success:
	case strings.Contains(body, "server_draining"):
		f.refused.Add(1)
	default:
		f.t.Errorf("%s: the answer is %s", door, body)
	}
}

func (f *farewell) lost(door string, err error) {
	f.unanswered.Add(1)
	f.first.CompareAndSwap(nil, fmt.Errorf("%s: %w", door, err))
}

// lostOverHTTP counts a request that got no answer, unless it was sent so late that its client has had time to leave: a client
// of this busy process may not have had its turn in the half second that a stop gives it.
func (f *farewell) lostOverHTTP(door string, sent time.Time, err error) {
	if began := f.stop.Load(); began == 0 || sent.Sub(time.Unix(0, began)) < timeToLeave {
		f.lost(door, err)
	}
}

const timeToLeave = 100 * time.Millisecond

const farewellInput = `{"records":[{"body":"lorem"}]}`

func (f *farewell) request(body io.Reader) *http.Request {
	req, err := http.NewRequest(http.MethodPost, f.b.HTTPURL()+"/v1/streams/s/records", body)
	if err != nil {
		panic(err)
	}
	req.ContentLength = int64(len(farewellInput))
	req.Header.Set("s2-basin", "busy-basin")
	req.Header.Set("content-type", "application/json")
	return req
}

// http1 sends one request after the other on one connection, until an answer says that it ends.
func (f *farewell) http1() {
	var nc net.Conn
	var err error
	address := strings.TrimPrefix(strings.TrimPrefix(f.b.HTTPURL(), "https://"), "http://")
	if strings.HasPrefix(f.b.HTTPURL(), "https:") {
		nc, err = tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	} else {
		nc, err = net.Dial("tcp", address)
	}
	if err != nil {
		f.lost("http1", err)
		return
	}
	defer nc.Close()
	r := bufio.NewReader(nc)
	for {
		req, sent := f.request(strings.NewReader(farewellInput)), time.Now()
		if err := req.Write(nc); err != nil {
			f.lostOverHTTP("http1", sent, err)
			return
		}
		resp, err := http.ReadResponse(r, req)
		if err != nil {
			f.lostOverHTTP("http1", sent, err)
			return
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			f.lostOverHTTP("http1", sent, err)
			return
		}
		f.done("http1", resp.StatusCode == http.StatusOK, string(body))
		if resp.Close {
			return
		}
		time.Sleep(rand.N(3 * time.Millisecond))
	}
}

// errLeft is what a client of HTTP/2 gets that wants another connection, because it was told to leave the first.
var errLeft = errors.New("the connection was given up")

// http2 sends from n goroutines over one connection. No request is sent twice, because none has a body that can be.
func (f *farewell) http2(n int) {
	var dials atomic.Int64
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	tr := &http.Transport{
		Protocols:       &protocols,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if dials.Add(1) > 1 {
				return nil, errLeft
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}
	send := func() bool {
		var sent atomic.Bool
		req := f.request(io.NopCloser(strings.NewReader(farewellInput)))
		began := time.Now()
		trace := &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }}
		resp, err := tr.RoundTrip(req.WithContext(httptrace.WithClientTrace(context.Background(), trace)))
		if err != nil && !sent.Load() {
			return false // there was no connection to send it on
		}
		var body []byte
		if err == nil {
			defer resp.Body.Close()
			body, err = io.ReadAll(resp.Body)
		}
		if err != nil {
			f.lostOverHTTP("http2", began, err)
			return false
		}
		f.done("http2", resp.StatusCode == http.StatusOK, string(body))
		return true
	}
	if !send() { // makes the connection
		return
	}
	var senders sync.WaitGroup
	for range n {
		senders.Go(func() {
			for send() {
				time.Sleep(rand.N(3 * time.Millisecond))
			}
		})
	}
	f.wg.Go(func() { senders.Wait(); tr.CloseIdleConnections() })
}

// nats sends one request after the other until nobody answers any more, or the server says that it is going away.
func (f *farewell) nats() {
	var lameDuck atomic.Bool
	nc, err := nats.Connect(f.b.ClientURL(), nats.MaxReconnects(0), quiet,
		nats.LameDuckModeHandler(func(*nats.Conn) { lameDuck.Store(true) }))
	if err != nil {
		f.lost("nats", err)
		return
	}
	defer nc.Close()
	for !lameDuck.Load() {
		m := nats.NewMsg("s2.v1.append.busy-basin.s")
		m.Header.Set("Content-Type", "application/json")
		m.Data = []byte(farewellInput)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		answer, err := nc.RequestMsgWithContext(ctx, m)
		cancel()
		switch {
		case errors.Is(err, nats.ErrNoResponders):
			return
		case err != nil:
			f.lost("nats", err)
			return
		}
		f.done("nats", answer.Header.Get(protocol.HeaderServiceErrorCode) == "", string(answer.Data))
		time.Sleep(rand.N(3 * time.Millisecond))
	}
}
