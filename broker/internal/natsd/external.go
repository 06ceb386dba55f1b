package natsd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/jsm.go/natscontext"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/conf"
)

// pingEvery and pingsUnanswered are how a connection finds out that its server has stopped without closing it: after two to three
// times pingEvery it goes to another one.
const (
	pingEvery       = 750 * time.Millisecond
	pingsUnanswered = 2
	// firstContact is how long a start waits for the servers of a cluster to find each other and elect a leader.
	firstContact = 30 * time.Second
	// notAvailable is JetStream's error code for having no leader, which the client library does not name.
	notAvailable jetstream.ErrorCode = 10008
)

// external is a NATS that runs already.
type external struct {
	cfg  conf.Config
	log  *slog.Logger
	addr string // where the first connection went, without a password
}

// openExternal connects once to find out whether the NATS can hold weir's storage.
func openExternal(ctx context.Context, cfg conf.Config, log *slog.Logger) (*external, error) {
	if cfg.DurabilityClass() == conf.DurabilityGroup {
		return nil, errors.New("durability group syncs the files of the embedded server and cannot be used with an external NATS: " +
			"use always (with sync_interval: always in that NATS) or interval")
	}
	x := &external{cfg: cfg, log: log}
	nc, err := x.Storage("weir-check")
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	x.addr = nc.ConnectedUrlRedacted()
	if n := nc.MaxPayload(); n < minMaxPayload {
		return nil, fmt.Errorf("the NATS server at %s takes messages of at most %d bytes, and a full batch needs %d: "+
			"set \"max_payload: 8MB\" in the configuration of every nats-server there and reload it", x.addr, n, minMaxPayload)
	}
	if version := nc.ConnectedServerVersion(); tooOld(version) {
		return nil, fmt.Errorf("the NATS server at %s is version %s, and weir needs 2.12 or later on every server: it stores batches there that are taken as a whole or not at all",
			x.addr, version)
	}
	if err := x.checkJetStream(ctx, nc); err != nil {
		return nil, err
	}
	return x, nil
}

// tooOld reports whether a nats-server of that version has no atomic batches. One with a version of another form is taken for a new one.
func tooOld(version string) bool {
	var major, minor int
	n, _ := fmt.Sscanf(version, "%d.%d", &major, &minor)
	return n == 2 && (major < 2 || major == 2 && minor < 12)
}

func (x *external) Recovered() bool { return false } // not known of servers that others have started

func (x *external) Made(string) error { return nil } // its own configuration decides on its durability

func (x *external) Failure() error { return nil }

func (x *external) Distrust() {}

func (x *external) Quorum() error { return nil } // its own monitoring reports it

func (x *external) Nodes() []Node { return nil }

func (x *external) checkJetStream(ctx context.Context, nc *nats.Conn) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	end := time.Now().Add(firstContact)
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err = js.AccountInfo(attempt)
		cancel()
		var reported *jetstream.APIError
		electing := errors.Is(err, context.DeadlineExceeded) || errors.As(err, &reported) && reported.ErrorCode == notAvailable
		if !electing || ctx.Err() != nil || time.Now().After(end) {
			break
		}
		x.log.Warn("JetStream is not available yet; asking again", slog.String("url", x.addr), slog.Any("error", err))
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("the NATS server at %s has no JetStream: add a \"jetstream { store_dir: ... }\" block to its configuration and restart it", x.addr)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("JetStream is not enabled for weir's account in the NATS server at %s: add \"jetstream: enabled\" to the account", x.addr)
	}
	return fmt.Errorf("ask the NATS server at %s for JetStream: %w; weir's user must be allowed to publish to $JS.API.> and to subscribe to _INBOX.>", x.addr, err)
}

func (x *external) Storage(name string) (*nats.Conn, error) { return x.dial(name) }

func (x *external) dial(name string, more ...nats.Option) (*nats.Conn, error) {
	opts := append(connOptions(name, x.log), nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(pingsUnanswered))
	opts = append(opts, more...)
	c := x.cfg.External
	if c.Creds != "" {
		opts = append(opts, nats.UserCredentials(c.Creds))
	}
	if c.Context != "" {
		nc, err := connectContext(c.Context, opts)
		if err != nil {
			return nil, fmt.Errorf("connect with the NATS context %q: %w; `nats context ls` lists the contexts", c.Context, err)
		}
		return nc, nil
	}
	nc, err := nats.Connect(c.URL, opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to the NATS server of external.url: %w; check that it runs and that external.creds fits", err)
	}
	return nc, nil
}

// connectContext connects with a NATS context: a name, or the path of a context file.
func connectContext(context string, opts []nats.Option) (*nats.Conn, error) {
	if !strings.ContainsAny(context, `/\`) {
		return natscontext.Connect(context, opts...)
	}
	c, err := natscontext.NewFromFile(context)
	if err != nil {
		return nil, err
	}
	return c.Connect(opts...)
}

func (x *external) Client(name string) (*nats.Conn, error) { return x.Storage(name) }

// connect opens a connection for a door, which does not receive its own messages. There is one account, that of the credentials.
func (x *external) Connect(_, name string) (*nats.Conn, error) {
	return x.dial(name, doorOptions(name, x.log)...)
}

func (x *external) Evacuate(context.Context, string) error { return ErrNotOurs }

func (x *external) RemoveNode(context.Context, string) error { return ErrNotOurs }

func (x *external) Services() []string         { return []string{globalAccount} }
func (x *external) URL() string                { return x.addr }
func (x *external) Dir() string                { return "" }
func (x *external) Stop(context.Context) error { return nil }

// Limit is not known: it is that of another process.
func (x *external) Limit() (int64, bool) { return 0, false }

// Connections is not known: the server's clients are not this broker's.
func (x *external) Connections() (int, bool) { return 0, false }

// AssumedPayload is that of a NATS server by default: clients may be behind leaf nodes.
func (x *external) AssumedPayload() int { return server.MAX_PAYLOAD_SIZE }

// CheckLogs finds nothing wrong: the files are not here.
func (x *external) CheckLogs(func(string) bool) error { return nil }

func (x *external) Reload() error {
	return errors.New("weir does not reload an external NATS server; use nats-server --signal reload")
}
