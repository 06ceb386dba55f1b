package natsapi

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/weirstream/weir/protocol"
)

func listStreams(ctx context.Context, c *call) (reply, error) {
	basin, err := c.basin()
	if err != nil {
		return reply{}, err
	}
	req, err := decodeBody(c, protocol.DecodeListRequestJSON)
	if err != nil {
		return reply{}, err
	}
	page, err := c.svc.ListStreams(ctx, basin, req)
	if err != nil {
		return reply{}, err
	}
	return c.fitPage(len(page.Streams), func(n int) ([]byte, error) {
		return protocol.StreamPage{Streams: page.Streams[:n], HasMore: page.HasMore || n < len(page.Streams)}.MarshalJSON()
	})
}

// createStream takes the stream's name from the subject, from the body as over HTTP, or from both if they agree.
func createStream(ctx context.Context, c *call) (reply, error) {
	basin, req, err := c.createStreamRequest()
	if err != nil {
		return reply{}, err
	}
	info, result, err := c.svc.CreateStream(ctx, basin, req)
	if err != nil {
		return reply{}, err
	}
	return provisioned(info, result)
}

func (c *call) createStreamRequest() (basin protocol.BasinName, req protocol.CreateStreamRequest, err error) {
	if err := c.checkSize(); err != nil {
		return "", req, err
	}
	if !strings.Contains(c.rest, ".") {
		if basin, err = c.basin(); err != nil {
			return "", req, err
		}
		req, err = protocol.DecodeJSON[protocol.CreateStreamRequest](c.body)
		req.RequestToken = c.ctl.requestToken
		return basin, req, err
	}
	ref, err := c.stream()
	if err != nil {
		return "", req, err
	}
	req = protocol.CreateStreamRequest{Stream: ref.Stream, RequestToken: c.ctl.requestToken}
	if len(c.body) == 0 {
		return ref.Basin, req, nil
	}
	body, err := protocol.DecodeJSON[struct {
		Stream *string               `json:"stream"`
		Config json.RawMessage       `json:"config"`
		Fork   *protocol.ForkRequest `json:"fork"`
	}](c.body)
	switch {
	case err != nil:
		return "", req, err
	case body.Stream != nil && *body.Stream != string(ref.Stream):
		return "", req, protocol.Errorf(protocol.CodeBadJSON, "stream: is %q, but the subject says %q", protocol.Clip(*body.Stream), protocol.Clip(string(ref.Stream)))
	}
	req.Fork = body.Fork
	if len(body.Config) > 0 {
		req.Config, err = protocol.DecodeJSON[protocol.StreamConfig](body.Config)
	}
	return ref.Basin, req, err
}

func ensureStream(ctx context.Context, c *call) (reply, error) {
	ref, err := c.stream()
	if err != nil {
		return reply{}, err
	}
	config, err := decodeBody(c, protocol.DecodeJSON[protocol.StreamConfig])
	if err != nil {
		return reply{}, err
	}
	info, result, err := c.svc.EnsureStream(ctx, ref, config)
	if err != nil {
		return reply{}, err
	}
	return provisioned(info, result)
}

func getStream(ctx context.Context, c *call) (reply, error) {
	ref, err := c.stream()
	if err != nil {
		return reply{}, err
	}
	config, err := c.svc.GetStreamConfig(ctx, ref)
	if err != nil {
		return reply{}, err
	}
	return jsonReply(config)
}

func reconfigureStream(ctx context.Context, c *call) (reply, error) {
	ref, err := c.stream()
	if err != nil {
		return reply{}, err
	}
	change, err := decodeBody(c, protocol.DecodeJSON[protocol.StreamReconfiguration])
	if err != nil {
		return reply{}, err
	}
	config, err := c.svc.ReconfigureStream(ctx, ref, change)
	if err != nil {
		return reply{}, err
	}
	return jsonReply(config)
}

func deleteStream(ctx context.Context, c *call) (reply, error) {
	ref, err := c.stream()
	if err != nil {
		return reply{}, err
	}
	return reply{}, c.svc.DeleteStream(ctx, ref)
}
