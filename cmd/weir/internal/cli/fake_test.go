package cli_test

import (
	"cmp"
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weirstream/weir/protocol"
)

// fakeService is a [protocol.Service] in memory: enough of one to drive every verb, with a clock of its own, so that
// what the verbs print is always the same.
type fakeService struct {
	mu      sync.Mutex
	basins  map[protocol.BasinName]*fakeBasin
	now     time.Time
	deletes []string
	changed chan struct{} // closed and replaced at every append
	// failAppend, when set, fails the append of the batch with this index over the life of the service.
	failAppend map[int]error
	appends    []protocol.AppendInput
	// defaultLocation is what was set; "" stands for the first.
	defaultLocation protocol.LocationName
	tokens          map[protocol.AccessTokenID]protocol.AccessTokenInfo
}

type fakeBasin struct {
	info    protocol.BasinInfo
	config  protocol.BasinConfig
	streams map[protocol.StreamName]*fakeStream
}

type fakeStream struct {
	info    protocol.StreamInfo
	config  protocol.ResolvedStreamConfig
	records []protocol.SequencedRecord
	closed  bool
	trimmed uint64
	token   string
}

func newFake() *fakeService {
	return &fakeService{
		basins: map[protocol.BasinName]*fakeBasin{}, now: time.UnixMilli(1700000000000).UTC(), changed: make(chan struct{}),
		failAppend: map[int]error{},
	}
}

func page[T any](items []T, req protocol.ListRequest, name func(T) string) ([]T, bool) {
	slices.SortFunc(items, func(a, b T) int { return strings.Compare(name(a), name(b)) })
	items = slices.DeleteFunc(items, func(t T) bool {
		return !strings.HasPrefix(name(t), req.Prefix) || name(t) <= req.StartAfter && req.StartAfter != ""
	})
	if n := req.PageSize(); len(items) > n {
		return items[:n], true
	}
	return items, false
}

func (f *fakeService) ListBasins(_ context.Context, req protocol.ListRequest) (protocol.BasinPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []protocol.BasinInfo
	for _, b := range f.basins {
		all = append(all, b.info)
	}
	items, more := page(all, req, func(b protocol.BasinInfo) string { return string(b.Name) })
	return protocol.BasinPage{Basins: items, HasMore: more}, nil
}

func (f *fakeService) CreateBasin(_ context.Context, req protocol.CreateBasinRequest) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.basins[req.Basin]; ok {
		return protocol.BasinInfo{}, "", protocol.Errorf(protocol.CodeResourceAlreadyExists, "basin %q exists", req.Basin)
	}
	if req.Location != "" && !slices.Contains(fakeLocations, req.Location) {
		return protocol.BasinInfo{}, "", errNoLocation(req.Location)
	}
	location := cmp.Or(req.Location, f.defaultLocation, fakeLocations[0])
	b := &fakeBasin{info: protocol.BasinInfo{Name: req.Basin, CreatedAt: f.now, Location: location}, config: req.Config, streams: map[protocol.StreamName]*fakeStream{}}
	f.basins[req.Basin] = b
	return b.info, protocol.ProvisionCreated, nil
}

func (f *fakeService) EnsureBasin(_ context.Context, name protocol.BasinName, req protocol.EnsureBasinRequest) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	f.mu.Lock()
	b, ok := f.basins[name]
	f.mu.Unlock()
	switch {
	case !ok:
		return f.CreateBasin(context.Background(), protocol.CreateBasinRequest{Basin: name, Config: req.Config, Location: req.Location})
	case !b.info.DeletedAt.IsZero():
		return protocol.BasinInfo{}, "", protocol.Errorf(protocol.CodeBasinDeletionPending, "basin %q is being deleted", name)
	case b.config.Equal(req.Config):
		return b.info, protocol.ProvisionNoop, nil
	}
	b.config = req.Config
	return b.info, protocol.ProvisionUpdated, nil
}

