package adapter

import (
	"cmp"
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

// catalog keeps basins and streams in a JetStream key-value bucket, each key changed by compare-and-set, and in a view
// in memory. A change is in the view once it is durable.
type catalog struct {
	a    *Adapter
	kv   jetstream.KeyValue
	view view
	keys keyLocks

	tokens tokenView
}

const (
	// deleteMarkerTTL is how long the bucket remembers that a key was removed, for other servers' watches.
	deleteMarkerTTL = time.Hour
	// conflictRetries bounds how often a change is tried again after another server changed the key first (D-20).
	conflictRetries = 8
)

var errConflict = protocol.Errorf(protocol.CodeTransactionConflict, "the resource was changed by others again and again; nothing was done")

// openCatalog opens or creates the bucket and loads it. With shared it goes on following what other servers write.
func openCatalog(ctx context.Context, a *Adapter) (*catalog, error) {
	c := &catalog{a: a}
	bucket := layout.CatalogBucket(a.opts.Prefix)
	storage := jetstream.FileStorage
	if a.opts.Memory {
		storage = jetstream.MemoryStorage
	}
	var kv jetstream.KeyValue
	err := js.Contact(ctx, func(ctx context.Context) (err error) {
		kv, err = a.js.KeyValue(ctx, bucket)
		switch {
		case errors.Is(err, jetstream.ErrBucketNotFound):
			kv, err = a.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
				Bucket: bucket, Description: "weir: basins and streams", History: 1, Storage: storage,
				Replicas: a.opts.Replicas, LimitMarkerTTL: deleteMarkerTTL, Metadata: map[string]string{layoutKey: layout.Version},
			})
			if err == nil {
				err = a.leastDuplicates(ctx, layout.Catalog(a.opts.Prefix))
			} else if errors.Is(err, jetstream.ErrBucketExists) {
				err = errors.Join(err, js.ErrNotYet) // another server has made it meanwhile
			}
		case err == nil:
			err = checkLayout(ctx, kv)
		}
		return err
	})
	if err == nil {
		err = a.made(ctx, layout.Catalog(a.opts.Prefix))
	}
	if err != nil {
		return nil, fmt.Errorf("open the catalog %s: %w", bucket, err)
	}
	c.kv = kv
	return c, c.load(ctx)
}

// layoutKey is the metadata of the catalog that names the layout of the store.
const layoutKey = "weir.layout"

// LayoutError says that the store has another layout than this broker writes.
type LayoutError struct {
	Layout string // "": the one that had logs for each basin
}

func (e *LayoutError) Error() string {
	return fmt.Sprintf("the store has layout %s and this broker needs layout %s: make a backup with the version of weir that wrote the store (weir backup), "+
		"and restore it (weir restore) into a broker of this version with an empty store directory", cmp.Or(e.Layout, "1"), layout.Version)
}

// checkLayout refuses a store of another layout.
func checkLayout(ctx context.Context, kv jetstream.KeyValue) error {
	status, err := kv.Status(ctx)
	if err != nil {
		return err
	}
	if is := status.Metadata()[layoutKey]; is != layout.Version {
		return &LayoutError{is}
	}
	return nil
}

// leastDuplicates shortens the window of duplicates of a bucket's stream, which the client library cannot say.
func (a *Adapter) leastDuplicates(ctx context.Context, stream string) error {
	s, err := a.js.Stream(ctx, stream)
	if err != nil {
		return err
	}
	config := s.CachedInfo().Config
	config.Duplicates = leastDuplicates
	_, err = a.js.UpdateStream(ctx, config)
	return err
}

// apply brings one key's newest value into the view.
func (c *catalog) apply(e catalogEntry) error {
	if e.key == defaultLocationKey {
		return c.applyDefaultLocation(e)
	}
	if strings.HasPrefix(e.key, tokenKeys) {
		return c.applyToken(e)
	}
	if name, ok := strings.CutPrefix(e.key, "b."); ok {
		return c.applyBasin(protocol.BasinName(name), e)
	}
	ref, ok := refOfKey(e.key)
	if !ok {
		return fmt.Errorf("catalog entry %s: unknown kind", e.key)
	}
	if e.deleted {
		c.forget(e.key, e.revision)
		return nil
	}
	r, err := new(streamDecoder).decode(ref, e.value)
	if err != nil {
		return fmt.Errorf("catalog entry %s: %w", e.key, err)
	}
	c.showStream(ref.Basin, r, e.revision)
	return nil
}

