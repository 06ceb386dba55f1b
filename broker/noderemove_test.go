package broker_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/freeport"
	"github.com/weirstream/weir/test/storedir"
)

// add makes another node, which joins the cluster when it is started.
func (n *nodes) add() (node int) {
	n.t.Helper()
	addresses, err := freeport.Addresses(1)
	if err != nil {
		n.t.Fatal(err)
	}
	c := n.configs[0]
	c.StoreDir = storedir.New(n.t)
	c.Cluster.Listen = addresses[0]
	c.Cluster.Peers += "," + addresses[0]
	n.configs, n.brokers = append(n.configs, c), append(n.brokers, nil)
	return len(n.brokers) - 1
}

// name is the name of a node in its cluster.
func (n *nodes) name(i int) (name string) {
	n.t.Helper()
	if !n.configs[i].Cluster.Enabled() { // it has chosen one, which others show with its address
		eventually(n.t, "the node is shown", func() bool {
			for _, x := range n.info(i).Nodes {
				if at := x.Addresses["http"]; at != "" && strings.HasSuffix(n.brokers[i].HTTPURL(), at) {
					name = x.Name
				}
			}
			return name != ""
		})
		return name
	}
	host, port, err := net.SplitHostPort(n.configs[i].Cluster.Listen)
	if err != nil {
		n.t.Fatal(err)
	}
	return host + "-" + port
}

// remove takes the next step of a removal through node i.
func (n *nodes) remove(i int, req protocol.RemoveNodeRequest) (left protocol.RemoveNodeProgress, err error) {
	n.t.Helper()
	err = n.tryOperate(i, func(ctx context.Context, c *client.Client) (err error) {
		left, err = c.RemoveNode(ctx, req)
		return err
	})
	return left, err
}

// drain asks node i to have another one drain, or not any more.
func (n *nodes) drain(i, node int, undo bool) {
	n.t.Helper()
	n.operate(i, func(ctx context.Context, c *client.Client) error {
		return c.DrainNode(ctx, protocol.DrainNodeRequest{Node: n.name(node), Undo: undo})
	})
}

// removeUntil repeats the steps of a removal until it waits for something.
func (n *nodes) removeUntil(i int, req protocol.RemoveNodeRequest, want protocol.RemoveNodeState) {
	n.t.Helper()
	eventually(n.t, "the removal of "+req.Node+" is "+string(want), func() bool {
		left, err := n.remove(i, req)
		if err != nil && !protocol.AsError(err).Retryable() {
			n.t.Fatal(err)
		}
		return err == nil && left.State == want
	})
}

// A fourth node joins, one of the first is drained, removed and stopped: no append fails or is lost, and when the removal is done, another one may stop.
func TestAddAndRemoveNode(t *testing.T) {
	n := clusterOf(t, nil)
	n.start(0, 1, 2)
	ensureBasin(t, n.service(0))
	refuse := func(i int, want string) {
		t.Helper()
		var err error
		eventually(t, "the removal is decided on", func() bool { // while JetStream elects a leader it is unavailable
			_, err = n.remove(0, protocol.RemoveNodeRequest{Node: n.name(i)})
			return err == nil || !protocol.AsError(err).Retryable()
		})
		if protocol.CodeOf(err) != protocol.CodeInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("the removal of node %d: %v", i, err)
		}
	}
	eventually(t, "all nodes are live", func() bool {
		live := 0
		for _, x := range n.info(0).Nodes {
			if x.State == "live" {
				live++
			}
		}
		return live == 3
	})
	refuse(2, "drain it first")
	if left, err := n.remove(0, protocol.RemoveNodeRequest{Node: "unknown"}); err != nil || left.State != protocol.RemovalUnknown || len(left.Nodes) != 3 {
		t.Errorf("a node that is not there: %+v, %v", left, err)
	}

	var load sync.WaitGroup
	var over atomic.Bool
	var acked atomic.Uint64
	svc := n.service(0)
	load.Go(func() {
		for !over.Load() {
			ack, err := svc.Append(context.Background(), events, input("x"))
			if err != nil || ack.Start.SeqNum != acked.Load() {
				t.Errorf("append %d is at %d: %v", acked.Load(), ack.Start.SeqNum, err)
				return
			}
			acked.Add(1)
		}
	})
	defer load.Wait()
	defer over.Store(true)
	added := n.add()
	n.start(added)
	const gone = 2
	n.drain(0, gone, false)
	eventually(t, "the node drains", func() bool {
		for _, x := range n.info(0).Nodes {
			if x.Name == n.name(gone) {
				return x.Draining && x.Logs == 0
			}
		}
		return false
	})
	req := protocol.RemoveNodeRequest{Node: n.name(gone)}
	n.removeUntil(0, req, protocol.RemovalStops)
	n.stop(gone)
	n.removeUntil(1, req, protocol.RemovalDone)
	eventually(t, "the node is not shown any more", func() bool {
		return !slices.ContainsFunc(n.info(0).Nodes, func(x protocol.ClusterNode) bool { return x.Name == n.name(gone) })
	})
	n.stop(1) // two of the three that are left
	refuse(1, "3 copies")
	before := acked.Load()
	eventually(t, "appends go on", func() bool { return t.Failed() || acked.Load() > before+10 })
	over.Store(true)
	load.Wait()
	tail, err := n.service(added).CheckTail(t.Context(), events)
	if err != nil || tail.SeqNum != acked.Load() {
		t.Errorf("the tail on the node that was added is %v, %v; %d appends were acknowledged", tail, err, acked.Load())
	}
	var read uint64
	for read < tail.SeqNum {
		batch, err := n.service(added).Read(t.Context(), events, protocol.ReadRequest{Start: protocol.FromSeqNum(read)})
		if err != nil || batch.Records.Len() == 0 || batch.Records.First().SeqNum != read {
			t.Fatalf("the node that was added reads %d records at %d: %v", batch.Records.Len(), read, err)
		}
		read += uint64(batch.Records.Len())
	}
}

