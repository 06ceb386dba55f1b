package adapter

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

var errNoCluster = protocol.Errorf(protocol.CodeInvalid, "this broker has its store alone: it is no node of a cluster")

// leadersTime is how long JetStream may take to name the leaders of the logs. While it elects a leader of its own it does not answer.
const leadersTime = 2 * time.Second

// Cluster is as [protocol.ClusterService] says, as the other methods of that name are.
func (a *Adapter) Cluster(ctx context.Context) (protocol.ClusterInfo, error) {
	if a.registry == nil {
		return protocol.ClusterInfo{}, errNoCluster
	}
	if err := a.registry.AwaitReady(ctx); err != nil {
		return protocol.ClusterInfo{}, err
	}
	info := protocol.ClusterInfo{Node: a.opts.Node, Nodes: []protocol.ClusterNode{}, Logs: []protocol.ClusterLog{}}
	owned, claims := map[string]int{}, map[string]protocol.ClusterLog{}
	for _, c := range a.registry.Claims() {
		if c.Log == accountClaim {
			continue
		}
		owned[c.Node+" "+c.Incarnation]++
		claims[c.Log] = protocol.ClusterLog{Name: c.Log, Owner: c.Node, Epoch: c.Epoch, Desired: a.registry.Desired(c.Log)}
	}
	for _, n := range a.registry.Nodes() {
		info.Nodes = append(info.Nodes, protocol.ClusterNode{Name: n.Node, State: string(n.State), Draining: n.Draining, Version: n.Version, Addresses: n.Addresses,
			LeaseAge: n.Age.Milliseconds(), Logs: owned[n.Node+" "+n.Incarnation]})
	}
	listing, cancel := context.WithTimeout(ctx, leadersTime)
	defer cancel()
	list := a.js.ListStreams(listing, jetstream.WithStreamListSubject(layout.LogSubjects(a.opts.Prefix)))
	for s := range list.Info() {
		l, claimed := claims[s.Config.Name]
		if _, isLog := layout.ParseLog(a.opts.Prefix, s.Config.Name); !claimed && !isLog {
			continue
		}
		l.Name = s.Config.Name
		if s.Cluster != nil {
			l.Leader = s.Cluster.Leader
		}
		claims[l.Name] = l
	}
	for _, l := range claims {
		info.Logs = append(info.Logs, l)
	}
	slices.SortFunc(info.Logs, func(x, y protocol.ClusterLog) int { return cmp.Compare(x.Name, y.Name) })
	return info, nil // without leaders where JetStream has none that could say so
}

// DrainNode asks a node to drain.
func (a *Adapter) DrainNode(ctx context.Context, req protocol.DrainNodeRequest) error {
	if a.registry == nil {
		return errNoCluster
	}
	if err := a.registry.AwaitReady(ctx); err != nil {
		return err
	}
	return a.registry.AskToDrain(ctx, req.Node, !req.Undo)
}

// BalanceCluster asks all nodes.
func (a *Adapter) BalanceCluster(ctx context.Context) error {
	if a.registry == nil {
		return errNoCluster
	}
	return a.registry.AskToBalance(ctx)
}

// drain carries an operator's wish out, in a task of its own, for as long as the node drains: nodes that do not know yet that it does may give it logs, and it
// takes those that no other node can take at that moment.
func (a *Adapter) drain(draining bool) {
	if !draining {
		a.logger.Info("the node takes logs again, as it was asked to")
		return
	}
	a.logger.Info("the node gives its logs to the others, as it was asked to")
	asked := a.drainAsked.Add(1)
	for a.ctx.Err() == nil && a.registry.Status().Draining && a.drainAsked.Load() == asked {
		if a.registry.Other() {
			a.giveAway(a.ctx, func(string) bool { return true })
		}
		sleep(a.ctx, drainPause)
	}
}

// OthersServe reports whether another node could take this one's logs, and this one can give them.
func (a *Adapter) OthersServe() bool {
	return a.registry != nil && a.registry.SureOfLease() && a.registry.Other()
}

// HandOver gives the logs of this node to the others, and takes none any more, while it goes on serving. It returns when it owns none, when no other node
// could take them any more, or when ctx ends.
func (a *Adapter) HandOver(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	watch.Go(func() {
		for ctx.Err() == nil && a.OthersServe() {
			sleep(ctx, drainPause)
		}
		cancel()
	})
	a.registry.SetDraining(true)
	// Nodes that do not know yet that this one stops may give it logs meanwhile.
	for ctx.Err() == nil && a.giveAway(ctx, func(string) bool { return true }) > 0 {
		sleep(ctx, drainPause)
	}
}

