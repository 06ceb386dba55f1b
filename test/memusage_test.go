package test

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/weirstream/weir/protocol"
)

// memUse is one thing that was used: how much of which series of a basin, or of the account if the basin is "".
type memUse struct {
	at     time.Time
	basin  protocol.BasinName
	set    protocol.MetricSet
	series string
	n      uint64
}

// memLife is how long a stream existed.
type memLife struct {
	ref   protocol.StreamRef
	since time.Time
	until time.Time // zero: it exists
}

// memMetered is the model with everything that is used written down, one by one (control plane section 6).
type memMetered struct {
	*memService
	use struct {
		sync.Mutex
		all   []memUse
		lives []memLife
		ops   map[memOp]bool
	}
}

// memOp is a minute in which a stream was appended to over a connection, or a session delivered.
type memOp struct {
	ref    protocol.StreamRef
	conn   any // a session; nil stands for all unary appends
	minute int64
}

func newMetered(m *memService) *memMetered {
	w := &memMetered{memService: m}
	w.use.ops = map[memOp]bool{}
	return w
}

func (m *memMetered) count(basin protocol.BasinName, set protocol.MetricSet, series string, n uint64) {
	m.use.Lock()
	defer m.use.Unlock()
	m.use.all = append(m.use.all, memUse{time.Now(), basin, set, series, n})
}

// once counts an operation the first time in a minute.
func (m *memMetered) once(ref protocol.StreamRef, conn any, set protocol.MetricSet, series string) {
	key := memOp{ref, conn, time.Now().Unix() / 60}
	m.use.Lock()
	seen := m.use.ops[key]
	m.use.ops[key] = true
	m.use.Unlock()
	if !seen {
		m.count(ref.Basin, set, series, 1)
	}
}

func (m *memMetered) account(op string, err error) {
	if err == nil {
		m.count("", protocol.MetricAccountOps, op, 1)
	}
}

func (m *memMetered) basinOp(basin protocol.BasinName, op string, err error) {
	if err == nil {
		m.count(basin, protocol.MetricBasinOps, op, 1)
	}
}

func (m *memMetered) born(ref protocol.StreamRef, result protocol.ProvisionResult) {
	if result == protocol.ProvisionCreated {
		m.use.Lock()
		defer m.use.Unlock()
		m.use.lives = append(m.use.lives, memLife{ref: ref, since: time.Now()})
	}
}

func (m *memMetered) ListBasins(ctx context.Context, req protocol.ListRequest) (protocol.BasinPage, error) {
	page, err := m.memService.ListBasins(ctx, req)
	m.account("list-basins", err)
	return page, err
}

func (m *memMetered) CreateBasin(ctx context.Context, req protocol.CreateBasinRequest) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	info, result, err := m.memService.CreateBasin(ctx, req)
	m.account("create-basin", err)
	return info, result, err
}

func (m *memMetered) EnsureBasin(ctx context.Context, basin protocol.BasinName, req protocol.EnsureBasinRequest) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	info, result, err := m.memService.EnsureBasin(ctx, basin, req)
	op := "reconfigure-basin"
	if result == protocol.ProvisionCreated {
		op = "create-basin"
	}
	m.account(op, err)
	return info, result, err
}

func (m *memMetered) GetBasinConfig(ctx context.Context, basin protocol.BasinName) (protocol.BasinConfig, error) {
	config, err := m.memService.GetBasinConfig(ctx, basin)
	m.account("get-basin-config", err)
	return config, err
}

func (m *memMetered) ListStreams(ctx context.Context, basin protocol.BasinName, req protocol.ListRequest) (protocol.StreamPage, error) {
	page, err := m.memService.ListStreams(ctx, basin, req)
	m.basinOp(basin, "list-streams", err)
	return page, err
}

func (m *memMetered) CreateStream(ctx context.Context, basin protocol.BasinName, req protocol.CreateStreamRequest) (protocol.StreamInfo, protocol.ProvisionResult, error) {
	info, result, err := m.memService.CreateStream(ctx, basin, req)
	m.basinOp(basin, "create-stream", err)
	m.born(protocol.StreamRef{Basin: basin, Stream: req.Stream}, result)
	return info, result, err
}

