package broker_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/freeport"
	"github.com/weirstream/weir/test/storedir"
)

// nodes are the brokers of a cluster, in this process.
type nodes struct {
	t       *testing.T
	configs []conf.Config
	brokers []*broker.Broker
}

// clusterOf starts a cluster of three brokers.
func clusterOf(t *testing.T, change func(*conf.Config)) *nodes {
	t.Helper()
	const size = 3
	peers, err := freeport.Addresses(size)
	if err != nil {
		t.Fatal(err)
	}
	n := &nodes{t: t, brokers: make([]*broker.Broker, size)}
	for i := range size {
		c := onDisk(storedir.New(t))
		c.NATS.Listen = "127.0.0.1:0"
		c.Logs = 1
		c.LameDuck = 20 * time.Second
		c.Cluster = conf.Cluster{Name: "test", Listen: peers[i], Peers: strings.Join(peers, ","), Secret: "0123456789abcdef", Failover: conf.FailoverFast}
		if change != nil {
			change(&c)
		}
		n.configs = append(n.configs, c)
	}
	t.Cleanup(n.close)
	return n
}

// close stops all nodes at once.
func (n *nodes) close() {
	var wg sync.WaitGroup
	for i := range n.brokers {
		if n.brokers[i] != nil {
			wg.Go(func() { n.brokers[i].Close(context.Background()) })
		}
	}
	wg.Wait()
}

// start starts nodes at the same time.
func (n *nodes) start(which ...int) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, len(n.brokers))
	for _, i := range which {
		opts := []broker.Option{}
		if testing.Verbose() {
			opts = append(opts, broker.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil)).With("node", i)))
		}
		wg.Go(func() { n.brokers[i], errs[i] = broker.Start(ctx, n.configs[i], opts...) })
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			n.t.Fatalf("node %d: %v", i, err)
		}
	}
}

func (n *nodes) stop(i int) {
	n.t.Helper()
	closeBroker(n.t, n.brokers[i])
	n.brokers[i] = nil
}

func (n *nodes) service(i int) protocol.Service { return n.brokers[i].Service() }

func (n *nodes) health(i int) int {
	answer := httptest.NewRecorder()
	n.brokers[i].HTTPHandler().ServeHTTP(answer, httptest.NewRequestWithContext(n.t.Context(), "GET", "http://127.0.0.1/health", nil))
	return answer.Code
}

// Three brokers form a cluster, every one serves every stream, and one may go and come back.
func TestCluster(t *testing.T) {
	n := clusterOf(t, nil)
	n.start(0, 1, 2)
	ensureBasin(t, n.service(0))
	var want []string
	add := func(node int) {
		t.Helper()
		text := fmt.Sprintf("from %d", node)
		if ack := appendTo(t, n.service(node), text); ack.Start.SeqNum != uint64(len(want)) {
			t.Fatalf("node %d acknowledged %v behind %d records", node, ack.Start, len(want))
		}
		want = append(want, fmt.Sprintf("%d:%s", len(want), text))
	}
	check := func(node int) {
		t.Helper()
		if got := readAll(t, n.service(node)); got != strings.Join(want, " ") {
			t.Fatalf("node %d reads %q, want %q", node, got, want)
		}
	}
	for round := range 3 {
		for node := range 3 {
			add(node)
			check((node + round) % 3)
		}
	}
	for node := range 3 {
		if code := n.health(node); code != 200 {
			t.Errorf("node %d is %d", node, code)
		}
	}
	n.checkConsole(3)
	for gone := range 3 {
		n.stop(gone)
		add((gone + 1) % 3)
		add((gone + 2) % 3)
		check((gone + 1) % 3)
		n.start(gone)
		add(gone)
		check(gone)
	}
}

// A node whose others are gone says so, acknowledges nothing, and stops when it is told to.
func TestNodeWithoutTheOthers(t *testing.T) {
	n := clusterOf(t, nil)
	n.start(0, 1, 2)
	ensureBasin(t, n.service(0))
	appendTo(t, n.service(0), "before")
	for _, gone := range []int{1, 2} {
		n.brokers[gone].Close(context.Background()) // the second has no majority to settle with
		n.brokers[gone] = nil
	}
	deadline := time.Now().Add(2 * time.Minute)
	for n.health(0) == 200 {
		if time.Now().After(deadline) {
			t.Fatal("the node says that it is well")
		}
		time.Sleep(20 * time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if ack, err := n.service(0).Append(ctx, events, input("alone")); err == nil {
		t.Errorf("acknowledged %+v", ack)
	}
	ended, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	n.brokers[0].Close(ended) // the append is not settled
	n.brokers[0] = nil
}
