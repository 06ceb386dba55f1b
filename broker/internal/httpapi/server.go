package httpapi

import (
	"log/slog"
	"net/http"
	"time"
)

const (
	// readHeaderTimeout is how long a client may take to send the head of a request; it ends slow-loris clients.
	readHeaderTimeout = 10 * time.Second
	// idleTimeout is how long a connection without requests is kept.
	idleTimeout = 3 * time.Minute
	// pingAfter is how long a connection of HTTP/2 may be silent before it is asked for a sign of life, and
	// pingTimeout how long that may take: together with TCP's own probes they bound the resources that a vanished client holds.
	pingAfter   = 15 * time.Second
	pingTimeout = 10 * time.Second
	// writeStall is how long a connection may take no byte at all.
	writeStall = 60 * time.Second

	maxHeaderBytes = 64 << 10

	// Windows and frames of HTTP/2, for s2s frames of 1 MiB. A window is the part of an unread body that a client can make
	// the server hold.
	maxStreams          = 1024
	maxReadFrame        = 1 << 20
	streamReceiveWindow = 1 << 20
	connReceiveWindow   = 2 << 20
)

// NewServer returns a server for the handler with the bounds that go with it: HTTP/1.1 and HTTP/2 on one port, without
// TLS by prior knowledge and with TLS by ALPN; bounds on the time and size of request heads; signs of life. There is no
// deadline on requests and answers as a whole, because sessions have none; the handler bounds the bodies that it waits
// for.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           h,
		Protocols:         &protocols,
		ConnState:         connState,
		ConnContext:       withConn,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreams,
			MaxReadFrameSize:              maxReadFrame,
			MaxReceiveBufferPerConnection: connReceiveWindow,
			MaxReceiveBufferPerStream:     streamReceiveWindow,
			SendPingTimeout:               pingAfter,
			PingTimeout:                   pingTimeout,
			WriteByteTimeout:              writeStall,
		},
	}
}
