package broker

import (
	"context"
	"errors"
	"log/slog"

	"github.com/weirstream/weir/adapter"
	"github.com/weirstream/weir/broker/internal/access"
	"github.com/weirstream/weir/broker/internal/metering"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/sessions"
)

// storage is the part of the adapter that the service needs; see [adapterStorage].
type storage interface {
	protocol.BasinService
	protocol.StreamService
	protocol.LocationService
	// OpenStream opens a stream to look at its tail, and creates it if it is missing and its basin says so for reads. Its
	// records must not be moved.
	OpenStream(ctx context.Context, ref protocol.StreamRef) (sessions.Stream, error)
	// OpenRecords opens a stream to move its records, and creates it if it is missing and its basin says so for this use.
	// Codes: bad_header, if the stream is encrypted and the key is missing or malformed (data plane 7.2).
	OpenRecords(ctx context.Context, ref protocol.StreamRef, use use, opts protocol.RecordOptions) (sessions.Stream, error)
}

// use is the purpose for which a stream's records are opened.
type use uint8

const (
	forRead use = iota
	forAppend
	forAppendSession // an append session counts as a connection of its own
)

// adapter returns the use as the adapter knows it.
func (u use) adapter() adapter.Use {
	if u == forRead {
		return adapter.ForRead
	}
	return adapter.ForAppend
}

// service is the service in process, without the tokens, which the guard adds: the storage's catalog as it is, and its
// streams behind sessions. It gives every failure its code, and refuses all calls once the broker drains.
type service struct {
	st      storage
	meter   *metering.Meter
	drainer *drainer
	log     *slog.Logger
}

var _ access.Core = (*service)(nil)

// failure is the error for the caller; an error without a code is a surprise, and its text is for the log alone.
func (s *service) failure(err error) error {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*protocol.Error](err); ok {
		return known
	}
	e := protocol.AsError(err)
	if e.Code == protocol.CodeOther {
		s.log.Error("unexpected failure", slog.String("code", string(e.Code)), slog.Any("error", err))
	}
	return e
}

// do runs a call that answers with one value.
func do[T any](s *service, f func() (T, error)) (out T, err error) {
	if err := s.drainer.enter(); err != nil {
		return out, err
	}
	defer s.drainer.leave()
	out, err = f()
	return out, s.failure(err)
}

// provision runs a create or ensure.
func provision[T any](s *service, f func() (T, protocol.ProvisionResult, error)) (out T, result protocol.ProvisionResult, err error) {
	if err := s.drainer.enter(); err != nil {
		return out, "", err
	}
	defer s.drainer.leave()
	out, result, err = f()
	return out, result, s.failure(err)
}

// withStream runs a call on an opened stream.
func withStream[T any](ctx context.Context, s *service, ref protocol.StreamRef, use use, opts []protocol.RecordOption, f func(sessions.Stream) (T, error)) (T, error) {
	return do(s, func() (none T, err error) {
		st, err := s.st.OpenRecords(ctx, ref, use, protocol.MakeRecordOptions(opts...))
		if err != nil {
			return none, err
		}
		defer st.Close()
		return f(st)
	})
}

func (s *service) CheckTail(ctx context.Context, ref protocol.StreamRef) (protocol.StreamTail, error) {
	return do(s, func() (protocol.StreamTail, error) {
		st, err := s.st.OpenStream(ctx, ref)
		if err != nil {
			return protocol.StreamTail{}, err
		}
		defer st.Close()
		return st.Tail(ctx)
	})
}

func (s *service) Append(ctx context.Context, ref protocol.StreamRef, in protocol.AppendInput, opts ...protocol.RecordOption) (protocol.AppendAck, error) {
	// Before the stream is opened: an input that cannot be stored must not create a stream.
	if err := in.Validate(); err != nil {
		return protocol.AppendAck{}, err
	}
	return withStream(ctx, s, ref, forAppend, opts, func(st sessions.Stream) (protocol.AppendAck, error) {
		return sessions.AppendUnary(ctx, st, in)
	})
}

