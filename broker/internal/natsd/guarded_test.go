package natsd

import (
	"context"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/adapter"
	"github.com/weirstream/weir/broker/internal/access"
	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/broker/internal/natsapi"
	"github.com/weirstream/weir/broker/internal/tap"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// guarded is a NATS side with the real storage and access control behind its doors, without the sessions and metrics that
// the package broker adds.
type guarded struct {
	st    Store
	guard *access.Guard
	opts  natsapi.Options
	doors *Doors
}

// core is the catalog of a store. The tests of this package move no records.
type core struct {
	*adapter.Adapter
	protocol.RecordService
	protocol.MetricsService
}

// tokens are those of a store.
type tokens struct{ *adapter.Adapter }

func (t tokens) ListTokens(_ context.Context, req protocol.ListRequest) (page []protocol.StoredToken, more bool, err error) {
	page, more = t.Adapter.ListTokens(req)
	return page, more, nil
}

func startGuarded(t testing.TB, c conf.Config) *guarded {
	t.Helper()
	return startGuardedLogging(t, c, slog.New(slog.DiscardHandler))
}

// startGuardedLogging starts a store with a root token, and its doors.
func startGuardedLogging(t testing.TB, c conf.Config, log *slog.Logger) *guarded {
	t.Helper()
	c.RootToken, c.LameDuck = testRoot, 0
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	st, err := Open(t.Context(), c, log, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	ad, err := adapter.Open(t.Context(), adapter.Options{Connect: st.Storage, Durability: c.DurabilityClass(),
		StoreDir: st.Dir(), Memory: c.Memory, Replicas: 1, Logs: 1, Prefix: c.SubjectPrefix, Shared: c.External.Enabled(),
		Fatal: func(err error) { t.Error(err) }, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ad.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	g := access.New(core{Adapter: ad}, tokens{ad}, access.Options{RootSecret: testRoot, Logger: log})
	t.Cleanup(g.Close)
	opts := natsapi.Options{Prefix: c.SubjectPrefix, Logger: log, OwnConn: true, Authenticate: func(token string) (door.Caller, error) {
		svc, err := g.ServiceFor(token)
		return door.Caller{Service: svc}, err
	}}
	doors := NewDoors(st, g, tap.NewHub(c.SubjectPrefix, log), opts)
	if err := doors.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	doors.LetIn()
	t.Cleanup(func() {
		if err := doors.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return &guarded{st, g, opts, doors}
}

func (g *guarded) root() protocol.Service { return g.guard.Root().Service() }

func issueToken(t *testing.T, g *guarded, id string, ops ...protocol.Operation) (secret string) {
	t.Helper()
	everything := protocol.ResourceSet{Kind: protocol.MatchPrefix}
	secret, err := g.root().IssueAccessToken(t.Context(), protocol.IssueAccessTokenRequest{ID: protocol.AccessTokenID(id),
		Scope: protocol.AccessTokenScope{Basins: everything, Streams: everything, Ops: protocol.Operations(ops...)}})
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func login(t *testing.T, g *guarded, secret string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(g.st.URL(), nats.Token(secret), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}
