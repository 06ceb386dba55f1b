package metering

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirstream/weir/broker/internal/metric"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/sessions"
)

// Appends measures the appends of every door and counts them as usage. It wraps the streams of the storage, below the
// service, because only there the storage class is known, and the phases of an append's wait.
type Appends struct {
	meter *Meter
	// The four histograms of control plane 9.1.
	permit, ack, records, bytes *metric.LateHistogram
}

// NewAppends registers the metrics of appends.
func NewAppends(reg *prometheus.Registry, meter *Meter) *Appends {
	return &Appends{
		meter:   meter,
		permit:  metric.NewLateHistogram(reg, "s2_append_permit_latency_seconds"),
		ack:     metric.NewLateHistogram(reg, "s2_append_ack_latency_seconds"),
		records: metric.NewLateHistogram(reg, "s2_append_batch_records"),
		bytes:   metric.NewLateHistogram(reg, "s2_append_batch_bytes"),
	}
}

// Connection selects the connection to which the appends of an opened stream count: one minute of appends to a stream on one
// connection is one operation (control plane 6.5).
type Connection uint8

const (
	// SharedConnection is that of all unary appends to the stream.
	SharedConnection Connection = iota
	// OwnConnection is that of an append session.
	OwnConnection
)

// Stream returns st with its appends counted. class returns the storage class, which may change while the stream is open.
func (a *Appends) Stream(st sessions.Stream, ref protocol.StreamRef, connection Connection, class func() protocol.StorageClass) sessions.Stream {
	return countedStream{st, a, a.meter.Of(ref.Basin), ref.Stream, connection, class}
}

type countedStream struct {
	sessions.Stream
	a          *Appends
	scope      *Scope
	name       protocol.StreamName
	connection Connection
	class      func() protocol.StorageClass
}

func (s countedStream) Appender() sessions.Appender {
	return &countedAppender{Appender: s.Stream.Appender(), s: s}
}

type countedAppender struct {
	sessions.Appender
	s   countedStream
	own ConnectionMinute // of a session
}

// count counts a batch of the appender that was acknowledged at now.
func (c *countedAppender) count(bytes uint64, now time.Time) {
	if c.s.connection == OwnConnection {
		c.s.scope.Appended(&c.own, c.s.class(), bytes, now)
		return
	}
	c.s.scope.AppendedUnary(c.s.name, c.s.class(), bytes, now)
}

func (c *countedAppender) Submit(ctx context.Context, in protocol.AppendInput, done func(protocol.AppendAck, error)) error {
	a := c.s.a
	began := time.Now()
	var admitted atomic.Int64 // since began; done may come before Submit returns
	records, bytes := float64(len(in.Records)), in.MeteredSize()
	err := c.Appender.Submit(ctx, in, func(ack protocol.AppendAck, err error) {
		if err == nil {
			now := time.Now()
			metric.Observe(ctx, a.ack, (now.Sub(began) - time.Duration(admitted.Load())).Seconds())
			c.count(bytes, now)
		}
		done(ack, err)
	})
	if err == nil {
		waited := time.Since(began)
		admitted.Store(int64(waited))
		metric.Observe(ctx, a.permit, waited.Seconds())
		a.records.Observe(records)
		a.bytes.Observe(float64(bytes))
	}
	return err
}