// own makes a JetStream stream of a client's own with two copies, one of them on node i, and one message.
func (n *nodes) own(i int) (name string) {
	n.t.Helper()
	js := n.jetStream(0)
	ctx, cancel := context.WithTimeout(n.t.Context(), 2*time.Minute) // only a hang fails
	defer cancel()
	for k := 0; ; k++ { // JetStream chooses the nodes: those with the fewest streams
		name = fmt.Sprint("OWN-", k)
		s, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name}, Replicas: 2})
		if err != nil {
			n.t.Fatal(err)
		}
		if n.copyOn(s.CachedInfo(), i) {
			break
		}
	}
	if _, err := js.Publish(ctx, name, []byte("kept")); err != nil {
		n.t.Fatal(err)
	}
	return name
}

// copyOn reports whether a stream has a copy on node i.
func (n *nodes) copyOn(s *jetstream.StreamInfo, i int) bool {
	n.t.Helper()
	return s.Cluster.Leader == n.name(i) || slices.ContainsFunc(s.Cluster.Replicas, func(r *jetstream.PeerInfo) bool { return r.Name == n.name(i) })
}

// jetStream is that of node i, as a client sees it.
func (n *nodes) jetStream(i int) jetstream.JetStream {
	n.t.Helper()
	nc, err := n.brokers[i].Connect()
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		n.t.Fatal(err)
	}
	return js
}

// A node that has a copy of a client's own stream is not to be stopped before another node has the copy.
func TestRemoveNodeWithAStreamOfAClient(t *testing.T) {
	n := clusterOf(t, nil)
	n.start(0, 1, 2)
	ensureBasin(t, n.service(0))
	gone := n.add()
	n.start(gone)
	eventually(t, "all nodes are live, and the new one is a server for JetStream", func() bool {
		live := 0
		for _, x := range n.info(0).Nodes {
			if x.State == "live" {
				live++
			}
		}
		left, err := n.remove(0, protocol.RemoveNodeRequest{Node: "unknown"})
		return live == 4 && err == nil && len(left.Nodes) == 4
	})
	own := n.own(gone)
	if err := n.operator(0).DrainNode(t.Context(), protocol.DrainNodeRequest{Node: n.name(gone)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node drains", func() bool {
		return slices.ContainsFunc(n.info(0).Nodes, func(x protocol.ClusterNode) bool { return x.Name == n.name(gone) && x.Draining && x.Logs == 0 })
	})
	req := protocol.RemoveNodeRequest{Node: n.name(gone)}
	n.removeUntil(0, req, protocol.RemovalStops)
	js := n.jetStream(0)
	if s, err := js.Stream(t.Context(), own); err != nil || n.copyOn(s.CachedInfo(), gone) {
		t.Fatalf("the node may stop although it has a copy: %+v, %v", s, err)
	}
	n.stop(gone)
	n.removeUntil(1, req, protocol.RemovalDone)
	eventually(t, "the message of the client is there", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		s, err := js.Stream(ctx, own)
		if err != nil {
			return false
		}
		m, err := s.GetMsg(ctx, 1)
		return err == nil && string(m.Data) == "kept"
	})
}