func (f *fakeService) EnsureStream(_ context.Context, ref protocol.StreamRef, config protocol.StreamConfig) (protocol.StreamInfo, protocol.ProvisionResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, err := f.basinLocked(ref.Basin)
	if err != nil {
		return protocol.StreamInfo{}, "", err
	}
	s, ok := b.streams[ref.Stream]
	resolved := config.Resolve(b.config.DefaultStreamConfig)
	switch {
	case !ok:
		return f.addLocked(b, ref.Stream, config).info, protocol.ProvisionCreated, nil
	case s.config == resolved:
		return s.info, protocol.ProvisionNoop, nil
	}
	s.config = resolved
	return s.info, protocol.ProvisionUpdated, nil
}

func (f *fakeService) basinLocked(name protocol.BasinName) (*fakeBasin, error) {
	b, ok := f.basins[name]
	if !ok {
		return nil, protocol.Errorf(protocol.CodeBasinNotFound, "basin %q does not exist", name)
	}
	return b, nil
}

func (f *fakeService) streamLocked(ref protocol.StreamRef, appending bool) (*fakeStream, error) {
	b, err := f.basinLocked(ref.Basin)
	if err != nil {
		return nil, err
	}
	s, ok := b.streams[ref.Stream]
	if !ok {
		if !appending || !b.config.CreateStreamOnAppend {
			return nil, protocol.Errorf(protocol.CodeStreamNotFound, "stream %q does not exist in basin %q", ref.Stream, ref.Basin)
		}
		s = f.addLocked(b, ref.Stream, protocol.StreamConfig{})
	}
	return s, nil
}

func (f *fakeService) addLocked(b *fakeBasin, name protocol.StreamName, c protocol.StreamConfig) *fakeStream {
	s := &fakeStream{info: protocol.StreamInfo{Name: name, CreatedAt: f.now}, config: c.Resolve(b.config.DefaultStreamConfig)}
	b.streams[name] = s
	return s
}

func (f *fakeService) GetBasinConfig(_ context.Context, name protocol.BasinName) (protocol.BasinConfig, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, err := f.basinLocked(name)
	if err != nil {
		return protocol.BasinConfig{}, err
	}
	return b.config, nil
}

func (f *fakeService) ReconfigureBasin(_ context.Context, name protocol.BasinName, change protocol.BasinReconfiguration) (protocol.BasinConfig, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, err := f.basinLocked(name)
	if err != nil {
		return protocol.BasinConfig{}, err
	}
	b.config = change.Apply(b.config)
	return b.config, nil
}

func (f *fakeService) DeleteBasin(_ context.Context, name protocol.BasinName) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, err := f.basinLocked(name)
	if err == nil {
		b.info.DeletedAt = f.now
	}
	return err
}

func (f *fakeService) ListStreams(_ context.Context, basin protocol.BasinName, req protocol.ListRequest) (protocol.StreamPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, err := f.basinLocked(basin)
	if err != nil {
		return protocol.StreamPage{}, err
	}
	var all []protocol.StreamInfo
	for _, s := range b.streams {
		all = append(all, s.info)
	}
	items, more := page(all, req, func(s protocol.StreamInfo) string { return string(s.Name) })
	return protocol.StreamPage{Streams: items, HasMore: more}, nil
}

func (f *fakeService) CreateStream(_ context.Context, basin protocol.BasinName, req protocol.CreateStreamRequest) (protocol.StreamInfo, protocol.ProvisionResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, err := f.basinLocked(basin)
	if err != nil {
		return protocol.StreamInfo{}, "", err
	}
	return f.addLocked(b, req.Stream, req.Config).info, protocol.ProvisionCreated, nil
}

func (f *fakeService) GetStreamConfig(_ context.Context, ref protocol.StreamRef) (protocol.ResolvedStreamConfig, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, err := f.streamLocked(ref, false)
	if err != nil {
		return protocol.ResolvedStreamConfig{}, err
	}
	return s.config, nil
}

