package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// Hold keeps the records that a fork shares, where several servers remove records (docs/adr/0026). It is stored before the fork's entry, under a key of its
// own, and removed after it. In between it is never written again. So a server whose view has come to a revision behind that of the hold has the
// hold in its view, or the hold was removed. That is not so of the entry, of which the bucket has the newest value alone.
type Hold struct {
	Name protocol.StreamName `json:"name"` // of the fork
	ID   layout.StreamID     `json:"id"`   // of the fork
	// Reserved is the revision of the note that the fork's name was free: the fork's entry is stored on the condition that it is the newest value of
	// its key. 0: the entry was there before the hold.
	Reserved uint64 `json:"reserved,omitempty"`
	Fork     *Fork  `json:"fork"`
}

// StoredHold is a hold in the catalog.
type StoredHold struct {
	Hold
	Basin    protocol.BasinName
	Revision uint64
}

// fork names the fork.
func (h *StoredHold) fork() protocol.StreamRef {
	return protocol.StreamRef{Basin: h.Basin, Stream: h.Name}
}

// holdKeys begins the keys of holds, k.<basin>.<id of the fork>. Their values are in JSON.
const holdKeys = "k."

// HoldKey is the key of the hold of a fork.
func HoldKey(basin protocol.BasinName, fork layout.StreamID) string {
	return holdKeys + string(basin) + "." + fork.String()
}

func refOfHoldKey(key string) (basin protocol.BasinName, fork layout.StreamID, err error) {
	name, id, ok := strings.Cut(strings.TrimPrefix(key, holdKeys), ".")
	if !ok {
		return "", fork, errUnknownKind
	}
	fork, err = layout.ParseStreamID(id)
	return protocol.BasinName(name), fork, err
}

func decodeHold(e keyValue) (*StoredHold, error) {
	basin, id, err := refOfHoldKey(e.key)
	if err != nil {
		return nil, err
	}
	h := &StoredHold{Basin: basin, Revision: e.revision}
	if err := json.Unmarshal(e.value, &h.Hold); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	if h.ID != id || h.Hold.Fork == nil {
		return nil, errors.New("it is not that of the fork that its key names")
	}
	return h, nil
}

// applyHold brings the stored value of a hold's key into the view.
func (c *Catalog) applyHold(e keyValue) error {
	if e.deleted {
		basin, id, err := refOfHoldKey(e.key)
		if err != nil {
			return err
		}
		if h := c.View.removeHold(basin, id, e.revision); h != nil {
			c.listener.HoldForgotten(h)
		}
		return nil
	}
	h, err := decodeHold(e)
	if err == nil {
		c.View.putHold(h)
	}
	return err
}

// PutHold stores the hold of a fork, durably. If it fails, the hold may be stored.
func (c *Catalog) PutHold(ctx context.Context, basin protocol.BasinName, h Hold) (*StoredHold, error) {
	revision, err := c.Write(ctx, HoldKey(basin, h.ID), h, 0)
	if err != nil {
		return nil, err
	}
	stored := &StoredHold{h, basin, revision}
	c.View.putHold(stored)
	return stored, nil
}

// RemoveHold removes the hold of a fork, durably. It is no error if it is not there.
func (c *Catalog) RemoveHold(ctx context.Context, h *StoredHold) error {
	if err := c.Remove(ctx, HoldKey(h.Basin, h.ID), h.Revision); err != nil {
		return err
	}
	c.View.removeHold(h.Basin, h.ID, h.Revision)
	return nil
}

// RemoveHolds removes the holds of a basin that is being deleted, as RemoveStreams does its streams.
func (c *Catalog) RemoveHolds(ctx context.Context, basin protocol.BasinName, rest func(ctx context.Context, worked time.Duration)) error {
	holds := c.View.holds(basin)
	keys := make([]knownKey, len(holds))
	for i, h := range holds {
		keys[i] = knownKey{HoldKey(basin, h.ID), h.Revision, nil}
	}
	return c.removeKeys(ctx, keys, rest)
}

