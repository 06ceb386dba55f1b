package broker

import (
	"context"

	"github.com/weirstream/weir/adapter"
	"github.com/weirstream/weir/broker/internal/metering"
	"github.com/weirstream/weir/broker/internal/tracing"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/sessions"
)

// The adapter and the sessions do not know each other: the sessions declare interfaces for their needs and the adapter has
// methods that fit, up to the interface types in their results. The wrappers below turn those, and the assertions keep both
// sides honest.
var (
	_ storage           = adapterStorage{}
	_ sessions.Stream   = stream{}
	_ sessions.Cursor   = (*adapter.Cursor)(nil)
	_ sessions.Feed     = (*adapter.Feed)(nil)
	_ sessions.Appender = (*adapter.Appender)(nil)

	_ sessions.Stream   = encryptedStream{}
	_ sessions.Cursor   = (*adapter.DecryptingCursor)(nil)
	_ sessions.Feed     = (*adapter.DecryptingFeed)(nil)
	_ sessions.Appender = (*adapter.EncryptingAppender)(nil)
)

// adapterStorage is the adapter as the service needs it, with all appends counted, and reads traced.
type adapterStorage struct {
	*adapter.Adapter
	appends *metering.Appends
	tracer  *tracing.Tracer
}

func (a adapterStorage) OpenStream(ctx context.Context, ref protocol.StreamRef) (sessions.Stream, error) {
	st, err := a.Adapter.OpenStream(ctx, ref, adapter.ForTail, protocol.StreamConfig{})
	if err != nil {
		return nil, err
	}
	return stream{st}, nil
}

func (a adapterStorage) OpenRecords(ctx context.Context, ref protocol.StreamRef, use use, opts protocol.RecordOptions) (sessions.Stream, error) {
	st, err := a.Adapter.OpenStream(ctx, ref, use.adapter(), opts.NewStream)
	if err != nil {
		return nil, err
	}
	var records sessions.Stream = stream{st}
	if st.Cipher() != protocol.CipherNone {
		encrypted, err := st.WithKey(opts.EncryptionKey)
		if err != nil {
			st.Close()
			return nil, err
		}
		records = encryptedStream{encrypted}
	}
	//exhaustive:enforce
	switch use {
	case forAppend:
		records = a.appends.Stream(records, ref, metering.SharedConnection, st.Class)
	case forAppendSession:
		records = a.appends.Stream(records, ref, metering.OwnConnection, st.Class)
	case forRead:
		if a.tracer != nil {
			records = tracedStream{records, a.tracer}
		}
	}
	return records, nil
}

type stream struct{ *adapter.Stream }

func (s stream) Scan(from, to uint64) sessions.Cursor { return s.Stream.Scan(from, to) }

func (s stream) Appender() sessions.Appender { return s.Stream.Appender() }

func (s stream) Follow(ctx context.Context, from uint64) (sessions.Feed, protocol.Position, error) {
	feed, tail, err := s.Stream.Follow(ctx, from)
	if feed == nil {
		return nil, tail, err // Not a nil *adapter.Feed in an interface that is not nil.
	}
	return feed, tail, err
}

type encryptedStream struct{ *adapter.EncryptedStream }

func (s encryptedStream) Scan(from, to uint64) sessions.Cursor {
	return s.EncryptedStream.Scan(from, to)
}

func (s encryptedStream) Appender() sessions.Appender { return s.EncryptedStream.Appender() }

func (s encryptedStream) Follow(ctx context.Context, from uint64) (sessions.Feed, protocol.Position, error) {
	feed, tail, err := s.EncryptedStream.Follow(ctx, from)
	if feed == nil {
		return nil, tail, err
	}
	return feed, tail, err
}
