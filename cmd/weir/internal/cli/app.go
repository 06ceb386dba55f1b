// Package cli is the weir command: its verbs, flags, output and exit codes (docs/cli.md). Everything outside the process
// comes in through [Env], so that tests run whole command lines against a service in memory.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/cmd/weir/internal/natsconn"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// Env is the world that the command runs in.
type Env struct {
	// Name is how the command was called; it goes into the commands that serve prints to paste.
	Name    string
	Version string
	// Build is the output of the version verb beside the version.
	Build  BuildFacts
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	// Environ is the environment in the form of [os.Environ].
	Environ []string
	// Terminal reports whether a stream of the command is a terminal, where progress may be drawn.
	Terminal func(any) bool
	// Signals delivers the given signals until stop is called.
	Signals func(...os.Signal) (c <-chan os.Signal, stop func())
	// Dial opens the service for a client verb; close gives it back.
	Dial func(ctx context.Context, o DialOptions) (svc protocol.Service, close func(), err error)
	// Repair looks through a store directory, and with mend makes the safe repairs.
	Repair func(dir, prefix string, mend bool) (Repaired, error)
	// InspectStore looks at the files of a store directory and changes none; with deep it reads every record.
	InspectStore func(dir, prefix string, deep bool) (StoreState, error)
	// Start starts a broker for serve.
	Start func(context.Context, conf.Config, *slog.Logger, string) (Broker, error)
}

// DialOptions says which broker a client verb talks to.
type DialOptions struct {
	natsconn.Options
	// HTTP is the address of the broker's HTTP API; "" for NATS.
	HTTP string
	// SubjectPrefix is the first token of the broker's subjects.
	SubjectPrefix string
	// ResumeFor is how long a read session tries to reach a broker again; 0 is the client's default.
	ResumeFor time.Duration
	// Notify receives a text for each lost and regained connection.
	Notify func(string)
}

// Broker is serve's view of a running broker.
type Broker interface {
	// ClientURL is the address for NATS clients, "" if there is none.
	ClientURL() string
	// TokensLogIn reports whether NATS clients connect with an access token.
	TokensLogIn() bool
	// HTTPURL is the address of the HTTP API, "" if there is none.
	HTTPURL() string
	// DurableStreamsURL is the address of the Durable Streams protocol alone, "" if there is none.
	DurableStreamsURL() string
	Reload() error
	Close(context.Context) error
	// Done delivers a failure after which the broker must not go on.
	Done() <-chan error
}

// The exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitCondition   = 4
	exitUnwritten   = 5
	exitInterrupted = 130
)

// errInterrupted is the cause of a context that a signal ended.
var errInterrupted = errors.New("interrupted")

// usageError is a mistake on the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }

func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// app is one run of the command.
type app struct {
	env  Env
	dial DialOptions
	json bool
	// ran says that a verb's function was reached: errors before that are mistakes on the command line.
	ran bool
}

// Main runs the command line args, which does not hold the program's name, and returns the exit code.
func Main(ctx context.Context, env Env, args []string) int {
	a := &app{env: env}
	root := a.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if errors.Is(err, errDifferent) {
		return exitFailed
	}
	if !a.ran {
		err = asUsage(err)
		a.json = a.json || slices.Contains(args, "--json")
	}
	a.report(cmd, err)
	return exitCode(err)
}

func asUsage(err error) error {
	if _, ok := errors.AsType[*usageError](err); ok {
		return err
	}
	return &usageError{inPlainWords(err)}
}

func exitCode(err error) int {
	var usage *usageError
	var connect *natsconn.ConnectError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case errors.As(err, &connect):
		return exitUnreachable
	}
	switch e := protocolError(err); {
	case e == nil:
		return exitFailed
	case e.Code == protocol.CodeUnavailable && e.RemoteStatus == 0:
		return exitUnreachable
	case e.Code == protocol.CodeConditionFailed:
		return exitCondition
	case e.Code == protocol.CodeUnwritten:
		return exitUnwritten
	}
	return exitFailed
}

func protocolError(err error) *protocol.Error {
	var e *protocol.Error
	errors.As(err, &e)
	return e
}

