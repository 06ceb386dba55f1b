package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/protocol"
)

const (
	// completeWithin bounds how long a person waits after the tab key.
	completeWithin = 2 * time.Second
	// completeAtMost bounds the names that are offered.
	completeAtMost = 100
)

// The verbs whose arguments are basins, streams, or either.
var (
	basinVerbs  = []string{"list-streams", "get-basin-config", "reconfigure-basin", "delete-basin", "bench", "get-basin-metrics"}
	streamVerbs = []string{
		"ls", "create-stream", "get-stream-config", "reconfigure-stream", "delete-stream", "append", "read", "tail", "check-tail", "trim", "fence", "close",
		"get-stream-metrics", "diff",
	}
)

// completeFromBroker makes the shell complete names of basins and streams: it asks the broker that the flags before them, and
// the environment, name. Without a broker nothing is offered.
func (a *app) completeFromBroker(root *cobra.Command) {
	for _, c := range root.Commands() {
		for _, name := range basinVerbs {
			if c.Name() == name {
				c.ValidArgsFunction = a.complete(1, basinNames)
			}
		}
		for _, name := range streamVerbs {
			if c.Name() == name {
				n := 1
				if name == "diff" {
					n = 2
				}
				c.ValidArgsFunction = a.complete(n, streamURIs)
			}
		}
	}
}

// argumentKind is the kind of resource that an argument names.
type argumentKind uint8

const (
	basinNames argumentKind = iota
	streamURIs
)

// complete offers names for the first n arguments.
func (a *app) complete(n int, kind argumentKind) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= n || a.dial.ReadTimeout(cmd.Flags(), a.getenv) != nil || a.dial.ReadAccessToken(a.getenv) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
		defer cancel()
		a.dial.Notify = func(string) {}
		svc, closeService, err := a.env.Dial(ctx, a.dial)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer closeService()
		uri, isURI := strings.CutPrefix(typed, "s2://")
		if basin, stream, inBasin := strings.Cut(uri, "/"); kind == streamURIs && isURI && inBasin {
			return streamNames(ctx, svc, protocol.BasinName(basin), stream), cobra.ShellCompDirectiveNoFileComp
		}
		scheme, after, directive := "", "", cobra.ShellCompDirectiveNoFileComp
		if kind == streamURIs || isURI {
			scheme = "s2://"
		}
		if kind == streamURIs {
			after, directive = "/", directive|cobra.ShellCompDirectiveNoSpace
		}
		page, err := svc.ListBasins(ctx, protocol.ListRequest{Prefix: uri, Limit: completeAtMost})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []cobra.Completion
		for _, b := range page.Basins {
			names = append(names, scheme+string(b.Name)+after)
		}
		return names, directive
	}
}

func streamNames(ctx context.Context, svc protocol.Service, basin protocol.BasinName, prefix string) (names []cobra.Completion) {
	page, err := svc.ListStreams(ctx, basin, protocol.ListRequest{Prefix: prefix, Limit: completeAtMost})
	if err != nil {
		return nil
	}
	for _, s := range page.Streams {
		names = append(names, "s2://"+string(basin)+"/"+string(s.Name))
	}
	return names
}
