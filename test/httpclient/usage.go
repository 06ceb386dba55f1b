package httpclient

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

func (c *Client) AccountMetrics(context.Context, protocol.MetricsQuery) ([]protocol.Metric, error) {
	return nil, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (c *Client) BasinMetrics(context.Context, protocol.BasinName, protocol.MetricsQuery) ([]protocol.Metric, error) {
	return nil, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (c *Client) StreamMetrics(context.Context, protocol.StreamRef, protocol.MetricsQuery) ([]protocol.Metric, error) {
	return nil, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}
