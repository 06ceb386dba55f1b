package natsapi

import (
	"context"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/subject"
)

func listTokens(ctx context.Context, c *call) (reply, error) {
	req, err := decodeBody(c, protocol.DecodeListRequestJSON)
	if err != nil {
		return reply{}, err
	}
	page, err := c.svc.ListAccessTokens(ctx, req)
	if err != nil {
		return reply{}, err
	}
	return c.fitPage(len(page.Tokens), func(n int) ([]byte, error) {
		return protocol.AccessTokenPage{Tokens: page.Tokens[:n], HasMore: page.HasMore || n < len(page.Tokens)}.MarshalJSON()
	})
}

func issueToken(ctx context.Context, c *call) (reply, error) {
	req, err := decodeBody(c, protocol.DecodeJSON[protocol.IssueAccessTokenRequest])
	if err != nil {
		return reply{}, err
	}
	secret, err := c.svc.IssueAccessToken(ctx, req)
	if err != nil {
		return reply{}, err
	}
	return jsonReply(protocol.IssuedAccessToken{Secret: secret})
}

// revokeToken takes the id from the subject, where it is spelled like a stream's name, or from the body.
func revokeToken(ctx context.Context, c *call) (reply, error) {
	id, err := c.tokenID()
	if err != nil {
		return reply{}, err
	}
	return reply{}, c.svc.RevokeAccessToken(ctx, id)
}

// confirmToken takes the id as revokeToken does.
func confirmToken(ctx context.Context, c *call) (reply, error) {
	id, err := c.tokenID()
	if err != nil {
		return reply{}, err
	}
	return reply{}, c.svc.ConfirmAccessToken(ctx, id)
}

func (c *call) tokenID() (protocol.AccessTokenID, error) {
	if c.rest == "" {
		return decodeBody(c, protocol.DecodeTokenIDJSON)
	}
	name, err := subject.Decode(c.rest)
	if err != nil {
		return "", badPath(err)
	}
	id, err := protocol.ParseAccessTokenID(string(name))
	if err != nil {
		return "", badPath(err)
	}
	return id, nil
}