// report writes an error on standard error: as text, or with --json as the service's error body.
func (a *app) report(cmd *cobra.Command, err error) {
	if a.json {
		fmt.Fprintf(a.env.Stderr, "%s\n", errorBody(err))
		return
	}
	fmt.Fprintf(a.env.Stderr, "weir: %s\n", errorText(err))
	var usage *usageError
	var connect *natsconn.ConnectError
	switch e := protocolError(err); {
	case errors.As(err, &usage):
		fmt.Fprintf(a.env.Stderr, "Run '%s --help' for its arguments and flags.\n", cmd.CommandPath())
	case errors.As(err, &connect) && connect.Unauthorized():
		fmt.Fprintln(a.env.Stderr, "The broker requires a valid access token (--access-token-file, $WEIR_ACCESS_TOKEN or $S2_ACCESS_TOKEN), or a NATS user of its configuration.")
	case e != nil && e.Code == protocol.CodeAuthn:
		fmt.Fprintln(a.env.Stderr, "The broker requires a valid access token (--access-token-file, $WEIR_ACCESS_TOKEN or $S2_ACCESS_TOKEN).")
	case errors.As(err, &connect) && connect.TLS():
		fmt.Fprintln(a.env.Stderr, "TLS did not come about: name the file of the authority that signed the server's certificate (--tlsca, $NATS_CA), and a certificate of your own if the server wants one (--tlscert, --tlskey).")
	case errors.As(err, &connect), e != nil && e.Code == protocol.CodeUnavailable && e.RemoteStatus == 0:
		fmt.Fprintf(a.env.Stderr, "Start a broker with '%s serve --store-dir DIR', or say where one runs with --server, NATS_URL or --context.\n", a.env.Name)
	}
}

// errorText is the message for people; the code stands at the end, where scripts and searches find it.
func errorText(err error) string {
	text := messageOf(err)
	if e := protocolError(err); e != nil {
		text += " (" + string(e.Code) + ")"
	}
	return text
}

// messageOf is the text of err with the failure of the service, if there is one, shown by its message alone.
func messageOf(err error) string {
	text := err.Error()
	if e := protocolError(err); e != nil {
		text = strings.Replace(text, e.Error(), e.Message, 1)
	}
	return text
}

// errorBody is the JSON body of the error. An error that is not a failure of the service gets code other, invalid or
// unavailable with its own text.
func errorBody(err error) []byte {
	if e := protocolError(err); e != nil {
		told := *e
		told.Message = messageOf(err)
		return told.Body()
	}
	code := protocol.CodeOther
	var usage *usageError
	var connect *natsconn.ConnectError
	switch {
	case errors.As(err, &usage):
		code = protocol.CodeInvalid
	case errors.As(err, &connect) && connect.Unauthorized():
		code = protocol.CodeAuthn
	case errors.As(err, &connect):
		code = protocol.CodeUnavailable
	case errors.Is(err, errInterrupted):
		code = protocol.CodeClientHangup
	}
	return protocol.Errorf(code, "%s", err.Error()).Body()
}

// getenv looks a variable up in the environment of the command.
func (a *app) getenv(name string) string {
	for _, entry := range slices.Backward(a.env.Environ) {
		if k, v, _ := strings.Cut(entry, "="); k == name {
			return v
		}
	}
	return ""
}

// call is the work of a client verb once it is connected.
type call func(ctx context.Context, svc protocol.Service) error

// verb makes the function of a client verb. prepare validates arguments and flags; only then is a broker looked for. SIGINT
// and SIGTERM end the call's context with errInterrupted as its cause.
func (a *app) verb(prepare func(args []string) (call, error)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := a.dial.ReadTimeout(cmd.Flags(), a.getenv); err != nil {
			return err
		}
		if err := a.dial.ReadAccessToken(a.getenv); err != nil {
			return err
		}
		do, err := prepare(args)
		if err != nil {
			return err
		}
		a.ran = true
		ctx, stop := a.interruptible(cmd.Context())
		defer stop()
		a.dial.Notify = func(s string) { fmt.Fprintln(a.env.Stderr, "weir: "+s) }
		svc, closeService, err := a.env.Dial(ctx, a.dial)
		if err != nil {
			return err
		}
		defer closeService()
		err = do(ctx, svc)
		if errors.Is(context.Cause(ctx), errInterrupted) && isCancellation(err) {
			return errInterrupted
		}
		return err
	}
}

// isCancellation reports whether err only says that its context ended.
func isCancellation(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, &protocol.Error{Code: protocol.CodeClientHangup})
}

func (a *app) interruptible(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals, stop := a.env.Signals(os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			cancel(errInterrupted)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { stop(); cancel(nil) }
}

// bounded is for calls that answer once: they wait no longer than --timeout.
func (a *app) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, a.dial.Timeout)
}

// untilNextSignal returns a context that the next interruption leaves alone and the one after it ends: for work that
// takes the first as a wish to finish early.
func (a *app) untilNextSignal(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	signals, stop := a.env.Signals(os.Interrupt, syscall.SIGTERM)
	go func() {
		for range 2 {
			select {
			case <-signals:
			case <-ctx.Done():
				return
			}
		}
		cancel(errInterrupted)
	}()
	return ctx, func() { stop(); cancel(nil) }
}
