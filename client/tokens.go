package client

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

func (c *Client) ListAccessTokens(context.Context, protocol.ListRequest) (protocol.AccessTokenPage, error) {
	return protocol.AccessTokenPage{}, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (c *Client) IssueAccessToken(context.Context, protocol.IssueAccessTokenRequest) (string, error) {
	return "", protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (c *Client) RevokeAccessToken(context.Context, protocol.AccessTokenID) error {
	return protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}
