package adapter

import (
	"context"
	"time"

	"github.com/weirstream/weir/adapter/internal/lease"
	"github.com/weirstream/weir/protocol"
)

// OnTokenRemoved sets the function that is called with the hash of every token that was removed, here or by another server, once
// TokenByHash does not find it any more.
func (a *Adapter) OnTokenRemoved(f func(hash [32]byte)) {
	a.catalog.Tokens.OnRemoved(f)
}

// tokenAge is how old the knowledge of the tokens may be where other brokers share the store: twice the term of a lease.
const tokenAge = 2 * lease.Term

// leaseAge is how long ago this broker's newest renewal was sent that most servers have stored: no server that is cut off can answer that.
func (a *Adapter) leaseAge() time.Duration {
	if a.registry == nil {
		return 0
	}
	return a.registry.LeaseAge()
}

// TokensCurrent fails with code unavailable while this broker may not know of tokens that were revoked through another one.
// A server of the catalog that is cut off as well, and does not know it yet, hides that from the broker.
func (a *Adapter) TokensCurrent() error {
	if !a.opts.Shared || a.catalog.Age() <= tokenAge && a.leaseAge() <= tokenAge {
		return nil
	}
	return errCutOff
}

var errCutOff = protocol.Errorf(protocol.CodeUnavailable, "this broker has no contact with the catalog and does not know which access tokens count")

// Token finds a token by its id.
func (a *Adapter) Token(id protocol.AccessTokenID) (protocol.StoredToken, bool) {
	return a.catalog.Tokens.WithID(id)
}

// TokenByHash finds a token by the hash of its secret.
func (a *Adapter) TokenByHash(hash [32]byte) (protocol.StoredToken, bool) {
	return a.catalog.Tokens.WithHash(hash)
}

// ListTokens returns a page of tokens by id, and whether more match.
func (a *Adapter) ListTokens(req protocol.ListRequest) (page []protocol.StoredToken, more bool) {
	return a.catalog.Tokens.List(req)
}

// PutToken stores a token under its id, durably. Codes: resource_already_exists.
func (a *Adapter) PutToken(ctx context.Context, t protocol.StoredToken) error {
	return a.catalog.PutToken(ctx, t)
}

// ConfirmToken makes a token count that was issued while nothing was checked, durably. Codes: access_token_not_found.
func (a *Adapter) ConfirmToken(ctx context.Context, id protocol.AccessTokenID) error {
	return a.catalog.ConfirmToken(ctx, id)
}

// RemoveToken removes a token, durably, and has announced it when it returns. Codes: access_token_not_found.
func (a *Adapter) RemoveToken(ctx context.Context, id protocol.AccessTokenID) error {
	return a.catalog.RemoveToken(ctx, id)
}
