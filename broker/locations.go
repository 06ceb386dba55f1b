package broker

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

func (s *service) ListLocations(context.Context) ([]protocol.LocationInfo, error) {
	return nil, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (s *service) DefaultLocation(context.Context) (protocol.LocationInfo, error) {
	return protocol.LocationInfo{}, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (s *service) SetDefaultLocation(context.Context, protocol.LocationName) (protocol.LocationInfo, error) {
	return protocol.LocationInfo{}, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}
