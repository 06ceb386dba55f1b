package adapter

import (
	"context"
	"log/slog"
	"time"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

func streamNotFound(ref protocol.StreamRef) error {
	return protocol.Errorf(protocol.CodeStreamNotFound, "stream %q does not exist in basin %q", ref.Stream, ref.Basin)
}

func streamDeleting(ref protocol.StreamRef) error {
	return protocol.Errorf(protocol.CodeStreamDeletionPending, "stream %q of basin %q is being deleted", ref.Stream, ref.Basin)
}

// ListStreams returns a page of a basin's streams.
func (a *Adapter) ListStreams(_ context.Context, basin protocol.BasinName, req protocol.ListRequest) (protocol.StreamPage, error) {
	page, ok := a.catalog.view.listStreams(basin, req)
	if !ok {
		return page, basinNotFound(basin)
	}
	return page, nil
}

// CreateStream makes a stream (control plane 4.2).
func (a *Adapter) CreateStream(ctx context.Context, basin protocol.BasinName, req protocol.CreateStreamRequest) (info protocol.StreamInfo, result protocol.ProvisionResult, err error) {
	key, err := requestKey(req.RequestToken, req.Config)
	if err != nil {
		return info, "", err
	}
	err = a.provision(ctx, protocol.StreamRef{Basin: basin, Stream: req.Stream}, func(ref protocol.StreamRef, b *basinRecord, old *streamEntry) error {
		switch {
		case old != nil && key != "" && key == old.Key():
			info, result = old.info(), protocol.ProvisionNoop
			return nil
		case old != nil:
			return protocol.Errorf(protocol.CodeResourceAlreadyExists, "stream %q exists already in basin %q", ref.Stream, ref.Basin)
		}
		e, err := a.newStream(ctx, ref, b, req.Config, key)
		if err == nil {
			info, result = e.info(), protocol.ProvisionCreated
		}
		return err
	})
	return info, result, err
}

// EnsureStream makes a stream or replaces its configuration (control plane 4.3).
func (a *Adapter) EnsureStream(ctx context.Context, ref protocol.StreamRef, config protocol.StreamConfig) (info protocol.StreamInfo, result protocol.ProvisionResult, err error) {
	err = a.provision(ctx, ref, func(ref protocol.StreamRef, b *basinRecord, old *streamEntry) error {
		if old == nil {
			e, err := a.newStream(ctx, ref, b, config, "")
			if err == nil {
				info, result = e.info(), protocol.ProvisionCreated
			}
			return err
		}
		info, result = old.info(), protocol.ProvisionNoop
		if resolved := config.Resolve(b.Config.DefaultStreamConfig); resolved != old.Config() {
			result = protocol.ProvisionUpdated
			return a.reconfigure(ctx, old, resolved)
		}
		return nil
	})
	return info, result, err
}

// provision runs step for a stream of a live basin, alone for that name. old is the stream as it is, not being deleted,
// or nil.
func (a *Adapter) provision(ctx context.Context, ref protocol.StreamRef, step func(ref protocol.StreamRef, b *basinRecord, old *streamEntry) error) error {
	provisioning := a.catalog.view.provisioning(ref.Basin)
	provisioning.RLock()
	defer provisioning.RUnlock()
	return a.catalog.change(ctx, streamKey(ref), func() error {
		b, _, err := a.liveBasin(ref.Basin)
		if err != nil {
			return err
		}
		old, _, _ := a.catalog.view.stream(ref)
		if old != nil && old.deleting() {
			return streamDeleting(ref)
		}
		return step(ref, &b, old)
	})
}

func (a *Adapter) newStream(ctx context.Context, ref protocol.StreamRef, b *basinRecord, config protocol.StreamConfig, key string) (*streamEntry, error) {
	rec := &streamRecord{
		Name: ref.Stream, ID: layout.NewStreamID(a.catalog.view.nextBucket(ref.Basin)),
		CreatedAt: time.Now().UTC(),
		Cipher:    b.Config.StreamCipher, Config: config.Resolve(b.Config.DefaultStreamConfig), Key: key,
	}
	rec.Log = a.place(b, rec.Config.StorageClass, rec.ID).Number()
	rec.armIdle(false, rec.CreatedAt)
	revision, err := a.catalog.write(ctx, streamKey(ref), rec, 0)
	if err != nil {
		return nil, err
	}
	checks := &checkTime{}
	checks.at.Store(neverCheck) // until something is stored
	checks.setFresh(!a.opts.Shared)
	e := newStreamEntry(ref.Basin, rec, revision, checks)
	a.catalog.view.putStream(e)
	a.reaper.watch(e)
	return e, nil
}

// reconfigure stores a new configuration and lets the appends sequenced from now on see it.
func (a *Adapter) reconfigure(ctx context.Context, old *streamEntry, config protocol.ResolvedStreamConfig) error {
	rec := old.record()
	rec.Config = config
	rec.armIdle(old.Config().DeleteOnEmptyMinAge > 0, time.Now())
	return a.updateStream(ctx, old, rec)
}

func (a *Adapter) updateStream(ctx context.Context, old *streamEntry, rec *streamRecord) error {
	revision, err := a.catalog.write(ctx, streamKey(old.ref()), rec, old.revision)
	if err != nil {
		return err
	}
	e := newStreamEntry(old.Basin(), rec, revision, old.checks)
	a.catalog.view.putStream(e)
	a.reaper.watch(e)
	if l := a.openedLog(old.Basin(), old.Log()); l != nil {
		l.configure(old)
	}
	return nil
}

// GetStreamConfig returns a stream's resolved configuration (control plane 4.4).
func (a *Adapter) GetStreamConfig(_ context.Context, ref protocol.StreamRef) (protocol.ResolvedStreamConfig, error) {
	e, basinOK, _ := a.catalog.view.stream(ref)
	switch {
	case !basinOK:
		return protocol.ResolvedStreamConfig{}, basinNotFound(ref.Basin)
	case e == nil:
		return protocol.ResolvedStreamConfig{}, streamNotFound(ref)
	case e.deleting():
		return protocol.ResolvedStreamConfig{}, streamDeleting(ref)
	}
	return e.Config(), nil
}

// ReconfigureStream changes a stream's configuration (control plane 4.5).
func (a *Adapter) ReconfigureStream(ctx context.Context, ref protocol.StreamRef, change protocol.StreamReconfiguration) (config protocol.ResolvedStreamConfig, err error) {
	err = a.catalog.change(ctx, streamKey(ref), func() error {
		b, _, err := a.liveBasin(ref.Basin)
		if err != nil {
			return err
		}
		e, _, _ := a.catalog.view.stream(ref)
		switch {
		case e == nil:
			return streamNotFound(ref)
		case e.deleting():
			return streamDeleting(ref)
		}
		config = change.ApplyResolved(e.Config(), b.Config.DefaultStreamConfig)
		return a.reconfigure(ctx, e, config)
	})
	return config, err
}

// DeleteStream marks a stream as deleted in the catalog, which decides it, and ends it with a terminal trim behind the
// appends that are queued. The janitor removes its chunks and then its name (control plane 4.6).
func (a *Adapter) DeleteStream(ctx context.Context, ref protocol.StreamRef) error {
	return a.deleteStream(ctx, ref, layout.StreamID{})
}

// deleteStream is DeleteStream for one incarnation of the stream; any, when id is zero.
func (a *Adapter) deleteStream(ctx context.Context, ref protocol.StreamRef, id layout.StreamID) error {
	var marked *streamEntry
	err := a.catalog.change(ctx, streamKey(ref), func() error {
		e, basinOK, _ := a.catalog.view.stream(ref)
		switch {
		case !basinOK:
			return basinNotFound(ref.Basin)
		case e == nil:
			return streamNotFound(ref)
		case e.deleting(), id != (layout.StreamID{}) && e.ID != id:
			return nil
		}
		rec := e.record()
		rec.DeletedAt = time.Now().UTC()
		marked = e
		return a.updateStream(ctx, e, rec)
	})
	if err != nil || marked == nil {
		return err
	}
	a.streamsDeleted(ref.Basin, marked.createdAt(), time.Now())
	a.sizes.touch(ref, marked.ID, &marked.checks.size)
	if err := a.endStream(ctx, marked); err != nil && protocol.CodeOf(err) != protocol.CodeBasinDeletionPending {
		a.logger.Warn("a deleted stream could not be ended with a terminal record; it is removed all the same",
			slog.String("basin", string(ref.Basin)), slog.String("stream", string(ref.Stream)), slog.Any("error", err))
	}
	a.janitor.removeStream(marked)
	return nil
}

// endStream appends the terminal trim, after which no append is accepted.
func (a *Adapter) endStream(ctx context.Context, e *streamEntry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), js.Timeout)
	defer cancel()
	l, err := a.logOf(ctx, e.Basin(), e.Log())
	if err != nil {
		return err
	}
	st, err := l.open(ctx, e, e.checks.isFresh())
	if err != nil {
		return err
	}
	defer st.release()
	return st.ask(ctx, terminalRequest)
}

