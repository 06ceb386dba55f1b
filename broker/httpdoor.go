package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/weirstream/weir/broker/internal/httpapi"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// httpDoor is the HTTP API: a handler that is always there, and a server for each port that the configuration wants.
type httpDoor struct {
	handler *httpapi.Handler
	api     httpPort // of the whole API
	durable httpPort // of the Durable Streams protocol alone

	asked time.Time // when the clients were asked to leave; zero before
}

func (d *httpDoor) ports() []*httpPort { return []*httpPort{&d.api, &d.durable} }

// listen opens the ports. A fault of the certificate or of an address is returned now; failed is called if a server
// ends by itself later.
func (d *httpDoor) listen(ctx context.Context, cfg conf.Config, log *slog.Logger, failed func(error)) error {
	if !cfg.HTTP.Listens() && !cfg.DurableStreams.Listens() {
		return nil
	}
	certificate, err := loadCertificate(cfg.HTTP)
	if err != nil {
		return err
	}
	var secure *tls.Config
	if certificate != nil {
		secure = &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12}
	}
	if cfg.HTTP.Listens() {
		if err := d.api.listen(ctx, "http.listen", cfg.HTTP.Listen, secure, httpapi.NewServer(d.handler, log), failed); err != nil {
			return err
		}
	}
	if s := cfg.DurableStreams; s.Listens() {
		server := httpapi.NewServer(d.handler.DurableStreams(protocol.BasinName(s.Basin)), log)
		return d.durable.listen(ctx, "durable_streams.listen", s.Listen, secure, server, failed)
	}
	return nil
}

// connections is how many connections are open.
func (d *httpDoor) connections() (n int) {
	for _, p := range d.ports() {
		if p.ln != nil {
			n += p.ln.Connections()
		}
	}
	return n
}

// httpPort is one port and its server. The zero value does not listen.
type httpPort struct {
	srv     *http.Server // nil if it does not listen
	ln      *httpapi.Listener
	url     string      // "" if it does not listen
	served  chan error  // the result of Serve
	closing atomic.Bool // the port is closed on purpose
}

// listen opens the port at an address, the value of the setting key. secure is nil without TLS.
func (p *httpPort) listen(ctx context.Context, key, address string, secure *tls.Config, srv *http.Server, failed func(error)) error {
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}
	ln, err := lc.Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("a port is in use already (%w): stop what listens there (another weir?) or choose another address with %s, such as 127.0.0.1:0 for a free port, or none", err, key)
	}
	if err != nil {
		return fmt.Errorf("open the HTTP port (%s; none opens no port): %w", key, err)
	}
	p.srv = srv
	p.url = "http://" + ln.Addr().String()
	if secure != nil {
		p.url = "https://" + ln.Addr().String()
	}
	p.ln = httpapi.NewListener(ln, secure)
	p.served = make(chan error, 1)
	go func() {
		err := p.srv.Serve(p.ln)
		if !errors.Is(err, http.ErrServerClosed) && !p.closing.Load() {
			failed(fmt.Errorf("the HTTP server stopped unexpectedly: %w", err))
		}
		p.served <- err
	}()
	return nil
}

// leaveTime is how long clients get to notice that they are to leave: a round trip, and for those that send all the time
// the next answer. Tests change it.
var leaveTime = 500 * time.Millisecond

// moment is the rest of leaveTime since then: at most an eighth of the time that the stop has.
func moment(ctx context.Context, began time.Time) time.Duration {
	length := leaveTime
	if deadline, ok := ctx.Deadline(); ok {
		length = min(length, deadline.Sub(began)/8)
	}
	return length - time.Since(began)
}

// leave closes the ports and asks the clients to go elsewhere. Requests on the connections that are there are served.
func (d *httpDoor) leave() {
	d.shut()
	d.handler.Leave()
}

// shut closes the ports: before clients are asked to go elsewhere, so that none of them connects to a port that is about to close.
func (d *httpDoor) shut() {
	if !d.asked.IsZero() {
		return
	}
	for _, p := range d.ports() {
		p.shut()
	}
	d.asked = time.Now()
}

// close closes the ports, refuses new requests on the connections that are there, ends sessions with server_draining and
// lets requests under way finish until ctx ends. Connections are asked to leave and get a moment for it: a server would
// drop requests that it reads after Shutdown.
func (d *httpDoor) close(ctx context.Context) error {
	d.shut()
	d.handler.Drain()
	err := d.handler.Close(ctx)
	var left sync.WaitGroup
	errs := [2]error{}
	for i, p := range d.ports() {
		left.Go(func() { errs[i] = p.end(ctx, d.asked) })
	}
	left.Wait()
	return errors.Join(err, errs[0], errs[1])
}

// shut closes the port, and asks its connections to leave.
func (p *httpPort) shut() {
	if p.srv == nil {
		return
	}
	p.closing.Store(true)
	_ = p.ln.Close() // Serve returns its error
	<-p.served       //nolint:errcheck // the port is closed on purpose
	p.ln.GoAway()
}

// end gives the connections the rest of leaveTime, and ends those that are left.
func (p *httpPort) end(ctx context.Context, began time.Time) error {
	if p.srv == nil {
		return nil
	}
	p.ln.Leave(ctx, moment(ctx, began))
	err := p.srv.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, p.srv.Close())
	}
	return err
}
