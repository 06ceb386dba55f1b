package broker

import (
	"context"

	"github.com/weirstream/weir/adapter"
	"github.com/weirstream/weir/broker/internal/natsd"
	"github.com/weirstream/weir/protocol"
)

// clusterService is for the holder of the root token, or anybody when nothing is checked; nil for others.
func (b *Broker) clusterService(svc protocol.Service) protocol.ClusterService {
	if svc = unseen(svc); svc == nil || svc != b.guard.Root().Service() {
		return nil
	}
	return cluster{b.svc, b.ad, b.st, b.cfg.Copies()}
}

// cluster is the part of the adapter and of the NATS servers in a cluster that the drainer lets through.
type cluster struct {
	*service
	ad     *adapter.Adapter
	st     natsd.Store
	copies int
}

func (c cluster) Cluster(ctx context.Context) (protocol.ClusterInfo, error) {
	return do(c.service, func() (protocol.ClusterInfo, error) { return c.ad.Cluster(ctx) })
}

func (c cluster) DrainNode(ctx context.Context, req protocol.DrainNodeRequest) error {
	_, err := do(c.service, func() (struct{}, error) { return struct{}{}, c.ad.DrainNode(ctx, req) })
	return err
}

func (c cluster) BalanceCluster(ctx context.Context) error {
	_, err := do(c.service, func() (struct{}, error) { return struct{}{}, c.ad.BalanceCluster(ctx) })
	return err
}

// addresses are where clients find this node, for its cluster to show.
func (b *Broker) addresses() map[string]string {
	all := map[string]string{}
	if url := b.st.URL(); url != "" {
		all["nats"] = url
	}
	if b.cfg.HTTP.Listens() {
		all["http"] = b.cfg.HTTP.Listen
	}
	return all
}

// showNode shows the metrics of a node of a cluster.
func (b *Broker) showNode(show func(string, float64)) {
	s, ok := b.ad.NodeStats()
	if !ok {
		return
	}
	show("weir_cluster_live_nodes", float64(s.Nodes["live"]))
	show("weir_cluster_lease_sure", flag(s.Sure))
	show("weir_cluster_lease_age_seconds", s.LeaseAge.Seconds())
	show("weir_cluster_draining", flag(s.Draining))
	show("weir_cluster_owned_logs", float64(len(s.Held)))
	show("weir_cluster_takeovers_total", float64(s.TakeOvers))
	highest := uint64(0)
	for _, epoch := range s.Held {
		highest = max(highest, epoch)
	}
	show("weir_cluster_highest_epoch", float64(highest))
	show("weir_cluster_handed_requests_total", float64(s.HandedRequests))
	show("weir_cluster_taken_requests_total", float64(s.TakenRequests))
	show("weir_cluster_held_requests", float64(s.HeldRequests))
	show("weir_cluster_held_bytes", float64(s.HeldBytes))
}
