package broker

import (
	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker/internal/natsd"
)

// WebsocketURL is where websocket clients of NATS connect, if its configuration says so.
func (b *Broker) WebsocketURL() string { return b.st.(*natsd.Embedded).Server().WebsocketURL() }

// StorageConn opens a connection into the account of the storage.
func (b *Broker) StorageConn() (*nats.Conn, error) { return b.st.Storage("test") }
