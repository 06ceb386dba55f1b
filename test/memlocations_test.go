package test

import (
	"context"
	"slices"

	"github.com/weirstream/weir/protocol"
)

// memLocations are the places of the model; startBroker configures the same.
var memLocations = []protocol.LocationName{"local", "test:Other.1"}

func memLocation(name protocol.LocationName) protocol.LocationInfo {
	return protocol.LocationInfo{Name: name, IsPrivate: true, StorageClasses: protocol.StorageClasses(),
		DefaultStorageClass: protocol.StorageExpress}
}

func memNoLocation(name protocol.LocationName) error {
	return protocol.Errorf(protocol.CodeInvalid, "there is no location %s", name)
}

func (m *memService) ListLocations(context.Context) (all []protocol.LocationInfo, _ error) {
	for _, name := range memLocations {
		all = append(all, memLocation(name))
	}
	return all, nil
}

func (m *memService) DefaultLocation(context.Context) (protocol.LocationInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return memLocation(m.location), nil
}

func (m *memService) SetDefaultLocation(_ context.Context, name protocol.LocationName) (protocol.LocationInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Contains(memLocations, name) {
		return protocol.LocationInfo{}, memNoLocation(name)
	}
	m.location = name
	return memLocation(name), nil
}
