package lease

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/test/natscluster"
)

// cluster is three NATS servers in this process.
type cluster struct {
	*natscluster.Cluster
	t testing.TB
}

func startCluster(t testing.TB) *cluster {
	t.Helper()
	return &cluster{natscluster.Start(t), t}
}

// connect opens a connection to server i alone.
func (c *cluster) connect(i int) func(name string) (*nats.Conn, error) {
	return func(name string) (*nats.Conn, error) {
		return nats.Connect(c.URL(i), nats.Name(name), nats.MaxReconnects(-1),
			nats.ReconnectWait(20*time.Millisecond), nats.RetryOnFailedConnect(true), nats.IgnoreDiscoveredServers(), nats.PingInterval(500*time.Millisecond))
	}
}

// open opens the registry of node i, on server i.
func (c *cluster) open(i int, node string) *Registry {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Minute)
	defer cancel()
	r, err := Open(ctx, Config{Prefix: "s2", Connect: c.connect(i), Node: node, Replicas: 3})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { r.shut() })
	return r
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func owner(t testing.TB, r *Registry, log string) Owner {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	o, err := r.Owner(ctx, log)
	if err != nil {
		t.Fatalf("owner of %s at %s: %v", log, r.config.Node, err)
	}
	return o
}

func logNames(n int) (logs []string) {
	for i := range n {
		logs = append(logs, fmt.Sprintf("S2_LOG_express_%d", i))
	}
	return logs
}

// Three nodes agree on the owners of the logs; a dead one's logs are taken over, in a later epoch, and one that leaves in order is replaced at once.
func TestNodesOwnLogs(t *testing.T) {
	c := startCluster(t)
	var nodes []*Registry
	for i := range 3 {
		nodes = append(nodes, c.open(i, fmt.Sprintf("node %d", i)))
	}
	for _, r := range nodes {
		eventually(t, "the node is sure of its lease and knows the others", func() bool {
			return r.SureOfLease() && len(r.Nodes()) == 3 && !slices.ContainsFunc(r.Nodes(), func(n NodeStatus) bool { return n.State != Live })
		})
	}
	logs := logNames(12)
	owners := map[string]Owner{}
	for _, log := range logs {
		owners[log] = owner(t, nodes[0], log)
		for _, r := range nodes {
			eventually(t, "all nodes see the same owner", func() bool {
				o, same := owner(t, r, log), owner(t, nodes[0], log)
				return o.Node == same.Node && o.Epoch == same.Epoch && o.Mine == (r.config.Node == o.Node)
			})
		}
	}
	if len(nodes[2].Held()) == 0 || len(nodes[1].Held()) == 0 {
		t.Errorf("the logs are not spread: %v", owners)
	}

	nodes[2].shut() // without a word

	// Each of the others declares it dead on its own clock.
	for _, r := range nodes[:2] {
		eventually(t, "a dead node is declared dead", func() bool { return r.Nodes()[2].State == Dead })
	}
	for _, log := range logs {
		o, was := owner(t, nodes[1], log), owners[log]
		if o.Node == "node 2" || o.Epoch < was.Epoch || o.Node != was.Node && o.Epoch == was.Epoch {
			t.Errorf("%s is owned by %+v, before by %+v", log, o, was)
		}
		if o.Mine {
			if err := nodes[1].Wait(t.Context(), log, o.Epoch); err != nil {
				t.Error(err)
			}
			if nodes[0].Sure(log, o.Epoch) {
				t.Errorf("two nodes are sure of %s", log)
			}
		}
	}

	nodes[1].Close(t.Context())
	for _, log := range logs {
		eventually(t, "the last node owns the log", func() bool {
			o := owner(t, nodes[0], log)
			return o.Mine && nodes[0].Sure(log, o.Epoch)
		})
	}
}
