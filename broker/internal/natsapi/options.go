package natsapi

import (
	"log/slog"
	"regexp"
	"time"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/broker/internal/tracing"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/subject"
)

// Options configure a door. The zero value works.
type Options struct {
	// Prefix is the first token, or tokens, of every subject; "" means s2.
	Prefix string
	// Version is shown by service discovery; anything but a semantic version is shown as 0.0.0.
	Version string
	// Logger takes the door's messages; nil discards them.
	Logger *slog.Logger

	// Authenticate returns the holder of a token in the header S2-Access-Token; an error with code authn
	// ends the request before anything else of it is decoded. A nil function ignores the header.
	Authenticate func(token string) (door.Caller, error)

	// Measure wraps the service of each request, to count the calls that come through the door; nil for nothing. Backup gets
	// the wrapped service.
	Measure func(protocol.Service) protocol.Service

	// OwnConn says that the connection is the door's alone: closing the door closes it too.
	OwnConn bool

	// DrainConn has the closing door take in the requests that NATS has sent to it already, to refuse them. Without it such a
	// request gets no answer. It goes with OwnConn. It uses timers that nats.go shares, which do not survive a synctest
	// bubble.
	DrainConn bool

	// Backup returns the service that backs up and restores for the owner of a service that the door was opened with or that
	// Authenticate returned; nil if that may not. Without the function the verbs are not served.
	Backup func(svc protocol.Service) protocol.BackupService

	// Cluster returns the service that shows and moves the owners of logs, as Backup does for backups. Without the function the verbs are
	// not served.
	Cluster func(svc protocol.Service) protocol.ClusterService

	// Tracer makes spans of requests; nil makes none.
	Tracer *tracing.Tracer

	// MaxInflight bounds the unary requests being served; 0 means 4096.
	MaxInflight int
	// MaxInflightBytes bounds the bodies of the unary requests being served and of the session inputs not yet
	// answered; 0 means 256 MiB.
	MaxInflightBytes int64
	// MaxSessions bounds the open sessions; 0 means 16384.
	MaxSessions int
	// Budget bounds the bytes and sessions that this door and others that have it hold together; nil for nothing.
	Budget *door.Budget
	// Reader is the client for whose reads the door is there alone: what they hold counts as that client's. The zero value stands for
	// many clients, of which those that give a token in a header are told apart.
	Reader door.Client
	// Outbox bounds the stored records that the reads of this door and others that have it fetch at a time; nil makes one.
	Outbox *door.Outbox
	// Unacked bounds the bytes of read sessions that a client of this door, and of others that have it, has not acknowledged; nil
	// makes one.
	Unacked *door.Unacked
	// AssumedPayload is the largest message that clients take which do not say so in S2-Max-Payload; 0: as large as the door's
	// connection.
	AssumedPayload int
	// RequestTimeout bounds a unary request, beside the time that a read asks to wait; 0 means 30 s.
	RequestTimeout time.Duration
}

const (
	defaultRequestTimeout = 30 * time.Second
)

// measured is the service that the door uses in the place of svc.
func (o Options) measured(svc protocol.Service) protocol.Service {
	if o.Measure == nil || svc == nil {
		return svc
	}
	return o.Measure(svc)
}

// The shape of a semantic version, which service discovery insists on (semver.org, section 2 and following).
var semver = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)

func (o Options) withDefaults() Options {
	if o.Prefix == "" {
		o.Prefix = subject.DefaultPrefix
	}
	if !semver.MatchString(o.Version) {
		o.Version = "0.0.0"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Outbox == nil {
		o.Outbox = door.NewOutbox(door.OutboxBytes, nil)
	}
	if o.Unacked == nil {
		o.Unacked = door.NewUnacked()
	}
	if o.RequestTimeout <= 0 {
		o.RequestTimeout = defaultRequestTimeout
	}
	return o
}
