package cli

import (
	"context"
	"strings"

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
	c.RunE = question[none, protocol.Locations]{
		parse: noArgs,
		ask: func(ctx context.Context, svc protocol.Service, _ none) (protocol.Locations, error) {
			return svc.ListLocations(ctx)
		},
		show: func(_ none, all protocol.Locations) error {
			var lines strings.Builder
			for _, l := range all {
				lines.WriteString(locationText(l) + "\n")
			}
			return a.show(all, "%s", lines.String())
		},
	}.verb(a)
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
	c.RunE = question[none, protocol.LocationInfo]{
		parse: noArgs,
		ask: func(ctx context.Context, svc protocol.Service, _ none) (protocol.LocationInfo, error) {
			return svc.DefaultLocation(ctx)
		},
		show: func(_ none, info protocol.LocationInfo) error { return a.show(info, "%s\n", locationText(info)) },
	}.verb(a)
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
	c.RunE = question[protocol.LocationName, protocol.LocationInfo]{
		parse: first(locationArg),
		ask: func(ctx context.Context, svc protocol.Service, name protocol.LocationName) (protocol.LocationInfo, error) {
			return svc.SetDefaultLocation(ctx, name)
		},
		show: func(_ protocol.LocationName, info protocol.LocationInfo) error {
			return a.show(info, "%s\n", locationText(info))
		},
	}.verb(a)
	return c
}

func locationArg(s string) (protocol.LocationName, error) {
	name, err := protocol.ParseLocationName(s)
	if err != nil {
		return "", &usageError{err}
	}
	return name, nil
}
