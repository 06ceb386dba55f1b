package catalog

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/weirstream/weir/protocol"
)

// asides are the entries that cannot be read. Each stays where it is stored, and a request for its resource is answered with code
// storage. The answer says neither that the resource does not exist, which would be untrue, nor that its name is free. Everything
// else is served.
type asides struct {
	mu   sync.RWMutex // guards keys
	keys map[string]*protocol.Error
}

// setAside names an entry that cannot be read, and remembers it. It returns the error of requests for it, of code storage.
func (c *Catalog) setAside(key string, revision uint64, why error) *protocol.Error {
	e := protocol.Wrap(protocol.CodeStorage, fmt.Errorf("catalog entry %s: %w", key, why), "the catalog entry of this name cannot be read; the broker's log names it")
	c.asides.mu.Lock()
	defer c.asides.mu.Unlock()
	if _, known := c.asides.keys[key]; !known {
		c.config.Logger.Error("a catalog entry cannot be read and is set aside: the broker does not serve its resource", slog.String("entry", key),
			slog.Uint64("revision", revision), slog.Any("error", why))
	}
	if c.asides.keys == nil {
		c.asides.keys = map[string]*protocol.Error{}
	}
	c.asides.keys[key] = e
	return e
}

// readable says that an entry can be read, or is removed.
func (c *Catalog) readable(key string) {
	c.asides.mu.Lock()
	defer c.asides.mu.Unlock()
	delete(c.asides.keys, key)
}

// Aside is why the entry of a key is not served; nil if it was not set aside.
func (c *Catalog) Aside(key string) error {
	c.asides.mu.RLock()
	defer c.asides.mu.RUnlock()
	if e := c.asides.keys[key]; e != nil {
		return e
	}
	return nil
}

// AsideIn reports whether an entry of a basin's streams, or a hold of its forks, was set aside.
func (c *Catalog) AsideIn(basin protocol.BasinName) bool {
	c.asides.mu.RLock()
	defer c.asides.mu.RUnlock()
	for key := range c.asides.keys {
		if strings.HasPrefix(key, "s."+string(basin)+".") || strings.HasPrefix(key, holdKeys+string(basin)+".") {
			return true
		}
	}
	return false
}

// Asides is how many entries were set aside.
func (c *Catalog) Asides() int {
	c.asides.mu.RLock()
	defer c.asides.mu.RUnlock()
	return len(c.asides.keys)
}

// mostlyReadable fails when most entries are broken: then the catalog is damaged as a whole, or another version of weir wrote it.
func (c *Catalog) mostlyReadable(entries uint64) error {
	if n := uint64(c.Asides()); n > entries/2 && n > 1 {
		return fmt.Errorf("%d of the %d entries of the catalog cannot be read: it is damaged, or a newer version of weir wrote it; "+
			"start that version, or restore the store from a backup", n, entries)
	}
	return nil
}
