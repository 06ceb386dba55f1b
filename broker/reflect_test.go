package broker_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// TestDoorReflectsNothing: a client that names what it may not publish to as the reply subject of a question cannot have the
// door publish there, also not with $SRV.PING, which the door's library answers.
func TestDoorReflectsNothing(t *testing.T) {
	cfg := onDisk(t.TempDir())
	cfg.LameDuck = 0
	cfg.NATS.ConfigFile = filepath.Join(t.TempDir(), "nats.conf")
	users := `listen: "127.0.0.1:-1"
accounts { TEAM { jetstream: enabled, users: [
  { user: admin, password: a }
  { user: low, password: l, permissions: { publish: ["$SRV.>", "s2.v1.tail.>"], subscribe: "_INBOX.>" } }
] } }`
	if err := os.WriteFile(cfg.NATS.ConfigFile, []byte(users), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.NATS.Listen = "127.0.0.1:4222" // weir's default, which the file's listener replaces
	b := start(t, cfg)
	defer closeBroker(t, b)
	ensureBasin(t, b.Service())
	appendTo(t, b.Service(), "a")

	admin := loginAs(t, b.ClientURL(), "admin", "a")
	js, err := jetstream.New(admin)
	if err != nil {
		t.Fatal(err)
	}
	mine, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "MINE", Subjects: []string{"mine"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "mine", []byte("x")); err != nil {
		t.Fatal(err)
	}

	low := loginAs(t, b.ClientURL(), "low", "l")
	for range 3 {
		for _, asked := range []string{"$SRV.PING", "$SRV.INFO", "s2.v1.tail.team.events"} {
			for _, reply := range []string{"s2.v1.stream.delete." + string(events.Basin) + "." + string(events.Stream), "$JS.API.STREAM.PURGE.MINE"} {
				if err := low.PublishRequest(asked, reply, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		// The library answers in order, so that the answers above are out.
		if _, err := low.Request("$SRV.INFO", nil, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if got := readAll(t, over(admin)); got != "0:a" {
		t.Error(got)
	}
	if info, err := mine.Info(t.Context()); err != nil || info.State.Msgs != 1 {
		t.Errorf("the stream of the account has lost its message: %v, %v", info, err)
	}
}

func loginAs(t *testing.T, url, user, password string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, nats.UserInfo(user, password), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}