// drainPause is between two attempts to give the logs away.
const drainPause = 200 * time.Millisecond

// balance gives those logs away that other nodes should own. It tries again for balanceTime where one stays, as it does while this node is not sure of its lease or
// the node that should own the log cannot be given it just then.
func (a *Adapter) balance() {
	ctx, cancel := context.WithTimeout(a.ctx, balanceTime)
	defer cancel()
	elsewhere := func(log string) bool {
		to := a.registry.Desired(log)
		return to != "" && to != a.opts.Node
	}
	found := a.countHeld(elsewhere)
	left := found
	for left > 0 && ctx.Err() == nil {
		a.giveAway(ctx, elsewhere)
		if left = a.countHeld(elsewhere); left > 0 {
			sleep(ctx, drainPause)
		}
	}
	switch {
	case a.ctx.Err() != nil:
	case left > 0:
		a.logger.Warn("some logs that other nodes should own stay here", slog.Int("logs", left), slog.Int("of", found))
	default:
		a.logger.Info("the node gave the logs away that others should own, as it was asked to", slog.Int("logs", found))
	}
}

// balanceTime bounds an attempt to balance.
const balanceTime = 10 * time.Second

// countHeld counts those of this node's logs that are wanted.
func (a *Adapter) countHeld(wanted func(log string) bool) (n int) {
	for _, c := range a.registry.Claims() {
		if c.Mine && wanted(c.Log) {
			n++
		}
	}
	return n
}

// giveAway gives those of this node's logs away that are wanted to go, and returns how many there were.
func (a *Adapter) giveAway(ctx context.Context, wanted func(log string) bool) (n int) {
	var leaving sync.WaitGroup
	for _, c := range a.registry.Claims() {
		if !c.Mine || !wanted(c.Log) {
			continue
		}
		n++
		leaving.Go(func() {
			if l := a.logs.opened(c.Log); l != nil {
				l.own.leave(ctx)
			} else if _, err := a.registry.Release(ctx, c.Log, c.Epoch, ""); err != nil {
				a.logger.Debug("the log stays here", slog.String("log", c.Log), slog.Any("error", err))
			}
		})
	}
	leaving.Wait()
	return n
}

var (
	errDrains    = errors.New("the node drains")
	errNotLeased = errors.New("the node is not sure of its lease: it has no contact with most of the others")
)

// NodeHealth is why the node should get no requests; nil while it should, and where the store is this broker's alone.
func (a *Adapter) NodeHealth() error {
	if a.registry == nil {
		return nil
	}
	switch s := a.registry.Status(); {
	case s.Draining:
		return errDrains
	case !s.Sure:
		return errNotLeased
	}
	return nil
}

// NodeStats is what a node knows of itself and of the others.
type NodeStats struct {
	Sure      bool              // of its lease
	Draining  bool              //
	LeaseAge  time.Duration     // since the newest renewal that was stored was sent
	TakeOvers uint64            // logs that it took from nodes that had ended
	Held      map[string]uint64 // the epochs of the logs that it owns
	Nodes     map[string]int    // how many nodes have a record in a state

	HandedRequests uint64 // to the owners of logs
	TakenRequests  uint64 // from other nodes
	HeldRequests   int64  // of those, not answered yet
	HeldBytes      int64  // metered, of those
}

// NodeStats returns a node's part in the cluster; false where the store is this broker's alone.
func (a *Adapter) NodeStats() (s NodeStats, ok bool) {
	if a.registry == nil {
		return s, false
	}
	status := a.registry.Status()
	s = NodeStats{Sure: status.Sure, Draining: status.Draining, LeaseAge: status.LeaseAge, TakeOvers: status.TakeOvers, Held: map[string]uint64{}, Nodes: map[string]int{}}
	for _, c := range a.registry.Claims() {
		if c.Mine && c.Log != accountClaim {
			s.Held[c.Log] = c.Epoch
		}
	}
	for _, n := range a.registry.Nodes() {
		s.Nodes[string(n.State)]++
	}
	f := &a.forwarded
	s.HandedRequests, s.TakenRequests, s.HeldRequests, s.HeldBytes = f.handed.Load(), f.taken.Load(), f.held.Load(), f.bytes.Load()
	return s, true
}
