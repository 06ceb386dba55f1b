package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weirstream/weir/protocol"
)

// listFlags select the entries of a listing.
type listFlags struct {
	prefix     string
	startAfter string
	limit      int
	onePage    bool
}

func addListFlags(fs *pflag.FlagSet) *listFlags {
	f := &listFlags{}
	fs.StringVarP(&f.prefix, "prefix", "p", "", "only names that begin with this")
	fs.StringVarP(&f.startAfter, "start-after", "s", "", "only names after this one")
	fs.IntVarP(&f.limit, "limit", "n", 0, "show at most this many; 0 shows all")
	fs.BoolVar(&f.onePage, "no-auto-paginate", false, "ask for one page only, of --limit names and at most 1000")
	return f
}

// check validates the flags; names is the check that the listed names' prefixes must pass.
func (f *listFlags) check(names func(field, s string) error) error {
	if f.limit < 0 {
		return usagef("--limit is %d; at least 0 is needed", f.limit)
	}
	if err := names("--prefix", f.prefix); err != nil {
		return err
	}
	return names("--start-after", f.startAfter)
}

// all asks for page after page until the limit or the end, and reports whether there is more. page returns a page's
// items and whether more follow, and waits no longer than --timeout; name gives the item from which the next page goes on.
func all[T any](ctx context.Context, a *app, f *listFlags, page func(context.Context, protocol.ListRequest) ([]T, bool, error), name func(T) string) (items []T, more bool, err error) {
	req := protocol.ListRequest{Prefix: f.prefix, StartAfter: f.startAfter}
	for {
		req.Limit = protocol.MaxListLimit
		if f.limit > 0 {
			req.Limit = min(f.limit-len(items), protocol.MaxListLimit)
		}
		bounded, cancel := a.bounded(ctx)
		got, more, err := page(bounded, req)
		cancel()
		if err != nil {
			return nil, false, err
		}
		items = append(items, got...)
		if !more || f.onePage || len(got) == 0 || f.limit > 0 && len(items) >= f.limit {
			return items, more, nil
		}
		req.StartAfter = name(items[len(items)-1])
	}
}

const listHelp = `Names come in ascending order of their bytes. What is being deleted is marked [deleting].`

func (a *app) ls() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "ls [BASIN | URI]",
		Short: "List basins, or the streams of a basin",
		Long: `List basins, or the streams of a basin. The path of a URI is a prefix of the streams' names.
` + listHelp,
		Example: `  weir ls
  weir ls demo-basin
  weir ls s2://demo-basin/user/ --limit 10`,
		Args: atMost(1),
	})
	f := addListFlags(c.Flags())
	c.RunE = a.verb(func(args []string) (call, error) {
		if len(args) == 0 {
			return a.showBasins(f, urisOnly)
		}
		return a.showStreams(args[0], f, urisOnly)
	})
	return c
}

func (a *app) listBasins() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:     "list-basins",
		Short:   "List basins with the time of their creation",
		Long:    "List basins with the time of their creation. " + listHelp,
		Example: "  weir list-basins --prefix demo- --json",
		Args:    atMost(0),
	})
	f := addListFlags(c.Flags())
	c.RunE = a.verb(func([]string) (call, error) { return a.showBasins(f, withTimes) })
	return c
}

func (a *app) listStreams() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "list-streams BASIN | URI",
		Short: "List the streams of a basin with the time of their creation",
		Long: `List the streams of a basin with the time of their creation. The path of a URI is a prefix.
` + listHelp,
		Example: `  weir list-streams demo-basin
  weir list-streams s2://demo-basin/user/`,
		Args: need("BASIN or URI"),
	})
	f := addListFlags(c.Flags())
	c.RunE = a.verb(func(args []string) (call, error) { return a.showStreams(args[0], f, withTimes) })
	return c
}

// listing is the content of a listing's line: the URI alone, or the name with the time of the creation. A stream's
// name is its URI.
type listing uint8

const (
	urisOnly listing = iota
	withTimes
)

func (a *app) showBasins(f *listFlags, form listing) (call, error) {
	if err := f.check(protocol.CheckBasinPrefix); err != nil {
		return nil, err
	}
	return func(ctx context.Context, svc protocol.Service) error {
		basins, more, err := all(ctx, a, f, func(ctx context.Context, req protocol.ListRequest) ([]protocol.BasinInfo, bool, error) {
			p, err := svc.ListBasins(ctx, req)
			return p.Basins, p.HasMore, err
		}, func(b protocol.BasinInfo) string { return string(b.Name) })
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(protocol.BasinPage{Basins: basins, HasMore: more})
		}
		for _, b := range basins {
			name := string(b.Name)
			if form == urisOnly {
				name = "s2://" + name
			}
			if err := a.printListed(name, form, b.CreatedAt, !b.DeletedAt.IsZero()); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func (a *app) showStreams(where string, f *listFlags, form listing) (call, error) {
	basin, path, err := protocol.ParseBasinURI(where)
	switch {
	case err != nil:
		return nil, err
	case path != "" && f.prefix != "":
		return nil, usagef("--prefix and the path of %s are both prefixes: leave one out", where)
	case path != "":
		f.prefix = path
	}
	if err := f.check(protocol.CheckStreamPrefix); err != nil {
		return nil, err
	}
	return func(ctx context.Context, svc protocol.Service) error {
		streams, more, err := all(ctx, a, f, func(ctx context.Context, req protocol.ListRequest) ([]protocol.StreamInfo, bool, error) {
			p, err := svc.ListStreams(ctx, basin, req)
			return p.Streams, p.HasMore, err
		}, func(s protocol.StreamInfo) string { return string(s.Name) })
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(protocol.StreamPage{Streams: streams, HasMore: more})
		}
		for _, s := range streams {
			uri := protocol.StreamRef{Basin: basin, Stream: s.Name}.String()
			if err := a.printListed(uri, form, s.CreatedAt, !s.DeletedAt.IsZero()); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func (a *app) printListed(name string, form listing, created time.Time, deleting bool) error {
	if form == withTimes {
		name += " " + created.UTC().Format(time.RFC3339)
	}
	if deleting {
		name += " [deleting]"
	}
	return a.printf("%s\n", name)
}
