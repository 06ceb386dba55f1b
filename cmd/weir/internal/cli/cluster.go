package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/protocol"
)

const clusterHelp = `Where several brokers share a store, each log has one of them as its owner, which orders the appends. The others hand
requests on to it.`

// cluster is the group of the verbs for clusters.
func (a *app) cluster() *cobra.Command {
	c := &cobra.Command{
		Use:     "cluster",
		Short:   "Show a cluster, move the logs of its nodes, and remove nodes",
		Long:    "Show a cluster, move the logs of its nodes, and remove nodes. " + clusterHelp,
		Example: "  weir cluster status",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(a.clusterStatus(), a.clusterDrain(), a.clusterBalance(), a.clusterRemove())
	return c
}

// clusterOf returns the calls about the cluster, which not every client of a broker has.
func clusterOf(svc protocol.Service) (protocol.ClusterService, error) {
	if c, ok := svc.(protocol.ClusterService); ok {
		return c, nil
	}
	return nil, protocol.Errorf(protocol.CodeNotImplemented, "this connection knows no clusters")
}

func (a *app) clusterStatus() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "status",
		Short: "Show the nodes and the owners of the logs",
		Long: `Show the nodes of the cluster and the owners of the logs, as the node that answers knows them. The lease age is how long ago the newest
sign of life of a node was seen: more than 2 s, and the others take its logs over. The epoch of a log says how often its owner has changed.`,
		Example: "  weir cluster status\n  weir cluster status --json",
		Args:    atMost(0),
	})
	c.RunE = question[none, protocol.ClusterInfo]{
		parse: noArgs,
		ask: func(ctx context.Context, svc protocol.Service, _ none) (protocol.ClusterInfo, error) {
			cluster, err := clusterOf(svc)
			if err != nil {
				return protocol.ClusterInfo{}, err
			}
			return cluster.Cluster(ctx)
		},
		show: func(_ none, info protocol.ClusterInfo) error { return a.show(info, "%s", clusterText(info)) },
	}.verb(a)
	return c
}

// leaseInDoubt is after how long a node that could not renew its lease answers nothing as an owner.
const leaseInDoubt = 1500 * time.Millisecond

func clusterText(info protocol.ClusterInfo) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, n := range info.Nodes {
		if age := time.Duration(n.LeaseAge) * time.Millisecond; n.Name == info.Node && age > leaseInDoubt {
			fmt.Fprintf(w, "The node that answers has had no contact with most of the others for %.1f s. This is what it knew then.\n\n", age.Seconds())
		}
	}
	fmt.Fprintln(w, "NODE\tSTATE\tLOGS\tLEASE AGE\tVERSION\tADDRESSES")
	for _, n := range info.Nodes {
		state := n.State
		if n.Draining {
			state += ", draining"
		}
		name := n.Name
		if name == info.Node {
			name += " (answers)"
		}
		var addresses []string
		for _, kind := range slices.Sorted(maps.Keys(n.Addresses)) {
			addresses = append(addresses, n.Addresses[kind])
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%.1f s\t%s\t%s\n", name, state, n.Logs, float64(n.LeaseAge)/1000, n.Version, strings.Join(addresses, " "))
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, "LOG\tOWNER\tEPOCH\tLEADER")
	for _, l := range info.Logs {
		owner, leader := l.Owner, l.Leader
		if owner == "" {
			owner = "-"
		}
		if leader == "" {
			leader = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", l.Name, owner, l.Epoch, leader)
	}
	_ = w.Flush() // to a string
	return text.String()
}

func (a *app) clusterDrain() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "drain NODE",
		Short: "Let a node give its logs to the others",
		Long: `Let a node give its logs to the others and take none, before it is restarted: no request fails. The command returns when the node owns no log any
more. The node goes on serving requests, and its /health says 503, so that load balancers send it none. A node that starts again does not drain.`,
		Example: "  weir cluster drain node-2\n  weir cluster drain node-2 --undo",
		Args:    need("NODE"),
	})
	undo := c.Flags().Bool("undo", false, "let the node own logs again")
	c.RunE = question[string, none]{
		parse: func(args []string) (string, error) { return args[0], nil },
		ask: noAnswer(func(ctx context.Context, svc protocol.Service, node string) error {
			cluster, err := clusterOf(svc)
			if err != nil {
				return err
			}
			if err := cluster.DrainNode(ctx, protocol.DrainNodeRequest{Node: node, Undo: *undo}); err != nil {
				return err
			}
			return awaitDrained(ctx, cluster, node, *undo)
		}),
		show: func(node string, _ none) error {
			if *undo {
				return a.done("%s takes logs again; weir cluster balance gives it its share\n", node)
			}
			return a.done("%s owns no log any more\n", node)
		},
	}.verb(a)
	return c
}

// awaitDrained returns when a node drains and owns no log, or with undo when it does not drain.
func awaitDrained(ctx context.Context, cluster protocol.ClusterService, node string, undo bool) error {
	const poll = 50 * time.Millisecond
	for {
		info, err := cluster.Cluster(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(info.Nodes, func(n protocol.ClusterNode) bool { return n.Name == node })
		if i < 0 || info.Nodes[i].State != "live" || info.Nodes[i].Draining == !undo && (undo || info.Nodes[i].Logs == 0) {
			return nil
		}
		select {
		case <-time.After(poll):
		case <-ctx.Done():
			return protocol.Errorf(protocol.CodeRequestTimeout, "node %s was asked, and still owns %d logs", node, info.Nodes[i].Logs)
		}
	}
}

// balanceTime is a little longer than the nodes try.
const balanceTime = 12 * time.Second

// awaitBalanced returns when each log is with the node that should own it.
func awaitBalanced(ctx context.Context, cluster protocol.ClusterService) error {
	const poll = 100 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, balanceTime)
	defer cancel()
	left := 0
	for {
		info, err := cluster.Cluster(ctx)
		// While the cluster elects leaders it may not say where the logs are: it goes on.
		if err != nil && (!protocol.AsError(err).Retryable() || left == 0 && ctx.Err() != nil) {
			return err
		}
		if err == nil {
			left = 0
			for _, l := range info.Logs {
				if l.Owner != "" && l.Desired != "" && l.Owner != l.Desired {
					left++
				}
			}
			if left == 0 {
				return nil
			}
		}
		select {
		case <-time.After(poll):
		case <-ctx.Done():
			return protocol.Errorf(protocol.CodeRequestTimeout, "the nodes were asked, and %d logs are still with other nodes than should own them; "+
				"see weir cluster status, and ask again when all nodes are well", left)
		}
	}
}

func (a *app) clusterBalance() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "balance",
		Short: "Spread the logs over the nodes",
		Long: `Let each node give the logs away that another one should own: after nodes were added or have come back, since a log stays with its owner as long as that
lives. No request fails. The command returns when each log is with the node that should own it. The nodes try for 10 s; where logs stay with their owners, as those
of a node do that has no contact with most of the others, the command fails and says how many.`,
		Example: "  weir cluster balance",
		Args:    atMost(0),
	})
	c.RunE = question[none, none]{
		parse: noArgs,
		ask: noAnswer(func(ctx context.Context, svc protocol.Service, _ none) error {
			cluster, err := clusterOf(svc)
			if err != nil {
				return err
			}
			if err := cluster.BalanceCluster(ctx); err != nil {
				return err
			}
			return awaitBalanced(ctx, cluster)
		}),
		show: func(none, none) error { return a.done("each log is with the node that should own it\n") },
	}.verb(a)
	return c
}
