package client

import "github.com/nats-io/nats.go"

// Conn is a [Client] with a connection of its own.
type Conn struct {
	*Client
	nc *nats.Conn
}

// Dial connects to NATS at a URL, such as nats://127.0.0.1:4222, or several with commas, and makes a client on that connection,
// with the defaults of [Options]. An access token goes into an option: nats.Token(secret). For other options connect with
// nats.go and use [New].
func Dial(url string, opts ...nats.Option) (*Conn, error) {
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		return nil, err
	}
	return &Conn{Client: New(nc, Options{}), nc: nc}, nil
}

// Close closes the connection, and with it every session of the client.
func (c *Conn) Close() { c.nc.Close() }
