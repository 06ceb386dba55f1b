package access

import (
	"context"
	"io"
	"sync/atomic"

	"github.com/weirstream/weir/protocol"
)

func (s *service) CheckTail(ctx context.Context, ref protocol.StreamRef) (protocol.StreamTail, error) {
	ref, err := s.stream(ref, protocol.OpCheckTail)
	if err != nil {
		return protocol.StreamTail{}, err
	}
	tail, err := s.inner.CheckTail(ctx, ref)
	return tail, s.hide(err, ref)
}

func (s *service) Append(ctx context.Context, ref protocol.StreamRef, in protocol.AppendInput, opts ...protocol.RecordOption) (protocol.AppendAck, error) {
	if err := s.allow(); err != nil {
		return protocol.AppendAck{}, err
	}
	if err := s.batch(in); err != nil {
		return protocol.AppendAck{}, err
	}
	ref, err := s.stream(ref)
	if err != nil {
		return protocol.AppendAck{}, err
	}
	ack, err := s.inner.Append(ctx, ref, in, opts...)
	return ack, s.hide(err, ref)
}

// appendOps are the operations that a batch may need; a session can be opened with any of them.
var appendOps = protocol.Operations(protocol.OpAppend, protocol.OpFence, protocol.OpTrim)

// batch checks the operations that a batch needs by the kinds of its records (control plane 5.5); to close the stream needs
// that of data. The code is permission_denied.
func (s *service) batch(in protocol.AppendInput) error {
	if s.c.ops.Contains(appendOps) {
		return nil
	}
	need := protocol.OperationSet(0)
	for i := range in.Records {
		//exhaustive:enforce
		switch in.Records[i].Command() {
		case protocol.FenceCommand:
			need |= protocol.Operations(protocol.OpFence)
		case protocol.TrimCommand:
			need |= protocol.Operations(protocol.OpTrim)
		case protocol.NoCommand, protocol.CloseCommand:
			need |= protocol.Operations(protocol.OpAppend)
		}
	}
	if need == 0 || in.Close {
		need |= protocol.Operations(protocol.OpAppend)
	}
	for op := range (need &^ s.c.ops).All() {
		return errMissing(op)
	}
	return nil
}

func (s *service) Read(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts ...protocol.RecordOption) (protocol.ReadBatch, error) {
	ref, err := s.stream(ref, protocol.OpRead)
	if err != nil {
		return protocol.ReadBatch{}, err
	}
	if req.Wait == nil || *req.Wait <= 0 {
		batch, err := s.inner.Read(ctx, ref, req, opts...)
		return batch, s.hide(err, ref)
	}
	waiting, cancel := s.bound(ctx)
	defer cancel()
	batch, err := s.inner.Read(waiting, ref, req, opts...)
	if !s.c.alive() {
		return protocol.ReadBatch{}, errAuthn()
	}
	return batch, s.hide(err, ref)
}

func (s *service) OpenReadSession(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts ...protocol.RecordOption) (protocol.ReadSession, error) {
	ref, err := s.stream(ref, protocol.OpRead)
	if err != nil {
		return nil, err
	}
	inner, err := s.inner.OpenReadSession(ctx, ref, req, opts...)
	if err != nil {
		return nil, s.hide(err, ref)
	}
	if s.c.life == nil {
		return inner, nil
	}
	r := &readSession{inner: inner, s: s, ref: ref}
	r.unhook = context.AfterFunc(s.c.life, func() {
		r.over.Store(true)
		_ = inner.Close()
	})
	return r, nil
}

// readSession is a read session that ends with its caller.
type readSession struct {
	inner  protocol.ReadSession
	s      *service
	ref    protocol.StreamRef // full
	unhook func() bool
	over   atomic.Bool // the token was removed or has expired
}

func (r *readSession) Next(ctx context.Context) (protocol.ReadBatch, error) {
	batch, err := r.inner.Next(ctx)
	switch {
	case r.over.Load():
		return protocol.ReadBatch{}, errAuthn()
	case err == nil, err == io.EOF: //nolint:errorlint // the contract says io.EOF itself
		return batch, err
	}
	return batch, r.s.hide(err, r.ref)
}

func (r *readSession) Close() error {
	r.unhook()
	return r.inner.Close()
}

// OpenAppendSession asks for one of the operations that a batch can need; each batch is checked for its own.
func (s *service) OpenAppendSession(ctx context.Context, ref protocol.StreamRef, opts ...protocol.RecordOption) (protocol.AppendSession, error) {
	if err := s.allow(); err != nil {
		return nil, err
	}
	if s.c.ops&appendOps == 0 {
		return nil, errMissing(protocol.OpAppend)
	}
	ref, err := s.stream(ref)
	if err != nil {
		return nil, err
	}
	inner, err := s.inner.OpenAppendSession(ctx, ref, opts...)
	if err != nil {
		return nil, s.hide(err, ref)
	}
	if s.c.life == nil {
		return inner, nil
	}
	a := &appendSession{inner: inner, s: s, ref: ref}
	a.unhook = context.AfterFunc(s.c.life, func() { a.refuse(errAuthn()) })
	return a, nil
}

// appendSession is an append session whose input ends with its caller, or with the first batch that the caller may not
// append. Batches that were taken before are stored and acknowledged, and then comes the reason.
type appendSession struct {
	inner    protocol.AppendSession
	s        *service
	ref      protocol.StreamRef // full
	unhook   func() bool
	refused  atomic.Pointer[protocol.Error]
	finished atomic.Bool // the caller closed its input: after the last ack the end is clean
}

// refuse ends the input for good. The first reason stays.
func (a *appendSession) refuse(reason *protocol.Error) {
	if a.refused.CompareAndSwap(nil, reason) {
		_ = a.inner.CloseSend()
	}
}

func (a *appendSession) Submit(ctx context.Context, in protocol.AppendInput) error {
	if reason := a.refused.Load(); reason != nil {
		return reason
	}
	if err := a.s.batch(in); err != nil {
		a.refuse(protocol.AsError(err))
		return err
	}
	err := a.inner.Submit(ctx, in)
	if reason := a.refused.Load(); err != nil && reason != nil {
		return reason
	}
	return a.s.hide(err, a.ref)
}

func (a *appendSession) Recv(ctx context.Context) (protocol.AppendAck, error) {
	ack, err := a.inner.Recv(ctx)
	if err == io.EOF { //nolint:errorlint // the contract says io.EOF itself
		if reason := a.refused.Load(); reason != nil && !a.finished.Load() {
			return protocol.AppendAck{}, reason
		}
		return ack, err
	}
	return ack, a.s.hide(err, a.ref)
}

func (a *appendSession) CloseSend() error {
	if a.refused.Load() == nil {
		a.finished.Store(true)
	}
	return a.inner.CloseSend()
}

func (a *appendSession) Close() error {
	a.unhook()
	return a.inner.Close()
}
