package broker

import (
	"context"
	"time"

	"github.com/weirstream/weir/broker/internal/httpapi"
	"github.com/weirstream/weir/protocol"
)

// dashboard returns the function that describes the broker and the user to the console; nil if the configuration switches the
// console off.
func (b *Broker) dashboard(version string) func(token string) (httpapi.DashboardSession, error) {
	if !b.cfg.HTTP.Dashboard {
		return nil
	}
	return func(token string) (httpapi.DashboardSession, error) {
		caller, err := b.guard.Authenticate(token)
		if err != nil {
			return httpapi.DashboardSession{}, err
		}
		info := caller.Info()
		if info.AutoPrefixStreams { // its holder sees every name without the prefix, and does not learn it
			info.Scope.Streams = protocol.ResourceSet{Kind: protocol.MatchPrefix}
		}
		return httpapi.DashboardSession{
			Version:    version,
			Durability: string(b.durability()),
			Checked:    !b.guard.Open(),
			NATSURL:    b.ClientURL(),
			Token:      info,
		}, nil
	}
}

// placementsWait bounds the question for the leaders of the logs: one that is lost does not answer.
const placementsWait = 5 * time.Second

// dashboardCluster describes the cluster to the console.
func (b *Broker) dashboardCluster(ctx context.Context, token string) (httpapi.DashboardCluster, error) {
	out := httpapi.DashboardCluster{Nodes: []httpapi.DashboardNode{}, Logs: []httpapi.DashboardLog{}}
	if _, err := b.guard.Authenticate(token); err != nil || !b.cfg.Cluster.Enabled() {
		return out, err
	}
	out.Name = b.cfg.Cluster.Name
	for _, n := range b.st.Nodes() {
		out.Nodes = append(out.Nodes, httpapi.DashboardNode(n))
	}
	ctx, cancel := context.WithTimeout(ctx, placementsWait)
	defer cancel()
	placements, err := b.ad.LogPlacements(ctx)
	if err != nil { // the nodes say why
		b.log.Debug("the console does not learn where the logs are", "err", err)
		return out, nil
	}
	for _, p := range placements {
		log := httpapi.DashboardLog{Log: p.Log, Leader: p.Leader, Copies: []httpapi.DashboardCopy{}}
		for _, c := range p.Copies {
			log.Copies = append(log.Copies, httpapi.DashboardCopy{Node: c.Server, Current: c.Current, Lag: c.Lag, Offline: c.Offline})
		}
		out.Logs = append(out.Logs, log)
	}
	return out, nil
}
