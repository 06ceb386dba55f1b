package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/protocol"
)

func (a *app) clusterRemove() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "remove NODE",
		Short: "Take a node out of the cluster for good",
		Long: `Take a node out of the cluster for good. Drain it first (weir cluster drain NODE). The command has its copies made on the other nodes, says when the node is
to be stopped, waits for that, and then takes it out of the group of servers, so that it does not count in majorities any more. When the command ends, all copies
are in place: any other node may be stopped then.

It is refused while the node serves and does not drain, if it has ended otherwise than in order (--force, if its machine or disk is lost), and if fewer nodes
would be left than there are copies. A node whose disk is lost needs no removal: start it with an empty store directory. Never start a node that was
removed with its old store directory.

The command may be stopped and given again: it goes on where it was.`,
		Example: "  weir cluster drain node-4\n  weir cluster remove node-4\n  weir cluster remove node-2 --force   # its machine is lost",
		Args:    need("NODE"),
	})
	force := c.Flags().Bool("force", false, "the node has not stopped in order and is lost, or fewer nodes than copies may be left")
	patience := c.Flags().Duration("wait", 30*time.Minute, "how long to wait for copies, and for the node to stop")
	c.RunE = a.verb(func(args []string) (call, error) {
		req := protocol.RemoveNodeRequest{Node: args[0], Force: *force}
		return func(ctx context.Context, svc protocol.Service) error {
			cluster, err := clusterOf(svc)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(ctx, *patience)
			defer cancel()
			if err := a.removeNode(ctx, cluster, req); err != nil {
				return err
			}
			return a.done("%s is no node of the cluster any more, and all copies are in place\n", req.Node)
		}, nil
	})
	return c
}

// removeNode asks until the node is removed, and tells how far that is.
func (a *app) removeNode(ctx context.Context, cluster protocol.ClusterService, req protocol.RemoveNodeRequest) error {
	const poll = 500 * time.Millisecond
	told := ""
	for begun := false; ; begun = true {
		left, err := a.askToRemove(ctx, cluster, req)
		switch {
		case err != nil && (!begun || !protocol.AsError(err).Retryable()):
			return err
		case err != nil: // the cluster elects leaders: it goes on
		case left.State == protocol.RemovalDone, left.State == protocol.RemovalUnknown && begun:
			return nil
		case left.State == protocol.RemovalUnknown:
			return protocol.Errorf(protocol.CodeInvalid, "node: %q is no node of the cluster; these are %s", req.Node, strings.Join(left.Nodes, ", "))
		default:
			if text := removalText(req.Node, left); text != told {
				fmt.Fprintln(a.env.Stderr, text)
				told = text
			}
		}
		select {
		case <-time.After(poll):
		case <-ctx.Done():
			return protocol.Errorf(protocol.CodeRequestTimeout, "the removal of %s is not done yet; give the command again to go on", req.Node)
		}
	}
}

func (a *app) askToRemove(ctx context.Context, cluster protocol.ClusterService, req protocol.RemoveNodeRequest) (protocol.RemoveNodeProgress, error) {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	return cluster.RemoveNode(ctx, req)
}

func removalText(node string, left protocol.RemoveNodeProgress) string {
	if left.State == protocol.RemovalStops {
		return node + " has no copies any more: stop it now"
	}
	text := fmt.Sprintf("copies of %d JetStream streams are not in place on other nodes yet", left.Streams)
	if left.Waits != "" {
		text += " (" + left.Waits + ")"
	}
	return text
}
