package httpapi_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/weirstream/weir/broker/internal/httpapi"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/s2s"
)

// listen serves the handler on a loopback port.
func listen(t testing.TB, h http.Handler) (url string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := httpapi.NewServer(h, nil)
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close() })
	return "http://" + ln.Addr().String()
}

// http1 and http2 are clients of their own connections.
func http1(t testing.TB) *http.Client {
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func http2(t testing.TB) *http.Client {
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	tr := &http.Transport{DisableCompression: true, Protocols: &p, HTTP2: &http.HTTP2Config{
		MaxReadFrameSize: 1 << 20, MaxReceiveBufferPerStream: 4 << 20, MaxReceiveBufferPerConnection: 16 << 20,
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func send(t testing.TB, c *http.Client, method, url string, body io.Reader, head ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(head); i += 2 {
		req.Header.Add(head[i], head[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// fullBatch is a batch of 1000 records that weighs all but 1 MiB.
func fullBatch() protocol.AppendInput {
	in := protocol.AppendInput{Records: make([]protocol.Record, protocol.MaxBatchRecords)}
	for i := range in.Records {
		in.Records[i].Body = bytes.Repeat([]byte{byte(i)}, 1040)
	}
	return in
}

// BenchmarkAppendUnary: what HTTP adds to a call in process.
//
//	go test ./broker/httpapi -run xxx -bench AppendUnary -count 10 | benchstat -col /door -
func BenchmarkAppendUnary(b *testing.B) {
	br := startBroker(b)
	in := protocol.AppendInput{Records: []protocol.Record{{Body: bytes.Repeat([]byte("x"), 200)}}}
	b.Run("door=process", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := br.Service().Append(b.Context(), events, in); err != nil {
				b.Fatal(err)
			}
		}
	})
	url := listen(b, br.HTTPHandler()) + "/v1/streams/events/records"
	body := protocol.MarshalAppendInput(&in)
	for name, c := range map[string]*http.Client{"http1": http1(b), "http2": http2(b)} {
		b.Run("door="+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				resp := send(b, c, "POST", url, bytes.NewReader(body), "s2-basin", string(events.Basin), "content-type", protocol.MediaProtobuf,
					"accept", protocol.MediaProtobuf)
				if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
					b.Fatal(resp.Status, err)
				}
			}
		})
	}
}

// BenchmarkCatchUp reads a stored stream from its start, again and again.
func BenchmarkCatchUp(b *testing.B) {
	br := startBroker(b)
	svc := br.Service()
	in := fullBatch()
	const batches = 128
	for range batches {
		if _, err := svc.Append(b.Context(), events, in); err != nil {
			b.Fatal(err)
		}
	}
	size := int64(batches * in.MeteredSize())
	b.Run("door=process", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			count := uint64(batches * protocol.MaxBatchRecords)
			s, err := svc.OpenReadSession(b.Context(), events, protocol.ReadRequest{Start: protocol.FromSeqNum(0), Count: &count})
			if err != nil {
				b.Fatal(err)
			}
			for err == nil {
				_, err = s.Next(b.Context())
			}
			if err != io.EOF {
				b.Fatal(err)
			}
			_ = s.Close()
		}
	})
	url := listen(b, br.HTTPHandler()) + "/v1/streams/events/records?seq_num=0&count=128000"
	for name, c := range map[string]*http.Client{"http1": http1(b), "http2": http2(b)} {
		b.Run("door="+name, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			buf := make([]byte, 256<<10)
			for b.Loop() {
				resp := send(b, c, "GET", url, nil, "s2-basin", string(events.Basin), "content-type", protocol.MediaS2S)
				n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, buf)
				if err != nil || n < size {
					b.Fatal(n, err)
				}
				_ = resp.Body.Close()
			}
		})
	}
	c := http1(b)
	for _, format := range []string{"raw", "base64"} {
		b.Run("door=events/format="+format, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			buf := make([]byte, 256<<10)
			for b.Loop() {
				resp := send(b, c, "GET", url, nil, "s2-basin", string(events.Basin), "accept", protocol.MediaEventStream, protocol.HeaderFormat, format)
				n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, buf)
				if err != nil || n < size {
					b.Fatal(n, err)
				}
				_ = resp.Body.Close()
			}
		})
	}
}

// BenchmarkAppendSession pipelines batches of 1 MiB.
func BenchmarkAppendSession(b *testing.B) {
	in := fullBatch()
	b.Run("door=process", func(b *testing.B) {
		svc := startBroker(b).Service()
		b.SetBytes(int64(in.MeteredSize()))
		s, err := svc.OpenAppendSession(b.Context(), events)
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		done := make(chan error, 1)
		go func() {
			var err error
			for err == nil {
				_, err = s.Recv(context.Background())
			}
			done <- err
		}()
		for b.Loop() {
			if err := s.Submit(b.Context(), in); err != nil {
				b.Fatal(err)
			}
		}
		_ = s.CloseSend()
		if err := <-done; err != io.EOF {
			b.Fatal(err)
		}
	})
	frame, err := s2s.AppendFrame(nil, protocol.MarshalAppendInput(&in), s2s.Head{})
	if err != nil {
		b.Fatal(err)
	}
	for name, c := range map[string]*http.Client{"http1": http1(b), "http2": http2(b)} {
		b.Run("door="+name, func(b *testing.B) {
			url := listen(b, startBroker(b).HTTPHandler()) + "/v1/streams/events/records"
			b.SetBytes(int64(in.MeteredSize()))
			b.ReportAllocs()
			r, w := io.Pipe()
			resp := send(b, c, "POST", url, r, "s2-basin", string(events.Basin), "content-type", protocol.MediaS2S)
			done := make(chan int, 1)
			go func() {
				data, _ := io.ReadAll(resp.Body)
				frames := 0
				for len(data) > 0 {
					f, n, err := s2s.DecodeFrame(data)
					if err != nil || n == 0 || f.Terminal {
						b.Errorf("%v %q", err, data)
						break
					}
					data = data[n:]
					frames++
				}
				done <- frames
			}()
			sent := 0
			for b.Loop() {
				if _, err := w.Write(frame); err != nil {
					b.Fatal(err)
				}
				sent++
			}
			_ = w.Close()
			if got := <-done; got != sent {
				b.Errorf("%d acks for %d inputs", got, sent)
			}
		})
	}
}
