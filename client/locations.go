package client

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

func (c *Client) ListLocations(context.Context) ([]protocol.LocationInfo, error) {
	return nil, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (c *Client) DefaultLocation(context.Context) (protocol.LocationInfo, error) {
	return protocol.LocationInfo{}, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (c *Client) SetDefaultLocation(context.Context, protocol.LocationName) (protocol.LocationInfo, error) {
	return protocol.LocationInfo{}, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}
