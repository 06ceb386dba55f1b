package httpapi

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/broker/internal/tracing"
)

// Options configure a handler. The zero value works.
type Options struct {
	// Logger takes the door's messages; nil discards them.
	Logger *slog.Logger
	// NoCORS switches off the answers that let pages of any origin use the API.
	NoCORS bool
	// CORSOrigins are the origins whose pages may use the API, as https://example.org; none stands for any origin, or where
	// nothing is checked for those of the loopback address.
	CORSOrigins []string
	// Open says that nothing is checked: then only pages of this machine and of CORSOrigins may use the API, and only under an
	// IP address, localhost or a name in CORSOrigins.
	Open bool
	// Health says why the broker cannot serve; nil while it can. A nil function stands for a broker that always can.
	Health func() error
	// Authenticate returns the holder of the token in Authorization; an error with code authn ends the
	// request before anything of it is decoded. "" stands for no token. A nil function lets everybody use the handler's
	// service.
	Authenticate func(token string) (door.Caller, error)
	// Dashboard returns the facts that the console at /dashboard needs for the holder of the token in Authorization; an error
	// with code authn if that opens nothing. A nil function switches the console off.
	Dashboard func(token string) (DashboardSession, error)
	// DashboardCluster returns the facts about the cluster in the same manner. It is there where Dashboard is.
	DashboardCluster func(ctx context.Context, token string) (DashboardCluster, error)
	// Registry takes the door's metrics, and /metrics shows it; nil makes one.
	Registry *prometheus.Registry
	// Tracer makes spans of requests; nil makes none.
	Tracer *tracing.Tracer

	// MaxInflight bounds the unary requests being served; 0 means 4096.
	MaxInflight int
	// MaxInflightBytes bounds the bodies of the unary requests being served; 0 means 256 MiB.
	MaxInflightBytes int64
	// MaxSessions bounds the open sessions; 0 means 16384.
	MaxSessions int
	// RequestTimeout bounds a unary request, beside the time that a read asks to wait; 0 means 30 s.
	RequestTimeout time.Duration
	// BodyTimeout is how long a body, or a frame that has begun, may make no progress; 0 means 30 s. A whole unary
	// body may take four times as long.
	BodyTimeout time.Duration
}

const (
	defaultRequestTimeout = 30 * time.Second
	defaultBodyTimeout    = 30 * time.Second
)

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Health == nil {
		o.Health = func() error { return nil }
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.RequestTimeout <= 0 {
		o.RequestTimeout = defaultRequestTimeout
	}
	if o.BodyTimeout <= 0 {
		o.BodyTimeout = defaultBodyTimeout
	}
	return o
}
