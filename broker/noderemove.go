package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter"
	"github.com/weirstream/weir/broker/internal/natsd"
	"github.com/weirstream/weir/protocol"
)

func (c cluster) RemoveNode(ctx context.Context, req protocol.RemoveNodeRequest) (protocol.RemoveNodeProgress, error) {
	return do(c.service, func() (protocol.RemoveNodeProgress, error) { return c.removeNode(ctx, req) })
}

// removeNode does the next step of a removal. Everything that it decides on is stored, in JetStream's group of all servers and in the records of the nodes,
// so that it goes on wherever and whenever it is asked again.
func (c cluster) removeNode(ctx context.Context, req protocol.RemoveNodeRequest) (left protocol.RemoveNodeProgress, err error) {
	info, err := c.ad.Cluster(ctx)
	if err != nil {
		return left, err
	}
	members := c.st.Nodes()
	if members == nil {
		return left, natsd.ErrNotOurs
	}
	for _, m := range members {
		left.Nodes = append(left.Nodes, m.Name)
	}
	var node protocol.ClusterNode
	if i := slices.IndexFunc(info.Nodes, func(n protocol.ClusterNode) bool { return n.Name == req.Node }); i >= 0 {
		node = info.Nodes[i]
	}
	i := slices.IndexFunc(members, func(m natsd.Node) bool { return m.Name == req.Node })
	member, others := i >= 0, len(members)
	if member {
		others--
	}
	runs := member && members[i].Online || node.State == "live" || node.State == "joining"
	if !member && !runs && node.Name == "" {
		left.State = protocol.RemovalUnknown
		return left, nil
	}
	if member || runs {
		if err := c.mayRemove(node, runs, others, req); err != nil {
			return left, err
		}
	}
	if member && !runs {
		if !req.Force { // it has stopped in order, but perhaps before others had its copies
			copies, err := c.copiesOn(ctx, req.Node, others)
			if err != nil {
				return left, err
			}
			if n := len(copies.Stranded); n > 0 {
				left.State, left.Streams = protocol.RemovalMoves, n
				left.Waits = fmt.Sprintf("%s has no leader and a copy on %s: start that node again, or force the removal, which may lose what no other node has",
					protocol.Clip(strings.Join(copies.Stranded, ", ")), req.Node)
				return left, nil
			}
		}
		if err := c.st.RemoveNode(ctx, req.Node); err != nil {
			return left, err
		}
	}
	copies, err := c.copiesOn(ctx, req.Node, others)
	if err != nil {
		return left, err
	}
	if runs && copies.On > 0 {
		if err := c.st.Evacuate(ctx, req.Node); err != nil {
			return left, err
		}
	}
	left.Streams, left.Waits = max(copies.On, copies.Missing), copies.Waits
	switch {
	case left.Streams > 0:
		left.State = protocol.RemovalMoves
	case runs:
		left.State = protocol.RemovalStops
	default:
		left.State = protocol.RemovalDone
		err = c.ad.ForgetNode(ctx, req.Node)
	}
	return left, err
}

// copiesOn looks for the copies of the storage, and of the streams that clients have made for themselves. Such a stream may have had its only copy on a node that is
// lost: then nothing is left to wait for.
func (c cluster) copiesOn(ctx context.Context, node string, others int) (copies adapter.Copies, err error) {
	defer func() {
		if err != nil {
			err = protocol.Wrap(protocol.CodeUnavailable, err, "JetStream could not say where the copies are")
		}
	}()
	if copies, err = c.ad.Copies(ctx, node, others); err != nil {
		return copies, err
	}
	nc, err := c.st.Client("weir-remove-node")
	if err != nil {
		return copies, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return copies, err
	}
	clients, err := adapter.CopiesIn(ctx, js, node, others)
	if errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) || errors.Is(err, jetstream.ErrJetStreamNotEnabled) {
		return copies, nil
	}
	copies.On += clients.On
	copies.Missing += clients.Missing - clients.Headless
	copies.Waits = cmp.Or(copies.Waits, clients.Waits)
	copies.Stranded = append(copies.Stranded, clients.Stranded...)
	return copies, err
}

// mayRemove is why a node may not be removed: others is how many would be left.
func (c cluster) mayRemove(node protocol.ClusterNode, runs bool, others int, req protocol.RemoveNodeRequest) error {
	switch {
	case runs && node.State == "live" && (!node.Draining || node.Logs > 0):
		return protocol.Errorf(protocol.CodeInvalid, "node: %q serves (logs that it owns: %d): drain it first (weir cluster drain %s)", req.Node, node.Logs, req.Node)
	case !req.Force && others < c.copies:
		return protocol.Errorf(protocol.CodeInvalid, "node: without %q there are %d nodes for %d copies: start another node first, or this one again, with an empty store directory "+
			"if its disk is lost. It gains nothing to force it (--force): %d nodes need each other, as they do now", req.Node, others, c.copies, others)
	case !req.Force && !runs && node.State != "left":
		return protocol.Errorf(protocol.CodeInvalid, "node: %q has not stopped in order. If it comes back, do not remove it; if its machine or disk is lost, force the removal (--force)", req.Node)
	}
	return nil
}
