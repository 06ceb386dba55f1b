package natscluster

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// The servers know each other, and one that is stopped comes back.
func TestServersKnowEachOther(t *testing.T) {
	c := Start(t)
	c.Stop(1)
	c.StartAgain(1)
	nc, err := nats.Connect(c.URLs(1), nats.DontRandomize(), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		know := 0
		for i := range Size {
			if c.Server(i).NumRoutes() > 0 && len(c.Server(i).JetStreamClusterPeers()) == Size {
				know++
			}
		}
		if know > 0 && nc.IsConnected() { // the leader alone knows the others as peers
			return
		}
		if time.Now().After(end) {
			t.Fatal("no server knows all peers")
		}
	}
}
