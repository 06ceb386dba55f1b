package cli_test

import (
	"cmp"
	"context"
	"slices"

	"github.com/weirstream/weir/protocol"
)

// fakeLocations are the places of the fake.
var fakeLocations = []protocol.LocationName{"local", "rack:2"}

func errNoLocation(name protocol.LocationName) error {
	return protocol.Errorf(protocol.CodeInvalid, "location: there is no location %q", name)
}

func fakeLocation(name protocol.LocationName) protocol.LocationInfo {
	return protocol.LocationInfo{Name: name, IsPrivate: name == "local"}
}

func (f *fakeService) ListLocations(context.Context) (all []protocol.LocationInfo, _ error) {
	for _, name := range fakeLocations {
		all = append(all, fakeLocation(name))
	}
	return all, nil
}

func (f *fakeService) DefaultLocation(context.Context) (protocol.LocationInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fakeLocation(cmp.Or(f.defaultLocation, fakeLocations[0])), nil
}

func (f *fakeService) SetDefaultLocation(_ context.Context, name protocol.LocationName) (protocol.LocationInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Contains(fakeLocations, name) {
		return protocol.LocationInfo{}, errNoLocation(name)
	}
	f.defaultLocation = name
	return fakeLocation(name), nil
}
