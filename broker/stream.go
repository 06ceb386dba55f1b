package broker

import (
	"context"

	"github.com/weirstream/weir/adapter"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/sessions"
)

// The adapter and the sessions do not know each other: the sessions say what they need and the adapter has methods
// that fit, up to the interface types in their results. The wrappers below turn those, and the assertions keep both
// sides honest.
var (
	_ storage           = adapterStorage{}
	_ sessions.Stream   = stream{}
	_ sessions.Cursor   = (*adapter.Cursor)(nil)
	_ sessions.Feed     = (*adapter.Feed)(nil)
	_ sessions.Appender = (*adapter.Appender)(nil)
)

type adapterStorage struct{ *adapter.Adapter }

func (a adapterStorage) OpenStream(ctx context.Context, ref protocol.StreamRef, forAppend bool) (opened, error) {
	st, err := a.Adapter.OpenStream(ctx, ref, forAppend)
	if err != nil {
		return opened{}, err
	}
	return opened{stream{st}, st.Cipher()}, nil
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
