package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/broker/internal/httpapi"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/s2s"
)

const records = "/v1/streams/events/records"

var asS2S = []string{"s2-basin", "test-basin", "content-type", protocol.MediaS2S}

// frameStream reads the frames of an answer.
type frameStream struct {
	t  testing.TB
	in *bufio.Reader
}

func frames(t testing.TB, r io.Reader) *frameStream { return &frameStream{t, bufio.NewReader(r)} }

// next returns the next frame; ok is false at the end of the body.
func (f *frameStream) next() (frame s2s.Frame, ok bool) {
	f.t.Helper()
	var head [s2s.HeadBytes]byte
	if _, err := io.ReadFull(f.in, head[:]); errors.Is(err, io.EOF) {
		return frame, false
	} else if err != nil {
		f.t.Fatal(err)
	}
	var err error
	if frame.Head, err = s2s.DecodeHead(head[:]); err != nil {
		f.t.Fatal(err)
	}
	frame.Body = make([]byte, frame.Payload)
	if _, err := io.ReadFull(f.in, frame.Body); err != nil {
		f.t.Fatal(err)
	}
	return frame, true
}

// regular returns the message of the next frame, which must not be terminal.
func (f *frameStream) regular() []byte {
	f.t.Helper()
	frame, ok := f.next()
	if !ok || frame.Terminal {
		f.t.Fatalf("want a regular frame, got %+v %q", frame.Head, frame.Body)
	}
	msg, err := frame.Message(frame.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return msg
}

func (f *frameStream) batch() protocol.ReadBatch {
	f.t.Helper()
	b, err := protocol.UnmarshalReadBatch(f.regular())
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

func (f *frameStream) ack() protocol.AppendAck {
	f.t.Helper()
	a, err := protocol.UnmarshalAppendAck(f.regular())
	if err != nil {
		f.t.Fatal(err)
	}
	return a
}

// terminal wants the terminal frame with the status and the text, and the end behind it.
func (f *frameStream) terminal(status int, text string) {
	f.t.Helper()
	frame, ok := f.next()
	if !ok || !frame.Terminal {
		f.t.Fatalf("want a terminal frame, got %+v, %t", frame.Head, ok)
	}
	got, body, err := s2s.DecodeTerminal(frame.Body)
	if err != nil || got != status || !strings.Contains(string(body), text) {
		f.t.Errorf("got %d %s, %v, want %d %s", got, body, err, status, text)
	}
	f.end()
}

func (f *frameStream) end() {
	f.t.Helper()
	if frame, ok := f.next(); ok {
		f.t.Errorf("a frame after the end: %+v %q", frame.Head, frame.Body)
	}
}

func input(bodies ...string) []byte {
	var in protocol.AppendInput
	for _, b := range bodies {
		in.Records = append(in.Records, protocol.Record{Body: []byte(b)})
	}
	return frame(protocol.MarshalAppendInput(&in), s2s.NoCompression)
}

func frame(msg []byte, c s2s.Compression) []byte {
	out, err := s2s.AppendFrame(nil, msg, s2s.Head{Compression: c})
	if err != nil {
		panic(err)
	}
	return out
}

// eachVersion runs a test over HTTP/1.1 and over HTTP/2.
func eachVersion(t *testing.T, f func(t *testing.T, c *http.Client)) {
	t.Run("http1", func(t *testing.T) { f(t, http1(t)) })
	t.Run("http2", func(t *testing.T) { f(t, http2(t)) })
}

// duplex opens an append session whose input the test writes. The head of the answer must come before any input.
func duplex(t *testing.T, c *http.Client, url string, head ...string) (*io.PipeWriter, *http.Response, *frameStream) {
	t.Helper()
	r, w := io.Pipe()
	t.Cleanup(func() { _ = w.Close() })
	resp := send(t, c, "POST", url+records, r, append(head, asS2S...)...)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != protocol.MediaS2S || resp.Header.Get("X-Accel-Buffering") != "no" ||
		resp.Header.Get("Cache-Control") != "no-cache, no-transform" || resp.Header.Get("Content-Encoding") != "" {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	return w, resp, frames(t, resp.Body)
}

func write(t testing.TB, w io.Writer, b []byte) {
	t.Helper()
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
}

// TestAppendSession: one ack for each input while the input is open, in any compression, and a clean end.
func TestAppendSession(t *testing.T) {
	eachVersion(t, func(t *testing.T, c *http.Client) {
		url := listen(t, startBroker(t).HTTPHandler())
		w, _, f := duplex(t, c, url, "accept-encoding", "gzip")
		for i, in := range [][]byte{
			input("a"), input("b", "c"),
			frame(protocol.MarshalAppendInput(&protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, 20480)}}}), s2s.Gzip),
			frame(protocol.MarshalAppendInput(&protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, 20480)}}}), s2s.Zstd),
		} {
			write(t, w, in[:3])
			write(t, w, in[3:])
			want := [][2]uint64{{0, 1}, {1, 3}, {3, 4}, {4, 5}}[i]
			if a := f.ack(); a.Start.SeqNum != want[0] || a.End.SeqNum != want[1] {
				t.Errorf("input %d: %+v", i, a)
			}
		}
		_ = w.Close()
		f.end()
	})
}

