package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/test/conformance"
)

// TestClientsThatShutTheirSide: a request over HTTP/1.1 that has come whole is answered, although its client sends nothing more.
func TestClientsThatShutTheirSide(t *testing.T) {
	_, web := hostile(t, conformance.RealClock, http1)
	const body = `{"records":[{"body":"x"}]}`
	for range 20 {
		conn := dialWeb(t, web)
		if _, err := io.WriteString(conn, hostileHead(hostileJSON, fmt.Sprintf("content-length: %d", len(body)))+body); err != nil {
			t.Fatal(err)
		}
		if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
		buf := make([]byte, 12)
		if _, err := io.ReadFull(conn, buf); err != nil || string(buf) != "HTTP/1.1 200" {
			t.Fatalf("%q, %v", buf, err)
		}
		conn.Close()
	}
}

// TestWaitersThatShutTheirSide: a read that waits, and an SSE session, go on although the client has shut its sending side, and end
// when it is gone.
func TestWaitersThatShutTheirSide(t *testing.T) {
	b, web := hostile(t, conformance.RealClock, http1)
	shut := func(t *testing.T, query, accept string) (net.Conn, *bufio.Reader) {
		t.Helper()
		conn := dialWeb(t, web)
		head := "GET /v1/streams/stream/records?" + query + " HTTP/1.1\r\nhost: localhost\r\ns2-basin: hostile-basin\r\naccept: " + accept + "\r\n\r\n"
		if _, err := io.WriteString(conn, head); err != nil {
			t.Fatal(err)
		}
		if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
		return conn, bufio.NewReader(conn)
	}
	// The second read waits until both have seen that the client shuts its side.
	const followers = `weir_followers`
	waits := func(n int) {
		t.Helper()
		for began := time.Now(); !strings.Contains(scrape(t, web), fmt.Sprintf("%s %d\n", followers, n)); time.Sleep(10 * time.Millisecond) {
			if time.Since(began) > 2*time.Minute {
				t.Fatalf("there are not %d followers", n)
			}
		}
	}
	_, unary := shut(t, "seq_num=1&wait=30", "application/json")
	_, events := shut(t, "seq_num=1&wait=30", "text/event-stream")
	waits(2)
	appendHostile(t, b.Service(), "late")
	if resp, err := http.ReadResponse(unary, nil); err != nil || resp.StatusCode != 200 {
		t.Errorf("the read that waits: %v, %v", resp, err)
	} else if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), "late") {
		t.Errorf("the read that waits: %q, %v", body, err)
	}
	resp, err := http.ReadResponse(events, nil)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() && !strings.Contains(lines.Text(), "late") {
	}
	if !strings.Contains(lines.Text(), "late") {
		t.Errorf("the events end without the record: %v", lines.Err())
	}

	// A client that is gone for good, and says so by a reset.
	conn := dialWeb(t, web)
	if _, err := io.WriteString(conn, "GET /v1/streams/stream/records?seq_num=2&wait=60 HTTP/1.1\r\nhost: localhost\r\ns2-basin: hostile-basin\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	waits(2) // the events go on
	_ = conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
	waits(1)
}

// scrape is what /metrics says.
func scrape(t *testing.T, web conformance.Web) string {
	t.Helper()
	resp, err := web.Client.Get(web.Base + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
