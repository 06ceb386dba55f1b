package broker_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	_ "unsafe" // for the name below

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/storedir"
)

// peerRemoveTimeout is how long nats-server lets no server in again that was removed: five minutes.
//
//go:linkname peerRemoveTimeout github.com/nats-io/nats-server/v2/server.peerRemoveTimeout
var peerRemoveTimeout time.Duration

// A process is a node in a process of its own, which can be killed.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
}

// startAside starts a node in a process of its own.
func (n *nodes) startAside(i int) *process {
	n.t.Helper()
	text, err := json.Marshal(n.configs[i])
	if err != nil {
		n.t.Fatal(err)
	}
	p := &process{t: n.t, cmd: exec.Command(os.Args[0])}
	p.cmd.Env, p.cmd.Stderr = append(os.Environ(), broker.NodeEnv+"="+string(text)), os.Stderr
	if _, err := p.cmd.StdinPipe(); err != nil { // it ends when this process does
		n.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(p.kill)
	return p
}

func (p *process) kill() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		p.cmd = nil
	}
}

// counted appends to a stream through a node, each append behind the one before, until stop.
type counted struct {
	acked atomic.Uint64
	over  atomic.Bool
	wg    sync.WaitGroup
}

func (n *nodes) count(i int, ref protocol.StreamRef) *counted {
	c, svc := &counted{}, n.service(i)
	c.wg.Go(func() {
		for !c.over.Load() {
			// What a killed owner had taken may be stored or not: match_seq_num makes it safe to send it again.
			at := c.acked.Load()
			in := input("x")
			in.MatchSeqNum = &at
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // only a hang fails
			_, err := svc.Append(ctx, ref, in)
			cancel()
			switch code := protocol.CodeOf(err); {
			case err == nil:
			case code == protocol.CodeConditionFailed:
				tail, err := svc.CheckTail(context.Background(), ref)
				if err != nil && protocol.AsError(err).Retryable() { // the owner changes once more
					continue
				}
				if err != nil || tail.SeqNum != at && tail.SeqNum != at+1 {
					n.t.Errorf("the tail behind %d acknowledged appends: %v, %v", at, tail, err)
					return
				}
				if tail.SeqNum == at {
					continue
				}
			case !code.Clean():
				continue
			default:
				n.t.Errorf("append %d: %v", at, err)
				return
			}
			c.acked.Add(1)
		}
	})
	n.t.Cleanup(c.stop)
	return c
}

func (c *counted) stop() {
	c.over.Store(true)
	c.wg.Wait()
}

func (c *counted) goesOn(t *testing.T, when string) {
	t.Helper()
	before := c.acked.Load()
	eventually(t, "appends go on "+when, func() bool { return t.Failed() || c.acked.Load() > before+10 })
}

// shown reports whether a node shows another one, in a state if that is given. It is asked in process: over NATS any node may answer, and no node answers a request that
// the lost one got.
func (n *nodes) shown(at int, name string, states ...string) bool {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), time.Minute) // only a hang fails
	defer cancel()
	info, err := n.brokers[at].Operator().Cluster(ctx)
	return err == nil && slices.ContainsFunc(info.Nodes, func(x protocol.ClusterNode) bool {
		return x.Name == name && (len(states) == 0 || slices.Contains(states, x.State))
	})
}

// removeAt takes the steps of a removal at a node until it waits for something.
func (n *nodes) removeAt(at int, req protocol.RemoveNodeRequest, want protocol.RemoveNodeState) {
	n.t.Helper()
	eventually(n.t, "the removal of "+req.Node+" is "+string(want), func() bool {
		left, err := n.brokers[at].Operator().RemoveNode(n.t.Context(), req)
		if err != nil && !protocol.AsError(err).Retryable() {
			n.t.Fatal(err)
		}
		return err == nil && left.State == want
	})
}

