package test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/httpclient"
	"github.com/weirstream/weir/test/conformance"
)

// TestGarbageOnTheHTTPPort: what is not HTTP, or not S2, is refused; the port goes on serving and nothing stays behind.
func TestGarbageOnTheHTTPPort(t *testing.T) {
	_, web := hostile(t, conformance.RealClock, http1)
	before := settled()
	rng := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 4096)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	for _, sent := range []string{
		string(noise), "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
		"GET /v1/basins HTTP/1.1\r\n\r\n", "GET /v1/basins HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
		"GET /v1/basins HTTP/1.1\r\nhost: localhost\r\nbad header: x\r\n\r\n",
		"GET /v1/basins HTTP/1.1\r\nhost: localhost\r\nx: " + strings.Repeat("a", 4<<20) + "\r\n\r\n",
		"GET /v1/basins?" + strings.Repeat("a", 4<<20) + " HTTP/1.1\r\nhost: localhost\r\n\r\n",
		"GET /v1/streams/%zz HTTP/1.1\r\nhost: localhost\r\n\r\n", "GET /v1/streams/%2 HTTP/1.1\r\nhost: localhost\r\n\r\n",
		hostileHead(hostileJSON, "content-length: -1"), hostileHead(hostileJSON, "content-length: 99999999999999999999"),
		hostileHead(hostileJSON, "content-length: 5", chunked) + "0\r\n\r\n", hostileHead(hostileJSON, chunked) + "zz\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + string(noise), "OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n",
		"CONNECT weir:80 HTTP/1.1\r\nhost: localhost\r\n\r\n", "FROBNICATE /v1/basins HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
	} {
		conn := dialWeb(t, web)
		go func() {
			_, _ = io.WriteString(conn, sent)
			_ = conn.(interface{ CloseWrite() error }).CloseWrite()
		}()
		_ = conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
		got, err := io.ReadAll(conn)
		if e, ok := err.(net.Error); ok && e.Timeout() {
			t.Errorf("%.60q: the connection stays open after %q", sent, got)
		}
		if bytes.HasPrefix(got, []byte("HTTP/1.1 2")) && !strings.HasPrefix(sent, "OPTIONS") {
			t.Errorf("%.60q: got %.100q", sent, got)
		}
		conn.Close()
	}
	settles(t, before)
	checkHostile(t, web, 1)
}

// TestSmuggledRequests: a body that a refusal left unread is not taken for the next request.
func TestSmuggledRequests(t *testing.T) {
	_, web := hostile(t, conformance.RealClock, http1)
	const inner = "DELETE /v1/streams/stream HTTP/1.1\r\nhost: localhost\r\ns2-basin: hostile-basin\r\n\r\n"
	body := inner + strings.Repeat("x", 600<<10)
	for _, head := range []string{
		hostileHead("content-type: text/plain", fmt.Sprintf("content-length: %d", len(body))),
		hostileHead(hostileJSON, "s2-format: hex", fmt.Sprintf("content-length: %d", len(body))),
		hostileHead(hostileJSON, "content-encoding: br", fmt.Sprintf("content-length: %d", len(inner))),
		strings.Replace(hostileHead(fmt.Sprintf("content-length: %d", len(inner))), "POST", "PUT", 1),
	} {
		conn := dialWeb(t, web)
		go func() {
			_, _ = io.WriteString(conn, head+body)
			_ = conn.(interface{ CloseWrite() error }).CloseWrite()
		}()
		_ = conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
		got, _ := io.ReadAll(conn)
		if bytes.Contains(got, []byte("HTTP/1.1 202")) {
			t.Errorf("%.80q: got %q", head, got)
		}
		conn.Close()
	}
	checkHostile(t, web, 1)
}

// TestBombsBesideOthers: many bodies and frames that expand without end, at once, cost no more memory than honest ones
// may, and others are served.
func TestBombsBesideOthers(t *testing.T) {
	_, web := hostile(t, conformance.RealClock, http1)
	before := settled()
	frame, err := httpclient.EncodeMessage(make([]byte, 512<<20), httpclient.Zstd)
	if err != nil {
		t.Fatal(err)
	}
	bomb := frame[4:]
	var wg sync.WaitGroup
	peak := watchHeap()
	for i := range 64 {
		wg.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), "POST", web.Base+"/v1/streams/stream/records", bytes.NewReader(bomb))
			if i%2 == 0 && err == nil {
				req, err = http.NewRequestWithContext(t.Context(), "POST", web.Base+"/v1/streams/stream/records", bytes.NewReader(frame))
			}
			if err != nil {
				t.Error(err)
				return
			}
			req.Header = http.Header{"S2-Basin": {"hostile-basin"}, "Content-Type": {"application/json"}, "Content-Encoding": {"zstd"}}
			want := 400
			if i%2 == 0 {
				req.Header = http.Header{"S2-Basin": {"hostile-basin"}, "Content-Type": {"s2s/proto"}}
				want = 200
			}
			resp, err := web.Client.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != want {
				t.Errorf("got status %d and %v, want %d", resp.StatusCode, err, want)
			}
		})
	}
	wg.Wait()
	// 64 bodies of 2 MiB, and as much again for decoders and garbage.
	if grown := peak(); grown > 600<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	web.Client.CloseIdleConnections()
	settles(t, before)
	checkHostile(t, web, 1)
}

