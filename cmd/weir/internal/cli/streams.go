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
	c.RunE = a.verb(func(args []string) (call, error) {
		ref, err := streamArg(args[0])
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, svc protocol.Service) error {
			ctx, cancel := a.bounded(ctx)
			defer cancel()
			info, _, err := svc.CreateStream(ctx, ref.Basin, protocol.CreateStreamRequest{Stream: ref.Stream, Config: settings.layer()})
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(info)
			}
			return a.printf("created %s\n", ref)
		}, nil
	})
	return c
}

func (a *app) getStreamConfig() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:     "get-stream-config URI",
		Short:   "Show a stream's configuration",
		Example: "  weir get-stream-config s2://demo-basin/orders",
		Args:    need("URI"),
	})
	c.RunE = a.verb(func(args []string) (call, error) {
		ref, err := streamArg(args[0])
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, svc protocol.Service) error {
			ctx, cancel := a.bounded(ctx)
			defer cancel()
			config, err := svc.GetStreamConfig(ctx, ref)
			if err != nil {
				return err
			}
			return a.printStreamConfig(config)
		}, nil
	})
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
	unset := addUnsetFlag(c.Flags())
	c.RunE = a.verb(func(args []string) (call, error) {
		ref, err := streamArg(args[0])
		if err != nil {
			return nil, err
		}
		change, _, err := settings.change(c.Flags(), *unset)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, svc protocol.Service) error {
			ctx, cancel := a.bounded(ctx)
			defer cancel()
			config, err := svc.ReconfigureStream(ctx, ref, change)
			if err != nil {
				return err
			}
			return a.printStreamConfig(config)
		}, nil
	})
	return c
}

func (a *app) deleteStream() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:     "delete-stream URI",
		Short:   "Delete a stream",
		Example: "  weir delete-stream s2://demo-basin/orders",
		Args:    need("URI"),
	})
	c.RunE = a.verb(func(args []string) (call, error) {
		ref, err := streamArg(args[0])
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, svc protocol.Service) error {
			ctx, cancel := a.bounded(ctx)
			defer cancel()
			if err := svc.DeleteStream(ctx, ref); err != nil || a.json {
				return err
			}
			return a.printf("deleted %s\n", ref)
		}, nil
	})
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
