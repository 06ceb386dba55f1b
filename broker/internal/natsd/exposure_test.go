package natsd

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/conf"
)

// TestExposure: without a root token no port of the NATS configuration may be open to other machines, unless the
// configuration says who its users are; with one nothing may go around it.
func TestExposure(t *testing.T) {
	const everywhere = "can be reached from other machines"
	const around = "lets others in than those with an access token"
	for _, tt := range []struct {
		name, nats  string
		open, token string // what the error says, "" if there is none
	}{
		{"loopback", `listen: "127.0.0.1:-1"`, "", ""},
		{"all interfaces", `listen: "0.0.0.0:-1"`, everywhere, ""},
		{"a port alone is on all interfaces", `port: -1`, everywhere, ""},
		{"an address", `host: "10.1.2.3", port: -1`, everywhere, ""},
		{"with a user", "listen: \"0.0.0.0:-1\"\nauthorization { user: a, password: b }", "", ""},
		{"monitoring", `http: "0.0.0.0:-1"`, everywhere, ""},
		{"monitoring on loopback", `http: "127.0.0.1:-1"`, "", ""},
		{"accounts without users", "listen: \"0.0.0.0:-1\"\naccounts { TEAM { jetstream: enabled } }", everywhere, ""},
		{"leaf nodes beside accounts without users", "leafnodes { listen: \"0.0.0.0:-1\" }\naccounts { TEAM { jetstream: enabled } }", everywhere, ""},
		{"with accounts", "listen: \"0.0.0.0:-1\"\naccounts { TEAM { users: [{user: a, password: b}] } }", "", ""},
		{"websocket", `websocket { listen: "0.0.0.0:-1", no_tls: true }`, everywhere, ""},
		{"websocket on loopback", `websocket { listen: "127.0.0.1:-1", no_tls: true }`, "", ""},
		{"mqtt", `mqtt { listen: "0.0.0.0:-1" }`, everywhere, ""},
		{"leaf nodes", `leafnodes { listen: "0.0.0.0:-1" }`, everywhere, ""},
		{"leaf nodes on loopback", `leafnodes { listen: "127.0.0.1:-1" }`, "", ""},
		{"leaf nodes with a user of their own", `leafnodes { listen: "0.0.0.0:-1", authorization { user: a, password: b } }`, "", around},
		{"leaf nodes elsewhere", `leafnodes { remotes: [{url: "nats://127.0.0.1:7422"}] }`, "", around},
		{"users of websocket", `websocket { listen: "127.0.0.1:-1", no_tls: true, authorization { token: x } }`, "", around},
		{"users of mqtt", `mqtt { listen: "127.0.0.1:-1", authorization { username: x, password: y } }`, "", around},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for token, want := range map[string]string{"": tt.open, testRoot: tt.token} {
				c := withNATS(t, quiet(t.TempDir()), tt.nats)
				c.NATS.Listen = conf.Default().NATS.Listen
				c.Durability = conf.DurabilityAlways
				c.RootToken = token
				// Through a real start, in the order in which that adds users of weir's own.
				e, err := startEmbedded(t.Context(), c, slog.New(slog.DiscardHandler), func(error) {})
				if err == nil {
					stop(t, e)
				}
				said := "" // what else keeps the server from starting is not the point here
				if err != nil {
					said = err.Error()
				}
				if want == "" && (strings.Contains(said, everywhere) || strings.Contains(said, around)) || !strings.Contains(said, want) {
					t.Errorf("root token %v: %v, want %q", token != "", err, want)
				}
			}
		})
	}
}

// TestOpenTakesAnyCredential: where nothing is checked, what a client says of itself does not matter.
func TestOpenTakesAnyCredential(t *testing.T) {
	c := listening(t.TempDir())
	c.LameDuck = 0
	e := open(t, c)
	t.Cleanup(func() { stop(t, e) })
	for _, o := range [][]nats.Option{nil, {nats.Token("ignored")}, {nats.UserInfo("a", "b")}} {
		nc, err := nats.Connect(e.URL(), o...)
		if err != nil {
			t.Error(err)
			continue
		}
		nc.Close()
	}
	if err := e.Reload(); err != nil {
		t.Error(err)
	}
}

// TestWebsocketOfAnOpenBroker: a page of another origin may connect only where the file says so, or users are told apart.
func TestWebsocketOfAnOpenBroker(t *testing.T) {
	const ws = `websocket { listen: "127.0.0.1:-1", no_tls: true`
	for text, want := range map[string]bool{
		ws + " }":                     true,
		ws + ", same_origin: false }": false,
		ws + `, allowed_origins: ["https://page.example"] }`: false,
		ws + " }\nauthorization { user: a, password: b }":    false,
	} {
		c := withNATS(t, quiet(t.TempDir()), text)
		o, err := natsOptions(c, c.StoreDir)
		if err != nil {
			t.Fatal(err)
		}
		if o.Websocket.SameOrigin != want {
			t.Errorf("%s: same origin %v, want %v", text, o.Websocket.SameOrigin, want)
		}
	}
}
