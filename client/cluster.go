package client

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

var _ protocol.ClusterService = (*Client)(nil)

// Cluster implements [protocol.ClusterService].
func (c *Client) Cluster(ctx context.Context) (info protocol.ClusterInfo, err error) {
	err = c.plainCall(ctx, c.ask, "cluster.status", struct{}{}, &info)
	return info, err
}

// DrainNode implements [protocol.ClusterService].
func (c *Client) DrainNode(ctx context.Context, req protocol.DrainNodeRequest) error {
	return c.plainCall(ctx, c.request, "cluster.drain", req, nil)
}

// BalanceCluster implements [protocol.ClusterService].
func (c *Client) BalanceCluster(ctx context.Context) error {
	return c.plainCall(ctx, c.request, "cluster.balance", struct{}{}, nil)
}

// RemoveNode implements [protocol.ClusterService].
func (c *Client) RemoveNode(ctx context.Context, req protocol.RemoveNodeRequest) (left protocol.RemoveNodeProgress, err error) {
	err = c.plainCall(ctx, c.ask, "cluster.remove", req, &left)
	return left, err
}