// Use is what a stream is opened for. It decides which of its basin's settings creates a missing stream.
type Use uint8

// The uses of a stream.
const (
	// ForRead is reading and checking the tail: create_stream_on_read.
	ForRead Use = iota
	// ForAppend is appending: create_stream_on_append.
	ForAppend
)

// OpenStream returns a handle to a stream. A missing stream is created if its basin's configuration says so for the use
// (data plane section 6), with config laid over the basin's default.
func (a *Adapter) OpenStream(ctx context.Context, ref protocol.StreamRef, use Use, config protocol.StreamConfig) (*Stream, error) {
	for {
		e, basinOK, purging := a.catalog.view.stream(ref)
		switch {
		case !basinOK:
			return nil, basinNotFound(ref.Basin)
		case purging:
			return nil, basinDeleting(ref.Basin)
		case e == nil:
			if err := a.autoCreate(ctx, ref, use, config); err != nil {
				return nil, err
			}
			continue
		case e.deleting():
			return nil, streamDeleting(ref)
		}
		l, err := a.logOf(ctx, ref.Basin, e.Log())
		if err != nil {
			return nil, err
		}
		st, err := l.open(ctx, e, e.checks.isFresh())
		if err != nil {
			return nil, err
		}
		// A deletion that was marked before the stream was loaded may not have found it. One that comes now does.
		if now, _, purging := a.catalog.view.stream(ref); now == nil || now.ID != e.ID || now.deleting() || purging {
			st.release()
			continue
		}
		return &Stream{st: st}, nil
	}
}

func (a *Adapter) autoCreate(ctx context.Context, ref protocol.StreamRef, use Use, config protocol.StreamConfig) error {
	b, _, ok := a.catalog.view.basin(ref.Basin)
	switch {
	case !ok:
		return basinNotFound(ref.Basin)
	case use == ForAppend && !b.Config.CreateStreamOnAppend, use == ForRead && !b.Config.CreateStreamOnRead:
		return streamNotFound(ref)
	}
	_, _, err := a.CreateStream(ctx, ref.Basin, protocol.CreateStreamRequest{Stream: ref.Stream, Config: config})
	if protocol.CodeOf(err) == protocol.CodeResourceAlreadyExists {
		return nil
	}
	return err
}
