package broker

import (
	"context"
	"io"
	"sync/atomic"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/sessions"
)

func (s *service) OpenReadSession(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts ...protocol.RecordOption) (protocol.ReadSession, error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	return do(s, func() (protocol.ReadSession, error) {
		options := protocol.MakeRecordOptions(opts...)
		st, err := s.st.OpenRecords(ctx, ref, forRead, options)
		if err != nil {
			return nil, err
		}
		inner, err := sessions.OpenRead(ctx, st, req, sessions.ReadOptions{Lean: options.Lean})
		if err != nil {
			st.Close()
			return nil, err
		}
		r := &readSession{inner: inner, s: s}
		if err := s.drainer.add(r); err != nil {
			_ = inner.Close()
			return nil, err
		}
		return r, nil
	})
}

// readSession is a read session that the broker can end. When it does, the session fails with server_draining: a clean
// end would tell the reader that there is nothing more to read.
type readSession struct {
	inner   protocol.ReadSession
	s       *service
	drained atomic.Bool
}

func (r *readSession) Next(ctx context.Context) (protocol.ReadBatch, error) {
	batch, err := r.inner.Next(ctx)
	switch {
	case err == nil:
		return batch, nil
	case r.drained.Load():
		err = errDraining()
	case err != io.EOF: //nolint:errorlint // io.EOF is passed as it is: callers compare it.
		err = r.s.failure(err)
	}
	return protocol.ReadBatch{}, err
}

func (r *readSession) Close() error {
	r.s.drainer.remove(r)
	return r.inner.Close()
}

func (r *readSession) end() {
	r.drained.Store(true)
	_ = r.inner.Close()
}

func (s *service) OpenAppendSession(ctx context.Context, ref protocol.StreamRef, opts ...protocol.RecordOption) (protocol.AppendSession, error) {
	return do(s, func() (protocol.AppendSession, error) {
		options := protocol.MakeRecordOptions(opts...)
		st, err := s.st.OpenRecords(ctx, ref, forAppendSession, options)
		if err != nil {
			return nil, err
		}
		of := sessions.AppendOptions{Settled: options.Settled}
		if options.Producer != nil { // others need no copy of each input
			of.Number = options.Number
		}
		a := &appendSession{inner: sessions.OpenAppend(st, of), s: s}
		if err := s.drainer.add(a); err != nil {
			_ = a.inner.Close()
			return nil, err
		}
		return a, nil
	})
}

// appendSession is an append session that the broker can end. When it does, no further input is taken, those taken are
// still stored and acknowledged, and after their acks comes server_draining.
type appendSession struct {
	inner    protocol.AppendSession
	s        *service
	drained  atomic.Bool
	finished atomic.Bool // the caller closed its input: after the last ack the end is clean, drained or not
}

func (a *appendSession) Submit(ctx context.Context, in protocol.AppendInput) error {
	err := a.inner.Submit(ctx, in)
	if err != nil && a.drained.Load() {
		return errDraining()
	}
	return a.s.failure(err)
}

func (a *appendSession) Recv(ctx context.Context) (protocol.AppendAck, error) {
	ack, err := a.inner.Recv(ctx)
	switch {
	case err == io.EOF && a.drained.Load() && !a.finished.Load(): //nolint:errorlint // the contract says io.EOF itself
		err = errDraining()
	case err != nil && err != io.EOF: //nolint:errorlint // the contract says io.EOF itself
		err = a.s.failure(err)
	}
	return ack, err
}

func (a *appendSession) CloseSend() error {
	a.finished.Store(true)
	return a.inner.CloseSend()
}

func (a *appendSession) Close() error {
	a.s.drainer.remove(a)
	return a.inner.Close()
}

func (a *appendSession) end() {
	a.drained.Store(true)
	_ = a.inner.CloseSend()
}
