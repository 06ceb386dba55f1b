package httpclient

import (
	"context"
	"net/http"

	"github.com/weirstream/weir/protocol"
)

const (
	locationsPath       = "/v1/locations"
	defaultLocationPath = "/v1/locations/default"
)

// ListLocations implements [protocol.LocationService].
func (c *Client) ListLocations(ctx context.Context) ([]protocol.LocationInfo, error) {
	return ask[protocol.Locations](ctx, c, call{method: http.MethodGet, path: locationsPath}, nil)
}

// DefaultLocation implements [protocol.LocationService].
func (c *Client) DefaultLocation(ctx context.Context) (protocol.LocationInfo, error) {
	return ask[protocol.LocationInfo](ctx, c, call{method: http.MethodGet, path: defaultLocationPath}, nil)
}

// SetDefaultLocation implements [protocol.LocationService].
func (c *Client) SetDefaultLocation(ctx context.Context, name protocol.LocationName) (protocol.LocationInfo, error) {
	return ask[protocol.LocationInfo](ctx, c, call{method: http.MethodPut, path: defaultLocationPath}, name)
}
