package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

const (
	// contactAge is how old the last contact with most servers may be for an answer of the bucket's leader to count: without contact for a second the
	// other servers may elect another one, which this one need not know.
	contactAge  = time.Second
	contactPoll = 20 * time.Millisecond
)

// Latest brings the newest entries under keys into the view, as the leader of the bucket has them, where other servers write to the
// bucket. Follow would bring them a moment later, and while servers are lost much later. A key that the leader does not have changes nothing: its
// removal comes by Follow. The leader may have been deposed without knowing it, as this process's own server may be when it is cut off: so an answer counts
// only if there was contact with most servers. Codes: unavailable.
func (c *Catalog) Latest(ctx context.Context, keys ...string) error {
	if !c.config.Shared {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, js.Timeout)
	defer cancel()
	for {
		if err := c.askLeader(ctx, keys); err != nil {
			return err
		}
		if c.config.Contact == nil || c.config.Contact() <= contactAge {
			return nil
		}
		for c.config.Contact() > contactAge {
			select {
			case <-time.After(contactPoll):
			case <-ctx.Done():
				return protocol.Wrap(protocol.CodeUnavailable, ctx.Err(), "this broker has no contact with most servers, and does not know what others have changed")
			}
		}
	}
}

func (c *Catalog) askLeader(ctx context.Context, keys []string) error {
	for _, key := range keys {
		e, err := c.newestOrMarker(ctx, key)
		switch {
		case errors.Is(err, js.ErrNotFound):
			continue
		case err != nil:
			return err
		case c.knows(e):
			continue // no news for the listener
		}
		if err := c.apply(e); err != nil {
			return err
		}
	}
	return nil
}

// knows reports whether the view has the value of a stream's or a basin's key, or a later one.
func (c *Catalog) knows(e keyValue) bool {
	if name, ok := strings.CutPrefix(e.key, "b."); ok {
		_, revision, ok := c.View.Basin(protocol.BasinName(name))
		return ok && revision >= e.revision
	}
	if ref, ok := RefOfKey(e.key); ok {
		known, _, _ := c.View.Stream(ref)
		return known != nil && known.Revision >= e.revision
	}
	return false
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