// TestVanishingClients: readers and writers that are gone free everything within seconds, or when their wait is over.
func TestVanishingClients(t *testing.T) {
	_, web := hostile(t, conformance.RealClock, http1)
	before := settled()
	for i := range 100 {
		conn := dialWeb(t, web)
		switch i % 4 {
		case 0:
			_, _ = io.WriteString(conn, "GET /v1/streams/stream/records?seq_num=0 HTTP/1.1\r\nhost: localhost\r\ns2-basin: hostile-basin\r\naccept: text/event-stream\r\n\r\n")
		case 1:
			_, _ = io.WriteString(conn, "GET /v1/streams/stream/records?seq_num=0 HTTP/1.1\r\nhost: localhost\r\ns2-basin: hostile-basin\r\n"+hostileS2S+"\r\n\r\n")
		case 2:
			_, _ = io.WriteString(conn, hostileHead(hostileS2S, chunked)+"3\r\n\x00\x00\x08\r\n")
		case 3: // which may have shut its sending side only: it holds its place until the wait is over (docs/limits.md)
			_, _ = io.WriteString(conn, "GET /v1/streams/stream/records?seq_num=1&wait=5 HTTP/1.1\r\nhost: localhost\r\ns2-basin: hostile-basin\r\n\r\n")
		}
		if i%4 != 3 {
			if _, err := conn.Read(make([]byte, 16)); err != nil {
				t.Fatal(err)
			}
		}
		conn.Close()
	}
	settles(t, before)
	checkHostile(t, web, 1)
}

// TestReaderThatNeverReads: the memory that a reader who takes nothing costs is bounded, and nobody waits for it.
func TestReaderThatNeverReads(t *testing.T) {
	b, web := hostile(t, conformance.RealClock, http1)
	before := settled()
	conn := dialWeb(t, web)
	_, _ = io.WriteString(conn, "GET /v1/streams/stream/records?seq_num=0 HTTP/1.1\r\nhost: localhost\r\ns2-basin: hostile-basin\r\n"+hostileS2S+"\r\n\r\n")
	if _, err := conn.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	peak := watchHeap()
	large := strings.Repeat("x", 1<<20-8)
	for range 100 {
		appendHostile(t, b.Service(), large)
	}
	if grown := peak(); grown > 150<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	conn.Close()
	settles(t, before)
	checkHostile(t, web, 101)
}

// checkHostile checks that the stream is as long as it should be, asked over HTTP.
func checkHostile(t *testing.T, web conformance.Web, want uint64) {
	t.Helper()
	tail, err := httpclient.New(web.Base, web.Client).CheckTail(t.Context(), hostileRef)
	if err != nil || tail.SeqNum != want {
		t.Errorf("the tail is %v and %v, want %d", tail, err, want)
	}
}

// settled is the number of goroutines once it no longer falls.
func settled() int {
	low := runtime.NumGoroutine()
	for same := 0; same < 5; {
		<-time.After(20 * time.Millisecond)
		if n := runtime.NumGoroutine(); n < low {
			low, same = n, 0
		} else {
			same++
		}
	}
	return low
}

// settles waits for the number of goroutines to come back to what it was.
func settles(t *testing.T, before int) {
	t.Helper()
	const slack = 8 // of the broker's own comings and goings
	deadline := time.Now().Add(2 * time.Minute)
	for runtime.NumGoroutine() > before+slack {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
		<-time.After(20 * time.Millisecond)
	}
}

// watchHeap samples the heap until the returned function is called, which tells by how much it grew. Garbage is collected
// early meanwhile: else there may be as much of it as other tests have left behind, and the growth would tell of them.
func watchHeap() (peak func() uint64) {
	percent := debug.SetGCPercent(20)
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	base, high := m.HeapAlloc, m.HeapAlloc
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				high = max(high, m.HeapAlloc)
			case <-stop:
				return
			}
		}
	}()
	return func() uint64 {
		close(stop)
		<-done
		debug.SetGCPercent(percent)
		return high - base
	}
}
