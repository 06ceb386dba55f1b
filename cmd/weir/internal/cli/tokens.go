package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

func (a *app) listAccessTokens() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "list-access-tokens",
		Short: "List access tokens with the time of their expiry",
		Long: `List access tokens with the time of their expiry, the one of the broker's configuration (root) included.
Secrets cannot be listed. Ids come in ascending order of their bytes; expired tokens stay until they are revoked.`,
		Example: `  weir list-access-tokens
  weir list-access-tokens --prefix team- --json`,
		Args: atMost(0),
	})
	f := addListFlags(c.Flags())
	c.RunE = a.verb(func([]string) (call, error) {
		if err := f.check(protocol.CheckAccessTokenPrefix); err != nil {
			return nil, err
		}
		return func(ctx context.Context, svc protocol.Service) error {
			tokens, more, err := all(ctx, a, f, func(ctx context.Context, req protocol.ListRequest) ([]protocol.AccessTokenInfo, bool, error) {
				p, err := svc.ListAccessTokens(ctx, req)
				return p.Tokens, p.HasMore, err
			}, func(t protocol.AccessTokenInfo) string { return string(t.ID) })
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(protocol.AccessTokenPage{Tokens: tokens, HasMore: more})
			}
			for _, t := range tokens {
				if err := a.printf("%s %s %s\n", idText(t.ID), expiryText(t), scopeText(t)); err != nil {
					return err
				}
			}
			return nil
		}, nil
	})
	return c
}

// idText is the id, in quotes if it could be mistaken for something else on a line.
func idText(id protocol.AccessTokenID) string {
	s := string(id)
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == '"' }) {
		return strconv.Quote(s)
	}
	return s
}

// scopeText writes the sets of a token's scope: a name, a prefix with a star, or none.
func scopeText(t protocol.AccessTokenInfo) string {
	if t.ID == protocol.RootTokenID {
		return "everything"
	}
	text := fmt.Sprintf("basins=%s streams=%s access-tokens=%s", setText(t.Scope.Basins), setText(t.Scope.Streams), setText(t.Scope.AccessTokens))
	if t.Unconfirmed {
		text += " [unconfirmed]"
	}
	return text
}

func setText(s protocol.ResourceSet) string {
	//exhaustive:enforce
	switch s = s.Normal(); s.Kind {
	case protocol.MatchExact:
		return strconv.Quote(s.Name)
	case protocol.MatchPrefix:
		return strconv.Quote(s.Name) + "*"
	case protocol.MatchNone:
	}
	return "none"
}

func expiryText(t protocol.AccessTokenInfo) string {
	if t.ExpiresAt.IsZero() {
		return "never"
	}
	s := t.ExpiresAt.UTC().Format(time.RFC3339Nano)
	if t.ExpiredAt(time.Now()) {
		s += " [expired]"
	}
	return s
}

func (a *app) issueAccessToken() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "issue-access-token ID",
		Short: "Issue an access token and print its secret",
		Long: `Issue an access token and print its secret, which cannot be had again.

A token allows operations, by groups (--op-group-perms) and by name (--ops), on what matches: basins, streams and other
access tokens, each by a prefix or by one exact name. What is left out matches nothing, and "" as a prefix everything.
A token cannot issue one that allows more than itself. Operations: list-basins, create-basin, delete-basin,
reconfigure-basin, get-basin-config, list-streams, create-stream, delete-stream, get-stream-config, reconfigure-stream,
check-tail, append, read, trim, fence, issue-access-token, revoke-access-token, list-access-tokens, account-metrics,
basin-metrics, stream-metrics, list-locations, get-default-location, set-default-location; _ is as good as -.`,
		Example: `  weir issue-access-token reader --basins-prefix "" --streams-prefix "" --op-group-perms basin=r,stream=r
  weir issue-access-token user-42 --basins-exact demo-basin --streams-prefix user/42/ --auto-prefix-streams --ops append,read,check-tail
  weir issue-access-token ci --expires-in 7d --basins-prefix ci- --streams-prefix "" --op-group-perms account=rw,basin=rw,stream=rw`,
		Args: need("ID"),
	})
	f := addTokenFlags(c.Flags())
	c.RunE = question[protocol.IssueAccessTokenRequest, protocol.IssuedAccessToken]{
		parse: first(f.request),
		ask: func(ctx context.Context, svc protocol.Service, req protocol.IssueAccessTokenRequest) (issued protocol.IssuedAccessToken, err error) {
			issued.Secret, err = svc.IssueAccessToken(ctx, req)
			return issued, err
		},
		show: func(_ protocol.IssueAccessTokenRequest, issued protocol.IssuedAccessToken) error {
			return a.show(issued, "%s\n", issued.Secret)
		},
	}.verb(a)
	return c
}

