package catalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// LookUp brings the entries that other servers have written for an unknown stream, and for its basin, into the view. Follow
// would bring them a moment later.
func (c *Catalog) LookUp(ctx context.Context, ref protocol.StreamRef) error {
	keys := []string{BasinKey(ref.Basin), StreamKey(ref)}
	if _, _, known := c.View.Basin(ref.Basin); known {
		keys = keys[1:]
	}
	for _, key := range keys {
		e, found, err := c.newest(ctx, key)
		if err != nil {
			return err
		}
		if !found {
			return nil
		}
		if err := c.apply(e); err != nil {
			return err
		}
	}
	return nil
}

// newest reads a key as the leader of the bucket has it, because a replica may be behind; found is false when the key is absent
// or was removed.
func (c *Catalog) newest(ctx context.Context, key string) (e keyValue, found bool, err error) {
	m, err := js.LeaderGet(ctx, c.config.Conn, layout.Catalog(c.config.Prefix), js.Wanted{LastFor: layout.CatalogSubjects(c.config.Prefix) + key})
	switch {
	case errors.Is(err, js.ErrNotFound):
		return e, false, nil
	case err != nil:
		return e, false, protocol.Wrap(protocol.CodeUnavailable, fmt.Errorf("read catalog entry %s: %w", key, err), "the store does not answer")
	}
	removed := len(m.Header["KV-Operation"]) > 0 || len(m.Header["Nats-Marker-Reason"]) > 0
	return keyValue{key: key, value: m.Data, revision: uint64(m.Seq)}, !removed, nil
}