// TestAppendSessionFailures: every failure comes behind the acks of what was taken before it (data plane 8.9).
func TestAppendSessionFailures(t *testing.T) {
	seven := uint64(7)
	conditional := protocol.MarshalAppendInput(&protocol.AppendInput{Records: []protocol.Record{{}}, MatchSeqNum: &seven})
	for name, c := range map[string]struct {
		bad    []byte
		status int
		text   string
	}{
		"condition":           {frame(conditional, s2s.NoCompression), 412, `{"seq_num_mismatch":2}`},
		"empty input":         {[]byte{0, 0, 1, 0}, 422, `"invalid"`},
		"length 0":            {[]byte{0, 0, 0, 0}, 400, `"bad_frame"`},
		"too long":            {[]byte{0x20, 0, 1, 0}, 400, `"bad_frame"`},
		"unknown compression": {[]byte{0, 0, 2, 0x60, 1}, 400, `"bad_frame"`},
		"bad compression":     {[]byte{0, 0, 2, 0x20, 1}, 400, `"bad_frame"`},
		"bomb":                {frame(nil, 0)[:0], 400, `"bad_frame"`},
		"bad protobuf":        {frame([]byte{0xff}, s2s.NoCompression), 400, `"bad_frame"`},
		"terminal frame":      {s2s.AppendTerminal(nil, protocol.SeqNumMismatch(1)), 400, `"bad_frame"`},
		"cut in the head":     {[]byte{0, 0}, 400, `"bad_frame"`},
		"cut in the payload":  {[]byte{0, 0, 9, 0, 1}, 400, `"bad_frame"`},
	} {
		if name == "bomb" {
			packed := s2s.Zstd.Append(nil, make([]byte, 64<<20))
			c.bad = append(s2s.Head{Compression: s2s.Zstd, Payload: len(packed)}.Append(nil), packed...)
		}
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			eachVersion(t, func(t *testing.T, client *http.Client) {
				url := listen(t, startBroker(t).HTTPHandler())
				w, _, f := duplex(t, client, url)
				write(t, w, append(input("a"), input("b")...))
				write(t, w, c.bad)
				if strings.HasPrefix(name, "cut") {
					_ = w.Close()
				} else {
					go func() { _, _ = w.Write(input("never stored")) }()
				}
				for i := range uint64(2) {
					if a := f.ack(); a.Start.SeqNum != i {
						t.Errorf("ack %+v", a)
					}
				}
				f.terminal(c.status, c.text)
				want{200, []string{`{"tail":{"seq_num":2,`}}.check(t, "tail", send(t, client, "GET", url+records+"/tail", nil, "s2-basin", "test-basin"))
			})
		})
	}
}

// TestSessionsThatDoNotOpen: until a session is open its failures are ordinary answers.
func TestSessionsThatDoNotOpen(t *testing.T) {
	eachVersion(t, func(t *testing.T, c *http.Client) {
		url := listen(t, startBroker(t).HTTPHandler())
		missing := []string{"s2-basin", "never-there", "content-type", protocol.MediaS2S}
		want{404, []string{"basin_not_found"}}.check(t, "append", send(t, c, "POST", url+records, strings.NewReader("junk"), missing...))
		want{404, []string{"basin_not_found"}}.check(t, "read", send(t, c, "GET", url+records, nil, missing...))
		want{400, []string{"bad_header"}}.check(t, "packed", send(t, c, "POST", url+records, nil, append(asS2S, "content-encoding", "gzip")...))
		want{200, nil}.check(t, "no input", send(t, c, "POST", url+records, http.NoBody, asS2S...))
		want{416, []string{`{"tail":{"seq_num":0,"timestamp":0}}`}}.check(t, "416", send(t, c, "GET", url+records+"?count=1", nil, asS2S...))
	})
}

