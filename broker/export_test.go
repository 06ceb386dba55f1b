package broker

// WebsocketURL is where websocket clients of NATS connect, if its configuration says so.
func (b *Broker) WebsocketURL() string { return b.st.(*embedded).srv.WebsocketURL() }
