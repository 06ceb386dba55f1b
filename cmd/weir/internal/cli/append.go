package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weirstream/weir/cmd/weir/internal/pipeline"
	"github.com/weirstream/weir/cmd/weir/internal/records"
	"github.com/weirstream/weir/protocol"
)

// conditionFlags are the conditions of an append.
type conditionFlags struct {
	token *optional[string]
	match *optional[uint64]
}

func addConditionFlags(fs *pflag.FlagSet) *conditionFlags {
	return &conditionFlags{
		token: tokenFlag(fs, "append only if this is the stream's fencing token"),
		match: uintFlag(fs, "match-seq-num", "m", "append only if the first record gets this seq_num"),
	}
}

const appendHelp = `Append the lines of standard input, or of --input, one record each. Records are gathered into batches, many
batches are under way at once, and every acknowledged batch is reported on standard error (with --json
as an object on standard output). When the command ends well, everything was acknowledged.

Formats, as in S2's CLI:
  text         the line is the body
  json         {"timestamp":ms,"headers":[["name","value"]],"body":"text"}, each member optional
  json-base64  the same with names, values and bodies in Base64

With --file, each file is one record, whose body is the file's content.

On a failure, what the last ack covers is stored; batches under way may be stored or not, unless the
failure says otherwise (a condition that does not hold stores nothing).`

func (a *app) append() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "append URI",
		Short: "Append records to a stream",
		Long:  appendHelp,
		Example: `  printf 'a\nb\nc\n' | weir append s2://demo-basin/greetings
  weir append s2://demo-basin/orders --input orders.jsonl --format json
  weir append s2://demo-basin/pictures --file a.png --file b.png
  weir append s2://demo-basin/ledger --match-seq-num 7 --fencing-token writer-2 < entry`,
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("file") && len(args) > 0 {
				args = args[:1] // the rest are files: --file a b c, as a shell expands a pattern
			}
			return need("URI")(cmd, args)
		},
	})
	conditions := addConditionFlags(c.Flags())
	format := records.Text
	c.Flags().Var(&format, "format", "form of the input: text, json or json-base64")
	input := c.Flags().StringP("input", "i", "-", "read lines from this `file`; - is standard input")
	files := c.Flags().StringArray("file", nil, "append this `file` as one record; may be repeated")
	linger := durationFlag(c.Flags(), "linger", "", 5*time.Millisecond, "how long a batch waits for more records")
	key := a.addKeyFlags(c)
	c.MarkFlagsMutuallyExclusive("file", "input")
	c.MarkFlagsMutuallyExclusive("file", "format")
	c.RunE = a.verb(func(args []string) (call, error) {
		ref, err := streamArg(args[0])
		if err != nil {
			return nil, err
		}
		opts, err := key.options()
		if err != nil {
			return nil, err
		}
		src, closeInput, err := a.source(*input, append(*files, args[1:]...), format)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, svc protocol.Service) error {
			defer closeInput()
			return a.runAppend(ctx, svc, ref, src, pipeline.Options{
				Linger: *linger, FencingToken: conditions.token.value, MatchSeqNum: conditions.match.value, Session: opts,
			})
		}, nil
	})
	return c
}

// source opens the input of an append.
func (a *app) source(input string, files []string, format records.Format) (records.Source, func(), error) {
	if len(files) > 0 {
		src, err := records.Files(files)
		return src, func() {}, err
	}
	if input == "-" || input == "" {
		if a.env.Terminal(a.env.Stdin) {
			a.note("reading records from the terminal, one a line; end with Ctrl-D")
		}
		return records.Lines(a.env.Stdin, format), func() {}, nil
	}
	f, err := os.Open(input)
	if err != nil {
		return nil, nil, fmt.Errorf("--input: %w", err)
	}
	return records.Lines(f, format), func() { f.Close() }, nil
}

func (a *app) runAppend(ctx context.Context, svc protocol.Service, ref protocol.StreamRef, src records.Source, o pipeline.Options) error {
	var acked uint64
	o.Acked = func(ack protocol.AppendAck) error {
		acked += ack.End.SeqNum - ack.Start.SeqNum
		if a.json {
			return a.printJSON(ack)
		}
		a.note("appended %d..%d // tail: %s", ack.Start.SeqNum, ack.End.SeqNum, records.Position(ack.Tail))
		return nil
	}
	err := pipeline.Append(ctx, svc, ref, src, o)
	if err != nil && !errors.Is(err, io.EOF) && acked > 0 && !a.json {
		a.note("acknowledged before the failure: %d", acked)
	}
	return err
}

