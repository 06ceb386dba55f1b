package test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/internal/httpclient"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/conformance"
	"github.com/weirstream/weir/test/memnet"
)

func TestHTTP(t *testing.T) {
	for _, wire := range []httpVersion{http2, http1} {
		t.Run(wire.name, func(t *testing.T) {
			conformance.RunWeb(t, conformance.WebDoor{Name: wire.name,
				Open: func(t testing.TB, clock conformance.Clock) (protocol.Service, conformance.Web) {
					b, web := startWeb(t, clock, wire)
					return b.Service(), web
				}})
		})
	}
}

// httpVersion is what a client speaks to a cleartext port.
type httpVersion struct {
	name      string
	protocols func(*http.Protocols)
}

var (
	http2 = httpVersion{"http", func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }}
	http1 = httpVersion{"http1", func(p *http.Protocols) { p.SetHTTP1(true) }}
)

// httpDoor makes a door that goes through HTTP with the service's client on top.
func httpDoor(wire httpVersion, opts ...httpclient.Option) conformance.Door {
	return conformance.Door{Name: wire.name, Open: func(t testing.TB, clock conformance.Clock) protocol.Service {
		_, web := startWeb(t, clock, wire)
		return httpclient.New(web.Base, web.Client, opts...)
	}}
}

// startWeb starts a broker and a client of its HTTP API: over a real port, or within a bubble over connections in
// memory to the same server.
func startWeb(t testing.TB, clock conformance.Clock, wire httpVersion) (*broker.Broker, conformance.Web) {
	t.Helper()
	if clock == conformance.BubbleClock {
		b := startBroker(t, conformance.BubbleClock)
		ln := memnet.Listen()
		serveWeb(t, b.NewHTTPServer(), ln)
		return b, webOf(t, "http://127.0.0.1", wire, ln.Dial)
	}
	b := startBroker(t, conformance.RealClock, func(c *conf.Config) { c.HTTP.Listen = "127.0.0.1:0" })
	return b, webOf(t, b.HTTPURL(), wire, (&net.Dialer{}).DialContext)
}

func serveWeb(t testing.TB, srv *http.Server, ln net.Listener) {
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	t.Cleanup(func() {
		_ = srv.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
}

func webOf(t testing.TB, base string, wire httpVersion, dial func(ctx context.Context, network, address string) (net.Conn, error)) conformance.Web {
	var protocols http.Protocols
	wire.protocols(&protocols)
	transport := &http.Transport{DialContext: dial, Protocols: &protocols, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return conformance.Web{
		Base:   base,
		Client: &http.Client{Transport: transport},
		Dial: func(ctx context.Context) (net.Conn, error) {
			return dial(ctx, "tcp", strings.TrimPrefix(base, "http://"))
		},
	}
}
