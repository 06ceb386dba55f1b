package access

import (
	"context"
	"log/slog"
	"time"

	"github.com/weirstream/weir/protocol"
)

// StoredToken is an issued token as it is kept.
type StoredToken struct {
	Info     protocol.AccessTokenInfo
	Hash     [32]byte // SHA-256 of the secret
	IssuedAt time.Time
}

// Tokens is where issued tokens are kept. All methods may be called at once. The errors are [*protocol.Error].
type Tokens interface {
	// PutToken stores a token under its id, durably. Codes: resource_already_exists if the id is taken.
	PutToken(ctx context.Context, t StoredToken) error
	// RemoveToken removes a token, durably. Codes: access_token_not_found.
	RemoveToken(ctx context.Context, id protocol.AccessTokenID) error
	// TokenByHash finds a token by the hash of its secret.
	TokenByHash(hash [32]byte) (StoredToken, bool)
	// Token finds a token by its id.
	Token(id protocol.AccessTokenID) (StoredToken, bool)
	// ListTokens returns a page of tokens by id, at most req.PageSize(), and whether more match.
	ListTokens(req protocol.ListRequest) (page []StoredToken, more bool)
	// OnTokenRemoved sets what is called, after the fact and outside all locks, with the hash of every token that is
	// removed, here or by another server. It is called once, before anything else.
	OnTokenRemoved(f func(hash [32]byte))
}

// Options configure a [Guard].
type Options struct {
	// RootSecret is the root token; "" leaves everything open: nothing is checked.
	RootSecret string
	// Logger gets who was issued and revoked, never a secret; nil discards it.
	Logger *slog.Logger
}

// Guard knows who may do what; make one with [New]. All methods may be called at once.
type Guard struct {
	svc    protocol.Service
	tokens Tokens
	open   bool
	root   *Caller
}

// New makes a guard in front of svc, which does everything but administer tokens: the guard does that.
func New(svc protocol.Service, tokens Tokens, opts Options) *Guard {
	g := &Guard{svc: svc, tokens: tokens, open: opts.RootSecret == ""}
	g.root = &Caller{svc: svc, info: protocol.AccessTokenInfo{ID: protocol.RootTokenID}}
	return g
}

// Open reports whether there is no root token, so that nothing is checked.
func (g *Guard) Open() bool { return g.open }

// Root is the caller that may do everything: who presents the root token, everybody when the guard is open, and the
// program that embeds the broker.
func (g *Guard) Root() *Caller { return g.root }

// Authenticate returns the caller whose secret it is; of an open guard always the root. One caller is shared by all who
// present the same token. Codes: authn.
func (g *Guard) Authenticate(secret string) (*Caller, error) {
	if g.open {
		return g.root, nil
	}
	return nil, protocol.Errorf(protocol.CodeAuthn, "the access token is missing, unknown, revoked or expired")
}

// ServiceFor is [Guard.Authenticate] for a door that needs only the caller's service.
func (g *Guard) ServiceFor(secret string) (protocol.Service, error) {
	c, err := g.Authenticate(secret)
	if err != nil {
		return nil, err
	}
	return c.Service(), nil
}

// Close frees what the guard holds. Nothing may use it or its callers any more.
func (g *Guard) Close() {}
