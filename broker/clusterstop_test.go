package broker_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/internal/httpclient"
	"github.com/weirstream/weir/protocol"
)

// A node that stops in order fails no request of clients that know the others: it gives its logs away and serves until the clients have gone to other nodes.
func TestNodeThatStopsFailsNoRequest(t *testing.T) {
	const token = "root-token-of-three-nodes"
	for name, login := range map[string]string{"tokens": token, "open": ""} {
		t.Run(name, func(t *testing.T) {
			broker.LetClientsLeave(t)
			n := clusterOf(t, func(c *conf.Config) {
				c.RootToken, c.Logs = login, 4
				c.HTTP.Listen = "127.0.0.1:0"
			})
			n.configs[0].LameDuck = leaves
			n.start(0, 1, 2)
			left := n.stopFailsNoRequest(login)
			if left.nats == left.natsURL || left.http == left.httpURL {
				t.Errorf("the clients are at %s and %s", left.nats, left.http)
			}
		})
	}
}

// leaves is the lame duck time of a node whose clients leave: only a hang takes so long.
const leaves = 5 * time.Minute

// whereabouts are where clients are connected, and where the node was that has stopped.
type whereabouts struct{ nats, natsURL, http, httpURL string }

// stopFailsNoRequest stops node 0 under load through all doors, and demands that no request fails of clients that begin there and know the others.
func (n *nodes) stopFailsNoRequest(login string) whereabouts {
	t := n.t
	t.Helper()
	ensureBasin(t, n.service(1))
	var natsURLs, httpURLs []string
	for _, b := range n.brokers {
		natsURLs, httpURLs = append(natsURLs, b.ClientURL()), append(httpURLs, b.HTTPURL())
	}
	nc, err := nats.Connect(strings.Join(natsURLs, ","), nats.Token(login), nats.DontRandomize(), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	svc := client.New(nc, client.Options{Timeout: time.Minute}) // only a hang fails

	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	if _, err := svc.Append(ctx, protocol.StreamRef{Basin: events.Basin, Stream: "unary-1"}, input("x")); err != nil {
		t.Fatal(err)
	}
	var load, receiver sync.WaitGroup
	var after atomic.Bool // the node has stopped
	n.gather(0)
	gone := n.name(0)
	work := func(what string, one func(stream protocol.StreamRef) error) {
		load.Go(func() {
			ref := protocol.StreamRef{Basin: events.Basin, Stream: protocol.StreamName(what)}
			for last := false; !last; {
				last = after.Load()
				if err := one(ref); err != nil {
					t.Errorf("%s: %v", what, err)
					return
				}
			}
		})
	}
	for _, what := range []string{"unary-1", "unary-2", "unary-3"} {
		work(what, func(ref protocol.StreamRef) error {
			_, err := svc.Append(ctx, ref, input("x"))
			return err
		})
	}
	work("unary-1", func(ref protocol.StreamRef) error {
		_, err := svc.CheckTail(ctx, ref)
		return err
	})
	session, err := svc.OpenAppendSession(ctx, protocol.StreamRef{Basin: events.Basin, Stream: "session"})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	ahead := make(chan struct{}, 64)
	receiver.Go(func() {
		for acked := uint64(0); ; acked++ {
			ack, err := session.Recv(ctx)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil || ack.Start.SeqNum != acked {
				t.Errorf("the session's input %d is at %d: %v", acked, ack.Start.SeqNum, err)
				stop()
				return
			}
			<-ahead
		}
	})
	work("session", func(protocol.StreamRef) error {
		select {
		case ahead <- struct{}{}:
		case <-ctx.Done():
		}
		return session.Submit(ctx, input("x"))
	})
	at := 0
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	work("http", func(ref protocol.StreamRef) error {
		for {
			_, err := httpclient.New(httpURLs[at], &http.Client{Transport: transport}, httpclient.Token(login)).Append(ctx, ref, input("x"))
			if !errors.Is(err, syscall.ECONNREFUSED) { // it was not even sent: the client goes to another node, as a load balancer does
				return err
			}
			at = (at + 1) % len(httpURLs)
		}
	})
	n.stop(0)
	after.Store(true)
	eventually(t, "the others know that the node has stopped in order", func() bool { return n.shown(1, gone, "left") })
	load.Wait()
	if err := session.CloseSend(); err != nil {
		t.Error(err)
	}
	receiver.Wait()
	return whereabouts{nats: nc.ConnectedUrl(), natsURL: natsURLs[0], http: httpURLs[at], httpURL: httpURLs[0]}
}

// gather lets node i own all logs that have an owner.
func (n *nodes) gather(i int) {
	n.t.Helper()
	name, other := n.name, (i+1)%3
	eventually(n.t, name(i)+" owns all logs", func() bool { // a log whose owner is not sure of its lease for a moment may have gone to another one
		for _, undo := range []bool{false, true} {
			for k := range n.brokers {
				if k == i {
					continue
				}
				n.drain(other, k, undo)
				eventually(n.t, name(k)+" drains, or does not any more", func() bool {
					for _, x := range n.info(other).Nodes {
						if x.Name == name(k) {
							return x.Draining != undo && (undo || x.Logs == 0)
						}
					}
					return false
				})
			}
		}
		return !slices.ContainsFunc(n.info(other).Logs, func(l protocol.ClusterLog) bool { return l.Owner != "" && l.Owner != name(i) })
	})
}
