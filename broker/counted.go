package broker

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/adapter"
	"github.com/weirstream/weir/broker/internal/metering"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/sessions"
)

// used is a stream that something can be attached to while it stays loaded.
type used interface {
	Attached() any
	Attach(v any) any
	Class() protocol.StorageClass
}

var _ used = (*adapter.Stream)(nil)

// streamUsage is attached to a stream: the counters of its basin, and the one connection that all its unary appends
// count as.
type streamUsage struct {
	scope *metering.Scope
	unary metering.Lane
}

// counted is a storage whose appends are measured and counted as usage. Here, rather than around the service, the storage
// class is known, and the stream keeps the counters at hand, so that an append looks nothing up.
type counted struct {
	storage
	meter *metering.Meter
	m     *appendMetrics
}

func (c counted) OpenRecords(ctx context.Context, ref protocol.StreamRef, use use, opts protocol.RecordOptions) (sessions.Stream, error) {
	st, err := c.storage.OpenRecords(ctx, ref, use, opts)
	if err != nil || use == forRead {
		return st, err
	}
	u, ok := st.(used)
	if !ok {
		return st, nil
	}
	at := u.Attached()
	if at == nil {
		at = u.Attach(&streamUsage{scope: c.meter.Of(ref.Basin)})
	}
	return countedStream{st, u, at.(*streamUsage), c.m, use == forAppendSession}, nil //nolint:forcetypeassert // nothing else is attached
}

type countedStream struct {
	sessions.Stream
	used    used
	at      *streamUsage
	m       *appendMetrics
	session bool
}

func (s countedStream) Appender() sessions.Appender {
	a := &countedAppender{Appender: s.Stream.Appender(), used: s.used, at: s.at, m: s.m, lane: &s.at.unary}
	if s.session {
		a.lane = &a.own
	}
	return a
}

type countedAppender struct {
	sessions.Appender
	used used
	at   *streamUsage
	m    *appendMetrics
	lane *metering.Lane
	own  metering.Lane // of a session
}

func (a *countedAppender) Submit(ctx context.Context, in protocol.AppendInput, done func(protocol.AppendAck, error)) error {
	began := time.Now()
	var admitted atomic.Int64 // since began; done may come before Submit returns
	records, bytes := float64(len(in.Records)), in.MeteredSize()
	err := a.Appender.Submit(ctx, in, func(ack protocol.AppendAck, err error) {
		if err == nil {
			now := time.Now()
			a.m.ack.Observe((now.Sub(began) - time.Duration(admitted.Load())).Seconds())
			a.at.scope.Appended(a.lane, a.used.Class(), bytes, now)
		}
		done(ack, err)
	})
	if err == nil {
		waited := time.Since(began)
		admitted.Store(int64(waited))
		a.m.permit.Observe(waited.Seconds())
		a.m.records.Observe(records)
		a.m.bytes.Observe(float64(bytes))
	}
	return err
}
