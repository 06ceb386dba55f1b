package catalog

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/weirstream/weir/protocol"
)

// DefaultLocationKey is the catalog's key of the default location; it is absent until the default is set.
const DefaultLocationKey = "l.default"

// locationRecord is the value of DefaultLocationKey.
type locationRecord struct {
	Default protocol.LocationName `json:"default"`
}

// applyDefaultLocation brings the stored value of DefaultLocationKey into the view.
func (c *Catalog) applyDefaultLocation(e keyValue) error {
	var r locationRecord
	if !e.deleted {
		if err := json.Unmarshal(e.value, &r); err != nil {
			return fmt.Errorf("decode: %w", err)
		}
	}
	c.View.setDefaultLocation(r.Default, e.revision)
	return nil
}

// DefaultLocation returns the location that was set last, and the revision of the catalog's key; "" and 0 if none was.
func (v *View) DefaultLocation() (name protocol.LocationName, revision uint64) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.location, v.locationRevision
}

func (v *View) setDefaultLocation(name protocol.LocationName, revision uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if revision >= v.locationRevision {
		v.location, v.locationRevision = name, revision
	}
}

// SetDefaultLocation stores the default location, durably.
func (c *Catalog) SetDefaultLocation(ctx context.Context, name protocol.LocationName) error {
	return c.Change(ctx, DefaultLocationKey, func() error {
		// Written even if it seems to be the same: another server's change may not have arrived here yet.
		_, revision := c.View.DefaultLocation()
		next, err := c.Write(ctx, DefaultLocationKey, locationRecord{name}, revision)
		if err == nil {
			c.View.setDefaultLocation(name, next)
		}
		return err
	})
}