func (f *fakeService) ReconfigureStream(_ context.Context, ref protocol.StreamRef, change protocol.StreamReconfiguration) (protocol.ResolvedStreamConfig, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, err := f.streamLocked(ref, false)
	if err != nil {
		return protocol.ResolvedStreamConfig{}, err
	}
	s.config = change.ApplyResolved(s.config, f.basins[ref.Basin].config.DefaultStreamConfig)
	return s.config, nil
}

func (f *fakeService) DeleteStream(_ context.Context, ref protocol.StreamRef) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.streamLocked(ref, false); err != nil {
		return err
	}
	f.deletes = append(f.deletes, ref.String())
	delete(f.basins[ref.Basin].streams, ref.Stream)
	return nil
}

func (s *fakeStream) tail() protocol.Position {
	n := len(s.records)
	if n == 0 {
		return protocol.Position{}
	}
	return protocol.Position{SeqNum: uint64(n), Timestamp: s.records[n-1].Timestamp}
}

func (f *fakeService) CheckTail(_ context.Context, ref protocol.StreamRef) (protocol.StreamTail, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, err := f.streamLocked(ref, false)
	if err != nil {
		return protocol.StreamTail{}, err
	}
	return protocol.StreamTail{Position: s.tail(), Closed: s.closed}, nil
}

func (f *fakeService) Append(_ context.Context, ref protocol.StreamRef, in protocol.AppendInput, opts ...protocol.RecordOption) (protocol.AppendAck, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := in.Validate(); err != nil {
		return protocol.AppendAck{}, err
	}
	if err := f.failAppend[len(f.appends)]; err != nil {
		return protocol.AppendAck{}, err
	}
	s, err := f.streamLocked(ref, true)
	if err != nil {
		return protocol.AppendAck{}, err
	}
	next := uint64(len(s.records))
	switch {
	case in.FencingToken != nil && *in.FencingToken != s.token:
		return protocol.AppendAck{}, protocol.FencingTokenMismatch(s.token)
	case in.MatchSeqNum != nil && *in.MatchSeqNum != next:
		return protocol.AppendAck{}, protocol.SeqNumMismatch(next)
	case s.closed && !in.OnlyCloses():
		return protocol.AppendAck{}, protocol.StreamClosed(s.tail())
	}
	s.closed = s.closed || in.Closes()
	f.appends = append(f.appends, in)
	for _, r := range in.Records {
		ts := uint64(f.now.UnixMilli()) + uint64(len(s.records))
		if r.Timestamp != nil {
			ts = *r.Timestamp
		}
		switch r.Command() {
		case protocol.FenceCommand:
			s.token = string(r.Body)
		case protocol.TrimCommand:
			s.trimmed = max(s.trimmed, min(r.TrimPoint(), next))
		}
		s.records = append(s.records, protocol.SequencedRecord{SeqNum: uint64(len(s.records)), Timestamp: ts, Headers: r.Headers, Body: r.Body})
	}
	close(f.changed)
	f.changed = make(chan struct{})
	if len(in.Records) == 0 {
		return protocol.AppendAck{Start: s.tail(), End: s.tail(), Tail: s.tail()}, nil
	}
	first := s.records[next]
	return protocol.AppendAck{Start: protocol.Position{SeqNum: next, Timestamp: first.Timestamp}, End: s.tail(), Tail: s.tail()}, nil
}

func (f *fakeService) Read(context.Context, protocol.StreamRef, protocol.ReadRequest, ...protocol.RecordOption) (protocol.ReadBatch, error) {
	return protocol.ReadBatch{}, protocol.Errorf(protocol.CodeNotImplemented, "no verb needs it")
}

// fakeAppendSession appends at Submit and keeps the answer for Recv.
type fakeAppendSession struct {
	f       *fakeService
	ref     protocol.StreamRef
	answers chan func() (protocol.AppendAck, error)
	once    sync.Once
	over    bool
}

