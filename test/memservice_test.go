package test

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// memLag is how many append batches a follower of the model may fall behind.
const memLag = protocol.MinFollowLag

// memService is the model: S2's rules written down as plainly as possible, in memory, under one lock. It shares no
// code with the broker but protocol, so that a rule misread on one side shows as a difference. Deletion is complete
// at once; so a deleted thing is not found rather than pending.
type memService struct {
	mu      sync.Mutex
	basins  map[protocol.BasinName]*memBasin
	changed chan struct{} // closed and replaced at every change; readers wait on it
	// location is where basins are made whose request names none.
	location protocol.LocationName
}

type memBasin struct {
	info    protocol.BasinInfo
	config  protocol.BasinConfig
	key     *memKey
	streams map[protocol.StreamName]*memStream
}

// memKey is what a repeated create must equal.
type memKey struct {
	token    string
	basin    protocol.BasinConfig
	location protocol.LocationName // as requested
	stream   protocol.StreamConfig
}

func newMemService(testing.TB) *memService {
	return &memService{basins: map[protocol.BasinName]*memBasin{}, changed: make(chan struct{}), location: memLocations[0]}
}

// notifyLocked wakes everybody who waits.
func (m *memService) notifyLocked() {
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *memService) basinLocked(name protocol.BasinName) (*memBasin, error) {
	if b := m.basins[name]; b != nil {
		m.emptyLocked(b)
		return b, nil
	}
	return nil, protocol.Errorf(protocol.CodeBasinNotFound, "basin %s does not exist", name)
}

func (m *memService) streamLocked(ref protocol.StreamRef) (*memBasin, *memStream, error) {
	b, err := m.basinLocked(ref.Basin)
	if err != nil {
		return nil, nil, err
	}
	if s := b.streams[ref.Stream]; s != nil {
		return b, s, nil
	}
	return b, nil, protocol.Errorf(protocol.CodeStreamNotFound, "stream %s does not exist", ref)
}

// page cuts a page out of names.
func page[N ~string](names []N, req protocol.ListRequest) (out []N, more bool) {
	slices.Sort(names)
	for _, name := range names {
		if !strings.HasPrefix(string(name), req.Prefix) || string(name) <= req.StartAfter && req.StartAfter != "" {
			continue
		}
		if len(out) == req.PageSize() {
			return out, true
		}
		out = append(out, name)
	}
	return out, false
}

func keys[N ~string, V any](m map[N]V) (out []N) {
	for name := range m {
		out = append(out, name)
	}
	return out
}

func (m *memService) ListBasins(_ context.Context, req protocol.ListRequest) (out protocol.BasinPage, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	names, more := page(keys(m.basins), req)
	for _, name := range names {
		out.Basins = append(out.Basins, m.basins[name].info)
	}
	out.HasMore = more
	return out, nil
}

func (m *memService) CreateBasin(_ context.Context, req protocol.CreateBasinRequest) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if req.Location != "" && !slices.Contains(memLocations, req.Location) {
		return protocol.BasinInfo{}, "", memNoLocation(req.Location)
	}
	if b := m.basins[req.Basin]; b != nil {
		k := b.key
		if k != nil && req.RequestToken != nil && k.token == *req.RequestToken && k.basin.Equal(req.Config) && k.location == req.Location {
			return b.info, protocol.ProvisionNoop, nil
		}
		return protocol.BasinInfo{}, "", protocol.Errorf(protocol.CodeResourceAlreadyExists, "basin exists")
	}
	if err := req.Config.DefaultStreamConfig.CheckDefault(); err != nil {
		return protocol.BasinInfo{}, "", err
	}
	b := m.addBasinLocked(req.Basin, req.Config, req.Location)
	if req.RequestToken != nil {
		b.key = &memKey{token: *req.RequestToken, basin: req.Config, location: req.Location}
	}
	return b.info, protocol.ProvisionCreated, nil
}

func (m *memService) addBasinLocked(name protocol.BasinName, config protocol.BasinConfig, location protocol.LocationName) *memBasin {
	info := protocol.BasinInfo{Name: name, CreatedAt: time.Now().UTC(), Location: cmp.Or(location, m.location)}
	b := &memBasin{info, config, nil,
		map[protocol.StreamName]*memStream{}}
	m.basins[name] = b
	return b
}

func (m *memService) EnsureBasin(_ context.Context, name protocol.BasinName, req protocol.EnsureBasinRequest) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.basins[name]
	switch {
	case b == nil && req.Location != "" && !slices.Contains(memLocations, req.Location):
		return protocol.BasinInfo{}, "", memNoLocation(req.Location)
	case b == nil:
		return m.addBasinLocked(name, req.Config, req.Location).info, protocol.ProvisionCreated, nil
	case req.Location != "" && req.Location != b.info.Location:
		return protocol.BasinInfo{}, "", protocol.Errorf(protocol.CodeInvalid, "the basin lives in %s", b.info.Location)
	case b.config.Equal(req.Config):
		return b.info, protocol.ProvisionNoop, nil
	}
	b.config = req.Config
	return b.info, protocol.ProvisionUpdated, nil
}

func (m *memService) GetBasinConfig(_ context.Context, name protocol.BasinName) (protocol.BasinConfig, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.basinLocked(name)
	if err != nil {
		return protocol.BasinConfig{}, err
	}
	return b.config, nil
}

