//go:build linux

package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/weirstream/weir/protocol"
)

// revoking issues a token, cuts a node off from the others, and revokes the token there. The nodes that know of the revocation must
// refuse the token, and so must the other one when the network is mended.
func revoking(c *cluster, rng *rand.Rand) {
	c.t.Helper()
	victim := rng.IntN(nodes)
	other, third := (victim+1)%nodes, (victim+2)%nodes
	root := c.newCaller(overHTTP, rng, rootToken)
	defer root.close()
	root.at = other
	id := protocol.AccessTokenID(fmt.Sprintf("token-%08x", rng.Uint32()))
	scope := protocol.AccessTokenScope{Ops: protocol.Operations(protocol.OpListBasins), Basins: protocol.ResourceSet{Kind: protocol.MatchPrefix}}
	secret := ""
	c.insist(root, "issue a token", func(ctx context.Context, svc protocol.Service) (err error) {
		secret, err = svc.IssueAccessToken(ctx, protocol.IssueAccessTokenRequest{ID: id, Scope: scope})
		return err
	})
	holder := c.newCaller(overHTTP, rng, secret)
	defer holder.close()
	accepted := func(node int) bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := holder.byURL[node].ListBasins(ctx, protocol.ListRequest{})
		return err == nil
	}
	for node := range nodes {
		began := time.Now()
		for !accepted(node) {
			if time.Since(began) > recovery {
				c.t.Errorf("node %d does not know a token %v after it was issued", node+1, recovery)
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	c.cut(victim, other)
	c.cut(victim, third)
	cut := time.Now()
	root.at = other
	c.insist(root, "revoke the token", func(ctx context.Context, svc protocol.Service) error {
		return svc.RevokeAccessToken(ctx, id)
	}, protocol.CodeAccessTokenNotFound)
	revoked := time.Now()
	refusedAfter := func(node int, bound time.Duration) time.Duration {
		for accepted(node) && time.Since(revoked) < bound {
			time.Sleep(10 * time.Millisecond)
		}
		return time.Since(revoked)
	}
	c.t.Logf("revoked %.1f s after node %d was cut off; refused after %.1f s at node %d and %.1f s at node %d", revoked.Sub(cut).Seconds(), victim+1,
		refusedAfter(other, recovery).Seconds(), other+1, refusedAfter(third, recovery).Seconds(), third+1)
	if d := refusedAfter(victim, recovery); d >= recovery {
		c.t.Errorf("the node that is cut off accepts a token %v after it was revoked elsewhere", recovery)
	} else {
		c.t.Logf("refused after %.1f s at the node that is cut off", d.Seconds())
	}
	c.mend()
	revoked = time.Now()
	for node := range nodes {
		if d := refusedAfter(node, recovery); d >= recovery {
			c.t.Errorf("node %d accepts a revoked token %v after the network was mended", node+1, recovery)
		} else {
			c.t.Logf("refused at node %d %.1f s after the network was mended", node+1, d.Seconds())
		}
	}
}