func (f *fakeService) OpenAppendSession(_ context.Context, ref protocol.StreamRef, opts ...protocol.RecordOption) (protocol.AppendSession, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.streamLocked(ref, true); err != nil {
		return nil, err
	}
	return &fakeAppendSession{f: f, ref: ref, answers: make(chan func() (protocol.AppendAck, error), 64)}, nil
}

func (s *fakeAppendSession) Submit(ctx context.Context, in protocol.AppendInput) error {
	if s.over {
		return protocol.Errorf(protocol.CodeInvalid, "the session is over")
	}
	ack, err := s.f.Append(ctx, s.ref, in)
	s.over = err != nil
	select {
	case s.answers <- func() (protocol.AppendAck, error) { return ack, err }:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *fakeAppendSession) Recv(ctx context.Context) (protocol.AppendAck, error) {
	select {
	case answer, ok := <-s.answers:
		if !ok {
			return protocol.AppendAck{}, io.EOF
		}
		return answer()
	case <-ctx.Done():
		return protocol.AppendAck{}, ctx.Err()
	}
}

func (s *fakeAppendSession) CloseSend() error {
	s.once.Do(func() { close(s.answers) })
	return nil
}

func (s *fakeAppendSession) Close() error { return s.CloseSend() }

// fakeReadSession reads up to 1000 records at a time and follows where the request may.
type fakeReadSession struct {
	f     *fakeService
	ref   protocol.StreamRef
	req   protocol.ReadRequest
	limit protocol.Limit
	next  uint64
}

func (f *fakeService) OpenReadSession(_ context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts ...protocol.RecordOption) (protocol.ReadSession, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, err := f.streamLocked(ref, false)
	if err != nil {
		return nil, err
	}
	tail := s.tail()
	r := &fakeReadSession{f: f, ref: ref, req: req, limit: req.Limit()}
	switch req.Start.Kind {
	case protocol.StartSeqNum:
		r.next = req.Start.Value
	case protocol.StartTailOffset:
		r.next = tail.SeqNum - min(tail.SeqNum, req.Start.Value)
	case protocol.StartTimestamp:
		r.next = uint64(len(s.records))
		if i := slices.IndexFunc(s.records, func(rec protocol.SequencedRecord) bool { return rec.Timestamp >= req.Start.Value }); i >= 0 {
			r.next = uint64(i)
		}
	}
	if r.next > tail.SeqNum && req.Clamp {
		r.next = tail.SeqNum
	}
	if r.next > tail.SeqNum || r.next == tail.SeqNum && !req.MayFollow() {
		return nil, protocol.Unwritten(tail)
	}
	return r, nil
}

func (r *fakeReadSession) Next(ctx context.Context) (protocol.ReadBatch, error) {
	for {
		r.f.mu.Lock()
		s, err := r.f.streamLocked(r.ref, false)
		if err != nil {
			r.f.mu.Unlock()
			return protocol.ReadBatch{}, err
		}
		r.next = max(r.next, s.trimmed)
		rest := s.records[min(r.next, uint64(len(s.records))):]
		changed := r.f.changed
		r.f.mu.Unlock()
		batch, _ := protocol.RecordsOf(rest[:min(len(rest), protocol.MaxBatchRecords)]...).Take(r.limit)
		switch {
		case batch.Len() > 0:
			r.next = batch.Last().SeqNum + 1
			r.limit = r.limit.Spend(batch.Len(), batch.MeteredSize())
			return protocol.ReadBatch{Records: batch}, nil
		case len(rest) > 0 || r.limit.Exhausted() || !r.req.MayFollow():
			return protocol.ReadBatch{}, io.EOF
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return protocol.ReadBatch{}, ctx.Err()
		}
	}
}

func (r *fakeReadSession) Close() error { return nil }
