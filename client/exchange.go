package client

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
)

const (
	// lookEvery is how often a request that waits for its answer looks whether its connection has ended.
	lookEvery = 250 * time.Millisecond
	// answerGrace is how long the answer to a request may come over the next connection, once that is there.
	answerGrace = time.Second
	// returnGrace times answerGrace is how long the next connection is waited for: the client library tries a single server again after two seconds, and
	// finds then whether NATS has closed the connection because of its access token.
	returnGrace = 5
)

// errLost ends the wait for an answer when the connection has ended over which the request was sent.
var errLost = errors.New("the connection to NATS ended while the request waited for its answer")

// exchange sends a request and returns its answer, or the failure that the answer reports: [Client.request] or [Client.ask].
type exchange func(ctx context.Context, subject string, head nats.Header, body []byte) (*nats.Msg, error)

// request is an [exchange] that sends once. When the connection ends before the answer, the outcome is unknown. ctx must have a deadline.
func (c *Client) request(ctx context.Context, subject string, head nats.Header, body []byte) (*nats.Msg, error) {
	m, err := c.attempt(ctx, subject, head, body, false)
	if errors.Is(err, errLost) {
		return nil, protocol.Wrap(protocol.CodeOther, err, err.Error()+"; the request may have been carried out")
	}
	return m, err
}

// ask is an [exchange] for requests that change nothing, or that may be carried out twice. It sends them again when the connection has ended
// before the answer and there is another one. ctx must have a deadline.
func (c *Client) ask(ctx context.Context, subject string, head nats.Header, body []byte) (*nats.Msg, error) {
	for {
		m, err := c.attempt(ctx, subject, head, body, true)
		if !errors.Is(err, errLost) {
			return m, err
		}
	}
}

// attempt sends a request to a server that does not stop: one that refuses it because it stops has not carried it out, and the client goes to another.
func (c *Client) attempt(ctx context.Context, subject string, head nats.Header, body []byte, again bool) (*nats.Msg, error) {
	if head == nil {
		head = nats.Header{}
	}
	for {
		m, err := c.attemptOnce(ctx, subject, head, body, again)
		if m == nil || !c.gate.heed(m) || protocol.CodeOf(err) != protocol.CodeServerDraining {
			return m, err
		}
		if pause(ctx, leavePause/4) != nil {
			return nil, err
		}
	}
}

// attemptOnce sends a request over the connection as it is. It gives up with errLost when that has ended: if the request can be made again as soon
// as there is another connection, and otherwise when an answer has had its time to come over another one. It returns the answer also if that
// reports a failure.
func (c *Client) attemptOnce(ctx context.Context, subject string, head nats.Header, body []byte, again bool) (*nats.Msg, error) {
	if err := c.gate.enter(ctx); err != nil {
		return nil, protocol.Wrap(protocol.CodeUnavailable, err, "the NATS server stops, and no other one was found in time; nothing was sent")
	}
	defer c.gate.exit()
	if deadline, ok := ctx.Deadline(); ok {
		left := max(time.Until(deadline).Milliseconds(), 1)
		head[protocol.HeaderTimeout] = []string{strconv.FormatInt(left, 10)}
	}
	c.introduce(head)
	addTrace(ctx, head)
	ctx, done := c.opts.Refusals.bind(ctx, subject)
	defer done()
	ctx, done = c.whileConnected(ctx, again)
	defer done()
	m, err := c.nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: subject, Header: head, Data: body})
	switch {
	case err == nil:
		if e := failureOf(m); e != nil {
			return m, e
		}
		return m, nil
	case errors.Is(err, nats.ErrConnectionClosed) && !c.nc.IsClosed(): // the client has left the server
		return nil, errLost
	case context.Cause(ctx) == errLost, errors.Is(err, nats.ErrDisconnected): //nolint:errorlint // it is never wrapped
		return nil, errLost
	}
	return nil, c.failed(ctx, subject, len(body), err)
}

// whileConnected returns a context that ends with errLost as its cause as [Client.attempt] says, and a function that gives it back.
func (c *Client) whileConnected(ctx context.Context, again bool) (context.Context, context.CancelFunc) {
	used, _ := c.connection()
	ctx, end := context.WithCancelCause(ctx)
	stopped := make(chan struct{})
	// Most answers come before.
	timer := time.AfterFunc(lookEvery, func() {
		defer close(stopped)
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for grace, absence := c.grace, returnGrace*c.grace; ; {
			switch now, up := c.connection(); {
			case now == used:
			case up:
				if grace -= lookEvery; again || grace <= 0 {
					end(errLost)
				}
			case !again:
				if absence -= lookEvery; absence <= 0 {
					end(errLost)
				}
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return ctx, func() {
		end(nil)
		if !timer.Stop() {
			<-stopped
		}
	}
}

// connection is the number of the connection over which the next request goes, and whether it is there yet.
func (c *Client) connection() (number uint64, up bool) {
	if c.nc.IsReconnecting() {
		return c.nc.Stats().Reconnects + 1, false // what is sent meanwhile waits for it
	}
	return c.nc.Stats().Reconnects, true
}
