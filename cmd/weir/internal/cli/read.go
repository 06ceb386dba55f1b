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

	"github.com/weirstream/weir/cmd/weir/internal/records"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// outputFlags say how and where records are written.
type outputFlags struct {
	format records.Format
	output string
	extend bool // the file, instead of writing it anew
}

func addOutputFlags(fs *pflag.FlagSet) *outputFlags {
	f := &outputFlags{format: records.Text}
	fs.Var(&f.format, "format", "form of the output: text, json or json-base64")
	fs.StringVarP(&f.output, "output", "o", "-", "write the records to this `file`, replacing its content; - is standard output")
	fs.BoolVar(&f.extend, "append", false, "append the records to the file of --output")
	return f
}

// resolve makes --json the json format, and refuses it beside --format text.
func (f *outputFlags) resolve(fs *pflag.FlagSet, json bool) error {
	if !json || f.format.IsJSON() {
		return nil
	}
	if fs.Changed("format") {
		return usagef("--json contradicts --format text")
	}
	f.format = records.JSON
	return nil
}

// open returns the writer for records and a function that ends it.
func (a *app) open(f *outputFlags) (*records.Writer, func() error, error) {
	if f.output == "-" || f.output == "" {
		if f.extend {
			return nil, nil, usagef("--append needs the file of --output")
		}
		return records.NewWriter(a.env.Stdout, a.env.Stderr, f.format), func() error { return nil }, nil
	}
	mode := os.O_TRUNC
	if f.extend {
		mode = os.O_APPEND
	}
	file, err := os.OpenFile(f.output, os.O_WRONLY|os.O_CREATE|mode, 0o644)
	if err != nil {
		return nil, nil, fmt.Errorf("--output: %w", err)
	}
	return records.NewWriter(file, a.env.Stderr, f.format), file.Close, nil
}

// startFlags say where a read begins.
type startFlags struct {
	seqNum, timestamp, tailOffset *optional[uint64]
	ago                           *optional[time.Duration]
}

func addStartFlags(c *cobra.Command) *startFlags {
	fs := c.Flags()
	f := &startFlags{
		seqNum:     uintFlag(fs, "seq-num", "s", "start at this seq_num"),
		timestamp:  millisFlag(fs, "timestamp", "start at the first record with at least this timestamp, in ms since 1970"),
		tailOffset: uintFlag(fs, "tail-offset", "", "start this many records before the tail (the default, with 0)"),
		ago:        &optional[time.Duration]{kind: "duration", parse: conf.ParseDuration, show: conf.FormatDuration},
	}
	fs.Var(f.ago, "ago", "start at the records of this long ago, like 1h")
	c.MarkFlagsMutuallyExclusive("seq-num", "timestamp", "tail-offset", "ago")
	return f
}

func (f *startFlags) start(now time.Time) protocol.Start {
	switch {
	case f.seqNum.value != nil:
		return protocol.FromSeqNum(*f.seqNum.value)
	case f.timestamp.value != nil:
		return protocol.FromTimestamp(*f.timestamp.value)
	case f.tailOffset.value != nil:
		return protocol.FromTail(*f.tailOffset.value)
	case f.ago.value != nil:
		return protocol.FromTimestamp(uint64(max(0, now.Add(-*f.ago.value).UnixMilli())))
	}
	return protocol.Start{}
}

// followPatience is how long a command that follows a stream waits for a broker that has ended: a user watches, or it
// runs unattended and should outlive an upgrade.
const followPatience = 24 * time.Hour

const readHelp = `Read the records of a stream, from its tail unless a start is given.

With a limit (--count, --bytes, --until) the read ends when the limit is reached or at the tail.
Without one it follows the stream until it is interrupted. --wait makes a limited read wait at the
tail for new records, and ends a read without a limit when none came for that long.

Records go to standard output, one a line. In the text format that is the body; command records
(fence, trim, close) are described on standard error. A start beyond the tail is an error unless --clamp
moves it to the tail.`