func (m *memMetered) GetStreamConfig(ctx context.Context, ref protocol.StreamRef) (protocol.ResolvedStreamConfig, error) {
	config, err := m.memService.GetStreamConfig(ctx, ref)
	m.basinOp(ref.Basin, "get-stream-config", err)
	return config, err
}

func (m *memMetered) DeleteStream(ctx context.Context, ref protocol.StreamRef) error {
	err := m.memService.DeleteStream(ctx, ref)
	m.basinOp(ref.Basin, "delete-stream", err)
	m.use.Lock()
	defer m.use.Unlock()
	for i := range m.use.lives {
		if l := &m.use.lives[i]; err == nil && l.ref == ref && l.until.IsZero() {
			l.until = time.Now()
		}
	}
	return err
}

func (m *memMetered) CheckTail(ctx context.Context, ref protocol.StreamRef) (protocol.StreamTail, error) {
	tail, err := m.memService.CheckTail(ctx, ref)
	m.basinOp(ref.Basin, "check-tail", err)
	return tail, err
}

func (m *memMetered) appended(ref protocol.StreamRef, conn any, bytes uint64) {
	m.mu.Lock()
	_, s, err := m.streamLocked(ref)
	class := ""
	if err == nil {
		class = string(s.config.StorageClass)
	}
	m.mu.Unlock()
	m.count(ref.Basin, protocol.MetricAppendThroughput, class, bytes)
	m.once(ref, conn, protocol.MetricAppendOps, class)
}

func (m *memMetered) Append(ctx context.Context, ref protocol.StreamRef, in protocol.AppendInput, opts ...protocol.RecordOption) (protocol.AppendAck, error) {
	bytes := in.MeteredSize()
	ack, err := m.memService.Append(ctx, ref, in, opts...)
	if err == nil {
		m.appended(ref, nil, bytes)
	}
	return ack, err
}

func (m *memMetered) OpenAppendSession(ctx context.Context, ref protocol.StreamRef, opts ...protocol.RecordOption) (protocol.AppendSession, error) {
	s, err := m.memService.OpenAppendSession(ctx, ref, opts...)
	if err != nil {
		return nil, err
	}
	return &meteredAppends{AppendSession: s, m: m, ref: ref}, nil
}

// meteredAppends counts an input when its ack comes.
type meteredAppends struct {
	protocol.AppendSession
	m   *memMetered
	ref protocol.StreamRef

	mu    sync.Mutex
	sizes []uint64 // of inputs without an ack
}

func (a *meteredAppends) Submit(ctx context.Context, in protocol.AppendInput) error {
	a.mu.Lock()
	a.sizes = append(a.sizes, in.MeteredSize())
	a.mu.Unlock()
	return a.AppendSession.Submit(ctx, in)
}

func (a *meteredAppends) Recv(ctx context.Context) (protocol.AppendAck, error) {
	ack, err := a.AppendSession.Recv(ctx)
	if err == nil {
		a.mu.Lock()
		bytes := a.sizes[0]
		a.sizes = a.sizes[1:]
		a.mu.Unlock()
		a.m.appended(a.ref, a, bytes)
	}
	return ack, err
}

func (m *memMetered) Read(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts ...protocol.RecordOption) (protocol.ReadBatch, error) {
	batch, err := m.memService.Read(ctx, ref, req, opts...)
	if err == nil {
		m.count(ref.Basin, protocol.MetricReadOps, "unary", 1)
		m.count(ref.Basin, protocol.MetricReadThroughput, "read_throughput", batch.Records.MeteredSize())
	}
	return batch, err
}

func (m *memMetered) OpenReadSession(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts ...protocol.RecordOption) (protocol.ReadSession, error) {
	s, err := m.memService.OpenReadSession(ctx, ref, req, opts...)
	if err != nil {
		return nil, err
	}
	r := &meteredReads{s, m, ref}
	m.once(ref, r, protocol.MetricReadOps, "streaming")
	return r, nil
}

