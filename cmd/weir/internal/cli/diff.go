package cli

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/declare"
	"github.com/weirstream/weir/protocol"
)

// resourceKind is a kind of resource that diff compares; the last is for its output alone.
type resourceKind string

const (
	kindBasin            resourceKind = "basin"
	kindStream           resourceKind = "stream"
	kindToken            resourceKind = "access-token"
	kindStreamVsDefaults resourceKind = "stream-vs-basin-defaults"
)

// errDifferent makes the command end with exit code 1 and without a message: the differences have been printed.
var errDifferent = errors.New("there are differences")

func (a *app) diff() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "diff LEFT RIGHT",
		Short: "Compare two basins, streams or access tokens",
		Long: `Compare the effective configurations of two basins or two streams, or two access tokens. What is left to a
default counts as the default. A basin and one of its own streams, in either order, are compared by the
defaults of the basin. What the names are follows from URIs; bare names need --resource.`,
		Example: `  weir diff s2://demo-basin/orders s2://demo-basin/events
  weir diff s2://demo-basin s2://demo-basin/orders --exit-code
  weir diff --resource basin demo-basin audit-basin -o json`,
		Args: need("LEFT", "RIGHT"),
	})
	kind := enumFlag(c.Flags(), "resource", "r", "the kind of LEFT and RIGHT", kindBasin, kindStream, kindToken)
	output := enumFlag(c.Flags(), "output", "o", "form of the output", "text", "json")
	exitCode := c.Flags().Bool("exit-code", false, "end with 1 if there are differences")
	c.RunE = a.verb(func(args []string) (call, error) {
		d, err := newComparison(kind.value, args[0], args[1])
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, svc protocol.Service) error {
			changes, err := d.compare(ctx, svc)
			if err != nil {
				return err
			}
			if a.json || output.value != nil && *output.value == "json" {
				err = a.printJSON(diffJSON{d.kind, d.left.label, d.right.label, changes})
			} else {
				err = a.printDiff(d, changes)
			}
			if err == nil && *exitCode && len(changes) > 0 {
				return errDifferent
			}
			return err
		}, nil
	})
	return c
}

type diffJSON struct {
	Resource    resourceKind     `json:"resource"`
	Left        string           `json:"left"`
	Right       string           `json:"right"`
	Differences []declare.Change `json:"differences"`
}

func (a *app) printDiff(d *comparison, changes []declare.Change) error {
	var b strings.Builder
	b.WriteString("--- " + d.left.title(d.kind) + "\n+++ " + d.right.title(d.kind) + "\n")
	if len(changes) == 0 {
		b.WriteString("no differences\n")
	}
	for _, c := range changes {
		b.WriteString("@@ " + c.Path + "\n- " + effectiveText(c.Left) + "\n+ " + effectiveText(c.Right) + "\n")
	}
	return a.printf("%s", b.String())
}

// effectiveText writes a setting whose absence is a value too.
func effectiveText(v any) string {
	if v == nil {
		return "none"
	}
	return valueText(v)
}

// operand is one side of a diff.
type operand struct {
	label  string // as it was given
	kind   resourceKind
	basin  protocol.BasinName
	stream protocol.StreamName
	token  protocol.AccessTokenID
}

func (o operand) title(kind resourceKind) string {
	if kind == kindStreamVsDefaults && o.kind == kindBasin {
		return o.label + " (stream defaults)"
	}
	return o.label
}

// comparison is two operands that can be compared.
type comparison struct {
	kind        resourceKind
	left, right operand
}

// newComparison reads the operands; a kind of nil follows from them.
func newComparison(kind *resourceKind, left, right string) (*comparison, error) {
	l, err := newOperand(kind, left)
	if err != nil {
		return nil, err
	}
	r, err := newOperand(kind, right)
	if err != nil {
		return nil, err
	}
	switch {
	case l.kind == r.kind:
		return &comparison{l.kind, l, r}, nil
	case l.basin == r.basin:
		return &comparison{kindStreamVsDefaults, l, r}, nil
	}
	stream, basin := l, r
	if r.kind == kindStream {
		stream, basin = r, l
	}
	return nil, usagef("%s is not a stream of %s: a basin can be compared with its own streams only", stream.label, basin.label)
}

