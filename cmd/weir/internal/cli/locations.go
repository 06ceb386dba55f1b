package cli

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weirstream/weir/protocol"
)

const locationHelp = `A location is a place where basins live. A broker has those of its configuration (--locations of serve).`

// locationFlag is where a basin is to be made; absent means the default location.
func locationFlag(fs *pflag.FlagSet) *optional[protocol.LocationName] {
	o := &optional[protocol.LocationName]{kind: "name", parse: protocol.ParseLocationName}
	fs.Var(o, "location", "where to make it; see list-locations")
	return o
}

func (a *app) listLocations() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:     "list-locations",
		Short:   "List the locations of basins",
		Long:    "List the locations of basins. " + locationHelp,
		Example: "  weir list-locations --json",
		Args:    atMost(0),
	})
	c.RunE = a.verb(func([]string) (call, error) {
		return func(ctx context.Context, svc protocol.Service) error {
			ctx, cancel := a.bounded(ctx)
			defer cancel()
			all, err := svc.ListLocations(ctx)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(protocol.Locations(all))
			}
			for _, l := range all {
				if err := a.printf("%s\n", locationText(l)); err != nil {
					return err
				}
			}
			return nil
		}, nil
	})
	return c
}

func locationText(l protocol.LocationInfo) string {
	if l.IsPrivate {
		return string(l.Name) + " [private]"
	}
	return string(l.Name)
}

func (a *app) getDefaultLocation() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:     "get-default-location",
		Short:   "Show the location of basins that name none",
		Long:    "Show where basins are made that name no location. " + locationHelp,
		Example: "  weir get-default-location",
		Args:    atMost(0),
	})
	c.RunE = a.verb(func([]string) (call, error) {
		return a.showLocation(func(ctx context.Context, svc protocol.Service) (protocol.LocationInfo, error) {
			return svc.DefaultLocation(ctx)
		}), nil
	})
	return c
}

func (a *app) setDefaultLocation() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:     "set-default-location NAME",
		Short:   "Change the location of basins that name none",
		Long:    "Change where basins are made that name no location. Basins that exist stay where they are. " + locationHelp,
		Example: "  weir set-default-location local",
		Args:    need("NAME"),
	})
	c.RunE = a.verb(func(args []string) (call, error) {
		name, err := protocol.ParseLocationName(args[0])
		if err != nil {
			return nil, &usageError{err}
		}
		return a.showLocation(func(ctx context.Context, svc protocol.Service) (protocol.LocationInfo, error) {
			return svc.SetDefaultLocation(ctx, name)
		}), nil
	})
	return c
}

// showLocation makes a call that asks for a location and prints it.
func (a *app) showLocation(ask func(context.Context, protocol.Service) (protocol.LocationInfo, error)) call {
	return func(ctx context.Context, svc protocol.Service) error {
		ctx, cancel := a.bounded(ctx)
		defer cancel()
		info, err := ask(ctx, svc)
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(info)
		}
		return a.printf("%s\n", locationText(info))
	}
}
