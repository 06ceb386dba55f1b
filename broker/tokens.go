package broker

import (
	"context"

	"github.com/weirstream/weir/adapter"
	"github.com/weirstream/weir/broker/internal/access"
	"github.com/weirstream/weir/protocol"
)

// tokenStore is the adapter's tokens behind the service's gate, as the guard wants them.
type tokenStore struct {
	*adapter.Adapter
	s *service
}

var _ access.Tokens = tokenStore{}

func (t tokenStore) PutToken(ctx context.Context, token access.StoredToken) error {
	_, err := do(t.s, func() (struct{}, error) { return struct{}{}, t.Adapter.PutToken(ctx, adapter.Token(token)) })
	return err
}

func (t tokenStore) RemoveToken(ctx context.Context, id protocol.AccessTokenID) error {
	_, err := do(t.s, func() (struct{}, error) { return struct{}{}, t.Adapter.RemoveToken(ctx, id) })
	return err
}

func (t tokenStore) ListTokens(_ context.Context, req protocol.ListRequest) (page []access.StoredToken, more bool, err error) {
	page, err = do(t.s, func() (page []access.StoredToken, err error) {
		var tokens []adapter.Token
		tokens, more = t.Adapter.ListTokens(req)
		for _, token := range tokens {
			page = append(page, access.StoredToken(token))
		}
		return page, nil
	})
	return page, more, err
}

func (t tokenStore) TokenByHash(hash [32]byte) (access.StoredToken, bool) {
	token, ok := t.Adapter.TokenByHash(hash)
	return access.StoredToken(token), ok
}
