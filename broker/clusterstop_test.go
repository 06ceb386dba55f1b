package broker_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// A NATS client with an access token that is connected to a node that stops goes to another one: no request finds that nobody answers, which the
// broker says after it has closed its doors.
func TestClientsOfANodeThatStopsFindAnother(t *testing.T) {
	const token = "root-token-of-three-nodes"
	n := clusterOf(t, func(c *conf.Config) { c.RootToken = token })
	n.start(0, 1, 2)
	ensureBasin(t, n.service(1))
	var urls []string
	for i := range n.brokers {
		urls = append(urls, n.brokers[i].ClientURL())
	}
	nc, err := nats.Connect(strings.Join(urls, ","), nats.Token(token), nats.DontRandomize(), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	svc := client.New(nc, client.Options{})
	ask := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := svc.GetBasinConfig(ctx, events.Basin)
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		n.stop(0)
	}()
	refusals := map[protocol.Code]int{}
	for running := true; running; {
		select {
		case <-stopped:
			running = false
		case <-time.After(2 * time.Millisecond):
		}
		if err := ask(); err != nil {
			if refusals[protocol.CodeOf(err)]++; strings.Contains(err.Error(), "no weir broker answers") && refusals[protocol.CodeUnavailable] > 20 {
				t.Fatalf("the client stays where nobody answers: %v", err)
			}
		}
	}
	t.Logf("failures while the node stopped: %v", refusals)
	if err := ask(); err != nil || nc.ConnectedUrl() == urls[0] {
		t.Errorf("connected to %s: %v", nc.ConnectedUrl(), err)
	}
}
