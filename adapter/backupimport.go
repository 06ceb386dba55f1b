package adapter

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/weirstream/weir/adapter/internal/catalog"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// A basin that is being restored has a record in the catalog that says so, which holds its name and hides it. Its streams
// and chunks are stored behind that, and one last change of the record shows everything at once. After a restart of the
// broker the client begins the basin again; see [Adapter.resumable].

// activity is when a restore last made a request of this process.
type activity struct {
	restore string
	at      time.Time
}

var restoreID = regexp.MustCompile(`^[0-9A-Za-z-]{1,64}$`)

// touch notes that a restore is alive.
func (b *bulk) touch(basin protocol.BasinName, restore string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.active[basin] = activity{restore, time.Now()}
}

// heldBy returns the restore that made a request lately.
func (b *bulk) heldBy(basin protocol.BasinName) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a := b.active[basin]; time.Since(a.at) < protocol.RestoreLapse {
		return a.restore
	}
	return ""
}

// settle ends a basin's restore, and returns once no chunk of it is on its way.
func (b *bulk) settle(ctx context.Context, basin protocol.BasinName) error {
	var ended []*restoredLog
	b.mu.Lock()
	for key, l := range b.restores {
		if key.basin == basin {
			l.end()
			ended = append(ended, l)
		}
	}
	b.mu.Unlock()
	for _, l := range ended {
		select {
		case l.busy <- struct{}{}:
			<-l.busy
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// forget drops the record of a basin's restore.
func (b *bulk) forget(basin protocol.BasinName) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.active, basin)
	delete(b.begun, basin)
	for key, l := range b.restores {
		if key.basin == basin {
			l.end()
			delete(b.restores, key)
		}
	}
}

var errRestoreLost = protocol.Errorf(protocol.CodeTransactionConflict,
	"the basin is not held by this restore any more: it was deleted, another restore of it has begun, or the broker was started again")

// BeginRestore implements [protocol.BackupService].
func (a *Adapter) BeginRestore(ctx context.Context, req protocol.BeginRestoreRequest) error {
	leave, err := a.enterBulk(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if !restoreID.MatchString(req.Restore) {
		return protocol.Errorf(protocol.CodeInvalid, "restore: must be 1 to 64 letters, digits and hyphens")
	}
	rec, err := basinOfEntry(req.Entry)
	if err != nil {
		return err
	}
	abandoned := false
	err = a.catalog.Change(ctx, catalog.BasinKey(rec.Name), func() error {
		old, _, ok := a.catalog.View.Basin(rec.Name)
		switch {
		case !ok:
			return a.beginRestore(ctx, rec, req.Restore)
		case old.Deleting():
			return basinDeleting(rec.Name)
		case !old.Hidden():
			return errBasinExists(rec.Name)
		case old.Restoring == req.Restore && a.resumable(rec.Name, req.Restore):
			a.bulk.touch(rec.Name, req.Restore)
			return nil
		}
		if by := a.bulk.heldBy(rec.Name); by != "" && by == old.Restoring {
			return protocol.Errorf(protocol.CodeTransactionConflict, "another restore of basin %q is under way, or was given up less than %v ago",
				rec.Name, protocol.RestoreLapse)
		}
		abandoned = true
		return nil
	})
	if err != nil || !abandoned {
		return err
	}
	a.logger.Info("removing what an earlier restore left behind", slog.String("basin", string(rec.Name)))
	if err := a.DeleteBasin(ctx, rec.Name); err != nil && protocol.CodeOf(err) != protocol.CodeBasinNotFound {
		return err
	}
	return basinDeleting(rec.Name)
}

func errBasinExists(name protocol.BasinName) error {
	return protocol.Errorf(protocol.CodeResourceAlreadyExists, "basin %q exists already", name)
}

// basinOfEntry reads a basin's entry.
func basinOfEntry(e protocol.CatalogEntry) (*catalog.BasinRecord, error) {
	var rec catalog.BasinRecord
	if err := json.Unmarshal(e.Value, &rec); err != nil {
		return nil, protocol.Wrap(protocol.CodeInvalid, err, "entry: is not that of a basin")
	}
	if _, err := protocol.ParseBasinName(string(rec.Name)); err != nil || e.Key != catalog.BasinKey(rec.Name) {
		return nil, protocol.Errorf(protocol.CodeInvalid, "entry: key %.100q and name %.100q do not make a basin", e.Key, string(rec.Name))
	}
	return &rec, nil
}

// beginRestore stores the hidden record of a basin that is not there.
func (a *Adapter) beginRestore(ctx context.Context, rec *catalog.BasinRecord, restore string) error {
	if err := a.catalog.Aside(catalog.BasinKey(rec.Name)); err != nil {
		return err // the basin is there, with its chunks
	}
	rec.DeletedAt, rec.Restoring, rec.Restored, rec.Purged = time.Time{}, restore, "", nil
	if err := a.removeOrphans(ctx, rec); err != nil {
		return err
	}
	a.bulk.forget(rec.Name)
	if err := a.catalog.AddBasin(ctx, rec); err != nil {
		return err
	}
	a.bulk.begin(rec.Name, restore)
	return nil
}

// begin notes that this process began a restore.
func (b *bulk) begin(basin protocol.BasinName, restore string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begun[basin] = restore
	b.active[basin] = activity{restore, time.Now()}
}

// resumable reports whether a restore can go on. The number of chunks that the logs hold of the basin says how far it is, and that
// holds only while the process lives that began it by removing the basin's chunks. After a power cut chunks of the
// basin that had this name before can be back: JetStream syncs no purge. They would count as restored, so the client begins
// the basin again. With an external NATS server another broker may have begun the restore, and that server outlives them.
func (a *Adapter) resumable(basin protocol.BasinName, restore string) bool {
	if a.opts.Shared {
		return true
	}
	return a.bulk.hasBegun(basin, restore)
}

// hasBegun reports whether this process began a restore.
func (b *bulk) hasBegun(basin protocol.BasinName, restore string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.begun[basin] == restore
}

// removeOrphans removes chunks of a basin that is not there: no stream owns them, and they would be counted as restored. A power cut
// can leave some of a basin that was being deleted.
func (a *Adapter) removeOrphans(ctx context.Context, rec *catalog.BasinRecord) error {
	found := false
	for _, n := range a.logNumbers(rec) {
		l, err := a.bulkLog(rec.Name, n)
		if err != nil {
			return err
		}
		chunks, err := l.count(ctx, rec.Name)
		if err != nil {
			return errNoStore(err)
		}
		if chunks == 0 {
			continue
		}
		found = true
		a.logger.Info("removing chunks of a basin that does not exist", slog.String("basin", string(rec.Name)), slog.String("log", l.name),
			slog.Uint64("chunks", chunks))
		err = l.removeBasin(ctx, rec.Name, nil, func(ctx context.Context) (bool, error) {
			if err := a.catalog.Latest(ctx, catalog.BasinKey(rec.Name)); err != nil {
				return false, err
			}
			_, _, there := a.catalog.View.Basin(rec.Name)
			return !there, nil
		})
		if errors.Is(err, errOtherBasin) {
			return errBasinExists(rec.Name)
		}
		if err != nil {
			return err
		}
	}
	if !found {
		return nil
	}
	return a.onDisk(ctx)
}

// held returns the record of a basin that the restore holds.
func (a *Adapter) held(basin protocol.BasinName, restore string) (*catalog.BasinRecord, uint64, error) {
	rec, revision, ok := a.catalog.View.Basin(basin)
	if !ok || rec.Deleting() || restore == "" || rec.Restoring != restore || !a.resumable(basin, restore) {
		return nil, 0, errRestoreLost
	}
	a.bulk.touch(basin, restore)
	return &rec, revision, nil
}

// ImportStreams implements [protocol.BackupService].
func (a *Adapter) ImportStreams(ctx context.Context, req protocol.ImportStreamsRequest) ([]int, error) {
	leave, err := a.enterBulk(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	// As when a stream is created: none appears in a basin after it was marked as deleted.
	provisioning := a.catalog.View.Provisioning(req.Basin)
	provisioning.RLock()
	defer provisioning.RUnlock()
	b, _, err := a.held(req.Basin, req.Restore)
	if err != nil {
		return nil, err
	}
	recs := make([]*catalog.StreamRecord, len(req.Entries))
	for i, e := range req.Entries {
		if recs[i], err = streamOfEntry(req.Basin, e); err != nil {
			return nil, err
		}
		if recs[i].Config.Expiry.IdleSecs > 0 {
			recs[i].Used = catalog.Millis(time.Now()) // it could not be used while there was only the backup
		}
		recs[i].Log = a.place(b, recs[i].Config.StorageClass, recs[i].ID).Number()
	}
	revisions, err := a.putStreams(ctx, req.Basin, recs)
	if err != nil {
		return nil, err
	}
	if err := a.putHolds(ctx, req.Basin, recs); err != nil {
		return nil, err
	}
	logs := make([]int, len(recs))
	for i, rec := range recs {
		a.catalog.ShowStream(req.Basin, rec, revisions[i])
		logs[i] = rec.Log
	}
	return logs, nil
}

// streamOfEntry reads a stream's entry.
func streamOfEntry(basin protocol.BasinName, e protocol.CatalogEntry) (*catalog.StreamRecord, error) {
	var rec catalog.StreamRecord
	if err := json.Unmarshal(e.Value, &rec); err != nil {
		return nil, protocol.Wrap(protocol.CodeInvalid, err, fmt.Sprintf("entries: %.100q is not that of a stream", e.Key))
	}
	shadow := rec.Name == catalog.ShadowName(rec.ID)
	if _, err := protocol.ParseStreamName(string(rec.Name)); err != nil && !shadow {
		return nil, protocol.Errorf(protocol.CodeInvalid, "entries: %v", err)
	}
	if e.Key != catalog.StreamKey(protocol.StreamRef{Basin: basin, Stream: rec.Name}) {
		return nil, protocol.Errorf(protocol.CodeInvalid, "entries: key %.100q is not that of stream %.100q", e.Key, string(rec.Name))
	}
	if rec.DeletedAt.IsZero() == shadow {
		return nil, protocol.Errorf(protocol.CodeInvalid, "entries: stream %.100q is being deleted", string(rec.Name))
	}
	return &rec, nil
}

// logNumbers are the logs that streams of a basin can be placed in.
func (a *Adapter) logNumbers(b *catalog.BasinRecord) (numbers []int) {
	for _, class := range []protocol.StorageClass{protocol.StorageExpress, protocol.StorageStandard} {
		l := layout.Log{Class: class}
		logs := cmp.Or(a.opts.Classes[class].Logs, a.opts.Logs)
		if b.DedicatedLogs > 0 {
			l.Owner, logs = b.Name, b.DedicatedLogs
		}
		for l.Index = range min(logs, layout.MaxLogs) {
			numbers = append(numbers, l.Number())
		}
	}
	return numbers
}

// putStreams stores records, many on their way at a time, durably. The basin's hidden record keeps others away from the
// keys, so that they can be written again.
func (a *Adapter) putStreams(ctx context.Context, basin protocol.BasinName, recs []*catalog.StreamRecord) (revisions []uint64, err error) {
	values := make([]catalogValue, len(recs))
	for i, rec := range recs {
		values[i] = catalogValue{catalog.StreamKey(protocol.StreamRef{Basin: basin, Stream: rec.Name}), rec.Value()}
	}
	return a.putValues(ctx, values)
}

// putHolds stores the holds of the forks among restored streams, whose entries are stored; see [catalog.Hold].
func (a *Adapter) putHolds(ctx context.Context, basin protocol.BasinName, recs []*catalog.StreamRecord) error {
	if !a.opts.Shared {
		return nil
	}
	var values []catalogValue
	for _, rec := range recs {
		if rec.Fork == nil || len(rec.Fork.Segments) == 0 {
			continue
		}
		value, err := json.Marshal(catalog.Hold{Name: rec.Name, ID: rec.ID, Fork: rec.Fork})
		if err != nil {
			return fmt.Errorf("encode the hold of fork %q: %w", rec.Name, err)
		}
		values = append(values, catalogValue{catalog.HoldKey(basin, rec.ID), value})
	}
	_, err := a.putValues(ctx, values)
	return err
}

// catalogValue is a key of the catalog with a value.
type catalogValue struct {
	key   string
	value []byte
}

// putValues stores values under keys that no other task writes to, durably.
func (a *Adapter) putValues(ctx context.Context, values []catalogValue) (revisions []uint64, err error) {
	if len(values) == 0 {
		return nil, nil
	}
	acks := make([]jetstream.PubAckFuture, 0, len(values))
	prefix := layout.CatalogSubjects(a.opts.Prefix)
	for _, v := range values {
		ack, err := a.bulk.js.PublishMsgAsync(&nats.Msg{Subject: prefix + v.key, Data: v.value}, importOptions...)
		if err != nil {
			return nil, errNotImported(err)
		}
		acks = append(acks, ack)
	}
	revisions = make([]uint64, len(values))
	for i, ack := range acks {
		if revisions[i], err = awaitPubAck(ctx, ack); err != nil {
			return nil, err
		}
	}
	return revisions, a.commit.Wait(ctx)
}

// importOptions make a publication wait for room, and fail at once where it fails: the client makes the call again.
var importOptions = []jetstream.PublishOpt{jetstream.WithRetryAttempts(0), jetstream.WithStallWait(publishTimeout)}

func errNotImported(err error) error {
	return protocol.Wrap(protocol.CodeStorage, err, "the restored data could not be stored: "+err.Error())
}

func awaitPubAck(ctx context.Context, ack jetstream.PubAckFuture) (uint64, error) {
	select {
	case ok := <-ack.Ok():
		return ok.Sequence, nil
	case err := <-ack.Err():
		return 0, errNotImported(err)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// EndRestore implements [protocol.BackupService].
func (a *Adapter) EndRestore(ctx context.Context, req protocol.EndRestoreRequest) error {
	leave, err := a.enterBulk(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return a.catalog.Change(ctx, catalog.BasinKey(req.Basin), func() error {
		if rec, _, ok := a.catalog.View.Basin(req.Basin); ok && rec.Restored == req.Restore && req.Restore != "" {
			return nil // the first answer was lost
		}
		rec, revision, err := a.held(req.Basin, req.Restore)
		if err != nil {
			return err
		}
		if err := a.checkRestored(ctx, rec, req); err != nil {
			return err
		}
		rec.Restoring, rec.Restored = "", req.Restore
		if err := a.updateBasin(ctx, rec, revision); err != nil {
			return err
		}
		a.bulk.forget(req.Basin)
		return nil
	})
}

// checkRestored compares the contents of the basin with those that the request expects.
func (a *Adapter) checkRestored(ctx context.Context, rec *catalog.BasinRecord, req protocol.EndRestoreRequest) error {
	if n := a.catalog.View.CountStreams(req.Basin); n != req.Streams {
		return protocol.Errorf(protocol.CodeInvalid, "streams: the restored basin has %d, not %d", n, req.Streams)
	}
	for _, n := range a.logNumbers(rec) {
		l, err := a.bulkLog(req.Basin, n)
		if err != nil {
			return err
		}
		chunks, err := l.count(ctx, req.Basin)
		if err != nil {
			return errNoStore(err)
		}
		if chunks != req.Chunks[n] {
			return protocol.Errorf(protocol.CodeInvalid, "chunks: log %d of the restored basin has %d, not %d", n, chunks, req.Chunks[n])
		}
	}
	return nil
}

// AbortRestore implements [protocol.BackupService].
func (a *Adapter) AbortRestore(ctx context.Context, basin protocol.BasinName, restore string) error {
	leave, err := a.enterBulk(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if rec, _, ok := a.catalog.View.Basin(basin); !ok || rec.Deleting() || restore == "" || rec.Restoring != restore {
		return nil // nothing is left of it
	}
	return a.DeleteBasin(ctx, basin)
}

// ImportEntry implements [protocol.BackupService].
func (a *Adapter) ImportEntry(ctx context.Context, e protocol.CatalogEntry) error {
	if err := catalog.CheckAccountEntry(e.Key, e.Value); err != nil {
		return err
	}
	if a.opts.Open {
		value, err := catalog.Unconfirmed(e.Key, e.Value)
		if err != nil {
			return err
		}
		e.Value = value
	}
	return a.catalog.Change(ctx, e.Key, func() error {
		bounded, cancel := context.WithTimeout(ctx, js.Timeout)
		defer cancel()
		revision, err := a.catalog.Bucket().Create(bounded, e.Key, e.Value)
		a.commit.WroteCatalog(revision)
		switch {
		case errors.Is(err, jetstream.ErrKeyExists):
			old, err := a.catalog.Bucket().Get(bounded, e.Key)
			if err != nil {
				return errNoStore(err)
			}
			if err := a.proven(); err != nil {
				return errNotImported(err)
			}
			if !sameJSON(old.Value(), e.Value) {
				return protocol.Errorf(protocol.CodeResourceAlreadyExists, "catalog entry %q exists already", e.Key)
			}
		case err != nil:
			return errNotImported(err)
		}
		if err := a.commit.Wait(ctx); err != nil {
			return err
		}
		return a.catalog.Refresh(ctx, e.Key)
	})
}

func sameJSON(a, b []byte) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}
