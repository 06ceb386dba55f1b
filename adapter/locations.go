package adapter

import (
	"context"
	"slices"

	"github.com/weirstream/weir/protocol"
)

// The locations of a deployment come from its configuration; all of them are this store, so a location is a label that
// basins are made under and keep (control plane section 7). Which one is the default is state of the account.

func unknownLocation(name protocol.LocationName) error {
	return protocol.Errorf(protocol.CodeInvalid, "location: there is no location %q", name)
}

// ListLocations returns the configured locations in their order.
func (a *Adapter) ListLocations(context.Context) ([]protocol.LocationInfo, error) {
	all := make([]protocol.LocationInfo, 0, len(a.opts.Locations))
	for _, name := range a.opts.Locations {
		all = append(all, locationInfo(name))
	}
	return all, nil
}

// locationInfo describes a configured location: private, because only this deployment has it.
func locationInfo(name protocol.LocationName) protocol.LocationInfo {
	return protocol.LocationInfo{Name: name, IsPrivate: true, StorageClasses: protocol.StorageClasses(),
		DefaultStorageClass: protocol.DefaultStreamConfig.StorageClass}
}

// DefaultLocation returns the location of basins whose request names none.
func (a *Adapter) DefaultLocation(context.Context) (protocol.LocationInfo, error) {
	return locationInfo(a.defaultLocation()), nil
}

// defaultLocation is the one that was set last, or the first that is configured if none was or it is there no more.
func (a *Adapter) defaultLocation() protocol.LocationName {
	if name, _ := a.catalog.View.DefaultLocation(); a.knowsLocation(name) {
		return name
	}
	return a.opts.Locations[0]
}

func (a *Adapter) knowsLocation(name protocol.LocationName) bool {
	return slices.Contains(a.opts.Locations, name)
}

// SetDefaultLocation changes the default location for basins made afterwards.
func (a *Adapter) SetDefaultLocation(ctx context.Context, name protocol.LocationName) (protocol.LocationInfo, error) {
	if !a.knowsLocation(name) {
		return protocol.LocationInfo{}, unknownLocation(name)
	}
	if err := a.catalog.SetDefaultLocation(ctx, name); err != nil {
		return protocol.LocationInfo{}, err
	}
	return locationInfo(name), nil
}