func (s *service) Read(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts ...protocol.RecordOption) (protocol.ReadBatch, error) {
	if err := req.Validate(); err != nil {
		return protocol.ReadBatch{}, err
	}
	return withStream(ctx, s, ref, forRead, opts, func(st sessions.Stream) (protocol.ReadBatch, error) {
		if req.Wait == nil || *req.Wait <= 0 {
			return sessions.ReadUnary(ctx, st, req)
		}
		waiting, cancel := s.drainer.bind(ctx)
		defer cancel()
		batch, err := sessions.ReadUnary(waiting, st, req)
		if err != nil && ctx.Err() == nil && waiting.Err() != nil {
			err = context.Cause(waiting)
		}
		return batch, err
	})
}

func (s *service) ListBasins(ctx context.Context, req protocol.ListRequest) (protocol.BasinPage, error) {
	return do(s, func() (protocol.BasinPage, error) { return s.st.ListBasins(ctx, req) })
}

func (s *service) CreateBasin(ctx context.Context, req protocol.CreateBasinRequest) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	return provision(s, func() (protocol.BasinInfo, protocol.ProvisionResult, error) { return s.st.CreateBasin(ctx, req) })
}

func (s *service) EnsureBasin(ctx context.Context, basin protocol.BasinName, req protocol.EnsureBasinRequest) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	return provision(s, func() (protocol.BasinInfo, protocol.ProvisionResult, error) {
		return s.st.EnsureBasin(ctx, basin, req)
	})
}

func (s *service) GetBasinConfig(ctx context.Context, basin protocol.BasinName) (protocol.BasinConfig, error) {
	return do(s, func() (protocol.BasinConfig, error) { return s.st.GetBasinConfig(ctx, basin) })
}

func (s *service) ReconfigureBasin(ctx context.Context, basin protocol.BasinName, change protocol.BasinReconfiguration) (protocol.BasinConfig, error) {
	return do(s, func() (protocol.BasinConfig, error) { return s.st.ReconfigureBasin(ctx, basin, change) })
}

func (s *service) DeleteBasin(ctx context.Context, basin protocol.BasinName) error {
	_, err := do(s, func() (struct{}, error) { return struct{}{}, s.st.DeleteBasin(ctx, basin) })
	return err
}

func (s *service) ListStreams(ctx context.Context, basin protocol.BasinName, req protocol.ListRequest) (protocol.StreamPage, error) {
	return do(s, func() (protocol.StreamPage, error) { return s.st.ListStreams(ctx, basin, req) })
}

func (s *service) CreateStream(ctx context.Context, basin protocol.BasinName, req protocol.CreateStreamRequest) (protocol.StreamInfo, protocol.ProvisionResult, error) {
	return provision(s, func() (protocol.StreamInfo, protocol.ProvisionResult, error) {
		return s.st.CreateStream(ctx, basin, req)
	})
}

func (s *service) EnsureStream(ctx context.Context, ref protocol.StreamRef, config protocol.StreamConfig) (protocol.StreamInfo, protocol.ProvisionResult, error) {
	return provision(s, func() (protocol.StreamInfo, protocol.ProvisionResult, error) {
		return s.st.EnsureStream(ctx, ref, config)
	})
}

func (s *service) GetStreamConfig(ctx context.Context, ref protocol.StreamRef) (protocol.ResolvedStreamConfig, error) {
	return do(s, func() (protocol.ResolvedStreamConfig, error) { return s.st.GetStreamConfig(ctx, ref) })
}

func (s *service) ReconfigureStream(ctx context.Context, ref protocol.StreamRef, change protocol.StreamReconfiguration) (protocol.ResolvedStreamConfig, error) {
	return do(s, func() (protocol.ResolvedStreamConfig, error) { return s.st.ReconfigureStream(ctx, ref, change) })
}

func (s *service) DeleteStream(ctx context.Context, ref protocol.StreamRef) error {
	_, err := do(s, func() (struct{}, error) { return struct{}{}, s.st.DeleteStream(ctx, ref) })
	return err
}