func newOperand(kind *resourceKind, s string) (o operand, err error) {
	o.label = s
	switch {
	case kind == nil && !strings.Contains(s, "://"):
		return o, usagef("%q can be several kinds of resource: give a URI like s2://basin/stream, or --resource", s)
	case kind != nil:
		o.kind = *kind
	default:
		o.kind = kindBasin
		if _, path, err := protocol.ParseBasinURI(s); err == nil && path != "" {
			o.kind = kindStream
		}
	}
	switch o.kind {
	case kindBasin:
		o.basin, err = basinArg(s)
	case kindStream:
		var ref protocol.StreamRef
		ref, err = streamArg(s)
		o.basin, o.stream = ref.Basin, ref.Stream
	case kindToken:
		if o.token, err = protocol.ParseAccessTokenID(s); err != nil {
			err = &usageError{err}
		}
	}
	return o, err
}

// compare asks for both sides and returns their differences.
func (d *comparison) compare(ctx context.Context, svc protocol.Service) ([]declare.Change, error) {
	left, err := d.left.fields(ctx, svc, d.kind)
	if err != nil {
		return nil, err
	}
	right, err := d.right.fields(ctx, svc, d.kind)
	if err != nil {
		return nil, err
	}
	return declare.Compare(left, right), nil
}

// fields asks for the effective settings of o, as far as a comparison of this kind goes.
func (o operand) fields(ctx context.Context, svc protocol.Service, kind resourceKind) ([]declare.Field, error) {
	switch o.kind {
	case kindStream:
		config, err := svc.GetStreamConfig(ctx, protocol.StreamRef{Basin: o.basin, Stream: o.stream})
		return declare.StreamFields(config.Layer()), err
	case kindBasin:
		config, err := svc.GetBasinConfig(ctx, o.basin)
		config.DefaultStreamConfig = protocol.StreamConfig{}.Resolve(config.DefaultStreamConfig).Layer()
		if kind == kindStreamVsDefaults {
			return declare.StreamFields(config.DefaultStreamConfig), err
		}
		return declare.BasinFields(config), err
	default:
		page, err := svc.ListAccessTokens(ctx, protocol.ListRequest{Prefix: string(o.token), Limit: 1})
		if err == nil && (len(page.Tokens) == 0 || page.Tokens[0].ID != o.token) {
			err = protocol.Errorf(protocol.CodeAccessTokenNotFound, "access token %q does not exist", o.token)
		}
		if err != nil {
			return nil, err
		}
		return tokenFields(page.Tokens[0]), nil
	}
}

// tokenFields are the permissions of a token: its sets, and each operation by itself, whether a group or the token names it.
func tokenFields(t protocol.AccessTokenInfo) []declare.Field {
	var expires any
	if !t.ExpiresAt.IsZero() {
		expires = t.ExpiresAt.UTC().Format(time.RFC3339Nano)
	}
	fields := []declare.Field{
		{Path: "expires_at", Value: expires},
		{Path: "auto_prefix_streams", Value: t.AutoPrefixStreams},
		{Path: "scope.basins", Value: resourceSetText(t.Scope.Basins)},
		{Path: "scope.streams", Value: resourceSetText(t.Scope.Streams)},
		{Path: "scope.access_tokens", Value: resourceSetText(t.Scope.AccessTokens)},
	}
	allowed := t.Scope.Operations()
	for op := range protocol.AllOperations.All() {
		fields = append(fields, declare.Field{Path: "scope.ops." + op.String(), Value: allowed.Has(op)})
	}
	return fields
}

// resourceSetText writes the rule of a set; nil for a set that matches nothing.
func resourceSetText(s protocol.ResourceSet) any {
	//exhaustive:enforce
	switch s = s.Normal(); s.Kind {
	case protocol.MatchExact:
		return "exact " + s.Name
	case protocol.MatchPrefix:
		return "prefix " + s.Name
	case protocol.MatchNone:
	}
	return nil
}