// loseNode starts a cluster whose last node is a process of its own that owns all logs and has copies of everything, and kills it when as many others as are
// given have been added.
func loseNode(t *testing.T, added int) (n *nodes, load *counted) {
	t.Helper()
	n = clusterOf(t, nil)
	machine := n.startAside(lostNode)
	n.start(0, 1)
	ensureBasin(t, n.service(0))
	load = n.count(0, events)
	for range added {
		n.start(n.add())
	}
	var others []int
	for i := range n.brokers {
		if i != lostNode {
			others = append(others, i)
		}
	}
	for _, i := range others {
		eventually(t, "all nodes are live", func() bool { return n.shown(0, n.name(i), "live") && n.shown(0, n.name(lostNode), "live") })
		n.drain(0, i, false)
	}
	eventually(t, "the node that will be lost owns all logs", func() bool {
		return !slices.ContainsFunc(n.info(0).Logs, func(l protocol.ClusterLog) bool { return l.Owner != "" && l.Owner != n.name(lostNode) })
	})
	for _, i := range others {
		n.drain(0, i, true)
	}
	load.goesOn(t, "through the node that will be lost")
	machine.kill()
	for _, i := range others {
		eventually(t, n.name(i)+" knows that the node is lost", func() bool {
			return n.shown(i, n.name(lostNode), "dead") && !n.brokers[i].Connected(n.name(lostNode))
		})
	}
	return n, load
}

// The node that is lost, of the three that are there from the beginning.
const lostNode = 2

// removedServersReturn lets servers that were removed in again sooner than nats-server does.
func removedServersReturn(t *testing.T) {
	t.Helper()
	patience := peerRemoveTimeout
	if patience == 0 {
		t.Fatal("this version of nats-server has another name for the time that it lets no removed server in")
	}
	peerRemoveTimeout = 5 * time.Second
	t.Cleanup(func() { peerRemoveTimeout = patience })
}

// served compares the stream as a node shows it with the appends that were acknowledged.
func (n *nodes) served(i int, load *counted) {
	n.t.Helper()
	tail, err := n.service(i).CheckTail(n.t.Context(), events)
	if err != nil || tail.SeqNum != load.acked.Load() {
		n.t.Errorf("the tail on %s is %v, %v; %d appends were acknowledged", n.name(i), tail, err, load.acked.Load())
	}
}

// A node that is killed and does not come back is removed by force: appends go on, the others have all copies, and it counts no more. A machine with its
// name and an empty disk is let in again.
func TestLostNodeIsRemoved(t *testing.T) {
	removedServersReturn(t)
	n, load := loseNode(t, 1)
	const added = 3
	req := protocol.RemoveNodeRequest{Node: n.name(lostNode)}
	if left, err := n.brokers[1].Operator().RemoveNode(t.Context(), req); protocol.CodeOf(err) != protocol.CodeInvalid || !strings.Contains(err.Error(), "--force") {
		t.Errorf("a lost node is removed without force: %+v, %v", left, err)
	}
	load.goesOn(t, "without the lost node")
	req.Force = true
	n.removeAt(1, req, protocol.RemovalDone)
	eventually(t, "the lost node is not shown any more", func() bool { return !n.shown(0, n.name(lostNode)) && !n.shown(added, n.name(lostNode)) })
	load.goesOn(t, "behind the removal")
	n.stop(1) // two of the three that are left, so the lost one does not count, and the added one has what it lacked
	load.goesOn(t, "with one node less")
	n.start(1)

	n.configs[lostNode].StoreDir = storedir.New(t)
	n.start(lostNode)
	eventually(t, "the replacement is live", func() bool { return n.shown(0, n.name(lostNode), "live") })
	load.stop()
	n.served(added, load)
	n.served(lostNode, load)
}

// A node of three that is lost and was removed by force, although it gains nothing, can be replaced by a machine with another name: it gets all copies.
func TestLostNodeIsReplaced(t *testing.T) {
	n, load := loseNode(t, 0)
	req := protocol.RemoveNodeRequest{Node: n.name(lostNode)}
	if left, err := n.brokers[1].Operator().RemoveNode(t.Context(), req); protocol.CodeOf(err) != protocol.CodeInvalid || !strings.Contains(err.Error(), "2 nodes for 3 copies") {
		t.Errorf("a lost node is removed although there are not enough others: %+v, %v", left, err)
	}
	req.Force = true
	n.removeAt(1, req, protocol.RemovalDone)
	n.removeAt(0, req, protocol.RemovalUnknown)
	load.goesOn(t, "with two nodes")
	other := n.add()
	n.start(other)
	eventually(t, "the replacement is live", func() bool { return n.shown(0, n.name(other), "live") })
	// Of the three the new one and another one are enough, so that the new one has what it lacked.
	eventually(t, "the new node has its copies", func() bool {
		missing, err := n.brokers[0].MissingCopies(t.Context(), 3)
		return err == nil && missing == 0
	})
	n.stop(1)
	load.goesOn(t, "with the replacement")
	n.start(1)
	load.stop()
	n.served(other, load)
}
