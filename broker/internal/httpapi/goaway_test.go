package httpapi

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/protocol"
)

func frame(kind, flags byte, payload int) []byte {
	b := []byte{byte(payload >> 16), byte(payload >> 8), byte(payload), kind, flags, 0, 0, 0, 1}
	return append(b, bytes.Repeat([]byte{0xee}, payload)...)
}

// TestFramesAreFollowed: a frame may be put in only where one ends and no header block goes on, however writes cut the
// frames.
func TestFramesAreFollowed(t *testing.T) {
	type step struct {
		wire    []byte
		between bool
	}
	steps := []step{
		{frame(4, 0, 18), true},                 // SETTINGS
		{frame(frameHeaders, 0, 100), false},    // a block that goes on
		{frame(frameContinuation, 0, 5), false}, //
		{frame(frameContinuation, flagEndHeaders, 0), true},
		{frame(0, 0, 1<<16), true}, // DATA
		{frame(frameHeaders, flagEndHeaders, 3), true},
	}
	for size := 1; size < 64; size++ {
		var tr frameTracker
		if tr.between() {
			t.Fatal("a frame may stand before the first")
		}
		for i, s := range steps {
			for rest := s.wire; len(rest) > 0; {
				n := min(size, len(rest))
				if !tr.track(rest[:n]) {
					t.Fatalf("pieces of %d: not taken for HTTP/2", size)
				}
				if rest = rest[n:]; len(rest) > 0 && len(rest) < len(s.wire) && tr.between() {
					t.Fatalf("pieces of %d: a frame may stand inside step %d", size, i)
				}
			}
			if tr.between() != s.between {
				t.Fatalf("pieces of %d: between is %t behind step %d", size, tr.between(), i)
			}
		}
	}
	var text frameTracker
	if text.track([]byte("HTTP/1.1 200 OK\r\n\r\n")) || text.track([]byte{0, 0, 0}) || text.between() {
		t.Error("HTTP/1.1 is taken for HTTP/2")
	}
}

// TestIdleConnectionsLeave: at the end of the moment a connection is closed if nothing of a request was read from it.
func TestIdleConnectionsLeave(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := NewListener(ln, nil)
	defer l.Close()
	open := func() (client, server net.Conn) {
		client, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		if server, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
		return client, server
	}
	_, idle := open()
	asking, busy := open()
	if _, err := asking.Write([]byte("G")); err != nil {
		t.Fatal(err)
	}
	if _, err := busy.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); l.Leave(t.Context(), 0) }()
	if _, err := idle.Read(make([]byte, 10)); err == nil {
		t.Error("the idle connection is open")
	}
	busy.(*conn).setState(http.StateActive) // as the server does when it has read the request
	if _, err := busy.Write([]byte("HTTP/1.1 503 Service Unavailable\r\n\r\n")); err != nil {
		t.Errorf("the request in progress cannot be answered: %v", err)
	}
	_ = busy.Close()
	<-done
}

// TestDrainingAnswersClose: over HTTP/1.1 every answer of a draining door ends its connection.
func TestDrainingAnswersClose(t *testing.T) {
	h := New(nil, Options{Authenticate: func(string) (door.Caller, error) {
		return door.Caller{}, protocol.Errorf(protocol.CodeAuthn, "no")
	}})
	srv := httptest.NewServer(h)
	defer srv.Close()
	for _, want := range []bool{false, true} {
		resp, err := srv.Client().Get(srv.URL + "/v1/basins")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.Close != want {
			t.Errorf("draining %t: the connection ends: %t", want, resp.Close)
		}
		h.Drain()
	}
}

// TestLeavingServes: a door whose clients are to leave serves them, ends their connections with the answers, and tells probes that it stops.
func TestLeavingServes(t *testing.T) {
	h := New(nil, Options{Authenticate: func(string) (door.Caller, error) {
		return door.Caller{}, protocol.Errorf(protocol.CodeAuthn, "no")
	}})
	srv := httptest.NewServer(h)
	defer srv.Close()
	h.Leave()
	for path, want := range map[string]int{"/v1/basins": protocol.CodeAuthn.Status(), "/health": http.StatusServiceUnavailable} {
		resp, err := srv.Client().Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want || !resp.Close {
			t.Errorf("%s: status %d, the connection ends: %t", path, resp.StatusCode, resp.Close)
		}
	}
}
