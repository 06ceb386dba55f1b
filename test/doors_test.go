package test

import (
	"context"
	"testing"
	"time"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/internal/httpclient"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/conformance"
)

// doors are all ways to the service that the suites go through.
var doors = []conformance.Door{
	// The model comes first: a case that fails on it is wrong itself.
	{Name: "model", Lag: memLag, Open: func(t testing.TB, _ conformance.Clock) protocol.Service { return newMetered(newMemService(t)) }},
	// 64 is the length of the adapter's ring of live batches.
	{Name: "in process", Lag: 64, Open: func(t testing.TB, clock conformance.Clock) protocol.Service {
		return startBroker(t, clock).Service()
	}},
	{Name: "nats", Open: func(t testing.TB, clock conformance.Clock) protocol.Service {
		nc, err := startBroker(t, clock).Connect()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return client.New(nc, client.Options{})
	}},
	httpDoor(http2),
	// The second of the two speaks JSON and compresses its frames.
	httpDoor(http1, httpclient.JSON, httpclient.AcceptEncoding("zstd")),
}

// startBroker starts a broker that does not listen unless a setting says so, in memory if it is for a bubble.
func startBroker(t testing.TB, clock conformance.Clock, settings ...func(*conf.Config)) *broker.Broker {
	t.Helper()
	cfg := conf.Default()
	cfg.HTTP.Listen = conf.ListenNone
	cfg.NATS.Listen = conf.ListenNone
	cfg.LameDuck = 0
	cfg.Locations = "local, test:Other.1" // memLocations
	if clock == conformance.BubbleClock {
		cfg.Memory = true
	} else {
		cfg = cfg.WithStoreDir(t.TempDir())
	}
	for _, set := range settings {
		set(&cfg)
	}
	b, err := broker.Start(t.Context(), cfg)
	if err != nil {
		t.Fatalf("start the broker: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Errorf("close the broker: %v", err)
		}
	})
	return b
}
