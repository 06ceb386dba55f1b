package client_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// TestDial: a client with a connection of its own is closed with it, and a URL without a server is an error.
func TestDial(t *testing.T) {
	cfg := conf.Default().WithMemory()
	cfg.NATS.Listen, cfg.HTTP.Listen, cfg.LameDuck = "127.0.0.1:0", conf.ListenNone, 0
	b, err := broker.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.Dial(b.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ListBasins(t.Context(), protocol.ListRequest{}); err != nil {
		t.Error(err)
	}
	c.Close()
	if _, err := c.ListBasins(t.Context(), protocol.ListRequest{}); err == nil {
		t.Error("a closed client answers")
	}
	url := b.ClientURL()
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Dial(url, nats.Timeout(time.Second)); err == nil {
		t.Error("there is no server")
	}
}
