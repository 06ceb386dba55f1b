package adapter

import (
	"context"
	"log/slog"
	"time"

	"github.com/weirstream/weir/adapter/internal/catalog"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// streamNotFound is basinNotFound for a stream.
func (a *Adapter) streamNotFound(ref protocol.StreamRef) error {
	if err := a.catalog.Aside(catalog.StreamKey(ref)); err != nil {
		return err
	}
	return protocol.Errorf(protocol.CodeStreamNotFound, "stream %q does not exist in basin %q", ref.Stream, ref.Basin)
}

func streamDeleting(ref protocol.StreamRef) error {
	return protocol.Errorf(protocol.CodeStreamDeletionPending, "stream %q of basin %q is being deleted", ref.Stream, ref.Basin)
}

// ListStreams returns a page of a basin's streams.
func (a *Adapter) ListStreams(ctx context.Context, basin protocol.BasinName, req protocol.ListRequest) (protocol.StreamPage, error) {
	if err := a.catalog.Latest(ctx, catalog.BasinKey(basin)); err != nil {
		return protocol.StreamPage{}, err
	}
	page, ok := a.catalog.View.ListStreams(basin, req)
	if !ok {
		return page, a.basinNotFound(basin)
	}
	return page, nil
}

// CreateStream makes a stream (control plane 4.2).
func (a *Adapter) CreateStream(ctx context.Context, basin protocol.BasinName, req protocol.CreateStreamRequest) (info protocol.StreamInfo, result protocol.ProvisionResult, err error) {
	key, err := requestKey(req.RequestToken, askedStream(req))
	if err != nil {
		return info, "", err
	}
	err = a.provision(ctx, protocol.StreamRef{Basin: basin, Stream: req.Stream}, func(ref protocol.StreamRef, b *catalog.BasinRecord, old *catalog.Entry) error {
		switch {
		case old != nil && key != "" && key == old.Key():
			info, result = old.Info(), protocol.ProvisionNoop
			return nil
		case old != nil:
			return protocol.Errorf(protocol.CodeResourceAlreadyExists, "stream %q exists already in basin %q", ref.Stream, ref.Basin)
		}
		var e *catalog.Entry
		if req.Fork != nil {
			e, err = a.forkStream(ctx, ref, b, req, key)
		} else {
			e, err = a.newStream(ctx, ref, b, req.Config, key)
		}
		if err == nil {
			info, result = e.Info(), protocol.ProvisionCreated
		}
		return err
	})
	return info, result, err
}

// EnsureStream makes a stream or replaces its configuration (control plane 4.3).
func (a *Adapter) EnsureStream(ctx context.Context, ref protocol.StreamRef, config protocol.StreamConfig) (info protocol.StreamInfo, result protocol.ProvisionResult, err error) {
	err = a.provision(ctx, ref, func(ref protocol.StreamRef, b *catalog.BasinRecord, old *catalog.Entry) error {
		if old == nil {
			e, err := a.newStream(ctx, ref, b, config, "")
			if err == nil {
				info, result = e.Info(), protocol.ProvisionCreated
			}
			return err
		}
		info, result = old.Info(), protocol.ProvisionNoop
		if resolved := config.Replace(old.Config(), b.Config.DefaultStreamConfig); resolved != old.Config() {
			result = protocol.ProvisionUpdated
			return a.reconfigure(ctx, old, resolved)
		}
		return nil
	})
	return info, result, err
}

// provision runs step for a stream of a live basin, alone for that name. old is the stream as it is, not being deleted,
// or nil.
func (a *Adapter) provision(ctx context.Context, ref protocol.StreamRef, step func(ref protocol.StreamRef, b *catalog.BasinRecord, old *catalog.Entry) error) error {
	if err := a.catalog.LatestStream(ctx, ref); err != nil {
		return err
	}
	provisioning := a.catalog.View.Provisioning(ref.Basin)
	provisioning.RLock()
	defer provisioning.RUnlock()
	return a.catalog.Change(ctx, catalog.StreamKey(ref), func() error {
		b, _, err := a.liveBasin(ref.Basin)
		if err != nil {
			return err
		}
		old, _, _ := a.catalog.View.Stream(ref)
		if old != nil && (old.Deleting() || old.Over(time.Now())) {
			return streamDeleting(ref)
		}
		return step(ref, &b, old)
	})
}

func (a *Adapter) newStream(ctx context.Context, ref protocol.StreamRef, b *catalog.BasinRecord, config protocol.StreamConfig, key string) (*catalog.Entry, error) {
	rec := &catalog.StreamRecord{
		Name: ref.Stream, ID: layout.NewStreamID(a.catalog.View.NextBucket(ref.Basin)),
		CreatedAt: time.Now().UTC(),
		Cipher:    b.Config.StreamCipher, Config: config.Resolve(b.Config.DefaultStreamConfig), Key: key,
	}
	return a.addStream(ctx, ref, b, rec, 0)
}

// addStream stores the record of a new stream whose name was reserved at a revision of the catalog; 0: it was not.
func (a *Adapter) addStream(ctx context.Context, ref protocol.StreamRef, b *catalog.BasinRecord, rec *catalog.StreamRecord, reserved uint64) (*catalog.Entry, error) {
	rec.Log = a.place(b, rec.Config.StorageClass, rec.ID).Number()
	if err := rec.Config.Check(rec.CreatedAt); err != nil {
		return nil, err
	}
	rec.ArmIdle(rec.CreatedAt)
	revision, err := a.catalog.Write(ctx, catalog.StreamKey(ref), rec, reserved)
	if err != nil {
		return nil, err
	}
	checks := &catalog.CheckTime{}
	checks.At.Store(catalog.NeverCheck) // until something is stored
	if !a.opts.Shared {
		checks.MarkFresh(rec.Fork == nil)
	}
	e := catalog.NewEntry(ref.Basin, rec, revision, checks)
	a.catalog.View.PutWritten(e)
	a.reaper.watch(e)
	return e, nil
}

// reconfigure stores a new configuration and lets the appends sequenced from now on see it.
func (a *Adapter) reconfigure(ctx context.Context, old *catalog.Entry, config protocol.ResolvedStreamConfig) error {
	rec, now := old.Record(), time.Now()
	rec.Config = config
	if err := config.CheckContentType(); err != nil {
		return err
	}
	if config.Expiry != old.Config().Expiry {
		if err := config.Expiry.Check(now); err != nil {
			return err
		}
		rec.Used = catalog.Millis(now) // idle time counts from now on
	}
	if old.Config().DeleteOnEmptyMinAge == 0 {
		rec.ArmIdle(now)
	}
	return a.updateStream(ctx, old, rec)
}

func (a *Adapter) updateStream(ctx context.Context, old *catalog.Entry, rec *catalog.StreamRecord) error {
	revision, err := a.catalog.Write(ctx, catalog.StreamKey(old.Ref()), rec, old.Revision)
	if err != nil {
		return err
	}
	e := catalog.NewEntry(old.Basin(), rec, revision, old.Checks)
	a.catalog.View.PutWritten(e)
	a.reaper.watch(e)
	if l := a.openedLog(old.Basin(), old.Log()); l != nil {
		l.configure(old)
	}
	return nil
}

// GetStreamConfig returns a stream's resolved configuration (control plane 4.4).
func (a *Adapter) GetStreamConfig(ctx context.Context, ref protocol.StreamRef) (protocol.ResolvedStreamConfig, error) {
	if err := a.catalog.LatestStream(ctx, ref); err != nil {
		return protocol.ResolvedStreamConfig{}, err
	}
	e, basinOK, _ := a.catalog.View.Stream(ref)
	switch {
	case !basinOK:
		return protocol.ResolvedStreamConfig{}, a.basinNotFound(ref.Basin)
	case e == nil:
		return protocol.ResolvedStreamConfig{}, a.streamNotFound(ref)
	case e.Deleting(), e.Over(time.Now()):
		return protocol.ResolvedStreamConfig{}, streamDeleting(ref)
	}
	return a.configOf(ctx, e)
}

// configOf is the configuration of a stream, with the closing that its newest chunk reports.
func (a *Adapter) configOf(ctx context.Context, e *catalog.Entry) (config protocol.ResolvedStreamConfig, err error) {
	config = e.Config()
	if e.Checks.IsFresh() {
		return config, nil // nothing was ever stored
	}
	l, err := a.logOf(ctx, e.Basin(), e.Log())
	if err != nil {
		return config, err
	}
	config.Closed, err = l.closes(ctx, e)
	return config, err
}

// ReconfigureStream changes a stream's configuration (control plane 4.5).
func (a *Adapter) ReconfigureStream(ctx context.Context, ref protocol.StreamRef, change protocol.StreamReconfiguration) (config protocol.ResolvedStreamConfig, err error) {
	if err := a.catalog.LatestStream(ctx, ref); err != nil {
		return config, err
	}
	err = a.catalog.Change(ctx, catalog.StreamKey(ref), func() error {
		b, _, err := a.liveBasin(ref.Basin)
		if err != nil {
			return err
		}
		e, _, _ := a.catalog.View.Stream(ref)
		switch {
		case e == nil:
			return a.streamNotFound(ref)
		case e.Deleting(), e.Over(time.Now()):
			return streamDeleting(ref)
		}
		config = change.ApplyResolved(e.Config(), b.Config.DefaultStreamConfig)
		if err := a.reconfigure(ctx, e, config); err != nil {
			return err
		}
		if now, err := a.configOf(ctx, e); err == nil { // the stream is changed, even if this fails
			config.Closed = now.Closed
		}
		return nil
	})
	return config, err
}

// DeleteStream marks a stream as deleted in the catalog, which decides it, and ends it with a terminal trim behind the
// appends that are queued. The janitor removes its chunks and then its name (control plane 4.6).
func (a *Adapter) DeleteStream(ctx context.Context, ref protocol.StreamRef) error {
	if err := a.catalog.LatestStream(ctx, ref); err != nil {
		return err
	}
	return a.deleteStream(ctx, ref, layout.StreamID{})
}

// deleteStream is DeleteStream for one incarnation of the stream; any, when id is zero.
func (a *Adapter) deleteStream(ctx context.Context, ref protocol.StreamRef, id layout.StreamID) error {
	var marked *catalog.Entry
	err := a.catalog.Change(ctx, catalog.StreamKey(ref), func() error {
		e, basinOK, _ := a.catalog.View.Stream(ref)
		switch {
		case !basinOK:
			return a.basinNotFound(ref.Basin)
		case e == nil:
			return a.streamNotFound(ref)
		case e.Deleting(), id != (layout.StreamID{}) && e.ID != id:
			return nil
		}
		rec := e.Record()
		rec.DeletedAt = time.Now().UTC()
		marked = e
		return a.updateStream(ctx, e, rec)
	})
	if err != nil || marked == nil {
		return err
	}
	a.streamsDeleted(ref.Basin, marked.CreatedAt(), time.Now())
	if a.tends(marked) {
		a.sizes.touch(ref, marked.ID, marked.Checks, 0)
	}
	if err := a.endStream(ctx, marked); err != nil && !wasDeleted(err) && protocol.CodeOf(err) != protocol.CodeBasinDeletionPending {
		a.logger.Warn("a deleted stream could not be ended with a terminal record; it is removed all the same",
			slog.String("basin", string(ref.Basin)), slog.String("stream", string(ref.Stream)), slog.Any("error", err))
	}
	a.janitor.removeStream(marked)
	return nil
}

// endStream appends the terminal trim, after which no append is accepted.
func (a *Adapter) endStream(ctx context.Context, e *catalog.Entry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), js.Timeout)
	defer cancel()
	st, err := a.openEntry(ctx, e)
	if err != nil {
		return err
	}
	defer st.release()
	if !a.isThere(e) {
		return errStreamDeleted // removed before it was opened
	}
	return st.ask(ctx, terminalRequest)
}