// Reserve returns the revision of the note that a key has no value, and writes that note if there is none. A value that is stored on the condition that
// the key is at this revision is stored now or never: once the key has had another one, the condition never holds again. errConflict means that
// the key has a value.
func (c *Catalog) Reserve(ctx context.Context, key string) (revision uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, js.Timeout)
	defer cancel()
	for {
		revision, err = c.mark(ctx, key, 0)
		switch {
		case err == nil:
			return revision, nil
		case ctx.Err() != nil, !js.WrongSequence(err) && !unanswered(err):
			return 0, notWritten(fmt.Errorf("reserve catalog entry %s: %w", key, err))
		}
		e, err := c.newestOrMarker(ctx, key)
		switch {
		case errors.Is(err, js.ErrNotFound):
			pause(ctx, behindPause)
		case err != nil:
			return 0, err
		case !e.deleted:
			return 0, errConflict
		default:
			return e.revision, nil
		}
	}
}

// mark notes that a key has no value, if it is at revision.
func (c *Catalog) mark(ctx context.Context, key string, revision uint64) (uint64, error) {
	if js.MayLose(c.config.Conn) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, js.Attempt)
		defer cancel()
	}
	ack, err := c.store.JetStream().PublishMsg(ctx, c.deleteMarker(key), jetstream.WithExpectLastSequencePerSubject(revision), jetstream.WithMsgTTL(deleteMarkerTTL))
	if err != nil {
		return 0, err
	}
	c.store.Committer().WroteCatalog(ack.Sequence)
	return ack.Sequence, nil
}

// Abandoned reports whether the fork of a hold is not there and will never be. If the fork is still being made, that fails from now on.
func (c *Catalog) Abandoned(ctx context.Context, h *StoredHold) (bool, error) {
	key := StreamKey(h.fork())
	found, err := c.readSince(ctx, h.Revision, HoldKey(h.Basin, h.ID), key)
	if err != nil {
		return false, err
	}
	e, ok := found[key]
	switch {
	case ok && !e.deleted:
		r, err := new(Decoder).decode(h.fork(), e.value)
		return err == nil && r.ID != h.ID, err // another stream has got the name since
	case ok && e.revision != h.Reserved:
		return true, nil // removed, or reserved by another one: the condition of the fork's entry does not hold any more
	}
	// The condition may hold, or the note that it names is gone.
	_, err = c.mark(ctx, key, e.revision)
	if js.WrongSequence(err) {
		return false, nil // the next look tells
	}
	return err == nil, err
}

// ForkView brings the entries that decide whether a stream can be forked into the view, as they are at a revision at which the catalog had a hold,
// or later: those of the stream and its basin, and the horizon.
func (c *Catalog) ForkView(ctx context.Context, source protocol.StreamRef, h *StoredHold) error {
	if c.View.horizonNow().revision == 0 {
		if err := c.Settle(ctx, 0); err != nil {
			return err
		}
	}
	keys := []string{BasinKey(source.Basin), StreamKey(source), horizonKey}
	ctx, cancel := context.WithTimeout(ctx, js.Timeout)
	defer cancel()
	for {
		found, err := c.readSince(ctx, h.Revision, keys...)
		if err != nil {
			return err
		}
		for _, e := range found {
			if err := c.apply(e); err != nil {
				return err
			}
		}
		if len(found) == len(keys) { // a removal leaves a note; a key that has just been written may be missing
			return nil
		}
		if pause(ctx, behindPause); ctx.Err() != nil {
			return protocol.Wrap(protocol.CodeUnavailable, ctx.Err(), "the entry of the source cannot be read")
		}
	}
}