type meteredReads struct {
	protocol.ReadSession
	m   *memMetered
	ref protocol.StreamRef
}

func (r *meteredReads) Next(ctx context.Context) (protocol.ReadBatch, error) {
	batch, err := r.ReadSession.Next(ctx)
	if err == nil && batch.Records.Len() > 0 {
		r.m.count(r.ref.Basin, protocol.MetricReadThroughput, "read_throughput", batch.Records.MeteredSize())
		r.m.once(r.ref, r, protocol.MetricReadOps, "streaming")
	}
	return batch, err
}

// memSet is what a set allows: its intervals, the default first, and the series that are always told.
type memSet struct {
	intervals []protocol.MetricInterval
	unit      string
	series    []string
}

var (
	memHours   = []protocol.MetricInterval{"hour", "minute", "day"}
	memMinutes = []protocol.MetricInterval{"minute", "hour", "day"}

	memAccountSets = map[protocol.MetricSet]memSet{"active-basins": {}, "account-ops": {memHours, "operations", nil},
		"estimated-billable-usage": {[]protocol.MetricInterval{"hour", "day"}, "usd", nil}}
	memBasinSets = map[protocol.MetricSet]memSet{
		"storage": {intervals: memHours[:1]}, "append-ops": {memMinutes, "operations", []string{"express", "standard"}},
		"read-ops": {memMinutes, "operations", []string{"unary", "streaming"}}, "read-throughput": {memMinutes, "bytes", []string{"read_throughput"}},
		"append-throughput": {memMinutes, "bytes", []string{"express", "standard"}}, "basin-ops": {memHours, "operations", nil}}
	memStreamSets = map[protocol.MetricSet]memSet{"storage": {intervals: memMinutes[:1]}}
)

// judge applies control plane 6.3 and returns the interval to use.
func (m *memMetered) judge(sets map[protocol.MetricSet]memSet, q protocol.MetricsQuery) (s memSet, interval protocol.MetricInterval, err error) {
	s, ok := sets[q.Set]
	if !ok || q.Interval != "" && !slices.Contains(memHours, q.Interval) {
		return s, "", protocol.Errorf(protocol.CodeBadQuery, "no such set or interval")
	}
	if q.Start == nil || q.End == nil {
		return s, "", protocol.Errorf(protocol.CodeInvalid, "start and end params required")
	}
	if *q.Start > *q.End || int64(*q.End) > time.Now().Unix()+60 || *q.End-*q.Start > 90*24*3600 {
		return s, "", protocol.Errorf(protocol.CodeInvalid, "the times do not fit")
	}
	interval = q.Interval
	if interval == "" && len(s.intervals) > 0 {
		interval = s.intervals[0]
	}
	if len(s.intervals) > 0 && !slices.Contains(s.intervals, interval) {
		return s, "", protocol.Errorf(protocol.CodeInvalid, "the set has no such interval")
	}
	return s, interval, nil
}

// accumulate sums up by bucket.
func (m *memMetered) accumulate(basin protocol.BasinName, q protocol.MetricsQuery, s memSet, interval protocol.MetricInterval) (out []protocol.Metric) {
	m.use.Lock()
	defer m.use.Unlock()
	wide := map[protocol.MetricInterval]int64{"minute": 60, "hour": 3600, "day": 24 * 3600}[interval]
	metric := func(series string) *protocol.Metric {
		i := slices.IndexFunc(out, func(m protocol.Metric) bool { return m.Name == series })
		if i < 0 {
			i = len(out)
			out = append(out, protocol.Metric{Kind: protocol.MetricAccumulation, Name: series, Unit: s.unit, Interval: interval})
		}
		return &out[i]
	}
	for _, series := range s.series {
		metric(series)
	}
	for _, u := range m.use.all { // in order of time
		bucket := u.at.Unix() / wide * wide
		if u.basin != basin || u.set != q.Set || bucket < int64(*q.Start) || bucket >= int64(*q.End) {
			continue
		}
		points := &metric(u.series).Points
		if n := len(*points); n == 0 || (*points)[n-1].At.Unix() != bucket {
			*points = append(*points, protocol.MetricPoint{At: time.Unix(bucket, 0).UTC()})
		}
		(*points)[len(*points)-1].Value += float64(u.n)
	}
	return out
}

