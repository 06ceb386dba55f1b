package broker

import (
	"log/slog"
)

// Option changes how [Start] runs.
type Option func(*options)

type options struct {
	ownProcess bool
	logger     *slog.Logger
	version    string
}

// WithLogger sets where the broker and its NATS server log; the default discards.
func WithLogger(l *slog.Logger) Option { return func(o *options) { o.logger = l } }

// WithOwnProcess says that the process is the broker's own: it sets the memory limit of the Go runtime (memory_limit) and gives
// memory back to the system after a peak. Without it the process is left as the embedding program has set it up.
func WithOwnProcess() Option { return func(o *options) { o.ownProcess = true } }

// WithVersion sets the version that the NATS service announces, a semantic version.
func WithVersion(v string) Option { return func(o *options) { o.version = v } }

func resolve(opts []Option) options {
	o := options{logger: slog.New(slog.DiscardHandler)}
	for _, f := range opts {
		f(&o)
	}
	return o
}
