package cli_test

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

func (f *fakeService) ListLocations(context.Context) ([]protocol.LocationInfo, error) {
	return nil, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (f *fakeService) DefaultLocation(context.Context) (protocol.LocationInfo, error) {
	return protocol.LocationInfo{}, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (f *fakeService) SetDefaultLocation(context.Context, protocol.LocationName) (protocol.LocationInfo, error) {
	return protocol.LocationInfo{}, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}
