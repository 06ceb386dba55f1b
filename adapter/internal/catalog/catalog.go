package catalog

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/internal/durable"
	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// Catalog keeps basins and streams in a JetStream key-value bucket, each key changed by compare-and-set, and in a view
// in memory. A change is in the view once it is durable.
type Catalog struct {
	config   Config
	store    Store
	listener Listener
	kv       jetstream.KeyValue
	keys     keyLocks
	asides   asides
	loaded   uint64 // revision up to which the bucket was read
	progress progress
	opened   time.Time
	known    atomic.Uint64 // as loaded, for the pulse
	current  atomic.Int64  // how long after opened the view had everything, in nanoseconds; see Age

	View   View
	Tokens Tokens
}

// Config has the needs of a catalog. All fields but Shared, Memory, Blocks and Writes are required.
type Config struct {
	Prefix   string
	Conn     *nats.Conn   // for single requests
	Getters  []*js.Getter // read the bucket when it is opened
	Logger   *slog.Logger
	Shared   bool // other servers write to the bucket
	Memory   bool // the bucket is in memory
	Replicas int
	// Contact returns how long ago this process surely had contact with most servers; nil if it is not known.
	Contact func() time.Duration
	// Blocks returns the files of a JetStream stream, to which no write is in progress; nil if another process owns the files.
	Blocks func(stream string) ([]StoredBlock, error)
	// Location is that of basins that were made before there were locations.
	Location protocol.LocationName
	// Duplicates is the bucket's window of duplicates.
	Duplicates time.Duration
	// Writes is called when an entry is about to be written or removed, and the function that it returns with the outcome.
	Writes func(ctx context.Context, key string) (done func(error))
}

// Store is where the bucket is kept.
type Store interface {
	JetStream() jetstream.JetStream
	// Committer makes the writes to the bucket durable.
	Committer() *durable.Committer
	// Made makes a JetStream stream durable after it was created.
	Made(ctx context.Context, stream string) error
	// Proven fails when the store takes no writes any more, so that the values in its answers may not be durable.
	Proven() error
}

// Listener receives the changes that the catalog itself brings into the view: while it is loaded, and those that other
// servers write. Its methods return at once.
type Listener interface {
	// StreamShown says that the entry of a stream is new or has changed.
	StreamShown(e *Entry)
	// BasinShown says that the entry of a basin is new or has changed.
	BasinShown(r *BasinRecord)
	// StreamForgotten and BasinForgotten say that another server removed a stream, or a basin with its streams.
	StreamForgotten(e *Entry)
	BasinForgotten(name protocol.BasinName)
	// HoldForgotten says that another server removed a hold.
	HoldForgotten(h *StoredHold)
}

// Bucket is the bucket that the catalog is kept in.
func (c *Catalog) Bucket() jetstream.KeyValue { return c.kv }

const (
	// deleteMarkerTTL is how long the bucket remembers that a key was removed, for other servers' watches.
	deleteMarkerTTL = time.Hour
	// conflictRetries bounds how often a change is tried again after another server changed the key first (D-20).
	conflictRetries = 8
)

var errConflict = protocol.Errorf(protocol.CodeTransactionConflict, "the resource was changed by others again and again; nothing was done")

