package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/protocol"
)

func (a *app) createBasin() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "create-basin BASIN",
		Short: "Create a basin",
		Long: `Create a basin: a name space of streams with a configuration. BASIN is 8 to 48 lowercase letters,
digits and hyphens. The stream settings are the defaults of the streams created in it afterwards.`,
		Example: `  weir create-basin demo-basin --create-stream-on-append
  weir create-basin audit-basin --retention-policy infinite --timestamping-mode arrival`,
		Args: need("BASIN"),
	})
	location := locationFlag(c.Flags())
	logs := c.Flags().Int("dedicated-logs", 0, "logs that the basin has for itself in each storage class; 0: it shares those of the account")
	cipher := enumFlag(c.Flags(), "stream-cipher", "", "cipher of the streams created afterwards", protocol.CipherAEGIS256, protocol.CipherAES256GCM)
	onAppend := c.Flags().Bool("create-stream-on-append", false, "create a missing stream when it is appended to")
	onRead := c.Flags().Bool("create-stream-on-read", false, "create a missing stream when it is read")
	streams := addStreamFlags(c.Flags())
	c.RunE = question[protocol.BasinName, protocol.BasinInfo]{
		parse: first(basinArg),
		ask: func(ctx context.Context, svc protocol.Service, basin protocol.BasinName) (protocol.BasinInfo, error) {
			req := protocol.CreateBasinRequest{Basin: basin, DedicatedLogs: *logs, Config: protocol.BasinConfig{
				DefaultStreamConfig: streams.layer(), CreateStreamOnAppend: *onAppend, CreateStreamOnRead: *onRead,
			}}
			if cipher.value != nil {
				req.Config.StreamCipher = *cipher.value
			}
			if location.value != nil {
				req.Location = *location.value
			}
			info, _, err := svc.CreateBasin(ctx, req)
			return info, err
		},
		show: func(_ protocol.BasinName, info protocol.BasinInfo) error {
			return a.show(info, "created s2://%s\n", info.Name)
		},
	}.verb(a)
	return c
}

func (a *app) getBasinConfig() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:     "get-basin-config BASIN",
		Short:   "Show a basin's configuration",
		Long:    "Show a basin's configuration. A dash stands for what the basin leaves to the system's defaults.",
		Example: "  weir get-basin-config demo-basin --json",
		Args:    need("BASIN"),
	})
	c.RunE = question[protocol.BasinName, protocol.BasinConfig]{
		parse: first(basinArg),
		ask: func(ctx context.Context, svc protocol.Service, basin protocol.BasinName) (protocol.BasinConfig, error) {
			return svc.GetBasinConfig(ctx, basin)
		},
		show: func(_ protocol.BasinName, config protocol.BasinConfig) error { return a.printBasinConfig(config) },
	}.verb(a)
	return c
}

func (a *app) reconfigureBasin() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "reconfigure-basin BASIN",
		Short: "Change a basin's configuration",
		Long: `Change parts of a basin's configuration and show the result; what is not named stays as it is.
Streams that exist already keep their configuration.`,
		Example: `  weir reconfigure-basin demo-basin --create-stream-on-append false --retention-policy 30d
  weir reconfigure-basin demo-basin --unset retention-policy,storage-class`,
		Args: need("BASIN"),
	})
	cipher := enumFlag(c.Flags(), "stream-cipher", "", "cipher of the streams created afterwards", protocol.CipherAEGIS256, protocol.CipherAES256GCM, "none")
	onAppend := boolFlag(c.Flags(), "create-stream-on-append", "create a missing stream when it is appended to")
	onRead := boolFlag(c.Flags(), "create-stream-on-read", "create a missing stream when it is read")
	streams := addStreamFlags(c.Flags())
	unset := addUnsetFlag(c.Flags())
	type request struct {
		basin  protocol.BasinName
		change protocol.BasinReconfiguration
	}
	parse := func(args []string) (req request, err error) {
		if req.basin, err = basinArg(args[0]); err != nil {
			return req, err
		}
		defaults, changed, err := streams.change(c.Flags(), *unset)
		if err != nil {
			return req, err
		}
		change := protocol.BasinReconfiguration{CreateStreamOnAppend: onAppend.value, CreateStreamOnRead: onRead.value}
		if changed {
			change.DefaultStreamConfig = protocol.Set(defaults)
		}
		if cipher.value != nil {
			change.StreamCipher = patch(cipher)
			if *cipher.value == "none" {
				change.StreamCipher = protocol.Unset[protocol.Cipher]()
			}
		}
		req.change = change
		return req, nil
	}
	c.RunE = question[request, protocol.BasinConfig]{
		parse: parse,
		ask: func(ctx context.Context, svc protocol.Service, req request) (protocol.BasinConfig, error) {
			return svc.ReconfigureBasin(ctx, req.basin, req.change)
		},
		show: func(_ request, config protocol.BasinConfig) error { return a.printBasinConfig(config) },
	}.verb(a)
	return c
}

func (a *app) deleteBasin() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:     "delete-basin BASIN",
		Short:   "Delete a basin and all its streams",
		Long:    "Delete a basin and all its streams. The broker accepts the deletion and works in the background.",
		Example: "  weir delete-basin demo-basin",
		Args:    need("BASIN"),
	})
	c.RunE = question[protocol.BasinName, none]{
		parse: first(basinArg),
		ask: noAnswer(func(ctx context.Context, svc protocol.Service, basin protocol.BasinName) error {
			return svc.DeleteBasin(ctx, basin)
		}),
		show: func(basin protocol.BasinName, _ none) error { return a.done("deleting s2://%s\n", basin) },
	}.verb(a)
	return c
}

func (a *app) printBasinConfig(c protocol.BasinConfig) error {
	if a.json {
		return a.printJSON(c)
	}
	cipher := "-"
	if c.StreamCipher != protocol.CipherNone {
		cipher = string(c.StreamCipher)
	}
	return a.printRows(append([]row{
		{"create stream on append", yesNo(c.CreateStreamOnAppend)},
		{"create stream on read", yesNo(c.CreateStreamOnRead)},
		{"stream cipher", cipher},
	}, configRows("default ", c.DefaultStreamConfig)...))
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
