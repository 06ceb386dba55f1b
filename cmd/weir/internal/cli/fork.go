package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/protocol"
)

func (a *app) fork() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "fork SOURCE URI",
		Short: "Create a stream that shares the records of another",
		Long: `Create a stream that begins with the records of another one of its basin, up to its tail or to --at, and goes on by
itself. Nothing is copied. Each of the two appends, trims, closes and is deleted without the other; what the fork shares
stays until the fork is trimmed or deleted, whatever becomes of the source. What is not said of the configuration is as
in the source. An encrypted stream's fork is read with the same key.`,
		Example: `  weir fork s2://demo-basin/chat/7 s2://demo-basin/chat/7-retry
  weir fork s2://demo-basin/chat/7 s2://demo-basin/chat/8 --at 42 --expire-idle 1d`,
		Args: need("SOURCE", "URI"),
	})
	settings := addStreamFlags(c.Flags())
	settings.addExpireAt(c.Flags())
	at := c.Flags().Uint64("at", 0, "share the records below this `seq_num` only; default: all")
	type request struct {
		source, ref protocol.StreamRef
	}
	c.RunE = question[request, protocol.StreamInfo]{
		parse: func(args []string) (req request, err error) {
			if req.source, err = streamArg(args[0]); err != nil {
				return req, err
			}
			if req.ref, err = streamArg(args[1]); err == nil && req.ref.Basin != req.source.Basin {
				err = usagef("URI: a fork is in the basin of its source, %s", req.source.Basin)
			}
			return req, err
		},
		ask: func(ctx context.Context, svc protocol.Service, req request) (protocol.StreamInfo, error) {
			fork := &protocol.ForkRequest{Source: req.source.Stream}
			if c.Flags().Changed("at") {
				fork.At = at
			}
			info, _, err := svc.CreateStream(ctx, req.ref.Basin, protocol.CreateStreamRequest{Stream: req.ref.Stream, Config: settings.layer(), Fork: fork})
			return info, err
		},
		show: func(req request, info protocol.StreamInfo) error {
			return a.show(info, "created %s, a fork of %s\n", req.ref, req.source)
		},
	}.verb(a)
	return c
}
