package broker_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// operator is a client of node i over NATS.
func (n *nodes) operator(i int) *client.Client {
	n.t.Helper()
	nc, err := n.brokers[i].Connect()
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(nc.Close)
	return client.New(nc, client.Options{})
}

// overNATS makes a request over NATS. It may be made again, as long as the cluster elects leaders.
func (n *nodes) overNATS(i int, request func(*client.Client) error) {
	n.t.Helper()
	c := n.operator(i)
	var err error
	eventually(n.t, "a request of an operator", func() bool {
		if err = request(c); err != nil && !protocol.AsError(err).Retryable() {
			n.t.Fatal(err)
		}
		return err == nil
	})
}

func (n *nodes) info(i int) (info protocol.ClusterInfo) {
	n.t.Helper()
	n.operate(i, func(ctx context.Context, c protocol.ClusterService) (err error) {
		info, err = c.Cluster(ctx)
		return err
	})
	return info
}

// operate makes a request at node i, in process: over NATS any node may answer. It may be made again, as long as the cluster elects leaders.
func (n *nodes) operate(i int, request func(context.Context, protocol.ClusterService) error) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 2*time.Minute) // only a hang fails
	defer cancel()
	for {
		err := request(ctx, n.brokers[i].Operator())
		if err == nil {
			return
		}
		if ctx.Err() != nil || !protocol.AsError(err).Retryable() {
			n.t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// A node that is drained gives its logs to the others, and no append fails; it gets logs again when the operator wants it.
func TestDrainAndBalance(t *testing.T) {
	n := clusterOf(t, func(c *conf.Config) { c.Logs = 8 })
	n.start(0, 1, 2)
	ensureBasin(t, n.service(0))
	eventually(t, "all nodes are live and healthy", func() bool {
		live := 0
		for _, node := range n.info(0).Nodes {
			if node.State == "live" {
				live++
			}
		}
		return live == 3 && n.health(0) == 200 && n.health(1) == 200 && n.health(2) == 200
	})
	names := map[string]int{}
	for i := range 3 {
		names[strings.ReplaceAll(n.configs[i].Cluster.Listen, ":", "-")] = i
	}
	const streams = 240 // a stream comes into any of the 8 logs by chance: 240 leave none empty

	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			for k := 0; ctx.Err() == nil; k++ {
				ref := protocol.StreamRef{Basin: events.Basin, Stream: protocol.StreamName(fmt.Sprintf("s-%d", (3*k+i)%streams))}
				if _, err := n.service(i).Append(context.WithoutCancel(ctx), ref, input("x")); err != nil {
					t.Errorf("an append through node %d: %v", i, err)
				}
			}
		})
	}
	defer wg.Wait()
	defer stop()
	owned := func(node string) (logs int, draining bool) {
		for _, x := range n.info(0).Nodes {
			if x.Name == node {
				return x.Logs, x.Draining
			}
		}
		return 0, false
	}
	eventually(t, "the logs have owners", func() bool {
		info := n.info(1)
		for _, l := range info.Logs {
			if l.Owner == "" || l.Epoch == 0 || l.Leader == "" {
				return false
			}
		}
		return len(info.Logs) == 8
	})
	var drained string
	for name := range names {
		if logs, _ := owned(name); logs > 0 {
			drained = name
		}
	}
	ask := func(req protocol.DrainNodeRequest) {
		t.Helper()
		n.overNATS((names[drained]+1)%3, func(c *client.Client) error { return c.DrainNode(ctx, req) })
	}
	ask(protocol.DrainNodeRequest{Node: drained})
	eventually(t, "the node owns no log any more", func() bool {
		logs, draining := owned(drained)
		return draining && logs == 0
	})
	if code := n.health(names[drained]); code != 503 {
		t.Errorf("a node that drains is %d", code)
	}
	ask(protocol.DrainNodeRequest{Node: drained, Undo: true})
	eventually(t, "the node is healthy again", func() bool {
		_, draining := owned(drained)
		return !draining && n.health(names[drained]) == 200
	})
	asked := time.Time{}
	eventually(t, "the node owns logs again", func() bool {
		// A node that did not know yet that this one takes logs again has kept its own.
		if time.Since(asked) > 5*time.Second {
			asked = time.Now()
			n.overNATS(0, func(c *client.Client) error { return c.BalanceCluster(ctx) })
		}
		logs, _ := owned(drained)
		return logs > 0
	})
	if err := n.operator(0).DrainNode(ctx, protocol.DrainNodeRequest{Node: "unknown"}); err == nil || !strings.Contains(err.Error(), `"unknown"`) {
		t.Errorf("a node that does not exist: %v", err)
	}
	all := map[string]float64{}
	for _, b := range n.brokers {
		_, shown := scrape(t, b)
		for name, value := range shown {
			all[name] += value
		}
	}
	for _, name := range []string{"weir_cluster_handed_requests_total", "weir_cluster_taken_requests_total", "weir_cluster_seal_seconds_count", "weir_cluster_highest_epoch"} {
		if all[name] == 0 {
			t.Errorf("%s is 0 on all nodes", name)
		}
	}
}

// A broker that has its store alone is no node of a cluster, and says so.
func TestNoCluster(t *testing.T) {
	b := start(t, onDisk(t.TempDir()))
	nc, err := b.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := client.New(nc, client.Options{})
	if _, err := c.Cluster(t.Context()); protocol.CodeOf(err) != protocol.CodeInvalid {
		t.Errorf("the cluster of a single broker: %v", err)
	}
	if err := c.BalanceCluster(t.Context()); protocol.CodeOf(err) != protocol.CodeInvalid {
		t.Errorf("to balance a single broker: %v", err)
	}
}
