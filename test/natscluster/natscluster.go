// Package natscluster runs three NATS servers with JetStream that form a cluster, in the process of a test, without anything of weir.
package natscluster

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/weirstream/weir/test/freeport"
	"github.com/weirstream/weir/test/storedir"
)

// Size is the number of servers.
const Size = 3

// A Cluster is three servers, each with a port and a store of its own that stay when it is stopped and started again. Its methods may be called at once.
type Cluster struct {
	t       testing.TB
	options [Size]*server.Options

	mu      sync.Mutex // guards servers
	servers [Size]*server.Server
}

// Start starts the servers of a cluster, and stops them when the test ends. They take connections, and find each other meanwhile.
func Start(t testing.TB) *Cluster {
	t.Helper()
	ports, err := freeport.Ports(2 * Size)
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{t: t}
	var routes []*url.URL
	for _, port := range ports[Size:] {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)})
	}
	for i := range c.options {
		c.options[i] = &server.Options{ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: ports[i], NoSigs: true, NoLog: true, JetStream: true,
			StoreDir: storedir.New(t), MaxPayload: 8 << 20, JetStreamMaxMemory: 1 << 30, JetStreamMaxStore: 10 << 30,
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[Size+i]}, Routes: routes}
	}
	t.Cleanup(func() {
		for i := range Size {
			c.Stop(i)
		}
	})
	for i := range Size {
		c.StartAgain(i)
	}
	for i := range Size {
		if srv := c.Server(i); srv == nil || !srv.ReadyForConnections(2*time.Minute) {
			t.Fatalf("server %d is not ready", i)
		}
	}
	return c
}

// StartAgain starts a server that was stopped.
func (c *Cluster) StartAgain(i int) {
	c.t.Helper()
	o := *c.options[i]
	srv, err := server.NewServer(&o)
	if err != nil {
		c.t.Error(err)
		return
	}
	srv.Start()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.servers[i] = srv
}

// Stop stops a server, unless it is stopped.
func (c *Cluster) Stop(i int) {
	if srv := c.Server(i); srv != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
	}
}

// Server returns the server that runs, or ran last; nil if none could be started.
func (c *Cluster) Server(i int) *server.Server {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.servers[i]
}

// URL is where clients connect to a server.
func (c *Cluster) URL(i int) string { return fmt.Sprintf("nats://127.0.0.1:%d", c.options[i].Port) }

// URLs are those of all servers, beginning with one, as a client takes them.
func (c *Cluster) URLs(first int) string {
	var all []string
	for k := range Size {
		all = append(all, c.URL((first+k)%Size))
	}
	return strings.Join(all, ",")
}
