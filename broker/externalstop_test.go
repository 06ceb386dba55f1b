package broker_test

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/test/freeport"
	"github.com/weirstream/weir/test/storedir"
)

// onExternal makes brokers that keep nothing, on a cluster of three NATS servers. Each prefers the server of its number; with shared, all prefer the first.
func onExternal(t *testing.T, shared bool, change func(*conf.Config)) *nodes {
	t.Helper()
	const size = 3
	addresses, err := freeport.Addresses(2 * size)
	if err != nil {
		t.Fatal(err)
	}
	addresses, doors := addresses[:size], addresses[size:]
	var routes []*url.URL
	for _, address := range addresses {
		routes = append(routes, &url.URL{Scheme: "nats", Host: address})
	}
	servers := make([]*server.Server, size)
	for i := range servers {
		cluster := server.ClusterOpts{Name: "external", Host: routes[i].Hostname(), Port: port(t, routes[i])}
		if servers[i], err = server.NewServer(&server.Options{ServerName: addresses[i], Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: storedir.New(t),
			MaxPayload: 8 << 20, NoSigs: true, NoLog: true, Cluster: cluster, Routes: routes}); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, s := range servers {
			s.Shutdown()
			s.WaitForShutdown()
		}
	})
	for _, s := range servers {
		s.Start()
	}
	for _, s := range servers {
		if !s.ReadyForConnections(time.Minute) {
			t.Fatal("a server is not ready")
		}
	}
	n := &nodes{t: t, brokers: make([]*broker.Broker, size)}
	for i := range size {
		var urls []string
		for k := range size {
			if shared {
				k = (size - i + k) % size
			}
			urls = append(urls, servers[(i+k)%size].ClientURL())
		}
		c := conf.Default()
		c.External.URL = strings.Join(urls, ",")
		c.Replicas = size
		c.LameDuck = 20 * time.Second
		c.HTTP.Listen = doors[i]
		change(&c)
		n.configs = append(n.configs, c)
	}
	t.Cleanup(n.close)
	return n
}

func port(t *testing.T, u *url.URL) int {
	t.Helper()
	n, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A broker that keeps nothing and stops in order fails no request either: NATS sends them to the other brokers from the moment on at which it can answer none
// any more, whether each has a NATS server of its own or not.
func TestBrokerOnExternalNATSThatStopsFailsNoRequest(t *testing.T) {
	for name, shared := range map[string]bool{"a server each": false, "one server": true} {
		t.Run(name, func(t *testing.T) {
			broker.LetClientsLeave(t)
			n := onExternal(t, shared, func(c *conf.Config) {
				c.Logs = 4
			})
			n.configs[0].LameDuck = leaves
			n.start(0, 1, 2)
			if at := n.stopFailsNoRequest(""); at.http == at.httpURL {
				t.Errorf("the client over HTTP is at %s", at.http)
			}
		})
	}
}