func (m *memService) ReconfigureBasin(_ context.Context, name protocol.BasinName, change protocol.BasinReconfiguration) (protocol.BasinConfig, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.basinLocked(name)
	if err != nil {
		return protocol.BasinConfig{}, err
	}
	config := change.Apply(b.config)
	if err := config.DefaultStreamConfig.CheckDefault(); err != nil {
		return protocol.BasinConfig{}, err
	}
	b.config = config
	return b.config, nil
}

func (m *memService) DeleteBasin(_ context.Context, name protocol.BasinName) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.basinLocked(name)
	if err != nil {
		return err
	}
	for _, s := range b.streams {
		s.deleted = true
	}
	delete(m.basins, name)
	m.notifyLocked()
	return nil
}

func (m *memService) ListStreams(_ context.Context, basin protocol.BasinName, req protocol.ListRequest) (out protocol.StreamPage, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.basinLocked(basin)
	if err != nil {
		return out, err
	}
	names, more := page(keys(b.streams), req)
	for _, name := range names {
		out.Streams = append(out.Streams, b.streams[name].info)
	}
	out.HasMore = more
	return out, nil
}

func (m *memService) CreateStream(_ context.Context, basin protocol.BasinName, req protocol.CreateStreamRequest) (protocol.StreamInfo, protocol.ProvisionResult, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.basinLocked(basin)
	if err != nil {
		return protocol.StreamInfo{}, "", err
	}
	if s := b.streams[req.Stream]; s != nil {
		if k := s.key; k != nil && req.RequestToken != nil && k.token == *req.RequestToken && k.stream.Equal(req.Config) {
			return s.info, protocol.ProvisionNoop, nil
		}
		return protocol.StreamInfo{}, "", protocol.Errorf(protocol.CodeResourceAlreadyExists, "stream exists")
	}
	if err := memExpiry(req.Config.Resolve(b.config.DefaultStreamConfig)); err != nil {
		return protocol.StreamInfo{}, "", err
	}
	var s *memStream
	if req.Fork != nil {
		if s, err = b.forkLocked(req); err != nil {
			return protocol.StreamInfo{}, "", err
		}
	} else {
		s = b.addStreamLocked(req.Stream, req.Config)
	}
	if req.RequestToken != nil {
		s.key = &memKey{token: *req.RequestToken, stream: req.Config}
	}
	return s.info, protocol.ProvisionCreated, nil
}

func (b *memBasin) addStreamLocked(name protocol.StreamName, config protocol.StreamConfig) *memStream {
	s := &memStream{
		info:   protocol.StreamInfo{Name: name, CreatedAt: time.Now().UTC(), Cipher: b.config.StreamCipher},
		config: config.Resolve(b.config.DefaultStreamConfig),
	}
	s.wrote, s.used = s.info.CreatedAt, s.info.CreatedAt
	s.armLocked(true)
	b.streams[name] = s
	return s
}

func (m *memService) EnsureStream(_ context.Context, ref protocol.StreamRef, config protocol.StreamConfig) (protocol.StreamInfo, protocol.ProvisionResult, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.basinLocked(ref.Basin)
	if err != nil {
		return protocol.StreamInfo{}, "", err
	}
	s := b.streams[ref.Stream]
	if s == nil {
		return b.addStreamLocked(ref.Stream, config).info, protocol.ProvisionCreated, nil
	}
	resolved := config.Replace(s.config, b.config.DefaultStreamConfig)
	if s.config == resolved {
		return s.info, protocol.ProvisionNoop, nil
	}
	s.reconfigureLocked(resolved)
	return s.info, protocol.ProvisionUpdated, nil
}

func (m *memService) GetStreamConfig(_ context.Context, ref protocol.StreamRef) (protocol.ResolvedStreamConfig, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, s, err := m.streamLocked(ref)
	if err != nil {
		return protocol.ResolvedStreamConfig{}, err
	}
	return s.told(), nil
}

// told is the configuration with what goes with it in answers.
func (s *memStream) told() protocol.ResolvedStreamConfig {
	config := s.config
	config.Closed = s.closed
	return config
}

func (m *memService) ReconfigureStream(_ context.Context, ref protocol.StreamRef, change protocol.StreamReconfiguration) (protocol.ResolvedStreamConfig, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, s, err := m.streamLocked(ref)
	if err != nil {
		return protocol.ResolvedStreamConfig{}, err
	}
	config := change.ApplyResolved(s.config, b.config.DefaultStreamConfig)
	if err := config.CheckContentType(); err != nil {
		return protocol.ResolvedStreamConfig{}, err
	}
	if err := memExpiry(config); config.Expiry != s.config.Expiry && err != nil {
		return protocol.ResolvedStreamConfig{}, err
	}
	s.reconfigureLocked(config)
	return s.told(), nil
}

func (m *memService) DeleteStream(_ context.Context, ref protocol.StreamRef) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, s, err := m.streamLocked(ref)
	if err != nil {
		return err
	}
	s.deleted = true
	delete(b.streams, ref.Stream)
	m.notifyLocked()
	return nil
}

// openLocked finds a stream for a data call, or creates it if the basin says so.
func (m *memService) openLocked(ref protocol.StreamRef, create func(protocol.BasinConfig) bool, opts []protocol.RecordOption) (*memStream, error) {
	b, s, err := m.streamLocked(ref)
	if s == nil && b != nil && create(b.config) {
		return b.addStreamLocked(ref.Stream, protocol.MakeRecordOptions(opts...).NewStream), nil
	}
	return s, err
}

func onAppend(c protocol.BasinConfig) bool { return c.CreateStreamOnAppend }
func onRead(c protocol.BasinConfig) bool   { return c.CreateStreamOnRead }
