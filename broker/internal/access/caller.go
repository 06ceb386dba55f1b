package access

import (
	"context"
	"sync"
	"time"

	"github.com/weirstream/weir/protocol"
)

// Caller is the holder of a token, as long as the token lives.
type Caller struct {
	g     *Guard
	svc   *service
	info  protocol.AccessTokenInfo
	key   [32]byte
	share string // see ShareKey
	ops   protocol.OperationSet

	// life ends when the token is revoked or has expired; nil for the root. Sessions hang on it with context.AfterFunc, so
	// that they cost no goroutine.
	life context.Context //nolint:containedctx // lives as long as the token
	end  context.CancelFunc

	mu    sync.Mutex  // guards clock
	clock *time.Timer // fires when the token may have expired; nil if it never does
}

// newCaller makes a caller that never ends.
func newCaller(g *Guard, info protocol.AccessTokenInfo, key [32]byte) *Caller {
	c := &Caller{g: g, info: info, key: key, share: "token " + string(info.ID), ops: info.Scope.Operations()}
	c.svc = &service{g: g, c: c, inner: g.core, scope: info.Scope}
	if info.AutoPrefixStreams {
		c.svc.prefix = info.Scope.Streams.Name
	}
	return c
}

// newMortal makes a caller that ends with its token.
func newMortal(g *Guard, info protocol.AccessTokenInfo, key [32]byte) *Caller {
	c := newCaller(g, info, key)
	c.life, c.end = context.WithCancel(context.Background())
	if !info.ExpiresAt.IsZero() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.clock = time.AfterFunc(c.nextLook(), c.look)
	}
	return c
}

// lookEvery bounds how late it is noticed that the wall clock was set, or stood still, while a token expired.
const lookEvery = 30 * time.Second

func (c *Caller) nextLook() time.Duration {
	return min(max(time.Until(c.info.ExpiresAt), 0), lookEvery)
}

// look ends the caller if its token has expired, and looks again later if not.
func (c *Caller) look() {
	if c.info.ExpiredAt(time.Now()) {
		c.g.drop(c.key)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.Err() == nil && c.clock != nil {
		c.clock.Reset(c.nextLook())
	}
}

func (c *Caller) stopClock() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.clock != nil {
		c.clock.Stop()
		c.clock = nil
	}
}

// alive reports whether the token is neither revoked nor expired.
func (c *Caller) alive() bool {
	return c.life == nil || c.life.Err() == nil && !c.info.ExpiredAt(time.Now())
}

// Service does the operations that the token allows, and refuses the rest with permission_denied. Once the token is revoked
// or has expired it refuses everything with authn.
func (c *Caller) Service() protocol.Service { return c.svc }

// MayRead reports whether the caller may read a stream, by its full name, whether it is there or not.
func (c *Caller) MayRead(ref protocol.StreamRef) bool {
	return c.alive() && c.ops.Has(protocol.OpRead) && c.svc.scope.Basins.Matches(string(ref.Basin)) && c.svc.scope.Streams.Matches(string(ref.Stream))
}

// StreamPrefix stands before every name of a stream that the caller uses.
func (c *Caller) StreamPrefix() string { return c.svc.prefix }

// ID is the token's id.
func (c *Caller) ID() protocol.AccessTokenID { return c.info.ID }

// Info describes the token.
func (c *Caller) Info() protocol.AccessTokenInfo { return c.info }

// Done is closed when the token is revoked or has expired; it is nil for the root.
func (c *Caller) Done() <-chan struct{} {
	if c.life == nil {
		return nil
	}
	return c.life.Done()
}

// Life ends when the token is revoked or has expired; it is nil for the root.
func (c *Caller) Life() context.Context { return c.life }

// ShareKey is the key under which the token's requests are counted. It names the token and holds nothing of its secret.
func (c *Caller) ShareKey() string { return c.share }

// Key is the hash of the secret. It distinguishes tokens that have the same id one after the other.
func (c *Caller) Key() [32]byte { return c.key }
