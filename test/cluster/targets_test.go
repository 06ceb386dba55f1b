//go:build linux

package cluster

import (
	"context"
	"math/rand/v2"
	"os"
	"regexp"

	"github.com/weirstream/weir/protocol"
)

// A target chooses a node.
type target func(c *cluster, rng *rand.Rand) int

func anyNode(_ *cluster, rng *rand.Rand) int { return rng.IntN(nodes) }

// logOwner is the node that owns a log.
func logOwner(c *cluster, rng *rand.Rand) int {
	owner, _ := c.ownerAndLeader(rng)
	return owner
}

// logLeader is the node whose NATS server leads the copies of a log.
func logLeader(c *cluster, rng *rand.Rand) int {
	_, leader := c.ownerAndLeader(rng)
	return leader
}

// operate makes a request of an operator until it has an answer.
func (c *cluster) operate(what string, request func(context.Context, protocol.ClusterService) error) {
	c.t.Helper()
	k := c.newCaller(overNATS, rand.New(rand.NewPCG(0, 0)), rootToken)
	defer k.close()
	c.insist(k, what, func(ctx context.Context, svc protocol.Service) error {
		operator, ok := svc.(protocol.ClusterService)
		if !ok {
			return protocol.Errorf(protocol.CodeNotImplemented, "the client knows no clusters")
		}
		return request(ctx, operator)
	})
}

// status is what a node says of the cluster.
func (c *cluster) status() (info protocol.ClusterInfo) {
	c.t.Helper()
	c.operate("ask for the owners of the logs", func(ctx context.Context, svc protocol.ClusterService) (err error) {
		info, err = svc.Cluster(ctx)
		return err
	})
	return info
}

// numberOf is the number of the live node with a name; -1: there is none.
func numberOf(info protocol.ClusterInfo, name string) int {
	for _, n := range info.Nodes {
		for number := range nodes {
			if n.Name == name && n.State == "live" && n.Addresses["http"] == address(number)+":8080" {
				return number
			}
		}
	}
	return -1
}

// nameOf is the name of a live node in the cluster; "": it is not live.
func nameOf(info protocol.ClusterInfo, number int) string {
	for _, n := range info.Nodes {
		if numberOf(info, n.Name) == number {
			return n.Name
		}
	}
	return ""
}

// ownerAndLeader are the owner and the leader of one of the logs that have both.
func (c *cluster) ownerAndLeader(rng *rand.Rand) (owner, leader int) {
	c.t.Helper()
	info := c.status()
	for _, i := range rng.Perm(len(info.Logs)) {
		owner, leader = numberOf(info, info.Logs[i].Owner), -1
		for number := range nodes {
			if info.Logs[i].Leader == serverName(number) {
				leader = number
			}
		}
		if owner >= 0 && leader >= 0 {
			c.t.Logf("%s: node %d owns it in epoch %d, node %d leads it", info.Logs[i].Name, owner+1, info.Logs[i].Epoch, leader+1)
			return owner, leader
		}
	}
	c.t.Fatalf("no log has an owner and a leader: %+v", info)
	return 0, 0
}

// A NATS server says in its log that it leads the group of all servers, in the broker's form or in its own.
var metaLeader = regexp.MustCompile(`(?m)^(?:time=(\S+)|\[\d+\] (\S+ \S+)) .*Self is new JetStream cluster metadata leader`)

// metaLeaderOf is the node whose NATS server was the last to say so.
func metaLeaderOf(c *cluster, _ *rand.Rand) int {
	latest, who := "", 0
	for i, n := range c.nodes {
		text, err := os.ReadFile(n.programs()[0].logs)
		if err != nil {
			continue
		}
		for _, found := range metaLeader.FindAllSubmatch(text, -1) {
			if at := string(found[1]) + string(found[2]); at > latest {
				latest, who = at, i
			}
		}
	}
	return who
}
