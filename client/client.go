package client

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/subject"
)

// Options configure a client. The zero value works.
type Options struct {
	// Prefix is the first token, or tokens, of the service's subjects; "" means s2.
	Prefix string
	// AccessToken goes with every request, for connections whose NATS credential does not identify the caller. With a token as
	// the credential it is not needed.
	AccessToken string
	// Timeout bounds a call whose context has no deadline, beside the time that a read asks to wait; 0 means 10 s.
	Timeout time.Duration
	// ResumeFor bounds how long a read session tries to reach a broker again before it fails; 0 means 2 minutes.
	ResumeFor time.Duration
	// Refusals, if set, ends requests that NATS does not let the connection publish with permission_denied. It must be the
	// connection's error handler, or be called by it.
	Refusals *Refusals
}

const (
	defaultTimeout   = 10 * time.Second
	defaultResumeFor = 2 * time.Minute
)

// Client is a [protocol.Service] over a connection. All methods may be called at once.
type Client struct {
	nc       *nats.Conn
	opts     Options
	subjects subject.Prefix
	grace    time.Duration // how long after the end of its connection a request's answer may come
	gate     gate
	readers  atomic.Int64 // open read sessions, which share the bytes that may be on their way to the connection
}

var _ protocol.Service = (*Client)(nil)

// New makes a client. The connection stays the caller's, and is left as it is; closing it ends all sessions. See
// [Refusals] for connections whose user may not publish everything.
func New(nc *nats.Conn, opts Options) *Client {
	if opts.Timeout <= 0 {
		opts.Timeout = defaultTimeout
	}
	if opts.ResumeFor <= 0 {
		opts.ResumeFor = defaultResumeFor
	}
	return &Client{nc: nc, opts: opts, subjects: subject.Prefix(opts.Prefix), grace: answerGrace, gate: gate{nc: nc, patience: requestsLeave}}
}

// bound gives ctx a deadline if it has none, extra beyond the usual.
func (c *Client) bound(ctx context.Context, extra time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.opts.Timeout+extra)
}

// introduce adds the client's description of itself to the headers of a request: its access token, if there is one, and
// max_payload of the server that it is connected to, which may be a leaf node.
func (c *Client) introduce(head nats.Header) {
	if most := c.nc.MaxPayload(); most > 0 {
		head[protocol.HeaderMaxPayload] = []string{strconv.FormatInt(most, 10)}
	}
	if c.opts.AccessToken != "" {
		head[protocol.HeaderAccessToken] = []string{c.opts.AccessToken}
	}
}

// failureOf returns the failure that a message reports, or nil.
func failureOf(m *nats.Msg) *protocol.Error {
	code := m.Header.Get(protocol.HeaderServiceErrorCode)
	if code == "" {
		return nil
	}
	status, err := strconv.Atoi(code)
	if err != nil {
		status = 500
	}
	return protocol.ParseError(status, m.Data)
}

// failed is failure for a request whose context is bound to the refusals of its subject.
func (c *Client) failed(ctx context.Context, subject string, size int, err error) error {
	if r, ok := errors.AsType[*refused](context.Cause(ctx)); ok {
		return r.failure()
	}
	return c.failure(subject, size, err)
}

// failure turns a failure of the transport into a [*protocol.Error].
func (c *Client) failure(subject string, size int, err error) error {
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return errNobody(subject)
	case errors.Is(err, nats.ErrMaxPayload):
		return protocol.Errorf(protocol.CodeInvalid, "the request has %d bytes and its headers, but the NATS server's max_payload is %d",
			size, c.nc.MaxPayload())
	case errors.Is(err, nats.ErrBadSubject):
		return protocol.Errorf(protocol.CodeBadPath, "the names do not make a subject: %q", subject)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return protocol.Wrap(protocol.CodeRequestTimeout, err, "no answer in time; the request may have been carried out")
	case errors.Is(err, context.Canceled):
		return protocol.AsError(err)
	}
	if c.nc.IsClosed() && errors.Is(c.nc.LastError(), nats.ErrAuthorization) {
		return protocol.Wrap(protocol.CodeAuthn, err, "NATS has closed the connection, whose access token or user it does not let in any more")
	}
	return errConnection(err)
}

func errConnection(err error) *protocol.Error {
	return protocol.Wrap(protocol.CodeUnavailable, err, "the connection to NATS failed: "+err.Error())
}

func errNobody(subject string) *protocol.Error {
	return protocol.Errorf(protocol.CodeUnavailable, "no weir broker answers on %s", subject)
}

// noResponders reports whether m is the NATS server's answer that there is no responder.
func noResponders(m *nats.Msg) bool {
	return len(m.Data) == 0 && m.Header.Get("Status") == "503"
}

// badAnswer is the failure when a server answers something that is not understood.
func badAnswer(what string, err error) error {
	return protocol.Wrap(protocol.CodeOther, err, "the server's "+what+" cannot be understood")
}
