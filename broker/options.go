package broker

import (
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// Option changes how [Start] runs.
type Option func(*options)

type options struct {
	ownProcess bool
	logger     *slog.Logger
	version    string
	tracer     trace.TracerProvider
}

// WithLogger sets where the broker and its NATS server log; the default discards.
func WithLogger(l *slog.Logger) Option { return func(o *options) { o.logger = l } }

// WithOwnProcess says that the process is the broker's own: it sets the memory limit of the Go runtime (memory_limit), has
// garbage collected less often while little memory is used, and gives memory back to the system after a peak. Of several brokers of a
// process the first one does so. Without it the process is left as the embedding program has set it up.
func WithOwnProcess() Option { return func(o *options) { o.ownProcess = true } }

// WithVersion sets the version that the NATS service announces, a semantic version.
func WithVersion(v string) Option { return func(o *options) { o.version = v } }

// WithTracerProvider has the broker trace its requests with a provider of OpenTelemetry; docs/tracing.md lists the spans. The
// provider stays the caller's: the caller shuts it down after the broker. Without it nothing is traced.
func WithTracerProvider(p trace.TracerProvider) Option { return func(o *options) { o.tracer = p } }

func resolve(opts []Option) options {
	o := options{logger: slog.New(slog.DiscardHandler)}
	for _, f := range opts {
		f(&o)
	}
	return o
}