// TestReadSession: batches, a heartbeat at the tail, live batches with their tail, and a clean end (data plane 8.9).
func TestReadSession(t *testing.T) {
	eachVersion(t, func(t *testing.T, c *http.Client) {
		b := startBroker(t)
		url := listen(t, b.HTTPHandler())
		store := func(body string) {
			t.Helper()
			in := protocol.AppendInput{Records: []protocol.Record{{Body: []byte(body)}}}
			if _, err := b.Service().Append(t.Context(), events, in); err != nil {
				t.Fatal(err)
			}
		}
		big := strings.Repeat("big ", 10_000)
		store("a")
		store(big)
		for _, encoding := range []string{"", "gzip", "gzip, zstd"} {
			resp := send(t, c, "GET", url+records+"?tail_offset=2&count=3&wait=60", nil, append(asS2S, "accept-encoding", encoding)...)
			f := frames(t, resp.Body)
			for got := 0; got < 2; {
				batch := f.batch()
				got += batch.Records.Len()
				if reached := got == 2; (batch.Tail != nil) != reached {
					t.Errorf("%q: after %d of 2 stored records the tail is %v", encoding, got, batch.Tail)
				}
			}
			beat := f.batch()
			if !beat.Heartbeat() {
				t.Errorf("%q: want a heartbeat, got %+v", encoding, beat)
			}
			store(big)
			live := f.batch()
			if live.Records.Len() != 1 || live.Tail == nil || live.Tail.SeqNum != beat.Tail.SeqNum+1 || string(live.Records.Slice()[0].Body) != big {
				t.Errorf("%q: live %v, %d records", encoding, live.Tail, live.Records.Len())
			}
			f.end()
			_ = resp.Body.Close()
		}
	})
}

