package client

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

// locationBody is the body that names a location.
type locationBody protocol.LocationName

func (b locationBody) MarshalJSON() ([]byte, error) {
	return protocol.EncodeLocationName(protocol.LocationName(b)), nil
}

// ListLocations implements [protocol.LocationService].
func (c *Client) ListLocations(ctx context.Context) ([]protocol.LocationInfo, error) {
	all, _, err := call[protocol.Locations](ctx, c, c.ask, c.subjects.Location("list"), nil, nil)
	return all, err
}

// DefaultLocation implements [protocol.LocationService].
func (c *Client) DefaultLocation(ctx context.Context) (protocol.LocationInfo, error) {
	info, _, err := call[protocol.LocationInfo](ctx, c, c.ask, c.subjects.Location("default.get"), nil, nil)
	return info, err
}

// SetDefaultLocation implements [protocol.LocationService].
func (c *Client) SetDefaultLocation(ctx context.Context, name protocol.LocationName) (protocol.LocationInfo, error) {
	info, _, err := call[protocol.LocationInfo](ctx, c, c.request, c.subjects.Location("default.set"), nil, locationBody(name))
	return info, err
}
