//go:build linux

package cluster

import (
	"math/rand/v2"
	"sync"
	"time"
)

// A row is a fault. run brings it about, undoes it and returns; the load goes on meanwhile.
type row struct {
	name string
	// stale is why reads, tails and refusals may be old while the fault lasts; "" where they must not.
	stale string
	run   func(c *cluster, rng *rand.Rand)
}

// cutOff is the consequence of ADR 17 that an owner of each log is to end.
const cutOff = "a server that leads a log, is cut off and does not know it yet gives old answers (ADR 17)"

// between is a random time.
func between(rng *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(rng.Int64N(int64(to-from)))
}

// A target chooses a node.
type target func(c *cluster, rng *rand.Rand) int

func anyNode(_ *cluster, rng *rand.Rand) int    { return rng.IntN(nodes) }
func logLeader(c *cluster, _ *rand.Rand) int    { return c.leader(streamLeader) }
func metaLeaderOf(c *cluster, _ *rand.Rand) int { return c.leader(metaLeader) }

func rows() []row {
	return []row{
		{name: "kill-any", run: killing(anyNode)},
		{name: "kill-log-leader", run: killing(logLeader)},
		{name: "kill-meta-leader", run: killing(metaLeaderOf)},
		{name: "kill-two", run: func(c *cluster, rng *rand.Rand) {
			spared := rng.IntN(nodes)
			c.killAll(rng, func(node int) bool { return node != spared })
		}},
		{name: "kill-all", run: func(c *cluster, rng *rand.Rand) { c.killAll(rng, func(int) bool { return true }) }},
		{name: "pause-any", stale: cutOff, run: pausing(anyNode)},
		{name: "pause-log-leader", stale: cutOff, run: pausing(logLeader)},
		{name: "wipe-any", run: wiping(anyNode)},
		{name: "wipe-log-leader", run: wiping(logLeader)},
		{name: "cut-node", stale: cutOff, run: cutting(func(c *cluster, node int) {
			c.cut(node, (node+1)%nodes)
			c.cut(node, (node+2)%nodes)
		})},
		{name: "cut-node-and-clients", stale: cutOff, run: cutting(func(c *cluster, node int) {
			c.cut(node, (node+1)%nodes)
			c.cut(node, (node+2)%nodes)
			c.drop(node, clientAddr)
		})},
		{name: "cut-in", stale: cutOff, run: cutting(func(c *cluster, node int) {
			c.drop(node, address((node+1)%nodes))
			c.drop(node, address((node+2)%nodes))
		})},
		{name: "cut-out", stale: cutOff, run: cutting(func(c *cluster, node int) {
			c.drop((node+1)%nodes, address(node))
			c.drop((node+2)%nodes, address(node))
		})},
		{name: "cut-pair", stale: cutOff, run: cutting(func(c *cluster, node int) { c.cut(node, (node+1)%nodes) })},
		{name: "cut-all", stale: cutOff, run: cutting(func(c *cluster, _ int) {
			for node := range nodes {
				c.cut(node, (node+1)%nodes)
			}
		})},
		{name: "loss", stale: cutOff, run: cutting(func(c *cluster, _ int) {
			for node := range nodes {
				c.lose(node, 0.05)
			}
		})},
		{name: "delay", stale: cutOff, run: func(c *cluster, rng *rand.Rand) {
			victim := rng.IntN(nodes)
			d := between(rng, 5*time.Second, 20*time.Second)
			c.t.Logf("delay the packets of node %d by 500 ms for %v", victim+1, d)
			mend := c.slow(victim, 500*time.Millisecond)
			time.Sleep(d)
			mend()
		}},
		{name: "rolling-restart", run: rolling},
		{name: "revoke", stale: cutOff, run: revoking},
	}
}

// killing kills a node and starts it again.
func killing(which target) func(*cluster, *rand.Rand) {
	return func(c *cluster, rng *rand.Rand) {
		victim := which(c, rng)
		c.t.Logf("kill node %d", victim+1)
		c.nodes[victim].kill()
		time.Sleep(between(rng, 2*time.Second, 8*time.Second))
		c.nodes[victim].start()
	}
}

// killAll kills the nodes that doomed names at once and starts them again, one after the other.
func (c *cluster) killAll(rng *rand.Rand, doomed func(node int) bool) {
	var wg sync.WaitGroup
	for node, n := range c.nodes {
		if doomed(node) {
			c.t.Logf("kill node %d", node+1)
			wg.Go(n.kill)
		}
	}
	wg.Wait()
	time.Sleep(between(rng, time.Second, 5*time.Second))
	for _, n := range c.nodes {
		if !n.running() {
			time.Sleep(between(rng, 0, time.Second))
			n.start()
		}
	}
}

// pausing stops the threads of a node for a while.
func pausing(which target) func(*cluster, *rand.Rand) {
	return func(c *cluster, rng *rand.Rand) {
		victim := which(c, rng)
		d := between(rng, time.Second, 20*time.Second)
		c.t.Logf("pause node %d for %v", victim+1, d)
		c.nodes[victim].pause()
		time.Sleep(d)
		c.nodes[victim].resume()
	}
}

// wiping kills a node, and starts it again with an empty disk.
func wiping(which target) func(*cluster, *rand.Rand) {
	return func(c *cluster, rng *rand.Rand) {
		victim := which(c, rng)
		c.t.Logf("kill node %d and empty its disk", victim+1)
		c.nodes[victim].kill()
		c.nodes[victim].wipe()
		// The others must have elected their leaders first. An empty voter could give its vote to one that has not everything.
		time.Sleep(between(rng, 5*time.Second, 8*time.Second))
		c.nodes[victim].start()
	}
}

// cutting disturbs the network around a node, any or the one that leads a log, and mends it.
func cutting(disturb func(c *cluster, node int)) func(*cluster, *rand.Rand) {
	return func(c *cluster, rng *rand.Rand) {
		victim := rng.IntN(nodes)
		if rng.IntN(2) == 0 {
			victim = logLeader(c, rng)
		}
		d := between(rng, 2*time.Second, 20*time.Second)
		c.t.Logf("disturb the network around node %d for %v", victim+1, d)
		disturb(c, victim)
		time.Sleep(d)
		c.mend()
	}
}

// rolling restarts all nodes in order, each when the cluster is well.
func rolling(c *cluster, _ *rand.Rand) {
	for _, n := range c.nodes {
		c.awaitHealth()
		n.stop()
		n.start()
	}
}
