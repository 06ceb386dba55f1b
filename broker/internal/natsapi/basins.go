package natsapi

import (
	"context"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
)

func listBasins(ctx context.Context, c *call) (reply, error) {
	req, err := decodeBody(c, protocol.DecodeListRequestJSON)
	if err != nil {
		return reply{}, err
	}
	page, err := c.svc.ListBasins(ctx, req)
	if err != nil {
		return reply{}, err
	}
	return c.fitPage(len(page.Basins), func(n int) ([]byte, error) {
		return protocol.BasinPage{Basins: page.Basins[:n], HasMore: page.HasMore || n < len(page.Basins)}.MarshalJSON()
	})
}

// createBasin takes the name from the subject, from the body as over HTTP, or from both if they agree.
func createBasin(ctx context.Context, c *call) (reply, error) {
	req, err := c.createBasinRequest()
	if err != nil {
		return reply{}, err
	}
	info, result, err := c.svc.CreateBasin(ctx, req)
	if err != nil {
		return reply{}, err
	}
	return provisioned(info, result)
}

func (c *call) createBasinRequest() (req protocol.CreateBasinRequest, err error) {
	if err := c.checkSize(); err != nil {
		return req, err
	}
	if c.rest == "" {
		req, err = protocol.DecodeJSON[protocol.CreateBasinRequest](c.body)
		req.RequestToken = c.ctl.requestToken
		return req, err
	}
	if req.Basin, err = c.basin(); err != nil {
		return req, err
	}
	body, err := protocol.DecodeJSON[protocol.EnsureBasinRequest](c.body)
	if err != nil {
		return req, err
	}
	req.Config, req.Location, req.DedicatedLogs, req.RequestToken = body.Config, body.Location, body.DedicatedLogs, c.ctl.requestToken
	if len(c.body) == 0 {
		return req, nil
	}
	named, err := protocol.DecodeJSON[struct {
		Basin *string `json:"basin"`
	}](c.body)
	if err == nil && named.Basin != nil && *named.Basin != string(req.Basin) {
		err = protocol.Errorf(protocol.CodeBadJSON, "basin: is %q, but the subject says %q", protocol.Clip(*named.Basin), req.Basin)
	}
	return req, err
}

func ensureBasin(ctx context.Context, c *call) (reply, error) {
	basin, err := c.basin()
	if err != nil {
		return reply{}, err
	}
	req, err := decodeBody(c, protocol.DecodeJSON[protocol.EnsureBasinRequest])
	if err != nil {
		return reply{}, err
	}
	info, result, err := c.svc.EnsureBasin(ctx, basin, req)
	if err != nil {
		return reply{}, err
	}
	return provisioned(info, result)
}

func getBasin(ctx context.Context, c *call) (reply, error) {
	basin, err := c.basin()
	if err != nil {
		return reply{}, err
	}
	config, err := c.svc.GetBasinConfig(ctx, basin)
	if err != nil {
		return reply{}, err
	}
	return jsonReply(config)
}

func reconfigureBasin(ctx context.Context, c *call) (reply, error) {
	basin, err := c.basin()
	if err != nil {
		return reply{}, err
	}
	change, err := decodeBody(c, protocol.DecodeJSON[protocol.BasinReconfiguration])
	if err != nil {
		return reply{}, err
	}
	config, err := c.svc.ReconfigureBasin(ctx, basin, change)
	if err != nil {
		return reply{}, err
	}
	return jsonReply(config)
}

func deleteBasin(ctx context.Context, c *call) (reply, error) {
	basin, err := c.basin()
	if err != nil {
		return reply{}, err
	}
	return reply{}, c.svc.DeleteBasin(ctx, basin)
}

// decodeBody decodes a JSON body of bounded size.
func decodeBody[T any](c *call, decode func([]byte) (T, error)) (v T, err error) {
	if err := c.checkSize(); err != nil {
		return v, err
	}
	return decode(c.body)
}

// jsonMarshaler is the interface of every resource of the protocol.
type jsonMarshaler interface{ MarshalJSON() ([]byte, error) }

func jsonReply(v jsonMarshaler) (reply, error) {
	body, err := v.MarshalJSON()
	if err != nil {
		return reply{}, err
	}
	return reply{head: nats.Header{protocol.HeaderContentType: {protocol.MediaJSON}}, body: body}, nil
}

func provisioned(info jsonMarshaler, result protocol.ProvisionResult) (reply, error) {
	r, err := jsonReply(info)
	if err != nil {
		return reply{}, err
	}
	r.head[protocol.HeaderProvisionResult] = []string{string(result)}
	return r, nil
}
