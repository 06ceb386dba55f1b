package natsd

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker/internal/storefiles"
	"github.com/weirstream/weir/conf"
)

// Store is the NATS that holds the storage and the doors: embedded or external.
type Store interface {
	// Storage opens a connection to the account of the storage.
	Storage(name string) (*nats.Conn, error)
	// Services are the accounts that get a door, and Connect opens a connection into one.
	Services() []string
	Connect(account, name string) (*nats.Conn, error)
	// Client opens a connection for the embedding program.
	Client(name string) (*nats.Conn, error)
	// Dir is the directory whose file system holds the records, "" if it is not this process that writes them.
	Dir() string
	// Limit is how many bytes JetStream may store; ok reports whether it is known.
	Limit() (bytes int64, ok bool)
	// Connections is how many client connections the server has, the broker's own among them; ok reports whether it is known.
	Connections() (n int, ok bool)
	// AssumedPayload is the largest message for a client that does not name its limit; 0 if all take the messages that the
	// server takes.
	AssumedPayload() int
	// URL is where clients connect, "" if they cannot.
	URL() string
	// Recovered reports whether JetStream has read its files after something other than an orderly stop.
	Recovered() bool
	// CheckLogs fails if JetStream has lost a log; needed reports which logs the catalog needs.
	CheckLogs(needed func(log string) bool) error
	// Made is called for each JetStream stream that the adapter has made or changed, before it is written to.
	Made(stream string) error
	// Blocks returns the files of one of the storage's JetStream streams, each as its records. No write to the stream may be in progress.
	Blocks(stream string) ([]iter.Seq2[storefiles.Record, error], error)
	// Quorum fails while nothing can be stored or read, because too few servers are in contact.
	Quorum() error
	// Nodes are the nodes of the cluster as this one knows them, by their names; none without a cluster.
	Nodes() []Node
	// Evacuate has JetStream make the copies of a node of [Store.Nodes] on others. It returns when that has begun.
	Evacuate(ctx context.Context, node string) error
	// RemoveNode takes a node that has stopped out of the cluster of [Store.Nodes] for good.
	RemoveNode(ctx context.Context, node string) error
	// Failure returns the failed write that has ended one of the storage's streams, if any.
	Failure() error
	// Distrust says that the store has failed: nothing of it is known to be on disk any more.
	Distrust()
	// Reload reads the NATS configuration again and applies the settings that NATS can change while it runs.
	Reload() error
	// Stop is the last call; connections are closed before it or cut by it.
	Stop(ctx context.Context) error
}

var (
	_ Store = (*Embedded)(nil)
	_ Store = (*external)(nil)
)

// Open starts the embedded server, or connects to the external one, as the configuration says. ctx bounds the opening
// only. fatal is called at most once, if an embedded server stops or turns JetStream off by itself later.
func Open(ctx context.Context, cfg conf.Config, log *slog.Logger, fatal func(error)) (Store, error) {
	if !cfg.External.Enabled() {
		e, err := startEmbedded(ctx, cfg, log, fatal)
		if err != nil {
			return nil, err // A nil *Embedded would not be a nil Store.
		}
		return e, nil
	}
	x, err := openExternal(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	return x, nil
}

// doorOptions are those of a connection that a door has, after connOptions. The door does not receive its own messages.
// Faults that clients can cause as often as they like, broken headers and the errors in quiet, are no warnings: they would
// fill the disk.
func doorOptions(name string, log *slog.Logger, quiet ...error) []nats.Option {
	quiet = append(quiet, nats.ErrBadHeaderMsg)
	log = log.With(slog.String("conn", name))
	return []nats.Option{nats.NoEcho(), nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
		level := slog.LevelWarn
		if slices.ContainsFunc(quiet, func(q error) bool { return errors.Is(err, q) }) {
			level = slog.LevelDebug
		}
		tellError(log, level, sub, err)
	})}
}

func tellError(log *slog.Logger, level slog.Level, sub *nats.Subscription, err error) {
	var subject string
	if sub != nil {
		subject = sub.Subject
	}
	log.Log(context.Background(), level, "nats connection", slog.String("subject", subject), slog.Any("error", err))
}

// connOptions are those of every connection that the broker opens: it reconnects for ever, and failures are logged rather
// than printed.
func connOptions(name string, log *slog.Logger) []nats.Option {
	log = log.With(slog.String("conn", name))
	return []nats.Option{
		nats.Name(name),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, time.Second),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) { tellError(log, slog.LevelWarn, sub, err) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // nil is a close that was asked for.
				log.Warn("nats connection lost", slog.Any("error", err))
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			log.Info("nats connection is back", slog.String("url", nc.ConnectedUrlRedacted()))
		}),
	}
}
