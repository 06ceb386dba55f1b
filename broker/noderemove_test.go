package broker_test

import (
	"context"
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

// remove takes the next step of a removal over NATS, where any node may answer.
func (n *nodes) remove(i int, req protocol.RemoveNodeRequest) (left protocol.RemoveNodeProgress, err error) {
	n.t.Helper()
	nc, err := n.brokers[i].Connect()
	if err != nil {
		n.t.Fatal(err)
	}
	defer nc.Close()                                               // a stop would wait for it
	ctx, cancel := context.WithTimeout(n.t.Context(), time.Minute) // only a hang fails
	defer cancel()
	return client.New(nc, client.Options{}).RemoveNode(ctx, req)
}

// drain asks node i to have another one drain, or not any more.
func (n *nodes) drain(i, node int, undo bool) {
	n.t.Helper()
	n.operate(i, func(ctx context.Context, c protocol.ClusterService) error {
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
	eventually(t, "all nodes are live", func() bool { return n.know(0, "live") && n.know(1, "live") && n.know(2, "live") })
	refuse(2, "drain it first")
	eventually(t, "a node that is not there is not known", func() bool {
		left, err := n.remove(0, protocol.RemoveNodeRequest{Node: "unknown"})
		return err == nil && left.State == protocol.RemovalUnknown && len(left.Nodes) == 3
	})

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
	n.empty(gone)
	req := protocol.RemoveNodeRequest{Node: n.name(gone)}
	n.removeUntil(0, req, protocol.RemovalStops)
	n.stop(gone)
	eventually(t, "the others know that the node has stopped", func() bool { return n.know(gone, "left") })
	n.removeUntil(1, req, protocol.RemovalDone)
	eventually(t, "the node is not shown any more", func() bool {
		return !slices.ContainsFunc(n.info(0).Nodes, func(x protocol.ClusterNode) bool { return x.Name == n.name(gone) })
	})
	n.stop(1) // two of the three that are left
	eventually(t, "the others know that it has stopped", func() bool { return n.know(1, "left") })
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

// own makes a JetStream stream of a client's own with one copy and one message, and returns the node that has it.
func (n *nodes) own(js jetstream.JetStream, name string) (node int) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 2*time.Minute) // only a hang fails
	defer cancel()
	s, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name}})
	if err != nil {
		n.t.Fatal(err)
	}
	if _, err := js.Publish(ctx, name, []byte("kept")); err != nil {
		n.t.Fatal(err)
	}
	for node = range n.brokers {
		if n.copyOn(s.CachedInfo(), node) {
			return node
		}
	}
	n.t.Fatalf("no node has the copy: %+v", s.CachedInfo().Cluster)
	return 0
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

// A node that has the only copy of a client's own stream is not to be stopped before another node has it. If it was stopped all the same, it stays a node
// until it has come back.
func TestRemoveNodeWithAStreamOfAClient(t *testing.T) {
	n := clusterOf(t, nil)
	n.start(0, 1, 2)
	ensureBasin(t, n.service(0))
	added := n.add()
	n.start(added)
	eventually(t, "all nodes are live, and the new one is a server for JetStream", func() bool {
		left, err := n.remove(0, protocol.RemoveNodeRequest{Node: "unknown"})
		return n.know(added, "live") && err == nil && len(left.Nodes) == 4
	})
	const own = "OWN"
	gone := n.own(n.jetStream(added), own)
	other := (gone + 1) % len(n.brokers)
	js := n.jetStream(other)
	req := protocol.RemoveNodeRequest{Node: n.name(gone)}
	n.empty(gone)
	n.stop(gone)
	eventually(t, "the others know that the node has stopped", func() bool { return n.know(gone, "left") && !n.brokers[other].Connected(req.Node) })
	eventually(t, "the removal waits for the node", func() bool {
		left, err := n.brokers[other].Operator().RemoveNode(t.Context(), req)
		if err == nil && left.State != protocol.RemovalMoves {
			t.Fatalf("the node with the only copy is removed: %+v", left)
		}
		return strings.Contains(left.Waits, own)
	})
	n.start(gone)
	eventually(t, "the node is back", func() bool { return n.know(gone, "live") })
	n.empty(gone)
	n.removeUntil(other, req, protocol.RemovalStops)
	if s, err := js.Stream(t.Context(), own); err != nil || n.copyOn(s.CachedInfo(), gone) {
		t.Fatalf("the node may stop although it has a copy: %+v, %v", s, err)
	}
	n.stop(gone)
	eventually(t, "the others know that the node has stopped again", func() bool { return n.know(gone, "left") })
	n.removeUntil(other, req, protocol.RemovalDone)
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

// know reports whether all nodes that run show a node in a state.
func (n *nodes) know(node int, state string) bool {
	n.t.Helper()
	for at, b := range n.brokers {
		if b != nil && !n.shown(at, n.name(node), state) {
			return false
		}
	}
	return true
}

// empty drains a node, and returns when all nodes that run know that it owns no log any more.
func (n *nodes) empty(node int) {
	n.t.Helper()
	n.drain((node+1)%len(n.brokers), node, false)
	eventually(n.t, "the node drains", func() bool {
		for at, b := range n.brokers {
			if b != nil && !slices.ContainsFunc(n.info(at).Nodes, func(x protocol.ClusterNode) bool { return x.Name == n.name(node) && x.Draining && x.Logs == 0 }) {
				return false
			}
		}
		return true
	})
}
