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
	run  func(c *cluster, rng *rand.Rand)
	only setting // where it can be; "": everywhere
	full bool    // sessions have as much in flight as they may
	// forks says that clients of the streams with conditional appends fork them now and then. What a fork shows is a part of the history.
	forks bool
	// old says that names may be old: the server that leads the catalog may be cut off, see Catalog.Latest.
	old bool
	// steps says that clocks are stepped, which programs as they are cannot do to themselves.
	steps bool
}

// between is a random time.
func between(rng *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(rng.Int64N(int64(to-from)))
}

func rows() []row {
	return []row{
		{name: "kill-any", forks: true, run: killing(anyNode)},
		{name: "kill-owner", run: killing(logOwner)},
		{name: "kill-log-leader", run: killing(logLeader)},
		{name: "kill-meta-leader", run: killing(metaLeaderOf)},
		{name: "kill-broker", only: external, run: killingOne(func(n *node) *process { return n.broker })},
		{name: "kill-server", only: external, run: killingOne(func(n *node) *process { return n.server })},
		{name: "kill-two", run: func(c *cluster, rng *rand.Rand) {
			spared := rng.IntN(nodes)
			c.killAll(rng, func(node int) bool { return node != spared })
		}},
		{name: "kill-owner-and-leader", run: func(c *cluster, rng *rand.Rand) {
			owner, leader := c.ownerAndLeader(rng)
			if owner == leader {
				leader = metaLeaderOf(c, rng)
			}
			c.killAll(rng, func(node int) bool { return node == owner || node == leader })
		}},
		{name: "kill-all", run: func(c *cluster, rng *rand.Rand) { c.killAll(rng, func(int) bool { return true }) }},
		{name: "pause-any", old: true, run: pausing(anyNode)},
		{name: "pause-owner", old: true, forks: true, run: pausing(logOwner)},
		{name: "pause-log-leader", old: true, run: pausing(logLeader)},
		{name: "pause-meta-leader", old: true, run: pausing(metaLeaderOf)},
		{name: "pause-two", old: true, run: pausingTwo},
		{name: "wipe-any", run: wiping(anyNode)},
		{name: "wipe-owner", forks: true, run: wiping(logOwner)},
		{name: "wipe-log-leader", run: wiping(logLeader)},
		{name: "wipe-meta-leader", run: wiping(metaLeaderOf)},
		{name: "cut-node", old: true, run: cutting(func(c *cluster, node int) {
			c.cut(node, (node+1)%nodes)
			c.cut(node, (node+2)%nodes)
		})},
		{name: "cut-node-and-clients", old: true, run: cutting(func(c *cluster, node int) {
			c.cut(node, (node+1)%nodes)
			c.cut(node, (node+2)%nodes)
			c.drop(node, clientAddr)
		})},
		{name: "cut-in", old: true, run: cutting(func(c *cluster, node int) {
			c.drop(node, address((node+1)%nodes))
			c.drop(node, address((node+2)%nodes))
		})},
		{name: "cut-out", old: true, run: cutting(func(c *cluster, node int) {
			c.drop((node+1)%nodes, address(node))
			c.drop((node+2)%nodes, address(node))
		})},
		{name: "cut-pair", old: true, run: cutting(func(c *cluster, node int) { c.cut(node, (node+1)%nodes) })},
		{name: "cut-all", old: true, run: cutting(func(c *cluster, _ int) {
			for node := range nodes {
				c.cut(node, (node+1)%nodes)
			}
		})},
		{name: "loss", old: true, run: cutting(func(c *cluster, _ int) {
			for node := range nodes {
				c.lose(node, 0.05)
			}
		})},
		{name: "delay", old: true, run: func(c *cluster, rng *rand.Rand) {
			victim := rng.IntN(nodes)
			d := between(rng, 5*time.Second, 20*time.Second)
			c.t.Logf("delay the packets of node %d by 500 ms for %v", victim+1, d)
			mend := c.slow(victim, 500*time.Millisecond)
			time.Sleep(d)
			mend()
		}},
		{name: "clock-owner", steps: true, run: stepping(logOwner)},
		{name: "clock-any", steps: true, run: stepping(anyNode)},
		{name: "rolling-restart", run: rolling, only: embedded},
		{name: "rolling-restart-servers", run: rollingServers, only: external},
		{name: "drain", run: draining},
		{name: "rolling-drained", only: embedded, run: rollingDrained},
		{name: "storm", full: true, forks: true, run: storm},
		{name: "add-and-remove", only: embedded, forks: true, run: addAndRemove},
		{name: "revoke", old: true, run: revoking},
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

// killingOne kills one program of a node and starts it again.
func killingOne(which func(*node) *process) func(*cluster, *rand.Rand) {
	return func(c *cluster, rng *rand.Rand) {
		n := c.nodes[logOwner(c, rng)]
		c.t.Logf("kill %s", which(n).name)
		which(n).kill()
		time.Sleep(between(rng, 2*time.Second, 8*time.Second))
		n.start()
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
		d := pauseTime(rng)
		c.t.Logf("pause node %d for %v", victim+1, d)
		c.nodes[victim].pause()
		time.Sleep(d)
		c.nodes[victim].resume()
	}
}

// pauseTime is as often below as above the term of a lease, and up to a minute.
func pauseTime(rng *rand.Rand) time.Duration {
	if rng.IntN(2) == 0 {
		return between(rng, time.Second, 4*time.Second)
	}
	return between(rng, 4*time.Second, time.Minute)
}

// pausingTwo stops the owner of a log and another node, and lets them go on one after the other.
func pausingTwo(c *cluster, rng *rand.Rand) {
	owner := logOwner(c, rng)
	other := (owner + 1 + rng.IntN(nodes-1)) % nodes
	d := between(rng, time.Second, 20*time.Second)
	c.t.Logf("pause nodes %d and %d for %v", owner+1, other+1, d)
	c.nodes[owner].pause()
	c.nodes[other].pause()
	time.Sleep(d)
	for _, i := range rng.Perm(2) {
		c.nodes[[2]int{owner, other}[i]].resume()
		time.Sleep(between(rng, 0, 3*time.Second))
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

// cutting disturbs the network around a node, any or the one that owns or leads a log, and mends it.
func cutting(disturb func(c *cluster, node int)) func(*cluster, *rand.Rand) {
	return func(c *cluster, rng *rand.Rand) {
		victim := rng.IntN(nodes)
		switch rng.IntN(3) {
		case 0:
			victim = logOwner(c, rng)
		case 1:
			victim = logLeader(c, rng)
		}
		d := between(rng, 2*time.Second, 20*time.Second)
		c.t.Logf("disturb the network around node %d for %v", victim+1, d)
		disturb(c, victim)
		time.Sleep(d)
		c.mend()
	}
}

// rollingServers restarts all nodes in order, brokers and NATS servers, each when the cluster is well.
func rollingServers(c *cluster, _ *rand.Rand) {
	for _, n := range c.nodes {
		c.awaitHealth()
		n.stop()
		n.start()
	}
}
