package broker

import (
	"log/slog"
)

// Option changes how [Start] runs.
type Option func(*options)

type options struct {
	logger  *slog.Logger
	version string
}

// WithLogger sets where the broker and its NATS server log; the default discards.
func WithLogger(l *slog.Logger) Option { return func(o *options) { o.logger = l } }

// WithVersion sets the version that the NATS service announces, a semantic version.
func WithVersion(v string) Option { return func(o *options) { o.version = v } }

func resolve(opts []Option) options {
	o := options{logger: slog.New(slog.DiscardHandler)}
	for _, f := range opts {
		f(&o)
	}
	return o
}
