package adapter

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/freeport"
	"github.com/weirstream/weir/test/storedir"
)

// testCluster is three NATS servers in this process that form a cluster, without anything of weir.
type testCluster struct {
	t       testing.TB
	servers []*server.Server
	opts    []*server.Options
}

func startCluster(t testing.TB) *testCluster {
	t.Helper()
	const size = 3
	c := &testCluster{t: t, servers: make([]*server.Server, size)}
	ports, routes := freePorts(t, size), []*url.URL(nil)
	for _, port := range ports {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)})
	}
	for i, port := range ports {
		o := &server.Options{ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true,
			StoreDir: storedir.New(t), MaxPayload: 8 << 20, JetStreamMaxMemory: 1 << 30, JetStreamMaxStore: 10 << 30,
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: port}, Routes: routes}
		srv, err := server.NewServer(o)
		if err != nil {
			t.Fatal(err)
		}
		srv.Start()
		c.servers[i] = srv
		c.opts = append(c.opts, o)
	}
	t.Cleanup(func() {
		for _, srv := range c.servers {
			srv.Shutdown()
			srv.WaitForShutdown()
		}
	})
	for _, srv := range c.servers {
		if !srv.ReadyForConnections(time.Minute) {
			t.Fatal("a server is not ready")
		}
	}
	eventually(t, "the servers have a leader", func() bool {
		for _, srv := range c.servers {
			if srv.JetStreamIsLeader() && len(srv.JetStreamClusterPeers()) == size {
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
	for i, srv := range c.servers {
		if srv.Running() && srv.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream) {
			return i
		}
	}
	return -1
}

// broker opens an adapter that is connected to server i at first. change may be nil.
func (c *testCluster) broker(i int, change func(*Options)) *harness {
	c.t.Helper()
	urls := ""
	for k := range c.servers {
		if k > 0 {
			urls += ","
		}
		urls += c.servers[(i+k)%len(c.servers)].ClientURL()
	}
	return openShared(c.t, urls, func(o *Options) {
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
