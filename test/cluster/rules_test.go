//go:build linux

package cluster

import (
	"fmt"
	"strings"
)

// iptables adds rules to a node's namespace, in which nothing else does.
func (c *cluster) iptables(node int, args ...string) {
	c.t.Helper()
	out, err := inNamespace(nodeSpace(c.prefix, node), "iptables", append([]string{"-w"}, args...)...).CombinedOutput()
	if err != nil {
		c.t.Fatalf("iptables %s at node %d: %v: %s", strings.Join(args, " "), node+1, err, out)
	}
}

// drop makes a node lose the packets that come from an address.
func (c *cluster) drop(node int, from string) {
	c.t.Helper()
	c.iptables(node, "-A", "INPUT", "-s", from, "-j", "DROP")
}

// cut ends all traffic between two nodes.
func (c *cluster) cut(a, b int) {
	c.t.Helper()
	c.drop(a, address(b))
	c.drop(b, address(a))
}

// lose makes a node lose a part of the packets that come from the other nodes, at random.
func (c *cluster) lose(node int, part float64) {
	c.t.Helper()
	for other := range nodes {
		if other != node {
			c.iptables(node, "-A", "INPUT", "-s", address(other), "-m", "statistic", "--mode", "random",
				"--probability", fmt.Sprint(part), "-j", "DROP")
		}
	}
}

// mend ends all cuts and losses.
func (c *cluster) mend() {
	c.t.Helper()
	for node := range nodes {
		c.iptables(node, "-F", "INPUT")
		c.iptables(node, "-t", "nat", "-F", "PREROUTING")
	}
}
