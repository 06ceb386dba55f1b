package abuse

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/weirstream/weir/protocol"
)

// client is an HTTP client with connections of its own.
func client() *http.Client {
	tr := &http.Transport{Protocols: &http.Protocols{}}
	tr.Protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: tr}
}

func get(ctx context.Context, t *testing.T, url string) (status int) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Errorf("%s: %v", url, err)
		return 0
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Errorf("%s: %v", url, err)
	}
	return resp.StatusCode
}

// conn is a connection of HTTP/2 that is written by hand, so that it can do what no honest client does.
type conn struct {
	t      *testing.T
	c      net.Conn
	framer *http2.Framer
	mu     sync.Mutex // guards the writing half of framer
	next   uint32
	heads  bytes.Buffer
	enc    *hpack.Encoder
	window atomic.Int64 // what the server lets us send on the connection
	ended  atomic.Int64 // streams that the server has reset or answered to the end
	status [600]atomic.Int64
}

// dial opens a connection whose streams have a window of so many bytes.
func (v *victim) dial(t *testing.T, window uint32) *conn {
	t.Helper()
	nc, err := net.DialTimeout("tcp", strings.TrimPrefix(v.http, "http://"), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	c := &conn{t: t, c: nc, framer: http2.NewFramer(nc, nc), next: 1}
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.enc = hpack.NewEncoder(&c.heads)
	if _, err := io.WriteString(nc, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}); err != nil {
		t.Fatal(err)
	}
	if window > 1<<16 {
		_ = c.framer.WriteWindowUpdate(0, 1<<30)
	}
	c.window.Store(65535)
	go c.read()
	return c
}

func (c *conn) write(frame func() error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return frame() == nil
}

// read takes what comes, and opens no window.
func (c *conn) read() {
	for {
		f, err := c.framer.ReadFrame()
		if err != nil {
			return
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				c.write(c.framer.WriteSettingsAck)
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				c.write(func() error { return c.framer.WritePing(true, f.Data) })
			}
		case *http2.WindowUpdateFrame:
			if f.StreamID == 0 {
				c.window.Add(int64(f.Increment))
			}
		case *http2.MetaHeadersFrame:
			if s := f.PseudoValue("status"); len(s) == 3 {
				c.status[int(s[0]-'0')*100+int(s[1]-'0')*10+int(s[2]-'0')].Add(1)
			}
			if f.StreamEnded() {
				c.ended.Add(1)
			}
		case *http2.DataFrame:
			if f.StreamEnded() {
				c.ended.Add(1)
			}
		case *http2.RSTStreamFrame:
			c.ended.Add(1)
		}
	}
}

// request opens a stream; with body it stays open for data.
func (c *conn) request(method, path, token string, body bool, header ...string) (stream uint32) {
	c.heads.Reset()
	fields := []string{":method", method, ":scheme", "http", ":path", path, ":authority", "127.0.0.1", "s2-basin", string(basin)}
	if token != "" {
		fields = append(fields, "authorization", "Bearer "+token)
	}
	fields = append(fields, header...)
	for i := 0; i < len(fields); i += 2 {
		if err := c.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			c.t.Fatal(err)
		}
	}
	stream = c.next
	c.next += 2
	c.write(func() error {
		return c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.heads.Bytes(), EndHeaders: true, EndStream: !body})
	})
	return stream
}

// data sends data on a stream, as far as the connection's window goes; it reports whether all went.
func (c *conn) data(stream uint32, b []byte) bool {
	deadline := time.Now().Add(5 * time.Second)
	for len(b) > 0 {
		n := min(len(b), 16<<10)
		for c.window.Load() < int64(n) {
			if time.Now().After(deadline) {
				return false
			}
			time.Sleep(time.Millisecond) // the server paces the attacker
		}
		c.window.Add(-int64(n))
		if !c.write(func() error { return c.framer.WriteData(stream, false, b[:n]) }) {
			return false
		}
		b = b[n:]
	}
	return true
}

// frame is an s2s frame with an input of one record.
func frame(bytes int) []byte {
	msg := protocol.MarshalAppendInput(&protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, bytes)}}})
	out := make([]byte, 4, 4+len(msg))
	binary.BigEndian.PutUint32(out, uint32(len(msg)+1)<<8)
	return append(out, msg...)
}