func (c *catalog) applyBasin(name protocol.BasinName, e catalogEntry) error {
	if e.deleted {
		c.forgetBasin(name, e.revision)
		return nil
	}
	var r basinRecord
	if err := json.Unmarshal(e.value, &r); err != nil {
		return fmt.Errorf("catalog entry %s: %w", e.key, err)
	}
	r.Location = cmp.Or(r.Location, c.a.opts.Locations[0]) // made before there were locations
	c.view.putBasin(&r, e.revision)
	return nil
}

// showStream puts a stored record into the view and into the loaded stream, if there is one.
func (c *catalog) showStream(basin protocol.BasinName, r *streamRecord, revision uint64) {
	checks := &checkTime{}
	if old, _, _ := c.view.stream(protocol.StreamRef{Basin: basin, Stream: r.Name}); old != nil && old.ID == r.ID {
		checks = old.checks
	}
	e := newStreamEntry(basin, r, revision, checks)
	c.view.putStream(e)
	c.a.reaper.watch(e)
	if c.a.opts.Shared {
		if l := c.a.openedLog(basin, e.Log()); l != nil {
			l.configure(e)
		}
	}
}

// current is the newest entry of e's incarnation: e itself if that is deleted.
func (c *catalog) current(e *streamEntry) *streamEntry {
	if now, _, _ := c.view.stream(e.ref()); now != nil && now.ID == e.ID {
		return now
	}
	return e
}

// forget takes a stream, or a token, that another server removed out of the view and out of memory. revision is that of
// the removal.
func (c *catalog) forget(key string, revision uint64) {
	if escaped, ok := strings.CutPrefix(key, tokenKeys); ok {
		if id, ok := unescapeName(escaped); ok {
			c.forgetToken(protocol.AccessTokenID(id), revision)
		}
		return
	}
	ref, ok := refOfKey(key)
	if !ok {
		return
	}
	if e, _, _ := c.view.stream(ref); e != nil && e.revision < revision {
		c.view.removeStream(ref, e.ID)
		if l := c.a.openedLog(ref.Basin, e.Log()); l != nil {
			l.end(e.ID)
			l.drop(e.ID, errStreamDeleted)
		}
	}
}

// forgetBasin takes a basin that another server removed out of the view, with its streams.
func (c *catalog) forgetBasin(name protocol.BasinName, revision uint64) {
	if _, known, ok := c.view.basin(name); !ok || known > revision {
		return
	}
	c.view.removeBasin(name, revision)
	for _, l := range c.a.logs.all() {
		l.endLoaded(name)
		l.forgetBasin(name)
	}
}

// encodeEntry is the stored form of a record.
func encodeEntry(record any) ([]byte, error) {
	if r, ok := record.(*streamRecord); ok {
		return appendStream(nil, r), nil
	}
	return json.Marshal(record)
}

// write stores a record under key if the key is still at revision (0: absent), durably, and returns the new revision.
// errConflict means that it is not. Once begun it is not given up when ctx ends, so that the view stays true.
func (c *catalog) write(ctx context.Context, key string, record any, revision uint64) (uint64, error) {
	value, err := encodeEntry(record)
	if err != nil {
		return 0, fmt.Errorf("encode catalog entry %s: %w", key, err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), js.Timeout)
	defer cancel()
	var next uint64
	if revision == 0 {
		next, err = c.kv.Create(ctx, key, value)
	} else {
		next, err = c.kv.Update(ctx, key, value, revision)
	}
	if errors.Is(err, jetstream.ErrKeyExists) {
		return 0, errConflict
	}
	if err == nil {
		c.a.commit.WroteCatalog(next)
		err = c.a.commit.Wait(ctx)
	}
	if err != nil {
		return 0, protocol.Wrap(protocol.CodeStorage, fmt.Errorf("write catalog entry %s: %w", key, err),
			"the change could not be confirmed; it may have been made")
	}
	return next, nil
}

