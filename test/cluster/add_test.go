//go:build linux

package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/weirstream/weir/protocol"
)

// addAndRemove adds a fourth node, lets it own logs and have copies, and removes it again, by the steps that an operator takes: no append may fail.
func addAndRemove(c *cluster, rng *rand.Rand) {
	c.t.Helper()
	from := c.load.mark()
	n := c.newNode(spare)
	c.added++
	n.name = fmt.Sprintf("added-%d", c.added) // a name that was removed is let in again after minutes
	n.start()
	defer n.kill()
	defer n.wipe()
	c.within("the node that was added is healthy", func() bool { return c.healthy(spare) })
	victim := rng.IntN(nodes)
	c.drain(victim, false) // its logs go to any of the others
	owned := func() (logs int) {
		for _, x := range c.status().Nodes {
			if x.Name == n.name {
				logs = x.Logs
			}
		}
		return logs
	}
	for other := range nodes {
		if other != victim {
			c.drain(other, false)
		}
	}
	c.within("the node that was added owns logs", func() bool { return owned() > 0 })
	for other := range nodes {
		c.drain(other, true)
	}
	time.Sleep(between(rng, 0, 2*time.Second))
	c.operate("ask the node that was added to drain", func(ctx context.Context, svc protocol.ClusterService) error {
		return svc.DrainNode(ctx, protocol.DrainNodeRequest{Node: n.name})
	})
	c.within("the node that was added owns no logs", func() bool { return owned() == 0 })
	c.removeUntil(n.name, protocol.RemovalStops)
	n.stop()
	c.removeUntil(n.name, protocol.RemovalDone)
	c.load.demand(from, "while a node was added and removed", func(_ string, e *entry) bool { return e.err == nil })
}

// removeUntil takes the steps of a removal until it waits for something.
func (c *cluster) removeUntil(name string, want protocol.RemoveNodeState) {
	c.t.Helper()
	c.within(fmt.Sprintf("the removal of %s is %s", name, want), func() (is bool) {
		c.operate("remove a node", func(ctx context.Context, svc protocol.ClusterService) error {
			left, err := svc.RemoveNode(ctx, protocol.RemoveNodeRequest{Node: name})
			is = err == nil && left.State == want
			return err
		})
		return is
	})
}

// within waits until something holds, within the bound of a recovery.
func (c *cluster) within(what string, holds func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(recovery); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("not within %v: %s", recovery, what)
		}
	}
}
