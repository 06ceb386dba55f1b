package natsapi

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

// clusterEndpoints are served where [Options].Cluster is set. Their subjects hold no names: a caller that may use one may use all.
func clusterEndpoints() []endpoint {
	return []endpoint{
		{"cluster-status", "cluster.status", "cluster.status", "Show the nodes of the cluster and the owners of the logs", false,
			clusterCall(func(ctx context.Context, s protocol.ClusterService, _ struct{}) (any, error) { return s.Cluster(ctx) })},
		{"cluster-drain", "cluster.drain", "cluster.drain", "Let a node give its logs to the others", true,
			clusterCall(func(ctx context.Context, s protocol.ClusterService, req protocol.DrainNodeRequest) (any, error) {
				return nil, s.DrainNode(ctx, req)
			})},
		{"cluster-balance", "cluster.balance", "cluster.balance", "Let the nodes give the logs away that others should own", true,
			clusterCall(func(ctx context.Context, s protocol.ClusterService, _ struct{}) (any, error) {
				return nil, s.BalanceCluster(ctx)
			})},
		{"cluster-remove", "cluster.remove", "cluster.remove", "Take a node out of the cluster for good, step by step", true,
			clusterCall(func(ctx context.Context, s protocol.ClusterService, req protocol.RemoveNodeRequest) (any, error) {
				return s.RemoveNode(ctx, req)
			})},
	}
}

// clusterCall makes the handler of a verb that takes a JSON body and answers with one; nil is an empty one.
func clusterCall[T any](f func(ctx context.Context, s protocol.ClusterService, req T) (any, error)) func(context.Context, *call) (reply, error) {
	return func(ctx context.Context, c *call) (reply, error) {
		s := c.door.opts.Cluster(c.svc)
		if s == nil {
			return reply{}, protocol.Errorf(protocol.CodePermissionDenied, "the cluster is for the root token alone")
		}
		return jsonAnswer(c, func(req T) (any, error) { return f(ctx, s, req) })
	}
}
