package cli_test

import (
	"context"
	"fmt"

	"github.com/weirstream/weir/protocol"
)

func (f *fakeService) ListAccessTokens(_ context.Context, req protocol.ListRequest) (protocol.AccessTokenPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := []protocol.AccessTokenInfo{{ID: protocol.RootTokenID}}
	for _, t := range f.tokens {
		all = append(all, t)
	}
	items, more := page(all, req, func(t protocol.AccessTokenInfo) string { return string(t.ID) })
	return protocol.AccessTokenPage{Tokens: items, HasMore: more}, nil
}

func (f *fakeService) IssueAccessToken(_ context.Context, req protocol.IssueAccessTokenRequest) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.tokens[req.ID]; ok {
		return "", protocol.Errorf(protocol.CodeResourceAlreadyExists, "access token %q exists", req.ID)
	}
	if req.Scope.Operations() == 0 {
		return "", protocol.Errorf(protocol.CodeInvalid, "Access token permissions cannot be empty")
	}
	if f.tokens == nil {
		f.tokens = map[protocol.AccessTokenID]protocol.AccessTokenInfo{}
	}
	f.tokens[req.ID] = protocol.AccessTokenInfo(req)
	return fmt.Sprintf("weir_secret%d", len(f.tokens)), nil
}

func (f *fakeService) ConfirmAccessToken(_ context.Context, id protocol.AccessTokenID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, ok := f.tokens[id]
	if !ok {
		return protocol.Errorf(protocol.CodeAccessTokenNotFound, "access token %q does not exist", id)
	}
	t.Unconfirmed = false
	f.tokens[id] = t
	return nil
}

func (f *fakeService) RevokeAccessToken(_ context.Context, id protocol.AccessTokenID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.tokens[id]; !ok {
		return protocol.Errorf(protocol.CodeAccessTokenNotFound, "access token %q does not exist", id)
	}
	delete(f.tokens, id)
	return nil
}
