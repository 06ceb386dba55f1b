package broker

import "github.com/weirstream/weir/broker/internal/natsd"

// WebsocketURL is where websocket clients of NATS connect, if its configuration says so.
func (b *Broker) WebsocketURL() string { return b.st.(*natsd.Embedded).Server().WebsocketURL() }
