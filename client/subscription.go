package client

import (
	"context"

	"github.com/nats-io/nats.go"
)

// subscription is that of one session: an inbox with a buffer of its own, and the news of the connection.
type subscription struct {
	nc     *nats.Conn
	inbox  string
	msgs   chan *nats.Msg
	status chan nats.Status // CONNECTED after a loss, or CLOSED
	sub    *nats.Subscription
}

// newSubscription subscribes to a fresh inbox. A message beyond the capacity is lost, which the numbers of frames show.
func (c *Client) newSubscription(capacity int) (*subscription, error) {
	l := &subscription{nc: c.nc, inbox: c.nc.NewInbox(), msgs: make(chan *nats.Msg, capacity)}
	var err error
	if l.sub, err = c.nc.ChanSubscribe(l.inbox, l.msgs); err != nil {
		return nil, c.failure(l.inbox, 0, err)
	}
	l.status = c.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	return l, nil
}

// receive returns the next message.
func (l *subscription) receive(ctx context.Context) (*nats.Msg, error) {
	select {
	case m := <-l.msgs:
		return m, nil
	case s := <-l.status:
		if s == nats.CLOSED {
			return nil, nats.ErrConnectionClosed
		}
		return nil, nats.ErrDisconnected
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *subscription) close() {
	l.nc.RemoveStatusListener(l.status)
	_ = l.sub.Unsubscribe() // fails only when the connection is closed, and the subscription with it
}
