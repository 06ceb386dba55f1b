package httpapi

import (
	"net/http"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/protocol"
)

func (c *call) listLocations() error {
	ctx, cancel := c.unary(noWait)
	defer cancel()
	all, err := c.svc.ListLocations(ctx)
	if err != nil {
		return door.CauseOf(ctx, err)
	}
	return c.answerJSON(http.StatusOK, protocol.Locations(all))
}

func (c *call) getLocation() error {
	ctx, cancel := c.unary(noWait)
	defer cancel()
	info, err := c.svc.DefaultLocation(ctx)
	if err != nil {
		return door.CauseOf(ctx, err)
	}
	return c.answerJSON(http.StatusOK, info)
}

// setLocation takes a bare JSON string (control plane section 7).
func (c *call) setLocation() error {
	name, err := jsonBody(c, protocol.DecodeLocationName)
	if err != nil {
		return err
	}
	ctx, cancel := c.unary(noWait)
	defer cancel()
	info, err := c.svc.SetDefaultLocation(ctx, name)
	if err != nil {
		return door.CauseOf(ctx, err)
	}
	return c.answerJSON(http.StatusOK, info)
}
