package broker_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/backup"
	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// open is guarded without its root token.
func open(dir string) conf.Config {
	c := guarded(dir)
	c.RootToken = ""
	return c
}

// startLogging starts a broker and returns what its start says at level warn.
func startLogging(t *testing.T, cfg conf.Config) (*broker.Broker, string) {
	t.Helper()
	var log syncLog
	b, err := broker.Start(t.Context(), cfg, broker.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	return b, log.String()
}

// TestTokensOfAnOpenBroker: a token that was issued while nothing was checked counts only once the root token has confirmed it.
func TestTokensOfAnOpenBroker(t *testing.T) {
	dir := t.TempDir()
	b, log := startLogging(t, open(dir))
	secret := issue(t, b, "stranger", on(protocol.OpListBasins))
	hasCode(t, b.Service().ConfirmAccessToken(t.Context(), "stranger"), protocol.CodePermissionDenied)
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(log, "stranger") {
		t.Errorf("an open start says %s", log)
	}

	b, log = startLogging(t, guarded(dir))
	for _, part := range []string{"token=stranger", "list-basins", "expires=never", "confirm-access-token"} {
		if !strings.Contains(log, part) {
			t.Errorf("the first start with a root token does not say %q: %s", part, log)
		}
	}
	_, err := b.Authenticate(secret)
	hasCode(t, err, protocol.CodeAuthn)
	if nc, err := nats.Connect(b.ClientURL(), nats.Token(secret)); err == nil {
		nc.Close()
		t.Error("an unconfirmed token logs in over NATS")
	}
	known := issue(t, b, "known", protocol.AccessTokenScope{Basins: every(""), Streams: every(""), AccessTokens: every(""), Ops: protocol.AllOperations})
	as, err := b.Authenticate(known)
	if err != nil {
		t.Fatal(err)
	}
	hasCode(t, as.ConfirmAccessToken(t.Context(), "stranger"), protocol.CodePermissionDenied)
	if err := b.Service().ConfirmAccessToken(t.Context(), "stranger"); err != nil {
		t.Fatal(err)
	}
	nc, _ := login(t, b, secret)
	if _, err := over(nc).ListBasins(t.Context(), protocol.ListRequest{}); err != nil {
		t.Errorf("the confirmed token: %v", err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	// What was confirmed, or issued with a root token, stays so, also when the broker was open in between.
	b, _ = startLogging(t, open(dir))
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, log = startLogging(t, guarded(dir))
	if strings.Contains(log, "token") {
		t.Errorf("a later start says %s", log)
	}
	for _, secret := range []string{secret, known} {
		if _, err := b.Authenticate(secret); err != nil {
			t.Error(err)
		}
	}
}

// TestTokensRestoredIntoAnOpenBroker: nobody can bring in a token that counts by a backup.
func TestTokensRestoredIntoAnOpenBroker(t *testing.T) {
	src, _ := startLogging(t, guarded(t.TempDir()))
	secret := issue(t, src, "reader", on(protocol.OpListBasins))
	at := t.TempDir()
	nc, _ := login(t, src, rootToken)
	if _, err := backup.Save(t.Context(), over(nc), at, backup.SaveOptions{}); err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	dst, _ := startLogging(t, open(dir))
	to, err := nats.Connect(dst.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(to.Close)
	if done, err := backup.Restore(t.Context(), client.New(to, client.Options{}), at, backup.RestoreOptions{}); err != nil || done.Tokens != 1 {
		t.Fatal(done, err)
	}
	if err := dst.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	dst, log := startLogging(t, guarded(dir))
	if !strings.Contains(log, "token=reader") {
		t.Errorf("the start says %s", log)
	}
	_, err = dst.Authenticate(secret)
	hasCode(t, err, protocol.CodeAuthn)
}

func hasCode(t *testing.T, err error, want protocol.Code) {
	t.Helper()
	if protocol.CodeOf(err) != want {
		t.Fatalf("got %v, want code %s", err, want)
	}
}
