package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"sync"
	"time"

	"github.com/weirstream/weir/protocol"
)

// Core is the service without the tokens, which the guard adds. It checks nothing.
type Core interface {
	protocol.BasinService
	protocol.StreamService
	protocol.RecordService
	protocol.MetricsService
	protocol.LocationService
}

// Tokens is where issued tokens are kept. All methods may be called at once. The errors are [*protocol.Error].
type Tokens interface {
	// PutToken stores a token under its id, durably. Codes: resource_already_exists if the id is taken.
	PutToken(ctx context.Context, t protocol.StoredToken) error
	// RemoveToken removes a token, durably, and has announced that when it returns. Codes: access_token_not_found.
	RemoveToken(ctx context.Context, id protocol.AccessTokenID) error
	// ConfirmToken makes a token count that was issued while nothing was checked, durably. Codes: access_token_not_found.
	ConfirmToken(ctx context.Context, id protocol.AccessTokenID) error
	// TokenByHash finds a token by the hash of its secret.
	TokenByHash(hash [32]byte) (protocol.StoredToken, bool)
	// ListTokens returns a page of tokens by id, at most req.PageSize(), and whether more match.
	ListTokens(ctx context.Context, req protocol.ListRequest) (page []protocol.StoredToken, more bool, err error)
	// OnTokenRemoved sets the function that is called, outside all locks, with the hash of every token that was removed, here
	// or by another server, once TokenByHash does not find it any more. It is called once, before anything else.
	OnTokenRemoved(f func(hash [32]byte))
}

// Options configure a [Guard].
type Options struct {
	// RootSecret is the root token; "" leaves everything open: nothing is checked.
	RootSecret string
	// Current fails with code unavailable while the tokens may not be those that count: one may have been revoked elsewhere. nil: they always are.
	Current func() error
	// Logger gets the tokens that are issued and revoked, by their ids and never by a secret; nil discards it.
	Logger *slog.Logger
}

// Guard knows the callers and their rights; make one with [New]. All methods may be called at once.
type Guard struct {
	core     Core
	tokens   Tokens
	log      *slog.Logger
	current  func() error
	open     bool
	root     *Caller
	rootHash [32]byte

	mu      sync.RWMutex // guards the fields below
	callers map[[32]byte]*Caller
	closed  bool
}

// New makes a guard in front of core.
func New(core Core, tokens Tokens, opts Options) *Guard {
	g := &Guard{core: core, tokens: tokens, log: opts.Logger, current: opts.Current, open: opts.RootSecret == "", callers: map[[32]byte]*Caller{}}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	if g.current == nil {
		g.current = func() error { return nil }
	}
	if !g.open {
		g.rootHash = sha256.Sum256([]byte(opts.RootSecret))
	}
	g.root = newCaller(g, rootInfo, g.rootHash)
	tokens.OnTokenRemoved(func(hash [32]byte) { g.drop(hash) })
	return g
}

// rootInfo describes the token of the configuration. It allows everything, for ever.
var rootInfo = protocol.AccessTokenInfo{
	ID: protocol.RootTokenID,
	Scope: protocol.AccessTokenScope{
		Basins:       everyName,
		Streams:      everyName,
		AccessTokens: everyName,
		Groups: protocol.OperationGroups{
			Account: protocol.ReadWrite{Read: true, Write: true},
			Basin:   protocol.ReadWrite{Read: true, Write: true},
			Stream:  protocol.ReadWrite{Read: true, Write: true},
		},
	},
}

var everyName = protocol.ResourceSet{Kind: protocol.MatchPrefix}

// Open reports whether there is no root token, so that nothing is checked.
func (g *Guard) Open() bool { return g.open }

// Root is the caller that may do everything: the holder of the root token, everybody when the guard is open, and the
// program that embeds the broker.
func (g *Guard) Root() *Caller { return g.root }

// maxSecretBytes bounds the text that is hashed; no secret is longer.
const maxSecretBytes = 1024

// Authenticate returns the caller whose secret it is; of an open guard always the root. All requests with the same token
// share one caller. Codes: authn, and no more than that is said; unavailable.
func (g *Guard) Authenticate(secret string) (*Caller, error) {
	if g.open {
		return g.root, nil
	}
	if secret == "" || len(secret) > maxSecretBytes {
		return nil, errAuthn()
	}
	hash := sha256.Sum256([]byte(secret))
	if subtle.ConstantTimeCompare(hash[:], g.rootHash[:]) == 1 {
		return g.root, nil
	}
	if err := g.current(); err != nil {
		return nil, err
	}
	c := g.caller(hash)
	if c == nil || !c.alive() {
		return nil, errAuthn()
	}
	return c, nil
}

// errAuthn is the one answer to an unauthenticated caller, for every reason.
func errAuthn() *protocol.Error {
	return protocol.Errorf(protocol.CodeAuthn, "the access token is missing, unknown, revoked or expired")
}

// ServiceFor is [Guard.Authenticate] for a door that needs only the caller's service.
func (g *Guard) ServiceFor(secret string) (protocol.Service, error) {
	c, err := g.Authenticate(secret)
	if err != nil {
		return nil, err
	}
	return c.Service(), nil
}

// caller finds the caller of a token, or makes it; nil if there is no such token.
func (g *Guard) caller(hash [32]byte) *Caller {
	g.mu.RLock()
	c := g.callers[hash]
	g.mu.RUnlock()
	if c != nil {
		return c
	}
	t, ok := g.tokens.TokenByHash(hash)
	if !ok || t.Info.ExpiredAt(time.Now()) || t.Info.Unconfirmed {
		return nil
	}
	g.mu.Lock()
	if c = g.callers[hash]; c == nil && !g.closed {
		c = newMortal(g, t.Info, hash)
		g.callers[hash] = c
	}
	g.mu.Unlock()
	// A removal that was announced before the caller stood in the map did not find it.
	if _, ok := g.tokens.TokenByHash(hash); !ok {
		g.drop(hash)
		return nil
	}
	return c
}

// drop ends the caller of a token that was removed or has expired.
func (g *Guard) drop(hash [32]byte) {
	g.mu.Lock()
	c := g.callers[hash]
	delete(g.callers, hash)
	g.mu.Unlock()
	if c != nil {
		c.stopClock()
		c.end()
	}
}

// Close frees the callers that the guard holds: no token is accepted any more, but the root's. It ends no session.
func (g *Guard) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for _, c := range g.callers {
		c.stopClock()
	}
	clear(g.callers)
}
