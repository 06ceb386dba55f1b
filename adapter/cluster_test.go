package adapter

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/freeport"
	"github.com/weirstream/weir/test/natscluster"
)

// testCluster is three NATS servers in this process that form a cluster, without anything of weir.
type testCluster struct {
	*natscluster.Cluster
	t testing.TB
}

func startCluster(t testing.TB) *testCluster {
	t.Helper()
	c := &testCluster{natscluster.Start(t), t}
	eventually(t, "the servers have a leader", func() bool {
		for i := range natscluster.Size {
			if srv := c.Server(i); srv.JetStreamIsLeader() && len(srv.JetStreamClusterPeers()) == natscluster.Size {
				return true
			}
		}
		return false
	})
	return c
}

func freePorts(t testing.TB, n int) []int {
	t.Helper()
	ports, err := freeport.Ports(n)
	if err != nil {
		t.Fatal(err)
	}
	return ports
}

// leader is the number of the server that leads a JetStream stream; -1: none does.
func (c *testCluster) leader(stream string) int {
	for i := range natscluster.Size {
		if srv := c.Server(i); srv.Running() && srv.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream) {
			return i
		}
	}
	return -1
}

// broker opens an adapter that is connected to server i at first. change may be nil.
func (c *testCluster) broker(i int, change func(*Options)) *harness {
	c.t.Helper()
	return openShared(c.t, c.URLs(i), func(o *Options) {
		o.Replicas = 3
		if change != nil {
			change(o)
		}
	})
}

// openShared opens an adapter on an external NATS.
func openShared(t testing.TB, urls string, change func(*Options)) *harness {
	t.Helper()
	level := slog.LevelError
	if testing.Verbose() {
		level = slog.LevelDebug
	}
	h := &harness{t: t, opts: Options{Connect: func(name string) (*nats.Conn, error) {
		return nats.Connect(urls, nats.Name(name), nats.DontRandomize(), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond),
			nats.PingInterval(500*time.Millisecond), nats.IgnoreDiscoveredServers())
	}, Durability: protocol.DurabilityInterval, Shared: true, Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))}}
	if change != nil {
		change(&h.opts)
	}
	h.open()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		h.Adapter.Close(ctx)
	})
	return h
}