// remove is purge for a name that may have a successor: it is no error if the key is not at that revision, because another
// server has removed it then.
func (c *catalog) remove(ctx context.Context, key string, revision uint64) error {
	err := c.purge(ctx, key, revision)
	if errors.Is(err, error(errConflict)) {
		return nil
	}
	return err
}

// purge deletes a key that is at revision, durably. errConflict means that it is not.
func (c *catalog) purge(ctx context.Context, key string, revision uint64) error {
	ctx, cancel := context.WithTimeout(ctx, js.Timeout)
	defer cancel()
	ack, err := c.a.js.PublishMsg(ctx, c.deleteMarker(key), jetstream.WithMsgTTL(deleteMarkerTTL), jetstream.WithExpectLastSequencePerSubject(revision))
	if js.WrongSequence(err) {
		return errConflict
	}
	if err == nil {
		c.a.commit.WroteCatalog(ack.Sequence)
		err = c.a.commit.Wait(ctx)
	}
	if err != nil {
		return fmt.Errorf("remove catalog entry %s: %w", key, err)
	}
	return nil
}

// markersAtOnce is how many entries removeStreams removes before it leaves the catalog to others for a moment.
const markersAtOnce = 500

// removeStreams removes the entries of a basin's streams. The removal of the basin's own entry, which follows, makes it durable.
//
// Each gets a delete marker, although nobody needs to be told. JetStream drops the older values of a key without a note
// of it, because they are above the key's limit. If the newest one were purged, a recovery from the blocks would find the one
// before it below the limit again, and the stream would be back (docs/upstream, case limits).
func (c *catalog) removeStreams(ctx context.Context, entries []*streamEntry) error {
	for len(entries) > 0 {
		began := time.Now()
		part := entries[:min(len(entries), markersAtOnce)]
		entries = entries[len(part):]
		acks := make([]jetstream.PubAckFuture, 0, len(part))
		for _, e := range part {
			ack, err := c.a.js.PublishMsgAsync(c.deleteMarker(streamKey(e.ref())), jetstream.WithMsgTTL(deleteMarkerTTL))
			if err != nil {
				return fmt.Errorf("remove the catalog entry of %v: %w", e.ref(), err)
			}
			acks = append(acks, ack)
		}
		for _, ack := range acks {
			select {
			case ok := <-ack.Ok():
				c.a.commit.WroteCatalog(ok.Sequence)
			case err := <-ack.Err():
				return fmt.Errorf("remove catalog entry %s: %w", ack.Msg().Subject, err)
			case <-time.After(js.Timeout):
				return fmt.Errorf("remove catalog entry %s: no answer", ack.Msg().Subject)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if len(entries) > 0 {
			sleep(ctx, (purgeShare-1)*time.Since(began)/2)
		}
	}
	return ctx.Err()
}

// deleteMarker is what the bucket's Purge writes, which does not tell the revision.
func (c *catalog) deleteMarker(key string) *nats.Msg {
	m := nats.NewMsg(layout.CatalogSubjects(c.a.opts.Prefix) + key)
	m.Header.Set("KV-Operation", "PURGE")
	m.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	return m
}

// refresh brings what another server wrote under key into the view, after a conflict.
func (c *catalog) refresh(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, js.Timeout)
	defer cancel()
	e, err := c.kv.Get(ctx, key)
	if err == nil || errors.Is(err, jetstream.ErrKeyNotFound) {
		if err := c.a.proven(); err != nil {
			return protocol.Wrap(protocol.CodeStorage, err, "the store has failed")
		}
	}
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		c.forget(key, ^uint64(0)) // removed by another server, or by the janitor with its basin
		return nil
	}
	if err != nil {
		return protocol.Wrap(protocol.CodeUnavailable, fmt.Errorf("read catalog entry %s: %w", key, err), "the store does not answer")
	}
	return c.apply(entryOf(e))
}

// change runs step, which looks at the view and writes under key, alone for that key in this process, and again while
// other servers get in between.
func (c *catalog) change(ctx context.Context, key string, step func() error) error {
	unlock, err := c.keys.lock(ctx, key)
	if err != nil {
		return err
	}
	defer unlock()
	for range conflictRetries {
		err := step()
		if !errors.Is(err, error(errConflict)) {
			return err
		}
		if err := c.refresh(ctx, key); err != nil {
			return err
		}
	}
	return errConflict
}