func (m *memMetered) AccountMetrics(_ context.Context, q protocol.MetricsQuery) ([]protocol.Metric, error) {
	s, interval, err := m.judge(memAccountSets, q)
	if err != nil {
		return nil, err
	}
	if q.Set != protocol.MetricActiveBasins {
		return m.accumulate("", q, s, interval), nil
	}
	m.use.Lock()
	defer m.use.Unlock()
	var names []string
	for _, l := range m.use.lives {
		dead := !l.until.IsZero() && l.until.Unix() < int64(*q.Start)
		if l.since.Unix() < int64(*q.End) && !dead && *q.Start < *q.End {
			names = append(names, string(l.ref.Basin))
		}
	}
	slices.Sort(names)
	return []protocol.Metric{{Kind: protocol.MetricLabel, Name: "active_basins", Labels: slices.Compact(names)}}, nil
}

// stored is the present size of what fits, as a gauge: the model does not remember other times.
func (m *memMetered) stored(q protocol.MetricsQuery, basin protocol.BasinName, fits func(protocol.StreamName) bool) []protocol.Metric {
	gauge := protocol.Metric{Kind: protocol.MetricGauge, Name: "storage", Unit: "bytes"}
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.basins[basin]
	found := false
	bytes := uint64(0)
	for name, s := range streamsOf(b) {
		if fits(name) {
			found = true
			for _, rec := range s.surviving(0, s.tail.SeqNum) {
				bytes += (&protocol.Record{Headers: rec.Headers, Body: rec.Body}).MeteredSize()
			}
		}
	}
	now := time.Now().Unix()
	if found && int64(*q.Start) <= now && int64(*q.End) > now-60 && *q.Start < *q.End {
		gauge.Points = []protocol.MetricPoint{{At: time.Unix(min(now, int64(*q.End)-1), 0).UTC(), Value: float64(bytes)}}
	}
	return []protocol.Metric{gauge}
}

func streamsOf(b *memBasin) map[protocol.StreamName]*memStream {
	if b == nil {
		return nil
	}
	return b.streams
}

func (m *memMetered) BasinMetrics(_ context.Context, basin protocol.BasinName, q protocol.MetricsQuery) ([]protocol.Metric, error) {
	s, interval, err := m.judge(memBasinSets, q)
	if err != nil {
		return nil, err
	}
	if q.Set == protocol.MetricStorage {
		return m.stored(q, basin, func(protocol.StreamName) bool { return true }), nil
	}
	return m.accumulate(basin, q, s, interval), nil
}

func (m *memMetered) StreamMetrics(_ context.Context, ref protocol.StreamRef, q protocol.MetricsQuery) ([]protocol.Metric, error) {
	if _, _, err := m.judge(memStreamSets, q); err != nil {
		return nil, err
	}
	return m.stored(q, ref.Basin, func(name protocol.StreamName) bool { return name == ref.Stream }), nil
}

// The bare model measures nothing.

func (m *memService) AccountMetrics(context.Context, protocol.MetricsQuery) ([]protocol.Metric, error) {
	return nil, protocol.Errorf(protocol.CodeNotImplemented, "the model is not metered")
}

func (m *memService) BasinMetrics(context.Context, protocol.BasinName, protocol.MetricsQuery) ([]protocol.Metric, error) {
	return nil, protocol.Errorf(protocol.CodeNotImplemented, "the model is not metered")
}

func (m *memService) StreamMetrics(context.Context, protocol.StreamRef, protocol.MetricsQuery) ([]protocol.Metric, error) {
	return nil, protocol.Errorf(protocol.CodeNotImplemented, "the model is not metered")
}
