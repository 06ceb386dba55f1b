package metering

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirstream/weir/broker/internal/metric"
	"github.com/weirstream/weir/protocol"
)

// The doors, as metrics name them.
const (
	InProcess = "in_process"
	NATS      = "nats"
	HTTP      = "http"
)

// Door counts the requests that come through one door, and measures how long they take there. It is the outermost layer of
// the service.
type Door struct {
	appendTime, readTime         prometheus.Observer
	appendRecords, appendBytes   prometheus.Counter
	readRecords, readBytes       prometheus.Counter
	appendSessions, readSessions prometheus.Gauge
	failures                     *prometheus.CounterVec // by operation and code
}

// NewDoors registers the metrics of doors and returns those of each.
func NewDoors(reg *prometheus.Registry) map[string]*Door {
	appendTime, readTime := metric.NewHistogram(reg, "weir_append_seconds"), metric.NewHistogram(reg, "weir_read_seconds")
	appendRecords, appendBytes := metric.NewCounter(reg, "weir_append_records_total"), metric.NewCounter(reg, "weir_append_bytes_total")
	readRecords, readBytes := metric.NewCounter(reg, "weir_read_records_total"), metric.NewCounter(reg, "weir_read_bytes_total")
	sessions, failures := metric.NewGauge(reg, "weir_sessions"), metric.NewCounter(reg, "weir_record_failures_total")
	all := map[string]*Door{}
	for _, door := range []string{InProcess, NATS, HTTP} {
		all[door] = &Door{
			appendTime: appendTime.WithLabelValues(door), readTime: readTime.WithLabelValues(door),
			appendRecords: appendRecords.WithLabelValues(door), appendBytes: appendBytes.WithLabelValues(door),
			readRecords: readRecords.WithLabelValues(door), readBytes: readBytes.WithLabelValues(door),
			appendSessions: sessions.WithLabelValues(door, "append"), readSessions: sessions.WithLabelValues(door, "read"),
			failures: failures.MustCurryWith(prometheus.Labels{"door": door}),
		}
	}
	return all
}

// failed counts a failure. Codes that are not in the table of codes have one name, so that there are not ever more.
func (d *Door) failed(operation string, err error) {
	code := protocol.CodeOf(err)
	if !code.Known() {
		code = protocol.CodeOther
	}
	d.failures.WithLabelValues(operation, string(code)).Inc()
}

func (d *Door) appended(ack protocol.AppendAck, bytes uint64, began time.Time, exemplar prometheus.Labels) {
	metric.ObserveWith(d.appendTime, time.Since(began).Seconds(), exemplar)
	d.appendRecords.Add(float64(ack.End.SeqNum - ack.Start.SeqNum))
	d.appendBytes.Add(float64(bytes))
}

func (d *Door) delivered(r protocol.Records) {
	d.readRecords.Add(float64(r.Len()))
	d.readBytes.Add(float64(r.MeteredSize()))
}

// Through measures the calls that go through a door to svc; nil stays nil.
func (d *Door) Through(svc protocol.Service) protocol.Service {
	if svc == nil {
		return nil
	}
	return doorService{svc, d}
}

// Behind returns the service behind a measured one.
func Behind(svc protocol.Service) protocol.Service {
	if d, ok := svc.(doorService); ok {
		return d.Service
	}
	return svc
}

// doorService is a service as seen through a door.
type doorService struct {
	protocol.Service
	d *Door
}

func (s doorService) Append(ctx context.Context, ref protocol.StreamRef, in protocol.AppendInput, opts ...protocol.RecordOption) (protocol.AppendAck, error) {
	began, bytes := time.Now(), in.MeteredSize()
	ack, err := s.Service.Append(ctx, ref, in, opts...)
	if err != nil {
		s.d.failed("append", err)
	} else {
		s.d.appended(ack, bytes, began, metric.Exemplar(ctx))
	}
	return ack, err
}

func (s doorService) Read(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts ...protocol.RecordOption) (protocol.ReadBatch, error) {
	began := time.Now()
	batch, err := s.Service.Read(ctx, ref, req, opts...)
	if err != nil {
		s.d.failed("read", err)
	} else {
		metric.Observe(ctx, s.d.readTime, time.Since(began).Seconds())
		s.d.delivered(batch.Records)
	}
	return batch, err
}

func (s doorService) OpenAppendSession(ctx context.Context, ref protocol.StreamRef, opts ...protocol.RecordOption) (protocol.AppendSession, error) {
	inner, err := s.Service.OpenAppendSession(ctx, ref, opts...)
	if err != nil {
		s.d.failed("append_session", err)
		return nil, err
	}
	s.d.appendSessions.Inc()
	return &doorAppends{AppendSession: inner, d: s.d}, nil
}

func (s doorService) OpenReadSession(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts ...protocol.RecordOption) (protocol.ReadSession, error) {
	inner, err := s.Service.OpenReadSession(ctx, ref, req, opts...)
	if err != nil {
		s.d.failed("read_session", err)
		return nil, err
	}
	s.d.readSessions.Inc()
	return &doorReads{ReadSession: inner, d: s.d}, nil
}

// doorAppends is an append session seen through a door.
type doorAppends struct {
	protocol.AppendSession
	d     *Door
	close sync.Once
	fail  sync.Once

	mu      sync.Mutex
	waiting []*submitted // inputs without an answer, in their order; the session bounds them
}

type submitted struct {
	began    time.Time
	bytes    uint64
	exemplar prometheus.Labels
}

func (a *doorAppends) Submit(ctx context.Context, in protocol.AppendInput) error {
	s := &submitted{time.Now(), in.MeteredSize(), metric.Exemplar(ctx)}
	a.mu.Lock() // the ack may come before Submit returns
	a.waiting = append(a.waiting, s)
	a.mu.Unlock()
	err := a.AppendSession.Submit(ctx, in)
	if err != nil { // it was not handed over, and the session may go on
		a.mu.Lock()
		a.waiting = slices.DeleteFunc(a.waiting, func(w *submitted) bool { return w == s })
		a.mu.Unlock()
	}
	return err
}

// answered takes the input that the next ack is for; false if it is not known, because its Submit has failed after all.
func (a *doorAppends) answered() (s *submitted, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiting) == 0 {
		return nil, false
	}
	s, a.waiting = a.waiting[0], a.waiting[1:]
	return s, true
}

func (a *doorAppends) Recv(ctx context.Context) (protocol.AppendAck, error) {
	ack, err := a.AppendSession.Recv(ctx)
	switch {
	case err == nil:
		if in, ok := a.answered(); ok {
			a.d.appended(ack, in.bytes, in.began, in.exemplar)
		}
	case !errors.Is(err, io.EOF) && ctx.Err() == nil:
		a.fail.Do(func() { a.d.failed("append_session", err) }) // every later call returns the failure again
	}
	return ack, err
}

func (a *doorAppends) Close() error {
	a.close.Do(a.d.appendSessions.Dec)
	return a.AppendSession.Close()
}

// doorReads is a read session seen through a door.
type doorReads struct {
	protocol.ReadSession
	d     *Door
	close sync.Once
	fail  sync.Once
}

func (r *doorReads) Next(ctx context.Context) (protocol.ReadBatch, error) {
	batch, err := r.ReadSession.Next(ctx)
	switch {
	case err == nil:
		r.d.delivered(batch.Records)
	case !errors.Is(err, io.EOF) && ctx.Err() == nil:
		r.fail.Do(func() { r.d.failed("read_session", err) })
	}
	return batch, err
}

func (r *doorReads) Close() error {
	r.close.Do(r.d.readSessions.Dec)
	return r.ReadSession.Close()
}
