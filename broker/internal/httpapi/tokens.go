package httpapi

import (
	"context"
	"net/http"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/protocol"
)

func (c *call) listTokens() error {
	req, err := parseListQuery(c.r.URL.RawQuery, protocol.CheckAccessTokenPrefix)
	if err != nil {
		return err
	}
	ctx, cancel := c.unary(noWait)
	defer cancel()
	page, err := c.svc.ListAccessTokens(ctx, req)
	if err != nil {
		return door.CauseOf(ctx, err)
	}
	return c.answerJSON(http.StatusOK, page)
}

func (c *call) issueToken() error {
	req, err := jsonBody(c, protocol.DecodeJSON[protocol.IssueAccessTokenRequest])
	if err != nil {
		return err
	}
	ctx, cancel := c.unary(noWait)
	defer cancel()
	secret, err := c.svc.IssueAccessToken(ctx, req)
	if err != nil {
		return door.CauseOf(ctx, err)
	}
	c.w.Header()["Cache-Control"] = []string{"no-store"} // no proxy may keep a secret
	return c.answerJSON(http.StatusCreated, protocol.IssuedAccessToken{Secret: secret})
}

func (c *call) revokeToken() error { return c.onToken(c.svc.RevokeAccessToken) }

func (c *call) confirmToken() error { return c.onToken(c.svc.ConfirmAccessToken) }

// onToken does something to the token that the path names, and answers with nothing.
func (c *call) onToken(do func(context.Context, protocol.AccessTokenID) error) error {
	id, err := pathName(c.params[0], protocol.ParseAccessTokenID)
	if err != nil {
		return err
	}
	ctx, cancel := c.unary(noWait)
	defer cancel()
	if err := do(ctx, id); err != nil {
		return door.CauseOf(ctx, err)
	}
	c.status = http.StatusNoContent
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}
