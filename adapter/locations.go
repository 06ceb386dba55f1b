package adapter

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/weirstream/weir/protocol"
)

// The locations of a deployment come from its configuration; all of them are this store, so a location is a label that
// basins are made under and keep (control plane section 7). Which one is the default is state of the account.

// defaultLocationKey is the catalog's key of the default location; it is absent until the default is set.
const defaultLocationKey = "l.default"

// locationRecord is the value of defaultLocationKey.
type locationRecord struct {
	Default protocol.LocationName `json:"default"`
}

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
	if name, _ := a.catalog.view.defaultLocation(); a.knowsLocation(name) {
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
	err := a.catalog.change(ctx, defaultLocationKey, func() error {
		// Written even if it seems to be the same: another server's change may not have arrived here yet.
		_, revision := a.catalog.view.defaultLocation()
		next, err := a.catalog.write(ctx, defaultLocationKey, locationRecord{name}, revision)
		if err == nil {
			a.catalog.view.setDefaultLocation(name, next)
		}
		return err
	})
	if err != nil {
		return protocol.LocationInfo{}, err
	}
	return locationInfo(name), nil
}

// applyDefaultLocation brings what is stored under defaultLocationKey into the view.
func (c *catalog) applyDefaultLocation(e catalogEntry) error {
	var r locationRecord
	if !e.deleted {
		if err := json.Unmarshal(e.value, &r); err != nil {
			return fmt.Errorf("catalog entry %s: %w", e.key, err)
		}
	}
	c.view.setDefaultLocation(r.Default, e.revision)
	return nil
}

// defaultLocation returns what was set last, and the revision of the catalog's key; "" and 0 if nothing was.
func (v *view) defaultLocation() (name protocol.LocationName, revision uint64) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.location, v.locationRevision
}

func (v *view) setDefaultLocation(name protocol.LocationName, revision uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if revision >= v.locationRevision {
		v.location, v.locationRevision = name, revision
	}
}

// askedBasin is what the idempotency key of a create is derived from: the configuration and, with decision D-1, the
// location as requested. Keys of requests without a location are those that older versions stored.
func askedBasin(req protocol.CreateBasinRequest) any {
	if req.Location == "" && req.DedicatedLogs == 0 {
		return req.Config
	}
	return []any{req.Config, req.Location, req.DedicatedLogs}
}