// TestSSE: rows 329, 330, 335, 336 and 331.
func TestSSE(t *testing.T) {
	b := startBroker(t)
	url := listen(t, b.HTTPHandler())
	head := []string{"s2-basin", "test-basin", "accept", protocol.MediaEventStream}
	for _, in := range [][]string{{"lorem", "ipsum"}, {"dolor"}} {
		var batch protocol.AppendInput
		for i, body := range in {
			ts := uint64(i + 1)
			batch.Records = append(batch.Records, protocol.Record{Timestamp: &ts, Body: []byte(body)})
		}
		if _, err := b.Service().Append(t.Context(), events, batch); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := io.ReadAll(send(t, http1(t), "GET", url+records+"?seq_num=0&count=2", nil, head...).Body)
	if want := "event: batch\nid: 1,2,26\ndata: {\"records\":[{\"seq_num\":0,\"timestamp\":1,\"body\":\"lorem\"},{\"seq_num\":1,\"timestamp\":2,\"body\":\"ipsum\"}]}\n\ndata: [DONE]\n\n"; err != nil || string(whole) != want {
		t.Errorf("got %q, %v", whole, err)
	}
	// Resumed: the counters begin anew, the limits are reduced, and the reader waits at the tail.
	resp := send(t, http1(t), "GET", url+records+"?seq_num=0&count=4&bytes=1000&wait=60", nil, append(head, "last-event-id", "1,2,26")...)
	if resp.Header.Get("Content-Type") != protocol.MediaEventStream || resp.Header.Get("Content-Encoding") != "" {
		t.Errorf("%v", resp.Header)
	}
	lines := bufio.NewScanner(resp.Body)
	event := func() (text string) {
		for lines.Scan() && lines.Text() != "" {
			text += lines.Text() + "\n"
		}
		return text
	}
	if got, want := event(), "event: batch\nid: 2,3,39\ndata: {\"records\":[{\"seq_num\":2,\"timestamp\":2,\"body\":\"dolor\"}],\"tail\":{\"seq_num\":3,\"timestamp\":2}}\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var now, seq, ts uint64
	if n, err := fmt.Sscanf(event(), "event: ping\ndata: {\"timestamp\":%d,\"tail\":{\"seq_num\":%d,\"timestamp\":%d}}\n", &now, &seq, &ts); n != 3 || seq != 3 || ts != 2 || now < 1e12 {
		t.Errorf("a ping of %d %d %d, %v", now, seq, ts, err)
	}
	if _, err := b.Service().Append(t.Context(), events, protocol.AppendInput{Records: []protocol.Record{{Body: []byte("sit")}}}); err != nil {
		t.Fatal(err)
	}
	if got := event(); !strings.HasPrefix(got, "event: batch\nid: 3,4,50\n") || !strings.Contains(got, `"tail":{"seq_num":4,`) {
		t.Errorf("live: %q", got)
	}
	if got := event(); got != "data: [DONE]\n" {
		t.Errorf("the end: %q", got)
	}
}

// TestDrain: a stopping broker ends sessions with server_draining, never cleanly, settles appends, and refuses the rest.
func TestDrain(t *testing.T) {
	eachVersion(t, func(t *testing.T, c *http.Client) {
		h := httpapi.New(startBroker(t).Service(), httpapi.Options{})
		url := listen(t, h)
		w, _, appends := duplex(t, c, url)
		write(t, w, input("a"))
		appends.ack()
		reads := frames(t, send(t, c, "GET", url+records, nil, asS2S...).Body)
		if b := reads.batch(); !b.Heartbeat() {
			t.Errorf("got %+v", b)
		}
		events := send(t, c, "GET", url+records, nil, "s2-basin", "test-basin", "accept", protocol.MediaEventStream)
		waiting := make(chan *http.Response, 1)
		go func() { waiting <- send(t, c, "GET", url+records+"?wait=60", nil, "s2-basin", "test-basin") }()
		for h := 0; h < 1; { // until the unary read waits inside
			body, _ := io.ReadAll(send(t, c, "GET", url+"/metrics", nil).Body)
			h = strings.Count(string(body), `weir_http_sessions{kind="sse"} 1`)
		}

		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
		appends.terminal(503, `"server_draining"`)
		reads.terminal(503, `"server_draining"`)
		body, err := io.ReadAll(events.Body)
		if text := string(body); err != nil || !strings.Contains(text, "event: error\ndata: {\"code\":\"server_draining\"") || strings.Contains(text, "[DONE]") {
			t.Errorf("%q, %v", text, err)
		}
		want{503, []string{"server_draining"}}.check(t, "waiting", <-waiting)
		want{503, []string{"server_draining"}}.check(t, "new request", send(t, c, "GET", url+"/v1/basins", nil))
		want{503, []string{"server_draining"}}.check(t, "new session", send(t, c, "GET", url+records, nil, asS2S...))
		if resp := send(t, c, "GET", url+"/health", nil); resp.StatusCode != 503 {
			t.Errorf("health: %d", resp.StatusCode)
		}
	})
}

// TestVanishedReader: a follower whose client is gone ends at once.
func TestVanishedReader(t *testing.T) {
	eachVersion(t, func(t *testing.T, c *http.Client) {
		h := httpapi.New(startBroker(t).Service(), httpapi.Options{})
		url := listen(t, h)
		w, _, appends := duplex(t, c, url)
		write(t, w, input("a"))
		appends.ack()
		ctx, cancel := context.WithCancel(t.Context())
		for _, kind := range [][]string{asS2S, {"s2-basin", "test-basin", "accept", protocol.MediaEventStream}} {
			req, err := http.NewRequestWithContext(ctx, "GET", url+records, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(kind); i += 2 {
				req.Header.Set(kind[i], kind[i+1])
			}
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
		}
		cancel()
		_ = w.CloseWithError(errors.New("gone"))
		// Close waits for every session; only vanished ones end without a word from the door.
		done, stop := context.WithTimeout(t.Context(), time.Minute) // only a hang fails
		defer stop()
		if err := h.Close(done); err != nil {
			t.Error(err)
		}
	})
}

// pipes serves a handler on connections in memory, for bubbles.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

// TestSlowClients: who sends its request too slowly loses it, on fake time.
func TestSlowClients(t *testing.T) {
	for name, c := range map[string]struct {
		sent string
		drip string // sent again and again, a second apart
		want string // begins the answer
		at   time.Duration
	}{
		"head": {"GET /v1/basins HTTP/1.1\r\nHost: localhost\r\n", "", "", 10 * time.Second},
		"body": {"POST /v1/basins HTTP/1.1\r\nHost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{", "",
			"HTTP/1.1 408 Request Timeout", 30 * time.Second},
		"body that drips": {"POST /v1/basins HTTP/1.1\r\nHost: localhost\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{", " ",
			"HTTP/1.1 408 Request Timeout", 121 * time.Second},
		"frame": {"POST /v1/streams/events/records HTTP/1.1\r\nHost: localhost\r\ns2-basin: test-basin\r\ncontent-type: s2s/proto\r\ntransfer-encoding: chunked\r\n\r\n" +
			"3\r\n\x00\x01\x00\r\n", "", "HTTP/1.1 200 OK", 31 * time.Second},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := startBroker(t).HTTPHandler()
				p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
				srv := httpapi.NewServer(h, nil)
				go func() { _ = srv.Serve(p) }()
				defer srv.Close()
				conn := p.dial()
				defer conn.Close()
				began := time.Now()
				var dripping sync.WaitGroup
				dripping.Go(func() {
					_, err := io.WriteString(conn, c.sent)
					for err == nil && c.drip != "" {
						time.Sleep(time.Second)
						_, err = io.WriteString(conn, c.drip)
					}
				})
				got, _ := io.ReadAll(conn)
				_ = conn.Close()
				dripping.Wait()
				if took := time.Since(began).Round(time.Second); !strings.HasPrefix(string(got), c.want) || took > c.at+2*time.Second || took < c.at-time.Second {
					t.Errorf("%q after %v, want %q after %v", got, took, c.want, c.at)
				}
			})
		})
	}
}