func (a *app) confirmAccessToken() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "confirm-access-token [ID...]",
		Short: "Confirm access tokens that were issued while nothing was checked",
		Long: `Confirm access tokens that were issued, or restored, while the broker checked nothing. Anybody may have made
them, so that a broker with a root token does not honour them before. list-access-tokens marks them, and the start lists them in the
log. Revoke those that you do not know. It takes the root token.`,
		Example: `  weir confirm-access-token reports
  weir confirm-access-token --all`,
	})
	every := c.Flags().Bool("all", false, "confirm all that are unconfirmed")
	c.RunE = a.verb(func(args []string) (call, error) {
		if *every == (len(args) > 0) {
			return nil, usagef("give the ids of access tokens, or --all")
		}
		ids := make([]protocol.AccessTokenID, len(args))
		for i, arg := range args {
			id, err := tokenIDArg(arg)
			if err != nil {
				return nil, err
			}
			ids[i] = id
		}
		return func(ctx context.Context, svc protocol.Service) error {
			if *every {
				var err error
				if ids, err = a.unconfirmed(ctx, svc); err != nil {
					return err
				}
			}
			for _, id := range ids {
				ctx, cancel := a.bounded(ctx)
				err := svc.ConfirmAccessToken(ctx, id)
				cancel()
				if err != nil {
					return fmt.Errorf("%s: %w", idText(id), err)
				}
				if a.json {
					continue
				}
				if err := a.printf("confirmed %s\n", idText(id)); err != nil {
					return err
				}
			}
			return nil
		}, nil
	})
	return c
}

// unconfirmed lists the tokens that want to be confirmed.
func (a *app) unconfirmed(ctx context.Context, svc protocol.Service) (ids []protocol.AccessTokenID, err error) {
	tokens, _, err := all(ctx, a, &listFlags{}, func(ctx context.Context, req protocol.ListRequest) ([]protocol.AccessTokenInfo, bool, error) {
		p, err := svc.ListAccessTokens(ctx, req)
		return p.Tokens, p.HasMore, err
	}, func(t protocol.AccessTokenInfo) string { return string(t.ID) })
	for i := range tokens {
		if tokens[i].Unconfirmed {
			ids = append(ids, tokens[i].ID)
		}
	}
	return ids, err
}

func (a *app) revokeAccessToken() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "revoke-access-token ID",
		Short: "Revoke an access token",
		Long: `Revoke an access token: it opens nothing any more, and what it has opened is closed. Tokens that were issued
with it stay.`,
		Example: "  weir revoke-access-token ci",
		Args:    need("ID"),
	})
	c.RunE = question[protocol.AccessTokenID, none]{
		parse: first(tokenIDArg),
		ask: noAnswer(func(ctx context.Context, svc protocol.Service, id protocol.AccessTokenID) error {
			return svc.RevokeAccessToken(ctx, id)
		}),
		show: func(id protocol.AccessTokenID, _ none) error { return a.done("revoked %s\n", idText(id)) },
	}.verb(a)
	return c
}

func tokenIDArg(s string) (protocol.AccessTokenID, error) {
	id, err := protocol.ParseAccessTokenID(s)
	if err != nil {
		return "", &usageError{err}
	}
	return id, nil
}

// tokenFlags set the permissions of a token and how long it lasts.
type tokenFlags struct {
	expiresIn  *optional[time.Duration]
	expiresAt  *optional[time.Time]
	autoPrefix *bool
	basins     setFlags
	streams    setFlags
	tokens     setFlags
	groups     *optional[protocol.OperationGroups]
	ops        *optional[protocol.OperationSet]
}

func addTokenFlags(fs *pflag.FlagSet) *tokenFlags {
	f := &tokenFlags{
		expiresIn:  &optional[time.Duration]{kind: "duration", parse: parseLifetime},
		expiresAt:  &optional[time.Time]{kind: "time", parse: parseTime},
		autoPrefix: fs.Bool("auto-prefix-streams", false, "put the prefix of --streams-prefix before every stream name that the token's holder uses"),
		groups:     &optional[protocol.OperationGroups]{kind: "perms", parse: parseGroups},
		ops:        &optional[protocol.OperationSet]{kind: "names", parse: parseOps},
	}
	fs.Var(f.expiresIn, "expires-in", "how long the token is good, like 12h or 7d; default: as long as the issuing one")
	fs.Var(f.expiresAt, "expires-at", "until when it is good, like 2027-01-31T12:00:00Z")
	f.basins = addSetFlags(fs, "basins", "basins", protocol.CheckBasinPrefix, func(s string) error { _, err := protocol.ParseBasinName(s); return err })
	f.streams = addSetFlags(fs, "streams", "streams", protocol.CheckStreamPrefix, func(s string) error { _, err := protocol.ParseStreamName(s); return err })
	f.tokens = addSetFlags(fs, "access-tokens", "access tokens, by id,", protocol.CheckAccessTokenPrefix, func(s string) error { _, err := protocol.ParseAccessTokenID(s); return err })
	fs.Var(f.groups, "op-group-perms", "groups of operations, like account=rw,basin=r,stream=w")
	fs.Var(f.ops, "ops", "operations, with commas")
	return f
}

