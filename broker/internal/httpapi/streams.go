package httpapi

import (
	"net/http"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/protocol"
)

func (c *call) listStreams() error {
	basin, err := c.basinHeader()
	if err != nil {
		return err
	}
	req, err := parseListQuery(c.r.URL.RawQuery, protocol.CheckStreamPrefix)
	if err != nil {
		return err
	}
	ctx, cancel := c.unary(noWait)
	defer cancel()
	page, err := c.svc.ListStreams(ctx, basin, req)
	if err != nil {
		return door.CauseOf(ctx, err)
	}
	return c.answerJSON(http.StatusOK, page)
}

func (c *call) createStream() error {
	token, err := c.requestToken()
	if err != nil {
		return err
	}
	basin, err := c.basinHeader()
	if err != nil {
		return err
	}
	req, err := jsonBody(c, protocol.DecodeJSON[protocol.CreateStreamRequest])
	if err != nil {
		return err
	}
	req.RequestToken = token
	ctx, cancel := c.unary(noWait)
	defer cancel()
	info, result, err := c.svc.CreateStream(ctx, basin, req)
	if err != nil {
		return door.CauseOf(ctx, err)
	}
	return c.answerProvision(info, result)
}

func (c *call) ensureStream() error {
	ref, err := c.stream()
	if err != nil {
		return err
	}
	config, err := optionalBody(c, protocol.DecodeJSON[protocol.StreamConfig])
	if err != nil {
		return err
	}
	ctx, cancel := c.unary(noWait)
	defer cancel()
	info, result, err := c.svc.EnsureStream(ctx, ref, config)
	if err != nil {
		return door.CauseOf(ctx, err)
	}
	return c.answerProvision(info, result)
}

func (c *call) getStream() error {
	ref, err := c.stream()
	if err != nil {
		return err
	}
	ctx, cancel := c.unary(noWait)
	defer cancel()
	config, err := c.svc.GetStreamConfig(ctx, ref)
	if err != nil {
		return door.CauseOf(ctx, err)
	}
	return c.answerJSON(http.StatusOK, config)
}

func (c *call) reconfigureStream() error {
	ref, err := c.stream()
	if err != nil {
		return err
	}
	change, err := jsonBody(c, protocol.DecodeJSON[protocol.StreamReconfiguration])
	if err != nil {
		return err
	}
	ctx, cancel := c.unary(noWait)
	defer cancel()
	config, err := c.svc.ReconfigureStream(ctx, ref, change)
	if err != nil {
		return door.CauseOf(ctx, err)
	}
	return c.answerJSON(http.StatusOK, config)
}

func (c *call) deleteStream() error {
	ref, err := c.stream()
	if err != nil {
		return err
	}
	ctx, cancel := c.unary(noWait)
	defer cancel()
	if err := c.svc.DeleteStream(ctx, ref); err != nil {
		return door.CauseOf(ctx, err)
	}
	c.respond(http.StatusAccepted, nil)
	return nil
}
