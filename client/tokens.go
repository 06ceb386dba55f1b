package client

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

// ListAccessTokens implements [protocol.TokenService].
func (c *Client) ListAccessTokens(ctx context.Context, req protocol.ListRequest) (protocol.AccessTokenPage, error) {
	page, _, err := call[protocol.AccessTokenPage](ctx, c, c.ask, c.subjects.Token("list", ""), nil, listBody(req))
	return page, err
}

// IssueAccessToken implements [protocol.TokenService].
func (c *Client) IssueAccessToken(ctx context.Context, req protocol.IssueAccessTokenRequest) (secret string, err error) {
	issued, _, err := call[protocol.IssuedAccessToken](ctx, c, c.request, c.subjects.Token("issue", ""), nil, req)
	return issued.Secret, err
}

// ConfirmAccessToken implements [protocol.TokenService]. An empty id has code bad_path and is not sent.
func (c *Client) ConfirmAccessToken(ctx context.Context, id protocol.AccessTokenID) error {
	if id == "" {
		return errEmptyName("access token")
	}
	return c.order(ctx, c.subjects.Token("confirm", id))
}

// RevokeAccessToken implements [protocol.TokenService]. An empty id has code bad_path and is not sent.
func (c *Client) RevokeAccessToken(ctx context.Context, id protocol.AccessTokenID) error {
	if id == "" {
		return errEmptyName("access token")
	}
	return c.order(ctx, c.subjects.Token("revoke", id))
}