func (a *app) read() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "read URI",
		Short: "Read records from a stream",
		Long:  readHelp,
		Example: `  weir read s2://demo-basin/greetings --seq-num 0 --count 10
  weir read s2://demo-basin/greetings --seq-num 1 --count 2 --json
  weir read s2://demo-basin/greetings --timestamp 0 --until 99999999999999
  weir read s2://demo-basin/greetings --ago 1h`,
		Args: need("URI"),
	})
	start := addStartFlags(c)
	count := uintFlag(c.Flags(), "count", "n", "end after this many records")
	bytes := uintFlag(c.Flags(), "bytes", "b", "end before more than this many metered bytes")
	until := uintFlag(c.Flags(), "until", "", "end before the first record with at least this timestamp, in ms")
	clamp := c.Flags().Bool("clamp", false, "move a start beyond the tail to the tail")
	wait := &optional[time.Duration]{kind: "duration", parse: conf.ParseDuration, show: conf.FormatDuration}
	c.Flags().Var(wait, "wait", "wait this long at the tail for new records")
	out, key := addOutputFlags(c.Flags()), a.addKeyFlags(c)
	c.RunE = a.verb(func(args []string) (call, error) {
		ref, err := streamArg(args[0])
		if err != nil {
			return nil, err
		}
		req := protocol.ReadRequest{Start: start.start(time.Now()), Clamp: *clamp, Count: count.value, Bytes: bytes.value, Until: until.value, Wait: wait.value}
		if err := req.Validate(); err != nil {
			return nil, usagef("--timestamp or --ago must be below --until")
		}
		if err := out.resolve(c.Flags(), a.json); err != nil {
			return nil, err
		}
		if !req.Bounded() {
			a.dial.ResumeFor = followPatience
		}
		opts, err := key.options()
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, svc protocol.Service) error { return a.stream(ctx, svc, ref, req, out, opts) }, nil
	})
	return c
}

func (a *app) tail() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "tail URI",
		Short: "Show the last records of a stream, and follow it",
		Long: `Show the last records of a stream, 10 unless --lines says otherwise. With --follow, go on with every
new record until interrupted; lost connections are made again without a gap or a duplicate.`,
		Example: `  weir tail s2://demo-basin/greetings
  weir tail s2://demo-basin/greetings -n 2 -f`,
		Args: need("URI"),
	})
	lines := uintFlag(c.Flags(), "lines", "n", "show this many records (default 10)")
	follow := c.Flags().BoolP("follow", "f", false, "go on with new records")
	out, key := addOutputFlags(c.Flags()), a.addKeyFlags(c)
	c.RunE = a.verb(func(args []string) (call, error) {
		ref, err := streamArg(args[0])
		if err != nil {
			return nil, err
		}
		if err := out.resolve(c.Flags(), a.json); err != nil {
			return nil, err
		}
		n := uint64(10)
		if lines.value != nil {
			n = *lines.value
		}
		req := protocol.ReadRequest{Start: protocol.FromTail(n), Clamp: true}
		if *follow {
			a.dial.ResumeFor = followPatience
		} else {
			req.Count = &n
		}
		opts, err := key.options()
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, svc protocol.Service) error {
			err := a.stream(ctx, svc, ref, req, out, opts)
			// The last records of an empty stream are none; that is not a failure here.
			if !*follow && errors.Is(err, &protocol.Error{Code: protocol.CodeUnwritten}) {
				return nil
			}
			return err
		}, nil
	})
	return c
}

// stream writes the batches of a read session until it ends.
func (a *app) stream(ctx context.Context, svc protocol.Service, ref protocol.StreamRef, req protocol.ReadRequest, out *outputFlags, opts []protocol.RecordOption) error {
	w, closeOutput, err := a.open(out)
	if err != nil {
		return err
	}
	err = copySession(ctx, a, svc, ref, req, opts, w)
	return errors.Join(err, closeOutput())
}

func copySession(ctx context.Context, a *app, svc protocol.Service, ref protocol.StreamRef, req protocol.ReadRequest, opts []protocol.RecordOption, w *records.Writer) error {
	session, err := a.openRead(ctx, svc, ref, req, opts)
	if err != nil {
		return err
	}
	defer session.Close()
	for {
		batch, err := session.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := w.Write(batch.Records); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
}

func (a *app) openRead(ctx context.Context, svc protocol.Service, ref protocol.StreamRef, req protocol.ReadRequest, opts []protocol.RecordOption) (protocol.ReadSession, error) {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	return svc.OpenReadSession(ctx, ref, req, opts...)
}
