package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/protocol"
)

func (a *app) createStream() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "create-stream URI",
		Short: "Create a stream",
		Long: `Create a stream. What is not said comes from the basin's defaults, and then from the system's: kept for
7d, timestamps by the client if it gives them.`,
		Example: `  weir create-stream s2://demo-basin/orders
  weir create-stream s2://demo-basin/user/42/chat --retention-policy 30d`,
		Args: need("URI"),
	})
	settings := addStreamFlags(c.Flags())
	settings.addExpireAt(c.Flags())
	c.RunE = question[protocol.StreamRef, protocol.StreamInfo]{
		parse: first(streamArg),
		ask: func(ctx context.Context, svc protocol.Service, ref protocol.StreamRef) (protocol.StreamInfo, error) {
			info, _, err := svc.CreateStream(ctx, ref.Basin, protocol.CreateStreamRequest{Stream: ref.Stream, Config: settings.layer()})
			return info, err
		},
		show: func(ref protocol.StreamRef, info protocol.StreamInfo) error { return a.show(info, "created %s\n", ref) },
	}.verb(a)
	return c
}

func (a *app) getStreamConfig() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:     "get-stream-config URI",
		Short:   "Show a stream's configuration",
		Example: "  weir get-stream-config s2://demo-basin/orders",
		Args:    need("URI"),
	})
	c.RunE = question[protocol.StreamRef, protocol.ResolvedStreamConfig]{
		parse: first(streamArg),
		ask: func(ctx context.Context, svc protocol.Service, ref protocol.StreamRef) (protocol.ResolvedStreamConfig, error) {
			return svc.GetStreamConfig(ctx, ref)
		},
		show: func(_ protocol.StreamRef, config protocol.ResolvedStreamConfig) error {
			return a.printStreamConfig(config)
		},
	}.verb(a)
	return c
}

func (a *app) reconfigureStream() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "reconfigure-stream URI",
		Short: "Change a stream's configuration",
		Long: `Change parts of a stream's configuration and show the result; what is not named stays as it is. A
setting that is unset takes the basin's default of this moment.`,
		Example: `  weir reconfigure-stream s2://demo-basin/orders --retention-policy 14d
  weir reconfigure-stream s2://demo-basin/orders --unset retention-policy`,
		Args: need("URI"),
	})
	settings := addStreamFlags(c.Flags())
	settings.addExpireAt(c.Flags())
	unset := addUnsetFlag(c.Flags())
	type request struct {
		ref    protocol.StreamRef
		change protocol.StreamReconfiguration
	}
	c.RunE = question[request, protocol.ResolvedStreamConfig]{
		parse: func(args []string) (req request, err error) {
			if req.ref, err = streamArg(args[0]); err == nil {
				req.change, _, err = settings.change(c.Flags(), *unset)
			}
			return req, err
		},
		ask: func(ctx context.Context, svc protocol.Service, req request) (protocol.ResolvedStreamConfig, error) {
			return svc.ReconfigureStream(ctx, req.ref, req.change)
		},
		show: func(_ request, config protocol.ResolvedStreamConfig) error { return a.printStreamConfig(config) },
	}.verb(a)
	return c
}

func (a *app) deleteStream() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:     "delete-stream URI",
		Short:   "Delete a stream",
		Example: "  weir delete-stream s2://demo-basin/orders",
		Args:    need("URI"),
	})
	c.RunE = question[protocol.StreamRef, none]{
		parse: first(streamArg),
		ask: noAnswer(func(ctx context.Context, svc protocol.Service, ref protocol.StreamRef) error {
			return svc.DeleteStream(ctx, ref)
		}),
		show: func(ref protocol.StreamRef, _ none) error { return a.done("deleted %s\n", ref) },
	}.verb(a)
	return c
}

func (a *app) printStreamConfig(c protocol.ResolvedStreamConfig) error {
	if a.json {
		return a.printJSON(c)
	}
	rows := configRows("", c.Layer())
	if c.Closed {
		rows = append(rows, row{"closed", "true"})
	}
	return a.printRows(rows)
}
