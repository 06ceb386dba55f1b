package test

import (
	"net"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/internal/httpclient"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/conformance"
	"github.com/weirstream/weir/test/memnet"
)

// rootToken is the root token of the brokers that check access tokens.
const rootToken = "the-root-token-of-the-tests"

func withRoot(c *conf.Config) { c.RootToken = rootToken }

// tokenDoors are all ways to a service that checks access tokens.
var tokenDoors = []conformance.TokenDoor{
	{Name: "in process", Open: func(t testing.TB, clock conformance.Clock) conformance.Checked {
		b := startBroker(t, clock, withRoot)
		return conformance.Checked{Root: b.Service(), As: func(token string) protocol.Service {
			svc, err := b.Authenticate(token)
			if err != nil {
				return unauthenticated{err: err}
			}
			return svc
		}}
	}},
	{Name: "nats", Open: func(t testing.TB, clock conformance.Clock) conformance.Checked {
		nc, err := startBroker(t, clock, withRoot).Connect()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return conformance.Checked{Root: client.New(nc, client.Options{AccessToken: rootToken}), As: func(token string) protocol.Service {
			return client.New(nc, client.Options{AccessToken: token})
		}}
	}},
	{Name: "nats connection", Open: openConnections},
	httpTokenDoor(http2),
	httpTokenDoor(http1, httpclient.JSON),
}

// openConnections gives each token a connection of its own. In a bubble nothing listens: there the token is in a header.
func openConnections(t testing.TB, clock conformance.Clock) conformance.Checked {
	b := startBroker(t, clock, withRoot, func(c *conf.Config) {
		if clock == conformance.RealClock {
			c.NATS.Listen = "127.0.0.1:0"
		}
	})
	as := func(token string) protocol.Service {
		if clock == conformance.BubbleClock {
			nc, err := b.Connect()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(nc.Close)
			return client.New(nc, client.Options{AccessToken: token})
		}
		nc, err := nats.Connect(b.ClientURL(), nats.Token(token))
		if err != nil {
			return unauthenticated{err: authnOf(err)}
		}
		t.Cleanup(nc.Close)
		return client.New(nc, client.Options{Refusals: client.WatchRefusals(nc)})
	}
	return conformance.Checked{Root: as(rootToken), As: as, Before: "NATS does not allow this"}
}

func httpTokenDoor(wire httpVersion, opts ...httpclient.Option) conformance.TokenDoor {
	return conformance.TokenDoor{Name: wire.name, Open: func(t testing.TB, clock conformance.Clock) conformance.Checked {
		_, web := startCheckedWeb(t, clock, wire)
		as := func(token string) protocol.Service {
			return httpclient.New(web.Base, web.Client, append(slices.Clip(opts), httpclient.Token(token))...)
		}
		return conformance.Checked{Root: as(rootToken), As: as}
	}}
}

// startCheckedWeb is startWeb with a root token.
func startCheckedWeb(t testing.TB, clock conformance.Clock, wire httpVersion) (*broker.Broker, conformance.Web) {
	t.Helper()
	if clock == conformance.BubbleClock {
		b := startBroker(t, conformance.BubbleClock, withRoot)
		ln := memnet.Listen()
		serveWeb(t, b.NewHTTPServer(), ln)
		return b, webOf(t, "http://127.0.0.1", wire, ln.Dial)
	}
	b := startBroker(t, conformance.RealClock, withRoot, func(c *conf.Config) { c.HTTP.Listen = "127.0.0.1:0" })
	return b, webOf(t, b.HTTPURL(), wire, (&net.Dialer{}).DialContext)
}

func TestAccessTokens(t *testing.T) {
	for _, door := range tokenDoors {
		t.Run(door.Name, func(t *testing.T) { conformance.RunTokens(t, door) })
	}
}
