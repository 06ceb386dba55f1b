package access

import "github.com/weirstream/weir/protocol"

// Caller is who presents a token, as long as the token lives.
type Caller struct {
	svc  protocol.Service
	info protocol.AccessTokenInfo
	key  [32]byte
	done chan struct{}
}

// Service does what the caller may do, and refuses the rest with permission_denied. Once the token is revoked or has
// expired it refuses everything with authn.
func (c *Caller) Service() protocol.Service { return c.svc }

// ID is the token's id.
func (c *Caller) ID() protocol.AccessTokenID { return c.info.ID }

// Info describes the token.
func (c *Caller) Info() protocol.AccessTokenInfo { return c.info }

// Done is closed when the token is revoked or has expired; it is nil for the root.
func (c *Caller) Done() <-chan struct{} { return c.done }

// Key is the hash of the secret. It tells apart tokens that have the same id one after the other.
func (c *Caller) Key() [32]byte { return c.key }
