package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/weirstream/weir/broker/internal/httpapi"
	"github.com/weirstream/weir/conf"
)

// httpDoor is the HTTP API: a handler that is always there, and a server if the configuration wants one.
type httpDoor struct {
	handler *httpapi.Handler
	srv     *http.Server // nil if it does not listen
	ln      *httpapi.Listener
	url     string      // "" if it does not listen
	served  chan error  // the result of Serve
	closing atomic.Bool // the port is closed on purpose
}

// listen opens the port. A fault of the certificate or the address is returned now; failed is called if the server
// ends by itself later.
func (d *httpDoor) listen(ctx context.Context, cfg conf.HTTP, log *slog.Logger, failed func(error)) error {
	if !cfg.Listens() {
		return nil
	}
	certificate, err := loadCertificate(cfg)
	if err != nil {
		return err
	}
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}
	ln, err := lc.Listen(ctx, "tcp", cfg.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("a port is in use already (%w): stop what listens there (another weir?) or choose another address, such as http.listen 127.0.0.1:0 for a free one, or none", err)
	}
	if err != nil {
		return fmt.Errorf("open the HTTP port (http.listen; none opens no port): %w", err)
	}
	d.srv = httpapi.NewServer(d.handler, log)
	d.url = "http://" + ln.Addr().String()
	var config *tls.Config
	if certificate != nil {
		d.url = "https://" + ln.Addr().String()
		config = &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12}
	}
	d.ln = httpapi.NewListener(ln, config)
	d.served = make(chan error, 1)
	go func() {
		err := d.srv.Serve(d.ln)
		if !errors.Is(err, http.ErrServerClosed) && !d.closing.Load() {
			failed(fmt.Errorf("the HTTP server stopped unexpectedly: %w", err))
		}
		d.served <- err
	}()
	return nil
}

// connections is how many connections are open; 0 if it does not listen.
func (d *httpDoor) connections() int {
	if d.ln == nil {
		return 0
	}
	return d.ln.Connections()
}

// farewell is how long clients get to notice that they are to leave: a round trip, and for those that send all the time
// the next answer.
const farewell = 500 * time.Millisecond

// moment is the rest of the farewell that began then: at most an eighth of the time that the stop has.
func moment(ctx context.Context, began time.Time) time.Duration {
	length := farewell
	if deadline, ok := ctx.Deadline(); ok {
		length = min(length, deadline.Sub(began)/8)
	}
	return length - time.Since(began)
}

// close closes the port, refuses new requests on the connections that are there, ends sessions with server_draining and
// lets requests under way finish until ctx ends. Connections are asked to leave and get a moment for it: the server would
// drop requests that it reads after Shutdown.
func (d *httpDoor) close(ctx context.Context) error {
	began := time.Now()
	d.handler.Drain()
	if d.srv == nil {
		return d.handler.Close(ctx)
	}
	d.closing.Store(true)
	_ = d.ln.Close() // Serve returns its error
	<-d.served       //nolint:errcheck // the port is closed on purpose
	d.ln.GoAway()
	err := d.handler.Close(ctx)
	d.ln.Leave(ctx, moment(ctx, began))
	err = errors.Join(err, d.srv.Shutdown(ctx))
	if err != nil {
		err = errors.Join(err, d.srv.Close())
	}
	return err
}