// Open opens or creates the bucket and loads it. The catalog of a shared store is to be followed from then on, see follow.
func Open(ctx context.Context, config Config, store Store, listener Listener) (*Catalog, error) {
	c := &Catalog{config: config, store: store, listener: listener, opened: time.Now()}
	c.View.shared = config.Shared
	bucket := layout.CatalogBucket(config.Prefix)
	storage := jetstream.FileStorage
	if config.Memory {
		storage = jetstream.MemoryStorage
	}
	var kv jetstream.KeyValue
	err := js.Contact(ctx, func(ctx context.Context) (err error) {
		kv, err = store.JetStream().KeyValue(ctx, bucket)
		switch {
		case errors.Is(err, jetstream.ErrBucketNotFound):
			kv, err = store.JetStream().CreateKeyValue(ctx, jetstream.KeyValueConfig{
				Bucket: bucket, Description: "weir: basins and streams", History: 1, Storage: storage,
				Replicas: config.Replicas, LimitMarkerTTL: deleteMarkerTTL, Metadata: map[string]string{layoutKey: layout.Version},
			})
			if err == nil {
				err = c.shortenDuplicates(ctx, layout.Catalog(config.Prefix))
			} else if errors.Is(err, jetstream.ErrBucketExists) {
				err = errors.Join(err, js.ErrNotYet) // another server has made it meanwhile
			}
		case err == nil:
			err = checkLayout(ctx, kv)
		}
		if js.StreamMissing(err) {
			err = errors.Join(err, js.ErrNotYet) // while the servers of a cluster make it
		}
		return err
	})
	if err == nil {
		err = store.Made(ctx, layout.Catalog(config.Prefix))
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

// shortenDuplicates sets the window of duplicates of the bucket's stream, for which the client library has no option.
func (c *Catalog) shortenDuplicates(ctx context.Context, stream string) error {
	s, err := c.store.JetStream().Stream(ctx, stream)
	if err != nil {
		return err
	}
	config := s.CachedInfo().Config
	config.Duplicates = c.config.Duplicates
	_, err = c.store.JetStream().UpdateStream(ctx, config)
	return err
}

var errUnknownKind = errors.New("it is of no kind that this version knows")

// apply brings one key's newest value into the view. One that cannot be read is set aside; the error has code storage.
func (c *Catalog) apply(e keyValue) error {
	if err := c.show(e); err != nil {
		return c.setAside(e.key, e.revision, err)
	}
	c.readable(e.key)
	return nil
}

func (c *Catalog) show(e keyValue) error {
	if e.key == DefaultLocationKey {
		return c.applyDefaultLocation(e)
	}
	if strings.HasPrefix(e.key, tokenKeys) {
		return c.applyToken(e)
	}
	if e.key == horizonKey {
		return c.applyHorizon(e)
	}
	if strings.HasPrefix(e.key, holdKeys) {
		return c.applyHold(e)
	}
	if name, ok := strings.CutPrefix(e.key, "b."); ok {
		return c.applyBasin(protocol.BasinName(name), e)
	}
	ref, ok := RefOfKey(e.key)
	if !ok {
		return errUnknownKind
	}
	if e.deleted {
		c.forget(e.key, e.revision)
		return nil
	}
	r, err := new(Decoder).decode(ref, e.value)
	if err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	c.ShowStream(ref.Basin, r, e.revision)
	return nil
}

func (c *Catalog) applyBasin(name protocol.BasinName, e keyValue) error {
	if e.deleted {
		c.forgetBasin(name, e.revision)
		return nil
	}
	var r BasinRecord
	if err := json.Unmarshal(e.value, &r); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	r.Location = cmp.Or(r.Location, c.config.Location) // made before there were locations
	if old, known, ok := c.View.Basin(name); ok && old.Deleting() && !r.Deleting() && e.revision > known {
		c.forgetBasin(name, known) // this one is new, and the removal of the old one was not shown
	}
	early := c.View.PutBasin(&r, e.revision)
	c.listener.BasinShown(&r)
	for _, e := range early {
		c.listener.StreamShown(e)
	}
	return nil
}

// ShowStream puts a stored record into the view and into the loaded stream, if there is one.
func (c *Catalog) ShowStream(basin protocol.BasinName, r *StreamRecord, revision uint64) {
	checks := &CheckTime{}
	if old, _, _ := c.View.Stream(protocol.StreamRef{Basin: basin, Stream: r.Name}); old != nil && old.ID == r.ID {
		checks = old.Checks
	}
	e := NewEntry(basin, r, revision, checks)
	c.View.PutStream(e)
	c.listener.StreamShown(e)
}

// Current is the newest entry of e's incarnation: e itself if that is deleted.
func (c *Catalog) Current(e *Entry) *Entry {
	if now, _, _ := c.View.Stream(e.Ref()); now != nil && now.ID == e.ID {
		return now
	}
	return e
}

// forget takes a stream, or a token, that another server removed out of the view and out of memory. revision is that of
// the removal.
func (c *Catalog) forget(key string, revision uint64) {
	if escaped, ok := strings.CutPrefix(key, tokenKeys); ok {
		if id, ok := unescapeName(escaped); ok {
			c.forgetToken(protocol.AccessTokenID(id), revision)
		}
		return
	}
	ref, ok := RefOfKey(key)
	if !ok {
		return
	}
	c.View.removeEarly(ref, revision)
	if e, _, _ := c.View.Stream(ref); e != nil && e.Revision < revision {
		c.View.RemoveStream(ref, e.ID)
		c.listener.StreamForgotten(e)
	}
}

// forgetBasin takes a basin that another server removed out of the view, with its streams.
func (c *Catalog) forgetBasin(name protocol.BasinName, revision uint64) {
	if _, known, ok := c.View.Basin(name); !ok || known > revision {
		return
	}
	c.View.RemoveBasin(name, revision)
	c.listener.BasinForgotten(name)
}

// encodeEntry is the stored form of a record.
func encodeEntry(record any) ([]byte, error) {
	if r, ok := record.(*StreamRecord); ok {
		return r.Value(), nil
	}
	return json.Marshal(record)
}

// Write stores a record under key if the key is still at revision (0: absent), durably, and returns the new revision.
// errConflict means that it is not. Once begun it is not given up when ctx ends, so that the view stays true.
func (c *Catalog) Write(ctx context.Context, key string, record any, revision uint64) (next uint64, err error) {
	value, err := encodeEntry(record)
	if err != nil {
		return 0, fmt.Errorf("encode catalog entry %s: %w", key, err)
	}
	if begin := c.config.Writes; begin != nil {
		done := begin(ctx, key)
		defer func() { done(err) }()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), js.Timeout)
	defer cancel()
	next, err = c.put(ctx, key, value, revision)
	if errors.Is(err, jetstream.ErrKeyExists) {
		return 0, errConflict
	}
	if err == nil {
		c.store.Committer().WroteCatalog(next)
		err = c.store.Committer().Wait(ctx)
	}
	if err != nil {
		return 0, notWritten(fmt.Errorf("write catalog entry %s: %w", key, err))
	}
	return next, nil
}

// AddBasin stores the record of a basin that is not there, durably, and brings it into the view.
func (c *Catalog) AddBasin(ctx context.Context, rec *BasinRecord) error {
	state, err := js.StreamState(ctx, c.config.Conn, layout.Catalog(c.config.Prefix))
	if err != nil {
		return protocol.Wrap(protocol.CodeUnavailable, fmt.Errorf("look at the catalog: %w", err), "the store does not answer")
	}
	rec.After = uint64(state.LastSeq)
	revision, err := c.Write(ctx, BasinKey(rec.Name), rec, 0)
	if err == nil {
		c.View.PutBasin(rec, revision)
	}
	return err
}

// notWritten is the failure of a change. JetStream refuses for want of room before it stores anything; after any other failure
// the change may have been made.
func notWritten(err error) error {
	if js.NoRoom(err) {
		return protocol.Wrap(protocol.CodeStorage, err, "the storage is full: nothing was changed")
	}
	return protocol.Wrap(protocol.CodeStorage, err, "the change could not be confirmed; it may have been made")
}

// Remove is purge for a name that may have a successor: it is no error if the key is not at that revision, because another
// server has removed it then.
func (c *Catalog) Remove(ctx context.Context, key string, revision uint64) error {
	err := c.purge(ctx, key, revision, deleteMarkerTTL)
	if errors.Is(err, error(errConflict)) {
		return nil
	}
	return err
}

// purge deletes a key that is at revision, durably, and remembers that for so long; 0: for ever. errConflict means that the key is
// not at that revision.
func (c *Catalog) purge(ctx context.Context, key string, revision uint64, remember time.Duration) (err error) {
	if begin := c.config.Writes; begin != nil {
		done := begin(ctx, key)
		defer func() { done(err) }()
	}
	ctx, cancel := context.WithTimeout(ctx, js.Timeout)
	defer cancel()
	opts := []jetstream.PublishOpt{jetstream.WithExpectLastSequencePerSubject(revision)}
	if remember > 0 {
		opts = append(opts, jetstream.WithMsgTTL(remember))
	}
	ack, err := c.store.JetStream().PublishMsg(ctx, c.deleteMarker(key), opts...)
	if js.WrongSequence(err) {
		return errConflict
	}
	if err == nil {
		c.store.Committer().WroteCatalog(ack.Sequence)
		err = c.store.Committer().Wait(ctx)
	}
	if err != nil {
		return fmt.Errorf("remove catalog entry %s: %w", key, err)
	}
	return nil
}

// markersAtOnce is how many entries removeStreams removes before it leaves the catalog to others for a moment.
const markersAtOnce = 500

// RemoveStreams removes the entries of a basin's streams, in steps; rest is called between them with the time of a step, and waits.
// The removal of the basin's own entry, which follows, makes it durable.
//
// In a shared store an entry that is not the one that is known is looked at again: another server may be through with the basin, and a stream of a new basin
// may have the name.
//
// Each gets a delete marker, although no server needs the notice. JetStream drops the older values of a key without a note
// of it, because they are above the key's limit. If the newest one were purged, a recovery from the blocks would find the one
// before it below the limit again, and the stream would be back (docs/upstream, case limits).
func (c *Catalog) RemoveStreams(ctx context.Context, entries []*Entry, rest func(ctx context.Context, worked time.Duration)) error {
	keys := make([]knownKey, len(entries))
	for i, e := range entries {
		keys[i] = knownKey{StreamKey(e.Ref()), e.Revision, e}
	}
	return c.removeKeys(ctx, keys, rest)
}

// knownKey is a key of the catalog with its revision, and the stream whose key it is; nil: of none.
type knownKey struct {
	key      string
	revision uint64
	stream   *Entry
}

func (c *Catalog) removeKeys(ctx context.Context, keys []knownKey, rest func(ctx context.Context, worked time.Duration)) error {
	for len(keys) > 0 {
		began := time.Now()
		part := keys[:min(len(keys), markersAtOnce)]
		keys = keys[len(part):]
		acks := make([]jetstream.PubAckFuture, 0, len(part))
		for _, k := range part {
			opts := []jetstream.PublishOpt{jetstream.WithMsgTTL(deleteMarkerTTL)}
			if c.config.Shared {
				opts = append(opts, jetstream.WithExpectLastSequencePerSubject(k.revision))
			}
			ack, err := c.store.JetStream().PublishMsgAsync(c.deleteMarker(k.key), opts...)
			if err != nil {
				return fmt.Errorf("remove catalog entry %s: %w", k.key, err)
			}
			acks = append(acks, ack)
		}
		for i, ack := range acks {
			select {
			case ok := <-ack.Ok():
				c.store.Committer().WroteCatalog(ok.Sequence)
			case err := <-ack.Err():
				if c.config.Shared && js.WrongSequence(err) {
					if err := c.removeChanged(ctx, part[i].stream); err != nil {
						return err
					}
					continue
				}
				return fmt.Errorf("remove catalog entry %s: %w", ack.Msg().Subject, err)
			case <-time.After(js.Timeout):
				return fmt.Errorf("remove catalog entry %s: no answer", ack.Msg().Subject)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if len(keys) > 0 {
			rest(ctx, time.Since(began))
		}
	}
	return ctx.Err()
}

// removeChanged removes a stream's entry that another server has changed, unless it is that of another stream.
func (c *Catalog) removeChanged(ctx context.Context, e *Entry) error {
	if e == nil {
		return nil
	}
	key := StreamKey(e.Ref())
	now, found, err := c.newest(ctx, key)
	if err != nil || !found {
		return err
	}
	if r, err := new(Decoder).decode(e.Ref(), now.value); err != nil || r.ID != e.ID {
		return nil //nolint:nilerr // one that cannot be read is set aside
	}
	return c.Remove(ctx, key, now.revision)
}

// deleteMarker is the message that the bucket's Purge writes, which does not return the revision.
func (c *Catalog) deleteMarker(key string) *nats.Msg {
	m := nats.NewMsg(layout.CatalogSubjects(c.config.Prefix) + key)
	m.Header.Set("KV-Operation", "PURGE")
	m.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	return m
}

// earlier reports whether a revision of a stream's key is of an earlier basin of the name: JetStream has brought the entry back.
func (c *Catalog) earlier(key string, revision uint64) bool {
	ref, ok := RefOfKey(key)
	if !ok {
		return false
	}
	b, _, ok := c.View.Basin(ref.Basin)
	return ok && revision <= b.After
}

// Refresh brings the value that another server wrote under key into the view, after a conflict. One that JetStream has brought back
// is removed, so that its name is free.
func (c *Catalog) Refresh(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, js.Timeout)
	defer cancel()
	e, found, err := c.newest(ctx, key)
	if err != nil {
		return err
	}
	if err := c.store.Proven(); err != nil {
		return protocol.Wrap(protocol.CodeStorage, err, "the store has failed")
	}
	if !found {
		c.forget(key, ^uint64(0)) // removed by another server, or by the janitor with its basin
		return nil
	}
	if c.earlier(key, e.revision) {
		return c.Remove(ctx, key, e.revision)
	}
	return c.apply(e)
}

// Change runs step, which looks at the view and writes under key, alone for that key in this process, and again while
// other servers get in between.
func (c *Catalog) Change(ctx context.Context, key string, step func() error) error {
	unlock, err := c.keys.lock(ctx, key)
	if err != nil {
		return err
	}
	defer unlock()
	for i := range conflictRetries {
		err := step()
		if !errors.Is(err, error(errConflict)) {
			return err
		}
		if i > 0 {
			pause(ctx, time.Millisecond<<i) // the other server's write refuses ours before it can be read
		}
		if err := c.Refresh(ctx, key); err != nil {
			return err
		}
	}
	return errConflict
}
