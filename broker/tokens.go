package broker

import (
	"context"

	"github.com/weirstream/weir/adapter"
	"github.com/weirstream/weir/broker/internal/access"
	"github.com/weirstream/weir/protocol"
)

// tokenStore is the adapter's tokens behind the drainer, as the guard wants them.
type tokenStore struct {
	*adapter.Adapter
	s *service
}

var _ access.Tokens = tokenStore{}

func (t tokenStore) PutToken(ctx context.Context, token protocol.StoredToken) error {
	_, err := do(t.s, func() (struct{}, error) { return struct{}{}, t.Adapter.PutToken(ctx, token) })
	return err
}

func (t tokenStore) RemoveToken(ctx context.Context, id protocol.AccessTokenID) error {
	_, err := do(t.s, func() (struct{}, error) { return struct{}{}, t.Adapter.RemoveToken(ctx, id) })
	return err
}

func (t tokenStore) ListTokens(_ context.Context, req protocol.ListRequest) (page []protocol.StoredToken, more bool, err error) {
	page, err = do(t.s, func() (page []protocol.StoredToken, err error) {
		page, more = t.Adapter.ListTokens(req)
		return page, nil
	})
	return page, more, err
}