func (a *app) trim() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "trim URI POINT",
		Short: "Delete the records below a seq_num",
		Long: `Append a command that asks for the deletion of all records with a seq_num below POINT. The point only
moves forward; a lower one is ignored. The records go away shortly after.`,
		Example: "  weir trim s2://demo-basin/greetings 2",
		Args:    need("URI", "POINT"),
	})
	conditions, key := addConditionFlags(c.Flags()), a.addKeyFlags(c)
	c.RunE = a.verb(func(args []string) (call, error) {
		point, err := parseUint(args[1])
		if err != nil {
			return nil, usagef("POINT %q %w", args[1], err)
		}
		return a.command(args[0], commandInput(protocol.TrimRecord(point)), conditions, key, fmt.Sprintf("trim to %d", point))
	})
	return c
}

func commandInput(rec protocol.Record) protocol.AppendInput {
	return protocol.AppendInput{Records: []protocol.Record{rec}}
}

func (a *app) fence() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "fence URI NEW_TOKEN",
		Short: "Set a stream's fencing token",
		Long: `Append a command that sets the stream's fencing token, at most 36 bytes; "" removes it. From then on
appends that give a different token with --fencing-token fail. Appends that give none are not fenced.`,
		Example: `  weir fence s2://demo-basin/ledger writer-2
  weir fence s2://demo-basin/ledger writer-3 --fencing-token writer-2`,
		Args: need("URI", "NEW_TOKEN"),
	})
	conditions, key := addConditionFlags(c.Flags()), a.addKeyFlags(c)
	c.RunE = a.verb(func(args []string) (call, error) {
		token, err := parseToken(args[1])
		if err != nil {
			return nil, usagef("NEW_TOKEN: %w", err)
		}
		return a.command(args[0], commandInput(protocol.FenceRecord(token)), conditions, key, fmt.Sprintf("new fencing token %q", token))
	})
	return c
}

func (a *app) close() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "close URI",
		Short: "Close a stream: no record follows",
		Long: `Close a stream for good: appends to it fail from then on with stream_closed, and reads that follow it end at
its tail. The records stay and can be read; the stream can be deleted. To close a closed stream once more succeeds.`,
		Example: `  weir close s2://demo-basin/chat/7
  weir close s2://demo-basin/chat/7 --match-seq-num 42`,
		Args: need("URI"),
	})
	conditions, key := addConditionFlags(c.Flags()), a.addKeyFlags(c)
	c.RunE = a.verb(func(args []string) (call, error) {
		return a.command(args[0], protocol.AppendInput{Close: true}, conditions, key, "")
	})
	return c
}

// command appends a command record, or closes the stream.
func (a *app) command(uri string, in protocol.AppendInput, conditions *conditionFlags, key *keyFlags, what string) (call, error) {
	ref, err := streamArg(uri)
	if err != nil {
		return nil, err
	}
	opts, err := key.options()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, svc protocol.Service) error {
		ctx, cancel := a.bounded(ctx)
		defer cancel()
		in.FencingToken, in.MatchSeqNum = conditions.token.value, conditions.match.value
		ack, err := svc.Append(ctx, ref, in, opts...)
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(ack)
		}
		if in.Close {
			a.note("closed // tail: %s", records.Position(ack.Tail))
			return nil
		}
		a.note("appended %s at %s // tail: %s", what, records.Position(ack.Start), records.Position(ack.Tail))
		return nil
	}, nil
}

func (a *app) checkTail() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "check-tail URI",
		Short: "Show a stream's tail",
		Long: "Show the seq_num that the next record will get and the timestamp of the last record: seq_num @ timestamp. Behind that of a\n" +
			"closed stream stands (closed).",
		Example: `  weir check-tail s2://demo-basin/greetings
  weir check-tail s2://demo-basin/greetings --json`,
		Args: need("URI"),
	})
	c.RunE = question[protocol.StreamRef, protocol.StreamTail]{
		parse: first(streamArg),
		ask: func(ctx context.Context, svc protocol.Service, ref protocol.StreamRef) (protocol.StreamTail, error) {
			return svc.CheckTail(ctx, ref)
		},
		show: func(_ protocol.StreamRef, tail protocol.StreamTail) error {
			if a.json {
				return a.printf("%s\n", protocol.EncodeTailJSON(tail))
			}
			closed := ""
			if tail.Closed {
				closed = " (closed)"
			}
			return a.printf("%s%s\n", records.Position(tail.Position), closed)
		},
	}.verb(a)
	return c
}
