// Package telemetry sets up the SDK of OpenTelemetry for the command, as the standard OTEL_* variables say. The broker knows the
// API alone, so that an embedding program links no exporter; this package is the only one that knows the SDK.
package telemetry

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// The protocols of OTLP, as OTEL_EXPORTER_OTLP_PROTOCOL names them.
const (
	overHTTP = "http/protobuf"
	overGRPC = "grpc"
)

// flushTime bounds how long the end waits for a collector to take the last spans.
const flushTime = 5 * time.Second

// Provider makes spans and exports them.
type Provider struct {
	*sdktrace.TracerProvider
	log *slog.Logger
}

// Start sets up tracing if the environment asks for it; otherwise it returns nil. getenv is [os.Getenv], which the SDK reads the
// rest from: endpoints, headers, certificates, sampler, batches and limits.
func Start(ctx context.Context, version string, log *slog.Logger, getenv func(string) string) (*Provider, error) {
	protocol, on, err := wanted(getenv)
	if err != nil || !on {
		return nil, err
	}
	var exporter *otlptrace.Exporter
	if protocol == overGRPC {
		exporter, err = otlptracegrpc.New(ctx) // connects in the background
	} else {
		exporter, err = otlptracehttp.New(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("set up tracing: %w", err)
	}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithAttributes(attribute.String("service.name", "weir"), attribute.String("service.version", version)),
		resource.WithFromEnv()) // last, so that it has the last word
	if err != nil {
		log.Warn("tracing goes on without a part of the resource's attributes", slog.Any("error", err))
	}
	otel.SetErrorHandler(&complaints{log: log})
	log.Info("tracing is on", slog.String("protocol", protocol), slog.String("sampler", cmp.Or(getenv("OTEL_TRACES_SAMPLER"), "parentbased_always_on")))
	return &Provider{sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about)), log}, nil
}

// wanted reads which protocol the environment asks for, if it asks for traces at all: by an exporter, or by an endpoint.
func wanted(getenv func(string) string) (protocol string, on bool, err error) {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return "", false, nil
	}
	switch exporter := strings.TrimSpace(getenv("OTEL_TRACES_EXPORTER")); exporter {
	case "none":
		return "", false, nil
	case "":
		if getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
			return "", false, nil
		}
	case "otlp":
	default:
		return "", false, fmt.Errorf("OTEL_TRACES_EXPORTER is %q: weir has otlp and none", exporter)
	}
	protocol = cmp.Or(getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), overHTTP)
	if protocol != overHTTP && protocol != overGRPC {
		return "", false, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q: weir has %s and %s", protocol, overHTTP, overGRPC)
	}
	return protocol, true, nil
}

// Close exports the remaining spans and ends. It logs a collector's refusal of them; a nil Provider does nothing.
func (p *Provider) Close(ctx context.Context) {
	if p == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
	defer cancel()
	if err := p.Shutdown(ctx); err != nil {
		p.log.Warn("the last spans could not be exported", slog.Any("error", err))
	}
}

// complaints logs the failures of spans, at most once a minute: an exporter without a collector fails with every batch.
type complaints struct {
	log  *slog.Logger
	mu   sync.Mutex // guards last
	last time.Time
}

// Handle implements [otel.ErrorHandler].
func (c *complaints) Handle(err error) {
	c.mu.Lock()
	quiet := !c.last.IsZero() && time.Since(c.last) < time.Minute
	if !quiet {
		c.last = time.Now()
	}
	c.mu.Unlock()
	if !quiet {
		c.log.Warn("tracing has a problem; spans are lost", slog.Any("error", err))
	}
}
