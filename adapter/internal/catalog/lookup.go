package catalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// Latest brings the newest entries under keys into the view, as the leader of the bucket has them, where other servers write to the
// bucket. Follow would bring them a moment later, and while servers are lost much later. A key that the leader does not have changes nothing: its
// removal comes by Follow.
func (c *Catalog) Latest(ctx context.Context, keys ...string) error {
	if !c.config.Shared {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, js.Timeout)
	defer cancel()
	for _, key := range keys {
		e, err := c.newestOrMarker(ctx, key)
		switch {
		case errors.Is(err, js.ErrNotFound):
			continue
		case err != nil:
			return err
		}
		if err := c.apply(e); err != nil {
			return err
		}
	}
	return nil
}

// LatestStream is Latest for a stream and its basin.
func (c *Catalog) LatestStream(ctx context.Context, ref protocol.StreamRef) error {
	return c.Latest(ctx, BasinKey(ref.Basin), StreamKey(ref))
}

// newest reads a key as the leader of the bucket has it, because a replica may be behind; found is false when the key is absent
// or was removed.
func (c *Catalog) newest(ctx context.Context, key string) (e keyValue, found bool, err error) {
	e, err = c.newestOrMarker(ctx, key)
	if errors.Is(err, js.ErrNotFound) {
		return keyValue{}, false, nil
	}
	return e, err == nil && !e.deleted, err
}

// newestOrMarker is newest, which fails with [js.ErrNotFound] when the key is absent, and returns the marker of a removal.
func (c *Catalog) newestOrMarker(ctx context.Context, key string) (keyValue, error) {
	m, err := js.LeaderGet(ctx, c.config.Conn, layout.Catalog(c.config.Prefix), js.Wanted{LastFor: layout.CatalogSubjects(c.config.Prefix) + key})
	switch {
	case errors.Is(err, js.ErrNotFound):
		return keyValue{}, err
	case err != nil:
		return keyValue{}, protocol.Wrap(protocol.CodeUnavailable, fmt.Errorf("read catalog entry %s: %w", key, err), "the store does not answer")
	}
	removed := len(m.Header["KV-Operation"]) > 0 || len(m.Header["Nats-Marker-Reason"]) > 0
	return keyValue{key: key, value: m.Data, revision: uint64(m.Seq), deleted: removed}, nil
}
