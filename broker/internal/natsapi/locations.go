package natsapi

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

func listLocations(ctx context.Context, c *call) (reply, error) {
	all, err := c.svc.ListLocations(ctx)
	if err != nil {
		return reply{}, err
	}
	return jsonReply(protocol.Locations(all))
}

func getDefaultLocation(ctx context.Context, c *call) (reply, error) {
	info, err := c.svc.DefaultLocation(ctx)
	if err != nil {
		return reply{}, err
	}
	return jsonReply(info)
}

// setDefaultLocation takes a bare JSON string, as over HTTP.
func setDefaultLocation(ctx context.Context, c *call) (reply, error) {
	name, err := decodeBody(c, protocol.DecodeLocationName)
	if err != nil {
		return reply{}, err
	}
	info, err := c.svc.SetDefaultLocation(ctx, name)
	if err != nil {
		return reply{}, err
	}
	return jsonReply(info)
}
