package httpclient

import (
	"context"
	"net/http"
	"net/url"

	"github.com/weirstream/weir/protocol"
)

const tokensPath = "/v1/access-tokens"

// ListAccessTokens implements [protocol.TokenService].
func (c *Client) ListAccessTokens(ctx context.Context, req protocol.ListRequest) (protocol.AccessTokenPage, error) {
	return ask[protocol.AccessTokenPage](ctx, c, call{method: http.MethodGet, path: tokensPath + pageQuery(req)}, nil)
}

// IssueAccessToken implements [protocol.TokenService].
func (c *Client) IssueAccessToken(ctx context.Context, req protocol.IssueAccessTokenRequest) (secret string, err error) {
	k, err := call{method: http.MethodPost, path: tokensPath, statuses: []int{http.StatusCreated}, media: protocol.MediaJSON}.carrying(req)
	if err != nil {
		return "", err
	}
	_, _, body, err := c.do(ctx, k)
	if err != nil {
		return "", err
	}
	issued, err := decode[protocol.IssuedAccessToken](body)
	return issued.Secret, err
}

// ConfirmAccessToken implements [protocol.TokenService].
func (c *Client) ConfirmAccessToken(ctx context.Context, id protocol.AccessTokenID) error {
	_, _, _, err := c.do(ctx, call{method: http.MethodPost, path: tokensPath + "/" + url.PathEscape(string(id)) + "/confirm",
		statuses: []int{http.StatusNoContent}})
	return err
}

// RevokeAccessToken implements [protocol.TokenService].
func (c *Client) RevokeAccessToken(ctx context.Context, id protocol.AccessTokenID) error {
	_, _, _, err := c.do(ctx, call{method: http.MethodDelete, path: tokensPath + "/" + url.PathEscape(string(id)),
		statuses: []int{http.StatusNoContent}})
	return err
}
