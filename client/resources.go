package client

import (
	"context"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
)

// jsonMarshaler is the type of request bodies.
type jsonMarshaler interface{ MarshalJSON() ([]byte, error) }

// call sends a JSON request, of no body if in is nil, and decodes the answer as T.
func call[T any](ctx context.Context, c *Client, send exchange, subject string, head nats.Header, in jsonMarshaler) (out T, m *nats.Msg, err error) {
	var body []byte
	if in != nil {
		if body, err = in.MarshalJSON(); err != nil {
			return out, nil, protocol.Wrap(protocol.CodeInvalid, err, "the request cannot be encoded")
		}
	}
	ctx, cancel := c.bound(ctx, 0)
	defer cancel()
	if m, err = send(ctx, subject, head, body); err != nil {
		return out, nil, err
	}
	if out, err = protocol.DecodeJSON[T](m.Data); err != nil {
		return out, nil, badAnswer("answer", err)
	}
	return out, m, nil
}

// provision is a call that creates or ensures.
func provision[T any](ctx context.Context, c *Client, subject string, token *string, in jsonMarshaler) (T, protocol.ProvisionResult, error) {
	head := nats.Header{}
	if token != nil {
		if err := protocol.CheckRequestToken(*token); err != nil {
			var none T
			return none, "", protocol.Errorf(protocol.CodeBadHeader, "%s: %v", protocol.HeaderRequestToken, err)
		}
		head[protocol.HeaderRequestToken] = []string{*token}
	}
	info, m, err := call[T](ctx, c, c.request, subject, head, in)
	if err != nil {
		return info, "", err
	}
	return info, protocol.ProvisionResult(m.Header.Get(protocol.HeaderProvisionResult)), nil
}

// listBody is the body of a list request.
type listBody protocol.ListRequest

func (b listBody) MarshalJSON() ([]byte, error) {
	return protocol.EncodeListRequestJSON(protocol.ListRequest(b)), nil
}

// ListBasins implements [protocol.BasinService].
func (c *Client) ListBasins(ctx context.Context, req protocol.ListRequest) (protocol.BasinPage, error) {
	page, _, err := call[protocol.BasinPage](ctx, c, c.ask, c.subjects.Basin("list", ""), nil, listBody(req))
	return page, err
}

// CreateBasin implements [protocol.BasinService].
func (c *Client) CreateBasin(ctx context.Context, req protocol.CreateBasinRequest) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	return provision[protocol.BasinInfo](ctx, c, c.subjects.Basin("create", req.Basin), req.RequestToken, req)
}

// EnsureBasin implements [protocol.BasinService].
func (c *Client) EnsureBasin(ctx context.Context, basin protocol.BasinName, req protocol.EnsureBasinRequest) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	return provision[protocol.BasinInfo](ctx, c, c.subjects.Basin("ensure", basin), nil, req)
}

// GetBasinConfig implements [protocol.BasinService].
func (c *Client) GetBasinConfig(ctx context.Context, basin protocol.BasinName) (protocol.BasinConfig, error) {
	config, _, err := call[protocol.BasinConfig](ctx, c, c.ask, c.subjects.Basin("get", basin), nil, nil)
	return config, err
}

// ReconfigureBasin implements [protocol.BasinService].
func (c *Client) ReconfigureBasin(ctx context.Context, basin protocol.BasinName, change protocol.BasinReconfiguration) (protocol.BasinConfig, error) {
	config, _, err := call[protocol.BasinConfig](ctx, c, c.request, c.subjects.Basin("reconfigure", basin), nil, change)
	return config, err
}

// DeleteBasin implements [protocol.BasinService].
func (c *Client) DeleteBasin(ctx context.Context, basin protocol.BasinName) error {
	return c.order(ctx, c.subjects.Basin("delete", basin))
}

// ListStreams implements [protocol.StreamService].
func (c *Client) ListStreams(ctx context.Context, basin protocol.BasinName, req protocol.ListRequest) (protocol.StreamPage, error) {
	page, _, err := call[protocol.StreamPage](ctx, c, c.ask, c.subjects.Stream("list", basin, ""), nil, listBody(req))
	return page, err
}

// CreateStream implements [protocol.StreamService].
func (c *Client) CreateStream(ctx context.Context, basin protocol.BasinName, req protocol.CreateStreamRequest) (protocol.StreamInfo, protocol.ProvisionResult, error) {
	return provision[protocol.StreamInfo](ctx, c, c.subjects.Stream("create", basin, req.Stream), req.RequestToken, req)
}

// EnsureStream implements [protocol.StreamService].
func (c *Client) EnsureStream(ctx context.Context, ref protocol.StreamRef, config protocol.StreamConfig) (protocol.StreamInfo, protocol.ProvisionResult, error) {
	return provision[protocol.StreamInfo](ctx, c, c.subjects.Stream("ensure", ref.Basin, ref.Stream), nil, config)
}

// GetStreamConfig implements [protocol.StreamService].
func (c *Client) GetStreamConfig(ctx context.Context, ref protocol.StreamRef) (protocol.ResolvedStreamConfig, error) {
	config, _, err := call[protocol.ResolvedStreamConfig](ctx, c, c.ask, c.subjects.Stream("get", ref.Basin, ref.Stream), nil, nil)
	return config, err
}

// ReconfigureStream implements [protocol.StreamService].
func (c *Client) ReconfigureStream(ctx context.Context, ref protocol.StreamRef, change protocol.StreamReconfiguration) (protocol.ResolvedStreamConfig, error) {
	config, _, err := call[protocol.ResolvedStreamConfig](ctx, c, c.request, c.subjects.Stream("reconfigure", ref.Basin, ref.Stream), nil, change)
	return config, err
}

// DeleteStream implements [protocol.StreamService].
func (c *Client) DeleteStream(ctx context.Context, ref protocol.StreamRef) error {
	return c.order(ctx, c.subjects.Stream("delete", ref.Basin, ref.Stream))
}

// order is a request without a body whose answer says nothing but success.
func (c *Client) order(ctx context.Context, subject string) error {
	ctx, cancel := c.bound(ctx, 0)
	defer cancel()
	_, err := c.request(ctx, subject, nil, nil)
	return err
}
