package httpapi

import (
	"net/http"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/protocol"
)

func (c *call) listBasins() error {
	req, err := parseListQuery(c.r.URL.RawQuery, protocol.CheckBasinPrefix)
	if err != nil {
		return err
	}
	ctx, cancel := c.unary(noWait)
	defer cancel()
	page, err := c.svc.ListBasins(ctx, req)
	if err != nil {
		return door.CauseOf(ctx, err)
	}
	return c.answerJSON(http.StatusOK, page)
}

func (c *call) createBasin() error {
	token, err := c.requestToken()
	if err != nil {
		return err
	}
	req, err := jsonBody(c, protocol.DecodeJSON[protocol.CreateBasinRequest])
	if err != nil {
		return err
	}
	req.RequestToken = token
	ctx, cancel := c.unary(noWait)
	defer cancel()
	info, result, err := c.svc.CreateBasin(ctx, req)
	if err != nil {
		return door.CauseOf(ctx, err)
	}
	return c.answerProvision(info, result)
}

func (c *call) ensureBasin() error {
	basin, err := c.basinParam()
	if err != nil {
		return err
	}
	req, err := optionalBody(c, protocol.DecodeJSON[protocol.EnsureBasinRequest])
	if err != nil {
		return err
	}
	ctx, cancel := c.unary(noWait)
	defer cancel()
	info, result, err := c.svc.EnsureBasin(ctx, basin, req)
	if err != nil {
		return door.CauseOf(ctx, err)
	}
	return c.answerProvision(info, result)
}

func (c *call) getBasin() error {
	basin, err := c.basinParam()
	if err != nil {
		return err
	}
	ctx, cancel := c.unary(noWait)
	defer cancel()
	config, err := c.svc.GetBasinConfig(ctx, basin)
	if err != nil {
		return door.CauseOf(ctx, err)
	}
	return c.answerJSON(http.StatusOK, config)
}

func (c *call) reconfigureBasin() error {
	basin, err := c.basinParam()
	if err != nil {
		return err
	}
	change, err := jsonBody(c, protocol.DecodeJSON[protocol.BasinReconfiguration])
	if err != nil {
		return err
	}
	ctx, cancel := c.unary(noWait)
	defer cancel()
	config, err := c.svc.ReconfigureBasin(ctx, basin, change)
	if err != nil {
		return door.CauseOf(ctx, err)
	}
	return c.answerJSON(http.StatusOK, config)
}

func (c *call) deleteBasin() error {
	basin, err := c.basinParam()
	if err != nil {
		return err
	}
	ctx, cancel := c.unary(noWait)
	defer cancel()
	if err := c.svc.DeleteBasin(ctx, basin); err != nil {
		return door.CauseOf(ctx, err)
	}
	c.respond(http.StatusAccepted, nil)
	return nil
}
