package test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/internal/httpclient"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/conformance"
)

// hostileBound is how long the broker may give to a client that makes no progress, whatever it is in the middle of.
const hostileBound = 3 * time.Minute

var hostileRef = protocol.StreamRef{Basin: "hostile-basin", Stream: "stream"}

// hostile starts a broker with one stream of one record, and its HTTP side.
func hostile(t *testing.T, clock conformance.Clock, wire httpVersion) (*broker.Broker, conformance.Web) {
	t.Helper()
	b, web := startWeb(t, clock, wire)
	svc := b.Service()
	if _, _, err := svc.EnsureBasin(t.Context(), hostileRef.Basin, protocol.EnsureBasinRequest{Config: protocol.BasinConfig{}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := svc.EnsureStream(t.Context(), hostileRef, protocol.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	appendHostile(t, svc, "first")
	return b, web
}

func appendHostile(t *testing.T, svc protocol.Service, body string) {
	t.Helper()
	in := protocol.AppendInput{Records: []protocol.Record{{Body: []byte(body)}}}
	if _, err := svc.Append(t.Context(), hostileRef, in); err != nil {
		t.Fatal(err)
	}
}

func dialWeb(t *testing.T, web conformance.Web) net.Conn {
	t.Helper()
	conn, err := web.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// hostileHead is the head of an append; lines are added to it.
func hostileHead(lines ...string) string {
	return "POST /v1/streams/stream/records HTTP/1.1\r\nhost: localhost\r\ns2-basin: hostile-basin\r\n" +
		strings.Join(append(lines, "", ""), "\r\n")
}

const (
	hostileJSON = "content-type: application/json"
	hostileS2S  = "content-type: s2s/proto"
	chunked     = "transfer-encoding: chunked"
)

// TestStalledClients: a client that stops in the middle of something is answered or cut off within a bound, and a session
// between two frames is not.
func TestStalledClients(t *testing.T) {
	for _, c := range []struct {
		name, sent string
		status     int // of the answer; 0 if the connection is cut without one
	}{
		{"nothing at all", "", 0},
		{"half a request line", "GET /v1/str", 0},
		{"half a head", "GET /v1/basins HTTP/1.1\r\nhost: localhost\r\nx: ", 0},
		{"a head without its body", hostileHead(hostileJSON, "content-length: 1000"), 408},
		{"half a body", hostileHead(hostileJSON, "content-length: 1000") + `{"records":`, 408},
		{"half a chunk", hostileHead(hostileJSON, chunked) + "40\r\n{", 408},
		{"a refused head without its body", hostileHead("content-type: text/plain", "content-length: 1000"), 400},
		{"a refused session", "POST /v1/streams/missing/records HTTP/1.1\r\nhost: localhost\r\ns2-basin: hostile-basin\r\n" +
			hostileS2S + "\r\n" + chunked + "\r\n\r\n", 404},
		{"half the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM", 0},
		{"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, web := hostile(t, conformance.BubbleClock, http1)
				conn := dialWeb(t, web)
				start := time.Now()
				_, _ = io.WriteString(conn, c.sent)
				got, _ := io.ReadAll(conn)
				if took := time.Since(start); took > hostileBound {
					t.Errorf("the connection was open for %v", took)
				}
				if c.status == 0 {
					if bytes.Contains(got, []byte("HTTP/1.1 2")) {
						t.Errorf("got %q", got)
					}
					return
				}
				checkRefusal(t, got, c.status)
			})
		})
	}
}

// checkRefusal checks that got is one answer with the status and an error in JSON.
func checkRefusal(t *testing.T, got []byte, status int) {
	t.Helper()
	r := bufio.NewReader(bytes.NewReader(got))
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("got %q, want status %d: %v", got, status, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status {
		t.Fatalf("got status %d, %q and %v, want status %d", resp.StatusCode, body, err, status)
	}
	if e := protocol.ParseError(status, body); e.RemoteStatus != 0 || e.Message == "" {
		t.Errorf("status %d says %q", status, body)
	}
	if rest, _ := io.ReadAll(r); len(rest) > 0 {
		t.Errorf("one request has two answers; the second is %q", rest)
	}
}

// TestTricklingClients: a client that makes progress, but none to speak of, does not hold its request open for ever.
func TestTricklingClients(t *testing.T) {
	for name, head := range map[string]string{
		"head": "GET /v1/basins HTTP/1.1\r\nhost: localhost\r\nx: ",
		"body": hostileHead(hostileJSON, "content-length: 2000000"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, web := hostile(t, conformance.BubbleClock, http1)
				conn := dialWeb(t, web)
				start := time.Now()
				_, err := io.WriteString(conn, head)
				for err == nil && time.Since(start) < 2*hostileBound {
					time.Sleep(time.Second)
					_, err = io.WriteString(conn, " ")
				}
				if took := time.Since(start); took > hostileBound {
					t.Errorf("a client that sent a byte a second was served for %v", took)
				}
			})
		})
	}
}

// TestHalfFrames: a session whose client stops inside a frame ends, with the acks of what came before.
func TestHalfFrames(t *testing.T) {
	in := protocol.AppendInput{Records: []protocol.Record{{Body: []byte("whole")}}}
	frame := httpclient.EncodeFrame(0, protocol.MarshalAppendInput(&in))
	for _, wire := range []httpVersion{http2, http1} {
		t.Run(wire.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, web := hostile(t, conformance.BubbleClock, wire)
				pr, pw := io.Pipe()
				defer pw.Close()
				req, err := http.NewRequestWithContext(t.Context(), "POST", web.Base+"/v1/streams/stream/records", pr)
				if err != nil {
					t.Fatal(err)
				}
				req.Header = http.Header{"S2-Basin": {"hostile-basin"}, "Content-Type": {"s2s/proto"}}
				resp, err := web.Client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				time.Sleep(time.Hour) // between frames there is no hurry
				start := time.Now()
				_, _ = pw.Write(append(bytes.Clone(frame), frame[:len(frame)-2]...))
				if f, err := httpclient.ReadFrame(resp.Body); err != nil || f.Terminal() {
					t.Fatalf("got %+v and %v, want an ack", f, err)
				}
				f, err := httpclient.ReadFrame(resp.Body)
				if err != nil || !f.Terminal() {
					t.Fatalf("got %+v and %v, want a terminal frame", f, err)
				}
				if code := protocol.CodeOf(f.Failure()); code != protocol.CodeRequestTimeout && code != protocol.CodeBadFrame {
					t.Errorf("got %v", f.Failure())
				}
				if took := time.Since(start); took > hostileBound {
					t.Errorf("half a frame was waited for during %v", took)
				}
			})
		})
	}
}
