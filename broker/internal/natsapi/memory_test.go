package natsapi_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/sessions"
)

// memory is a service in memory: the real session rules over slices. Streams come into being when they are named.
type memory struct {
	mu      sync.Mutex // guards what follows
	basins  map[protocol.BasinName]protocol.BasinConfig
	streams map[protocol.StreamRef]*memStream
	tokens  []string // request tokens of creates, in order

	// fail, when set, is called first by every method and its error returned.
	fail func(method string) error
	// gate, when set, holds every append back until it can be received from.
	gate chan struct{}
}

var created = time.Date(2025, 1, 2, 3, 4, 5, 600, time.UTC)

func newMemory() *memory {
	return &memory{basins: map[protocol.BasinName]protocol.BasinConfig{}, streams: map[protocol.StreamRef]*memStream{}}
}

func (m *memory) check(method string) error {
	if m.fail != nil {
		return m.fail(method)
	}
	return nil
}

func (m *memory) stream(ref protocol.StreamRef) *memStream {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.streams[ref]
	if s == nil {
		s = &memStream{changed: make(chan struct{}), gate: m.gate}
		m.streams[ref] = s
	}
	return s
}

// configure changes a stream's configuration and returns the new one.
func (m *memory) configure(ref protocol.StreamRef, change func(protocol.ResolvedStreamConfig) protocol.ResolvedStreamConfig) protocol.ResolvedStreamConfig {
	s := m.stream(ref)
	m.mu.Lock()
	defer m.mu.Unlock()
	s.config = change(s.config)
	return s.config
}

