package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/weirstream/weir/broker/internal/httpapi"
	"github.com/weirstream/weir/conf"
)

// httpDoor is the HTTP API: a handler that is always there, and a server if the configuration wants one.
type httpDoor struct {
	handler *httpapi.Handler
	srv     *http.Server // nil if it does not listen
	url     string       // "" if it does not listen
	served  chan error   // the result of Serve
}

// listen opens the port. What is wrong with the certificate or the address is told now; failed is called if the server
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
	ln = stallListener{ln}
	serve := func() error { return d.srv.Serve(ln) }
	if certificate != nil {
		d.url = "https://" + ln.Addr().String()
		d.srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12}
		serve = func() error { return d.srv.ServeTLS(ln, "", "") }
	}
	d.served = make(chan error, 1)
	go func() {
		err := serve()
		if !errors.Is(err, http.ErrServerClosed) {
			failed(fmt.Errorf("the HTTP server ended by itself: %w", err))
		}
		d.served <- err
	}()
	return nil
}

// close refuses new requests, ends sessions with server_draining and lets requests under way finish until ctx ends.
func (d *httpDoor) close(ctx context.Context) error {
	d.handler.Drain()
	if d.srv == nil {
		return d.handler.Close(ctx)
	}
	// Shutdown looks only now and then whether connections are idle, but it closes the port at once.
	shut := make(chan error, 1)
	shutCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { shut <- d.srv.Shutdown(shutCtx) }()
	err := d.handler.Close(ctx)
	if err == nil {
		err = <-shut
	} else {
		cancel()
		<-shut
	}
	if err != nil {
		err = errors.Join(err, d.srv.Close())
	}
	<-d.served
	return err
}

// stallListener makes connections that fail when their client takes nothing at all for writeStall: nothing else ends a
// write to a client of HTTP/1.1 that has stopped to read and still answers to TCP.
type stallListener struct{ net.Listener }

const (
	writeStall = time.Minute
	writePiece = 256 << 10
)

func (l stallListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &stallConn{Conn: c}, nil
}

type stallConn struct{ net.Conn }

// Write writes piece by piece, so that the deadline is one on progress.
func (c *stallConn) Write(p []byte) (written int, err error) {
	for {
		piece := p[written:min(len(p), written+writePiece)]
		if err := c.SetWriteDeadline(time.Now().Add(writeStall)); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(piece)
		written += n
		if err != nil || written == len(p) {
			return written, err
		}
	}
}
