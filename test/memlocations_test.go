package test

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

func (m *memService) ListLocations(context.Context) ([]protocol.LocationInfo, error) {
	return nil, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (m *memService) DefaultLocation(context.Context) (protocol.LocationInfo, error) {
	return protocol.LocationInfo{}, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (m *memService) SetDefaultLocation(context.Context, protocol.LocationName) (protocol.LocationInfo, error) {
	return protocol.LocationInfo{}, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}