func (m *memory) ListBasins(_ context.Context, req protocol.ListRequest) (protocol.BasinPage, error) {
	if err := m.check("ListBasins"); err != nil {
		return protocol.BasinPage{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var page protocol.BasinPage
	for name := range m.basins {
		if strings.HasPrefix(string(name), req.Prefix) && string(name) > req.StartAfter {
			page.Basins = append(page.Basins, protocol.BasinInfo{Name: name, CreatedAt: created})
		}
	}
	slices.SortFunc(page.Basins, func(a, b protocol.BasinInfo) int { return strings.Compare(string(a.Name), string(b.Name)) })
	if n := req.PageSize(); len(page.Basins) > n {
		page.Basins, page.HasMore = page.Basins[:n], true
	}
	return page, nil
}

func (m *memory) CreateBasin(_ context.Context, req protocol.CreateBasinRequest) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	if err := m.check("CreateBasin"); err != nil {
		return protocol.BasinInfo{}, "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if req.RequestToken != nil {
		m.tokens = append(m.tokens, *req.RequestToken)
	}
	if _, ok := m.basins[req.Basin]; ok {
		return protocol.BasinInfo{}, "", protocol.Errorf(protocol.CodeResourceAlreadyExists, "basin %q exists", req.Basin)
	}
	m.basins[req.Basin] = req.Config
	return protocol.BasinInfo{Name: req.Basin, Location: req.Location, DedicatedLogs: req.DedicatedLogs, CreatedAt: created}, protocol.ProvisionCreated, nil
}

func (m *memory) EnsureBasin(_ context.Context, basin protocol.BasinName, req protocol.EnsureBasinRequest) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	if err := m.check("EnsureBasin"); err != nil {
		return protocol.BasinInfo{}, "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	result := protocol.ProvisionCreated
	if _, ok := m.basins[basin]; ok {
		result = protocol.ProvisionUpdated
	}
	m.basins[basin] = req.Config
	return protocol.BasinInfo{Name: basin, CreatedAt: created}, result, nil
}

func (m *memory) GetBasinConfig(_ context.Context, basin protocol.BasinName) (protocol.BasinConfig, error) {
	if err := m.check("GetBasinConfig"); err != nil {
		return protocol.BasinConfig{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	config, ok := m.basins[basin]
	if !ok {
		return config, protocol.Errorf(protocol.CodeBasinNotFound, "basin %q not found", basin)
	}
	return config, nil
}

func (m *memory) ReconfigureBasin(ctx context.Context, basin protocol.BasinName, change protocol.BasinReconfiguration) (protocol.BasinConfig, error) {
	config, err := m.GetBasinConfig(ctx, basin)
	if err != nil {
		return config, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.basins[basin] = change.Apply(config)
	return m.basins[basin], nil
}

func (m *memory) DeleteBasin(ctx context.Context, basin protocol.BasinName) error {
	if _, err := m.GetBasinConfig(ctx, basin); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.basins, basin)
	return nil
}

func (m *memory) ListStreams(_ context.Context, basin protocol.BasinName, req protocol.ListRequest) (protocol.StreamPage, error) {
	if err := m.check("ListStreams"); err != nil {
		return protocol.StreamPage{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var page protocol.StreamPage
	for ref := range m.streams {
		if ref.Basin == basin && strings.HasPrefix(string(ref.Stream), req.Prefix) && string(ref.Stream) > req.StartAfter {
			page.Streams = append(page.Streams, protocol.StreamInfo{Name: ref.Stream, CreatedAt: created})
		}
	}
	slices.SortFunc(page.Streams, func(a, b protocol.StreamInfo) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return page, nil
}

func (m *memory) CreateStream(_ context.Context, basin protocol.BasinName, req protocol.CreateStreamRequest) (protocol.StreamInfo, protocol.ProvisionResult, error) {
	if err := m.check("CreateStream"); err != nil {
		return protocol.StreamInfo{}, "", err
	}
	m.configure(protocol.StreamRef{Basin: basin, Stream: req.Stream}, func(protocol.ResolvedStreamConfig) protocol.ResolvedStreamConfig {
		return req.Config.Resolve(protocol.StreamConfig{})
	})
	return protocol.StreamInfo{Name: req.Stream, CreatedAt: created}, protocol.ProvisionCreated, nil
}

func (m *memory) EnsureStream(_ context.Context, ref protocol.StreamRef, config protocol.StreamConfig) (protocol.StreamInfo, protocol.ProvisionResult, error) {
	if err := m.check("EnsureStream"); err != nil {
		return protocol.StreamInfo{}, "", err
	}
	m.configure(ref, func(protocol.ResolvedStreamConfig) protocol.ResolvedStreamConfig {
		return config.Resolve(protocol.StreamConfig{})
	})
	return protocol.StreamInfo{Name: ref.Stream, CreatedAt: created}, protocol.ProvisionNoop, nil
}

func (m *memory) GetStreamConfig(_ context.Context, ref protocol.StreamRef) (protocol.ResolvedStreamConfig, error) {
	if err := m.check("GetStreamConfig"); err != nil {
		return protocol.ResolvedStreamConfig{}, err
	}
	return m.configure(ref, func(old protocol.ResolvedStreamConfig) protocol.ResolvedStreamConfig { return old }), nil
}

func (m *memory) ReconfigureStream(_ context.Context, ref protocol.StreamRef, change protocol.StreamReconfiguration) (protocol.ResolvedStreamConfig, error) {
	if err := m.check("ReconfigureStream"); err != nil {
		return protocol.ResolvedStreamConfig{}, err
	}
	return m.configure(ref, func(old protocol.ResolvedStreamConfig) protocol.ResolvedStreamConfig {
		return change.ApplyResolved(old, protocol.StreamConfig{})
	}), nil
}

func (m *memory) DeleteStream(_ context.Context, ref protocol.StreamRef) error {
	if err := m.check("DeleteStream"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.streams, ref)
	return nil
}

func (m *memory) CheckTail(ctx context.Context, ref protocol.StreamRef) (protocol.StreamTail, error) {
	if err := m.check("CheckTail"); err != nil {
		return protocol.StreamTail{}, err
	}
	return m.stream(ref).Tail(ctx)
}

func (m *memory) Append(ctx context.Context, ref protocol.StreamRef, in protocol.AppendInput, opts ...protocol.RecordOption) (protocol.AppendAck, error) {
	if err := m.check("Append"); err != nil {
		return protocol.AppendAck{}, err
	}
	return sessions.AppendUnary(ctx, m.stream(ref), in)
}

func (m *memory) Read(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts ...protocol.RecordOption) (protocol.ReadBatch, error) {
	if err := m.check("Read"); err != nil {
		return protocol.ReadBatch{}, err
	}
	return sessions.ReadUnary(ctx, m.stream(ref), req)
}

func (m *memory) OpenAppendSession(_ context.Context, ref protocol.StreamRef, opts ...protocol.RecordOption) (protocol.AppendSession, error) {
	if err := m.check("OpenAppendSession"); err != nil {
		return nil, err
	}
	return sessions.OpenAppend(m.stream(ref), sessions.AppendOptions{}), nil
}

func (m *memory) OpenReadSession(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts ...protocol.RecordOption) (protocol.ReadSession, error) {
	if err := m.check("OpenReadSession"); err != nil {
		return nil, err
	}
	return sessions.OpenRead(ctx, m.stream(ref), req, sessions.ReadOptions{})
}

// memStream is one stream: its append batches, in order.
type memStream struct {
	config protocol.ResolvedStreamConfig
	gate   chan struct{}

	mu      sync.Mutex // guards what follows
	batches []protocol.ReadBatch
	tail    protocol.Position
	token   string
	closed  bool
	changed chan struct{} // closed and replaced by every append
}

func (s *memStream) Tail(context.Context) (protocol.StreamTail, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return protocol.StreamTail{Position: s.tail, Closed: s.closed}, nil
}

func (s *memStream) SeekTimestamp(_ context.Context, ts uint64, tail protocol.Position) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.batches {
		if found := b.Records.FromTimestamp(ts); found.Len() > 0 {
			return min(found.First().SeqNum, tail.SeqNum), nil
		}
	}
	return tail.SeqNum, nil
}

func (s *memStream) Scan(from, to uint64) sessions.Cursor { return &memCursor{s, from, to} }

func (s *memStream) Follow(_ context.Context, from uint64) (sessions.Feed, protocol.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if from != s.tail.SeqNum {
		return nil, s.tail, nil
	}
	if s.closed {
		return nil, s.tail, protocol.ErrStreamEnd
	}
	return &memFeed{s, len(s.batches)}, s.tail, nil
}

func (s *memStream) Appender() sessions.Appender {
	settled := make(chan struct{})
	close(settled)
	return &memAppender{s: s, settled: settled}
}

func (s *memStream) Close() {}

func (s *memStream) append(in protocol.AppendInput) (protocol.AppendAck, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in.FencingToken != nil && *in.FencingToken != s.token {
		return protocol.AppendAck{}, protocol.FencingTokenMismatch(s.token)
	}
	if in.MatchSeqNum != nil && *in.MatchSeqNum != s.tail.SeqNum {
		return protocol.AppendAck{}, protocol.SeqNumMismatch(s.tail.SeqNum)
	}
	start := s.tail
	if s.closed && !in.OnlyCloses() {
		return protocol.AppendAck{}, protocol.StreamClosed(s.tail)
	}
	s.closed = s.closed || in.Closes()
	if len(in.Records) == 0 {
		close(s.changed)
		s.changed = make(chan struct{})
		return protocol.AppendAck{Start: start, End: start, Tail: start}, nil
	}
	var recs []protocol.SequencedRecord
	for _, r := range in.Records {
		if r.Timestamp != nil {
			s.tail.Timestamp = max(s.tail.Timestamp, *r.Timestamp)
		}
		if r.Command() == protocol.FenceCommand {
			s.token = string(r.Body)
		}
		recs = append(recs, protocol.SequencedRecord{
			SeqNum: s.tail.SeqNum, Timestamp: s.tail.Timestamp, Headers: r.Headers, Body: slices.Clone(r.Body),
		})
		s.tail.SeqNum++
	}
	start.Timestamp = recs[0].Timestamp
	tail := s.tail
	s.batches = append(s.batches, protocol.ReadBatch{Records: protocol.RecordsOf(recs...), Tail: &tail})
	close(s.changed)
	s.changed = make(chan struct{})
	return protocol.AppendAck{Start: start, End: tail, Tail: tail}, nil
}

type memCursor struct {
	s        *memStream
	from, to uint64
}

func (c *memCursor) Next(context.Context) (protocol.Records, error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	for _, b := range c.s.batches {
		run := b.Records.From(c.from)
		if run.Len() == 0 || run.First().SeqNum >= c.to {
			continue
		}
		run, _ = run.Take(protocol.Limit{Count: c.to - run.First().SeqNum, Bytes: protocol.NoLimit.Bytes})
		c.from = run.Last().SeqNum + 1
		return run, nil
	}
	return protocol.Records{}, io.EOF
}

func (c *memCursor) Close() {}

type memFeed struct {
	s    *memStream
	next int
}

func (f *memFeed) Poll() (protocol.ReadBatch, <-chan struct{}, error) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if f.next < len(f.s.batches) {
		f.next++
		return f.s.batches[f.next-1], nil, nil
	}
	if f.s.closed {
		return protocol.ReadBatch{}, nil, protocol.ErrStreamEnd
	}
	return protocol.ReadBatch{}, f.s.changed, nil
}

func (f *memFeed) Close() {}

type memAppender struct {
	s       *memStream
	failed  bool
	settled chan struct{} // closed once all inputs so far are answered
}

func (a *memAppender) Submit(ctx context.Context, in protocol.AppendInput, done func(protocol.AppendAck, error)) error {
	before, after := a.settled, make(chan struct{})
	a.settled = after
	go func() {
		defer close(after)
		<-before
		if a.s.gate != nil {
			select {
			case <-a.s.gate:
			case <-ctx.Done():
				done(protocol.AppendAck{}, ctx.Err())
				return
			}
		}
		if a.failed {
			done(protocol.AppendAck{}, protocol.Errorf(protocol.CodeOther, "poisoned"))
			return
		}
		ack, err := a.s.append(in)
		a.failed = err != nil
		done(ack, err)
	}()
	return nil
}
