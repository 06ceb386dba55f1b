//go:build linux

package cluster

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/internal/httpclient"
	"github.com/weirstream/weir/protocol"
)

// callTimeout is how long a client waits for one answer before it asks another node.
const callTimeout = 5 * time.Second

// A caller is a client that knows all nodes. Over HTTP it stays with a node until that fails it. Over NATS the connection does so.
type caller struct {
	door  string
	at    int // node of the next request; over NATS the library's business
	byURL [nodes]protocol.Service
	close func()
}

const (
	overHTTP = "http"
	overNATS = "nats"
)

// newCaller makes a client of its own, with connections of its own.
func (c *cluster) newCaller(door string, rng *rand.Rand, token string) *caller {
	k := &caller{door: door, at: rng.IntN(nodes)}
	if door == overHTTP {
		var protocols http.Protocols
		protocols.SetUnencryptedHTTP2(true)
		// The transport finds out by pings that nobody is at the other end of a connection.
		transport := &http.Transport{Protocols: &protocols, DisableCompression: true,
			DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
			HTTP2:       &http.HTTP2Config{SendPingTimeout: 2 * time.Second, PingTimeout: 2 * time.Second}}
		for i := range k.byURL {
			k.byURL[i] = httpclient.New("http://"+address(i)+":8080", &http.Client{Transport: transport}, httpclient.Token(token))
		}
		k.close = transport.CloseIdleConnections
		return k
	}
	nc := c.connectNATS(token, nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true))
	svc := client.New(nc, c.clientOptions(token))
	for i := range k.byURL {
		k.byURL[i] = svc
	}
	k.close = nc.Close
	return k
}

// clientOptions has the token where the NATS servers do not know it.
func (c *cluster) clientOptions(token string) client.Options {
	if c.setting == external {
		return client.Options{AccessToken: token}
	}
	return client.Options{}
}

// connectNATS opens a connection to one of the nodes, and then another.
func (c *cluster) connectNATS(token string, opts ...nats.Option) *nats.Conn {
	c.t.Helper()
	var urls string
	for i := range nodes {
		urls += ",nats://" + address(i) + ":4222"
	}
	opts = append(opts, nats.Token(token), nats.Timeout(2*time.Second), nats.ReconnectWait(100*time.Millisecond),
		nats.ReconnectJitter(100*time.Millisecond, 0), nats.PingInterval(time.Second), nats.MaxPingsOutstanding(2),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	nc, err := nats.Connect(urls[1:], opts...)
	if err != nil {
		c.t.Fatalf("connect to NATS: %v", err)
	}
	return nc
}

// service is where the next request goes.
func (k *caller) service() protocol.Service { return k.byURL[k.at] }

// move has the next request go to another node.
func (k *caller) move() { k.at = (k.at + 1) % nodes }

// call makes one request within callTimeout. A failure that an answer of the service does not explain moves the caller.
func (k *caller) call(ctx context.Context, request func(context.Context, protocol.Service) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := request(ctx, k.service())
	switch protocol.CodeOf(err) {
	case "", protocol.CodeConditionFailed, protocol.CodeUnwritten, protocol.CodeStreamNotFound, protocol.CodeBasinNotFound,
		protocol.CodeResourceAlreadyExists, protocol.CodeStreamDeletionPending, protocol.CodeBasinDeletionPending:
	default:
		k.move()
	}
	return err
}

// insist makes a request again and again until it has an answer that settles it, within the bound of a recovery.
func (c *cluster) insist(k *caller, what string, request func(context.Context, protocol.Service) error, settled ...protocol.Code) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), recovery)
	defer cancel()
	for {
		err := k.call(ctx, request)
		if err == nil || slices.Contains(settled, protocol.CodeOf(err)) {
			return
		}
		if ctx.Err() != nil {
			c.t.Fatalf("%s: not within %v: %v", what, recovery, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
