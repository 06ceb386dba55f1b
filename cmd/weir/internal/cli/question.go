package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/protocol"
)

// question is a verb that calls the broker once and shows the answer. A is the parsed arguments and flags, R is the answer.
type question[A, R any] struct {
	// parse reads the arguments and flags; only then is a broker looked for.
	parse func(args []string) (A, error)
	// ask makes the call. Its context ends with --timeout.
	ask func(ctx context.Context, svc protocol.Service, arg A) (R, error)
	// show prints the answer.
	show func(arg A, answer R) error
}

// verb makes the function of the verb.
func (q question[A, R]) verb(a *app) func(*cobra.Command, []string) error {
	return a.verb(func(args []string) (call, error) {
		arg, err := q.parse(args)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, svc protocol.Service) error {
			ctx, cancel := a.bounded(ctx)
			defer cancel()
			answer, err := q.ask(ctx, svc, arg)
			if err != nil {
				return err
			}
			return q.show(arg, answer)
		}, nil
	})
}

// first reads the first argument with read, and nothing else.
func first[A any](read func(string) (A, error)) func([]string) (A, error) {
	return func(args []string) (A, error) { return read(args[0]) }
}

// none is the type for the arguments of a verb without any, and for the answer of a call without one.
type none struct{}

func noArgs([]string) (none, error) { return none{}, nil }

// noAnswer makes a question of a call that only succeeds or fails.
func noAnswer[A any](do func(ctx context.Context, svc protocol.Service, arg A) error) func(context.Context, protocol.Service, A) (none, error) {
	return func(ctx context.Context, svc protocol.Service, arg A) (none, error) { return none{}, do(ctx, svc, arg) }
}

// show prints an answer: in JSON with --json, or else as the format says.
func (a *app) show(answer any, format string, args ...any) error {
	if a.json {
		return a.printJSON(answer)
	}
	return a.printf(format, args...)
}

// done says that something was done. In JSON the exit status says it.
func (a *app) done(format string, args ...any) error {
	if a.json {
		return nil
	}
	return a.printf(format, args...)
}
