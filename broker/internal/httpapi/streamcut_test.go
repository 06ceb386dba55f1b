package httpapi_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/broker/internal/httpapi"
	"github.com/weirstream/weir/protocol"
)

// windowless is a client of HTTP/2 that opens no window: it notes the answers' heads and ends, and takes nothing else.
type windowless struct {
	t      *testing.T
	framer *h2.Framer

	mu     sync.Mutex // guards the fields below, and the writing half of framer
	next   uint32
	began  map[uint32]bool
	resets map[uint32]time.Time
}

func newWindowless(t *testing.T, conn net.Conn) *windowless {
	t.Helper()
	c := &windowless{t: t, framer: h2.NewFramer(conn, conn), next: 1, began: map[uint32]bool{}, resets: map[uint32]time.Time{}}
	go c.read()
	if _, err := io.WriteString(conn, h2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	c.write(func() error { return c.framer.WriteSettings(h2.Setting{ID: h2.SettingInitialWindowSize, Val: 0}) })
	return c
}

func (c *windowless) write(frame func() error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := frame(); err != nil {
		c.t.Errorf("the connection is lost: %v", err)
	}
}

func (c *windowless) read() {
	for {
		f, err := c.framer.ReadFrame()
		if err != nil {
			return
		}
		switch f := f.(type) {
		case *h2.SettingsFrame:
			if !f.IsAck() {
				go c.write(c.framer.WriteSettingsAck) // a pipe has no buffer: it may be the one that writes to us
			}
		case *h2.PingFrame:
			if data := f.Data; !f.IsAck() {
				go c.write(func() error { return c.framer.WritePing(true, data) })
			}
		case *h2.HeadersFrame:
			c.mu.Lock()
			c.began[f.StreamID] = true
			c.mu.Unlock()
		case *h2.RSTStreamFrame:
			c.mu.Lock()
			c.resets[f.StreamID] = time.Now()
			c.mu.Unlock()
		}
	}
}

// get begins a stream.
func (c *windowless) get(path, token string, head ...string) (stream uint32) {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	fields := append([]string{":method", "GET", ":scheme", "http", ":path", path, ":authority", "localhost",
		"s2-basin", "test-basin", "authorization", "Bearer " + token}, head...)
	for i := 0; i < len(fields); i += 2 {
		if err := enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			c.t.Fatal(err)
		}
	}
	c.write(func() error {
		stream = c.next
		c.next += 2
		return c.framer.WriteHeaders(h2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
	})
	return stream
}

func (c *windowless) reset(stream uint32) (at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resets[stream]
}

// TestStreamsOfWhichNothingIsTaken: a stream of HTTP/2 whose client opens no window ends by itself after half a minute, soon after its
// token was revoked, and its connection goes on.
func TestStreamsOfWhichNothingIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBroker(t)
		if _, err := b.Service().Append(t.Context(), events, protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, 100<<10)}}}); err != nil {
			t.Fatal(err)
		}
		life, revoke := context.WithCancel(t.Context())
		h := httpapi.New(b.Service(), httpapi.Options{Authenticate: func(token string) (door.Caller, error) {
			caller := door.Caller{Service: b.Service(), Client: door.Client{Key: token, Part: door.TokenPart}}
			if token == "mortal" {
				caller.Life = life
			}
			return caller, nil
		}})
		p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		srv := httpapi.NewServer(h, nil)
		go func() { _ = srv.Serve(p) }()
		defer srv.Close()
		conn := p.dial()
		defer conn.Close()
		c := newWindowless(t, conn)
		answers := [][]string{{}, asS2S[2:], {"accept", protocol.MediaEventStream}}
		open := func(token string) (streams []uint32) {
			for _, head := range answers {
				streams = append(streams, c.get(records+"?seq_num=0", token, head...))
			}
			return streams
		}
		began := time.Now()
		stalled := open("immortal")
		time.Sleep(10 * time.Second)
		mortal := open("mortal")
		time.Sleep(10 * time.Second)
		for _, id := range append(stalled, mortal...) {
			if at := c.reset(id); !at.IsZero() {
				t.Errorf("stream %d was reset after %v", id, at.Sub(began))
			}
		}
		revoke()
		time.Sleep(3 * time.Second)
		for _, id := range mortal {
			if c.reset(id).IsZero() {
				t.Errorf("stream %d goes on after its token was revoked", id)
			}
		}
		time.Sleep(12 * time.Second)
		for _, id := range stalled {
			if at := c.reset(id); at.Sub(began) < 29*time.Second {
				t.Errorf("stream %d was reset after %v", id, at.Sub(began))
			}
		}
		id := c.get("/v1/basins", "immortal")
		time.Sleep(time.Second)
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.began[id] {
			t.Error("the connection takes no request any more")
		}
	})
}