func (f *tokenFlags) request(id string) (req protocol.IssueAccessTokenRequest, err error) {
	if req.ID, err = tokenIDArg(id); err != nil {
		return req, err
	}
	switch {
	case f.expiresIn.value != nil && f.expiresAt.value != nil:
		return req, usagef("--expires-in and --expires-at both say when the token expires: leave one out")
	case f.expiresIn.value != nil:
		req.ExpiresAt = time.Now().Add(*f.expiresIn.value).UTC()
	case f.expiresAt.value != nil:
		req.ExpiresAt = f.expiresAt.value.UTC()
	}
	req.AutoPrefixStreams = *f.autoPrefix
	for _, s := range []struct {
		flags setFlags
		set   *protocol.ResourceSet
	}{{f.basins, &req.Scope.Basins}, {f.streams, &req.Scope.Streams}, {f.tokens, &req.Scope.AccessTokens}} {
		if *s.set, err = s.flags.resources(); err != nil {
			return req, err
		}
	}
	if f.groups.value != nil {
		req.Scope.Groups = *f.groups.value
	}
	if f.ops.value != nil {
		req.Scope.Ops = *f.ops.value
	}
	if req.Scope.Groups == (protocol.OperationGroups{}) && req.Scope.Ops == 0 {
		return req, usagef("an access token needs operations: give --op-group-perms, such as basin=r,stream=r, or --ops")
	}
	return req, nil
}

// setFlags are the two ways to give a token's set of names.
type setFlags struct {
	name          string
	prefix, exact *optional[string]
}

func addSetFlags(fs *pflag.FlagSet, name, what string, checkPrefix func(field, s string) error, checkName func(string) error) setFlags {
	f := setFlags{name: name,
		prefix: &optional[string]{kind: "prefix", parse: func(s string) (string, error) { return s, checkPrefix("prefix", s) }},
		exact: &optional[string]{kind: "name", parse: func(s string) (string, error) {
			if s == "" {
				return s, nil // matches nothing
			}
			return s, checkName(s)
		}},
	}
	fs.Var(f.prefix, name+"-prefix", what+" that begin with this match; \"\" is all of them")
	fs.Var(f.exact, name+"-exact", "the one of the "+strings.TrimSuffix(what, ", by id,")+" that matches")
	return f
}

func (f setFlags) resources() (set protocol.ResourceSet, err error) {
	switch {
	case f.prefix.value != nil && f.exact.value != nil:
		return set, usagef("--%s-prefix and --%s-exact both say what matches: leave one out", f.name, f.name)
	case f.prefix.value != nil:
		return protocol.ResourceSet{Kind: protocol.MatchPrefix, Name: *f.prefix.value}, nil
	case f.exact.value != nil:
		return protocol.ResourceSet{Kind: protocol.MatchExact, Name: *f.exact.value}, nil
	}
	return set, nil
}

func parseLifetime(s string) (time.Duration, error) {
	d, err := conf.ParseDuration(s)
	if err == nil && d <= 0 {
		err = errors.New("must be above 0")
	}
	return d, err
}

func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return t, errors.New("must be a time like 2027-01-31T12:00:00Z")
	}
	return t, nil
}

// parseGroups reads the notation of S2's CLI, account=rw,basin=r,stream=w.
func parseGroups(s string) (g protocol.OperationGroups, err error) {
	groups := map[string]*protocol.ReadWrite{"account": &g.Account, "basin": &g.Basin, "stream": &g.Stream}
	for part := range strings.SplitSeq(s, ",") {
		name, perms, found := strings.Cut(strings.TrimSpace(part), "=")
		group := groups[name]
		switch {
		case !found:
			return g, fmt.Errorf("%q is not GROUP=PERMS, like stream=rw", part)
		case group == nil:
			return g, fmt.Errorf("there is no group %q; there are account, basin and stream", name)
		case *group != protocol.ReadWrite{}:
			return g, fmt.Errorf("the group %s is given twice", name)
		}
		switch perms {
		case "r":
			group.Read = true
		case "w":
			group.Write = true
		case "rw":
			group.Read, group.Write = true, true
		default:
			return g, fmt.Errorf("%s=%s: allowed are r, w and rw", name, perms)
		}
	}
	return g, nil
}

// parseOps reads names of operations as they are on the wire, or as S2's CLI spells them: with underscores, and the metrics
// with get_ before them.
func parseOps(s string) (ops protocol.OperationSet, err error) {
	for part := range strings.SplitSeq(s, ",") {
		name := strings.ReplaceAll(strings.TrimSpace(part), "_", "-")
		if strings.HasSuffix(name, "-metrics") {
			name = strings.TrimPrefix(name, "get-")
		}
		op, ok := protocol.ParseOperation(name)
		if !ok {
			return ops, fmt.Errorf("there is no operation %q", part)
		}
		ops |= protocol.Operations(op)
	}
	return ops, nil
}
