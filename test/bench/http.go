package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/s2s"
)

// httpBroker starts a broker as env.broker does, with the HTTP API on a loopback port.
func (e *env) httpBroker(ctx context.Context, durability conf.Durability) (*broker.Broker, func(), error) {
	dir, err := e.newDir("weir-http")
	if err != nil {
		return nil, nil, err
	}
	return openBroker(ctx, dir, durability, func(c *conf.Config) { c.HTTP.Listen = "127.0.0.1:0" })
}

// web is a client of the HTTP API that adds next to nothing: it measures the server, the loopback and net/http.
type web struct {
	base   string
	client *http.Client
}

// httpVersion is a version of HTTP.
type httpVersion uint8

const (
	http1 httpVersion = iota
	http2
)

// newWeb makes a client with connections of its own. Its HTTP/2 has prior knowledge, and frames and windows for
// messages of 1 MiB, as a client has that reads much.
func newWeb(b *broker.Broker, version httpVersion) *web {
	var protocols http.Protocols
	protocols.SetHTTP1(version == http1)
	protocols.SetUnencryptedHTTP2(version == http2)
	return &web{b.HTTPURL(), &http.Client{Transport: &http.Transport{Protocols: &protocols, DisableCompression: true,
		HTTP2: &http.HTTP2Config{MaxReadFrameSize: 1 << 20, MaxReceiveBufferPerStream: 4 << 20, MaxReceiveBufferPerConnection: 16 << 20}}}}
}

func (w *web) close() { w.client.CloseIdleConnections() }

// open sends a request for the records of a stream and returns the answer if its status is 200.
func (w *web) open(ctx context.Context, method string, stream protocol.StreamName, query string, body io.Reader, head ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, w.base+"/v1/streams/"+string(stream)+"/records"+query, body)
	if err != nil {
		return nil, err
	}
	req.Header["S2-Basin"] = []string{string(basin)}
	for i := 0; i < len(head); i += 2 {
		req.Header[head[i]] = head[i+1 : i+2]
	}
	resp, err := w.client.Do(req)
	if err != nil || resp.StatusCode == http.StatusOK {
		return resp, err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return nil, fmt.Errorf("%s: %s", resp.Status, text)
}

// frames reads s2s frames into one buffer.
type frames struct {
	r   io.Reader
	buf []byte
}

// next returns the message of the next frame, good until the next call; io.EOF stands for a clean end.
func (f *frames) next() ([]byte, error) {
	var head [s2s.HeadBytes]byte
	if _, err := io.ReadFull(f.r, head[:]); err != nil {
		return nil, err
	}
	h, err := s2s.DecodeHead(head[:])
	if err != nil {
		return nil, err
	}
	if cap(f.buf) < h.Payload {
		f.buf = make([]byte, s2s.MaxPayload)
	}
	payload := f.buf[:h.Payload]
	if _, err := io.ReadFull(f.r, payload); err != nil {
		return nil, fmt.Errorf("inside a frame: %w", err)
	}
	if h.Terminal {
		return nil, fmt.Errorf("the session failed: %q", payload)
	}
	return payload, nil
}

// httpLatency measures the time that HTTP/1.1 with a kept connection adds to the append of one record: appends over HTTP and in
// process, in turn, on one stream.
func httpLatency(ctx context.Context, e *env) ([]figure, error) {
	b, stop, err := e.httpBroker(ctx, conf.DurabilityInterval)
	if err != nil {
		return nil, err
	}
	defer stop()
	w := newWeb(b, http1)
	defer w.close()
	ref := protocol.StreamRef{Basin: basin, Stream: "latency"}
	in := protocol.AppendInput{Records: batch(1, 200)}
	body := protocol.MarshalAppendInput(&in)
	var direct, over []time.Duration
	for i := range e.scaled(5000, 500) {
		began := time.Now()
		if _, err := b.Service().Append(ctx, ref, in); err != nil {
			return nil, err
		}
		between := time.Now()
		resp, err := w.open(ctx, http.MethodPost, ref.Stream, "", bytes.NewReader(body),
			"Content-Type", protocol.MediaProtobuf, "Accept", protocol.MediaProtobuf)
		if err != nil {
			return nil, err
		}
		ack, err := io.ReadAll(resp.Body)
		if resp.Body.Close(); err != nil {
			return nil, err
		}
		if _, err := protocol.UnmarshalAppendAck(ack); err != nil {
			return nil, err
		}
		if i >= 50 { // the first ones open the stream and the connection
			direct, over = append(direct, between.Sub(began)), append(over, time.Since(between))
		}
	}
	d, o := quantile(direct, 0.5), quantile(over, 0.5)
	added := figure{Name: "HTTP/1.1 above in process: append of one 200 B record, interval, median", Unit: "us", Weir: o - d}
	added = added.below(150)
	return []figure{added,
		{Name: "append of one 200 B record over HTTP/1.1 / in process, interval, median", Unit: "us", Weir: o, Baseline: d, Ratio: o / d},
		{Name: "append of one 200 B record over HTTP/1.1 / in process, interval, p99", Unit: "us", Weir: quantile(over, 0.99),
			Baseline: quantile(direct, 0.99), Ratio: quantile(over, 0.99) / quantile(direct, 0.99)}}, nil
}
