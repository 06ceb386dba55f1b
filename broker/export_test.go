package broker

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker/internal/natsd"
	"github.com/weirstream/weir/protocol"
)

// WebsocketURL is where websocket clients of NATS connect, if its configuration says so.
func (b *Broker) WebsocketURL() string { return b.st.(*natsd.Embedded).Server().WebsocketURL() }

// LetClientsLeave gives clients longer to leave a broker that stops: an eighth of its lame duck time. Call it before brokers start.
func LetClientsLeave(t *testing.T) {
	usual := leaveTime
	leaveTime = time.Minute
	t.Cleanup(func() { leaveTime = usual })
}

// StorageConn opens a connection into the account of the storage.
func (b *Broker) StorageConn() (*nats.Conn, error) { return b.st.Storage("test") }

// MissingCopies is the number of the storage's JetStream streams that lack a copy which that number of nodes can hold.
func (b *Broker) MissingCopies(ctx context.Context, nodes int) (int, error) {
	c, err := b.ad.Copies(ctx, "", nodes)
	return c.Missing, err
}

// Operator is the service of operators at this broker, and no other.
func (b *Broker) Operator() protocol.ClusterService {
	return b.clusterService(b.guard.Root().Service())
}

// Connected reports whether the broker's NATS server is connected to that of another node.
func (b *Broker) Connected(node string) bool {
	return slices.ContainsFunc(b.st.Nodes(), func(n natsd.Node) bool { return n.Name == node && n.Online })
}