// readSince reads keys from a server of the bucket that knows it at least up to a revision. At least one of the keys must be there. Codes: unavailable.
func (c *Catalog) readSince(ctx context.Context, revision uint64, keys ...string) (map[string]keyValue, error) {
	ctx, cancel := context.WithTimeout(ctx, js.Timeout)
	defer cancel()
	prefix := layout.CatalogSubjects(c.config.Prefix)
	subjects := make([]string, len(keys))
	for i, key := range keys {
		subjects[i] = prefix + key
	}
	for {
		messages, last, err := c.config.Getters[0].Newest(ctx, layout.Catalog(c.config.Prefix), subjects...)
		if err == nil && uint64(last) >= revision {
			return entriesOf(messages, prefix)
		}
		if err == nil || errors.Is(err, js.ErrNotFound) { // the server that answered is behind
			pause(ctx, behindPause)
			err = errors.Join(err, ctx.Err())
			if ctx.Err() == nil {
				continue
			}
		}
		return nil, protocol.Wrap(protocol.CodeUnavailable, fmt.Errorf("read the catalog: %w", err), "the store does not answer")
	}
}

func entriesOf(messages []*nats.Msg, prefix string) (map[string]keyValue, error) {
	found := map[string]keyValue{}
	for _, m := range messages {
		seq, err := js.SeqOf(m)
		if err != nil {
			return nil, err
		}
		key := strings.TrimPrefix(js.SubjectOf(m), prefix)
		found[key] = keyValue{key: key, value: m.Data, revision: uint64(seq), deleted: len(m.Header["KV-Operation"]) > 0 || len(m.Header["Nats-Marker-Reason"]) > 0}
	}
	return found, nil
}

// putHold stores a hold, unless the view has a newer one.
func (v *View) putHold(h *StoredHold) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if h.Revision < v.coming {
		return // it has come, and may have been removed
	}
	switch b, ok := v.basins.Get(string(h.Basin)); {
	case ok && h.Revision > b.After:
		b.holdLocked(h)
	case !ok:
		v.earlyLocked(h.Basin).holdLocked(h)
	}
}

// loadHold stores a hold while the catalog is loaded. Its basin may come later.
func (v *View) loadHold(h *StoredHold) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.basinLocked(h.Basin).holdLocked(h)
}

func (b *basinView) holdLocked(h *StoredHold) {
	u := b.uses[h.ID]
	switch {
	case u == nil:
		u = &forkUse{}
	case u.hold != nil && u.hold.Revision >= h.Revision:
		return
	default:
		b.delistLocked(h.ID, u)
	}
	u.fork, u.hold = h.Fork, h // the entry needs no more
	b.enlistLocked(h.ID, u)
}

// removeHold takes a hold out that was removed at revision, and returns it if it was there.
func (v *View) removeHold(basin protocol.BasinName, fork layout.StreamID, revision uint64) *StoredHold {
	v.mu.Lock()
	defer v.mu.Unlock()
	b, ok := v.basins.Get(string(basin))
	if !ok {
		if b = v.early[basin]; b == nil {
			return nil
		}
		defer v.tidyLocked(b)
	}
	u := b.uses[fork]
	if u == nil || u.hold == nil || u.hold.Revision > revision {
		return nil
	}
	h := u.hold
	b.unholdLocked(fork)
	return h
}

func (b *basinView) unholdLocked(fork layout.StreamID) {
	u := b.uses[fork]
	u.hold = nil
	if !u.entry {
		b.delistLocked(fork, u)
	}
}

// Hold returns the hold of a fork; nil if there is none.
func (v *View) Hold(basin protocol.BasinName, fork layout.StreamID) *StoredHold {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if b, ok := v.basins.Get(string(basin)); ok && b.uses[fork] != nil {
		return b.uses[fork].hold
	}
	return nil
}

func (v *View) holds(basin protocol.BasinName) (all []*StoredHold) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if b, ok := v.basins.Get(string(basin)); ok {
		for _, u := range b.uses {
			if u.hold != nil {
				all = append(all, u.hold)
			}
		}
	}
	return all
}

// UnusedHolds returns the holds whose forks are not there: each fork is being made, or was given up or removed by a server that did not come further.
func (v *View) UnusedHolds() (all []*StoredHold) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	v.basins.Scan(func(_ string, b *basinView) bool {
		if b.Deleting() || b.Hidden() {
			return true
		}
		for _, u := range b.uses {
			if u.hold != nil && !u.entry {
				all = append(all, u.hold)
			}
		}
		return true
	})
	return all
}
