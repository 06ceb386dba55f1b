//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/linear"
)

// drain asks a node to give its logs away, or not to do so any more, and waits until it has.
func (c *cluster) drain(number int, undo bool) {
	c.t.Helper()
	c.ask(number, undo)
	for deadline := time.Now().Add(recovery); ; time.Sleep(20 * time.Millisecond) {
		info := c.status()
		name := nameOf(info, number)
		for _, n := range info.Nodes {
			if n.Name == name && n.State == "live" && n.Draining == !undo && (undo || n.Logs == 0) {
				return
			}
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("node %d was asked to drain (undo: %v), and has not within %v: %+v", number+1, undo, recovery, info)
		}
	}
}

// ask asks a node to drain, or not to do so any more.
func (c *cluster) ask(number int, undo bool) {
	c.t.Helper()
	name := nameOf(c.status(), number)
	c.operate("ask a node to drain", func(ctx context.Context, svc protocol.ClusterService) error {
		return svc.DrainNode(ctx, protocol.DrainNodeRequest{Node: name, Undo: undo})
	})
}

// draining drains one node after the other, while all of them serve: no append may fail.
func draining(c *cluster, rng *rand.Rand) {
	c.t.Helper()
	from := c.load.mark()
	for _, victim := range rng.Perm(nodes) {
		c.load.watch()
		began := time.Now()
		c.drain(victim, false)
		took := time.Since(began)
		time.Sleep(300 * time.Millisecond)
		c.t.Logf("node %d owned no log %.0f ms after it was asked to drain; longest gap of a stream meanwhile %.0f ms", victim+1,
			took.Seconds()*1000, c.load.longestGap().Seconds()*1000)
		c.drain(victim, true)
	}
	c.load.demand(from, "while nodes drained", func(_ string, e *entry) bool { return e.err == nil })
}

// rolling restarts all nodes in order, when the cluster is well.
func rolling(c *cluster, _ *rand.Rand) { c.restartAll(func(int) {}) }

// rollingDrained is rolling with each node drained before.
func rollingDrained(c *cluster, _ *rand.Rand) {
	c.restartAll(func(number int) { c.drain(number, false) })
}

// restartAll restarts all nodes, each after something was done. No append may fail: but over HTTP a client goes to another node when one does not take
// its connection, so that nothing was sent, or has ended its session, so that nothing of what was not acknowledged is stored.
func (c *cluster) restartAll(before func(number int)) {
	c.t.Helper()
	from := c.load.mark()
	for number, n := range c.nodes {
		c.awaitHealth()
		before(number)
		c.load.watch()
		n.stop()
		stopped := c.load.longestGap()
		n.start()
		c.awaitHealth()
		c.t.Logf("node %d: longest gap of a stream while it stopped %.0f ms, until all were well again %.0f ms", number+1, stopped.Seconds()*1000,
			c.load.longestGap().Seconds()*1000)
	}
	c.load.demand(from, "during a rolling restart", func(kind string, e *entry) bool {
		over := doorOf(e.client) == overHTTP && (errors.Is(e.err, syscall.ECONNREFUSED) || kind == "session" && protocol.CodeOf(e.err) == protocol.CodeServerDraining)
		return e.err == nil || over
	})
}

// storm moves the logs from node to node, five times a second.
func storm(c *cluster, rng *rand.Rand) {
	c.t.Helper()
	before := c.epochs()
	k := c.newCaller(overNATS, rng, rootToken)
	defer k.close()
	operator, ok := k.service().(protocol.ClusterService)
	if !ok {
		c.t.Fatal("the client knows no clusters")
	}
	ask := func(name string, undo bool) {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		defer cancel()
		if err := operator.DrainNode(ctx, protocol.DrainNodeRequest{Node: name, Undo: undo}); err != nil {
			c.t.Logf("drain %s: %v", name, err)
		}
	}
	info := c.status()
	var names [nodes]string
	for number := range nodes {
		names[number] = nameOf(info, number)
	}
	drained := -1
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for range 50 + rng.IntN(50) {
		<-tick.C
		next := (drained + 1) % nodes
		if drained >= 0 {
			ask(names[drained], true)
		}
		ask(names[next], false)
		drained = next
	}
	for _, name := range names {
		ask(name, true)
	}
	moves := uint64(0)
	for log, epoch := range c.epochs() {
		moves += epoch - before[log]
	}
	if moves == 0 {
		c.t.Error("no log has changed its owner")
	}
	c.t.Logf("the logs have changed their owners %d times", moves)
}

// epochs are how often the owner of each log has changed.
func (c *cluster) epochs() map[string]uint64 {
	c.t.Helper()
	all := map[string]uint64{}
	for _, log := range c.status().Logs {
		all[log.Name] = log.Epoch
	}
	return all
}

// mark is a moment of the load.
func (l *load) mark() (begun map[*history]int) {
	begun = map[*history]int{}
	for _, h := range l.streams {
		h.mu.Lock()
		begun[h] = len(h.entries)
		h.mu.Unlock()
	}
	return begun
}

// demand reports the appends since a mark that have ended and are not as they are to be: how many for each failure, and one of them.
func (l *load) demand(from map[*history]int, when string, good func(kind string, e *entry) bool) {
	l.c.t.Helper()
	count, first := map[string]int{}, map[string]string{}
	for _, h := range l.streams {
		h.mu.Lock()
		for _, e := range h.entries[from[h]:] {
			if e.op.Kind == linear.Append && e.ret > 0 && !good(l.kinds[h], e) {
				kind := string(protocol.CodeOf(e.err)) + " " + l.kinds[h]
				if count[kind]++; count[kind] == 1 {
					first[kind] = fmt.Sprintf("%s: %v", h.ref, e)
				}
			}
		}
		h.mu.Unlock()
	}
	for kind, n := range count {
		l.c.t.Errorf("%d appends failed %s (%s), such as %s", n, when, kind, first[kind])
	}
}

// watch begins to measure gaps anew.
func (l *load) watch() {
	for _, h := range l.streams {
		h.watch()
	}
}

// longestGap is the longest time that a stream without conditions had no acknowledged append, since watch.
func (l *load) longestGap() (longest time.Duration) {
	for _, h := range l.streams {
		if l.kinds[h] != "conditional" {
			_, gap, _ := h.figures()
			longest = max(longest, gap)
		}
	}
	return longest
}
