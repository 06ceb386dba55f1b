package test

import (
	"fmt"
	"io"
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
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		buf := make([]byte, 12)
		if _, err := io.ReadFull(conn, buf); err != nil || string(buf) != "HTTP/1.1 200" {
			t.Fatalf("%q, %v", buf, err)
		}
		conn.Close()
	}
}
