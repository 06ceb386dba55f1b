package natsapi_test

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

func (m *memory) ListLocations(context.Context) ([]protocol.LocationInfo, error) {
	return nil, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (m *memory) DefaultLocation(context.Context) (protocol.LocationInfo, error) {
	return protocol.LocationInfo{}, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (m *memory) SetDefaultLocation(context.Context, protocol.LocationName) (protocol.LocationInfo, error) {
	return protocol.LocationInfo{}, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}