// isThere reports whether the incarnation of an entry is still in the catalog, marked as deleted or not. Asked after the stream was opened, it tells whether that came before
// its removal, which ends the streams that are open.
func (a *Adapter) isThere(e *catalog.Entry) bool {
	now, _, _ := a.catalog.View.Stream(e.Ref())
	return now != nil && now.ID == e.ID
}

// wasDeleted reports that a request failed because the stream is removed, at this node or another one.
func wasDeleted(err error) bool {
	e := protocol.AsError(err)
	return err != nil && e.Code == errStreamDeleted.Code && e.Message == errStreamDeleted.Message
}

// Use is the purpose of opening a stream. It decides which of its basin's settings creates a missing stream.
type Use uint8

// The uses of a stream.
const (
	// ForRead is reading: create_stream_on_read.
	ForRead Use = iota
	// ForTail is checking the tail: create_stream_on_read. For the expiry of a stream it is no use.
	ForTail
	// ForAppend is appending: create_stream_on_append.
	ForAppend
)

// OpenStream returns a handle to a stream. A missing stream is created if its basin's configuration says so for the use
// (data plane section 6), with config laid over the basin's default.
func (a *Adapter) OpenStream(ctx context.Context, ref protocol.StreamRef, use Use, config protocol.StreamConfig) (*Stream, error) {
	for looked := !a.opts.Shared; ; {
		e, basinOK, purging := a.catalog.View.Stream(ref)
		switch {
		case (e == nil || e.Deleting() || purging) && !looked:
			// Another server may have made it a moment ago, anew where it was deleted.
			if err := a.catalog.LatestStream(ctx, ref); err != nil {
				return nil, err
			}
			looked = true
			continue
		case !basinOK:
			return nil, a.basinNotFound(ref.Basin)
		case purging:
			return nil, basinDeleting(ref.Basin)
		case e == nil:
			if err := a.autoCreate(ctx, ref, use, config); err != nil {
				return nil, err
			}
			continue
		case e.Deleting():
			return nil, streamDeleting(ref)
		}
		st, err := a.openEntry(ctx, e)
		if err != nil && !wasDeleted(err) {
			return nil, err
		}
		// A deletion that was marked before the stream was loaded may not have found it. One that comes now does.
		if now, _, purging := a.catalog.View.Stream(ref); now == nil || now.ID != e.ID || now.Deleting() || purging {
			if err == nil {
				st.release()
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		if a.over(st, e) {
			st.release()
			if err := a.deleteStream(ctx, ref, e.ID); err != nil {
				return nil, err
			}
			continue
		}
		h := &Stream{st: st}
		if use != ForTail {
			h.endUse = st.use()
		}
		return h, nil
	}
}

func (a *Adapter) autoCreate(ctx context.Context, ref protocol.StreamRef, use Use, config protocol.StreamConfig) error {
	b, _, ok := a.catalog.View.Basin(ref.Basin)
	switch {
	case !ok:
		return a.basinNotFound(ref.Basin)
	case use == ForAppend && !b.Config.CreateStreamOnAppend, use != ForAppend && !b.Config.CreateStreamOnRead:
		return a.streamNotFound(ref)
	}
	_, _, err := a.CreateStream(ctx, ref.Basin, protocol.CreateStreamRequest{Stream: ref.Stream, Config: config})
	if protocol.CodeOf(err) == protocol.CodeResourceAlreadyExists {
		return nil
	}
	return err
}
