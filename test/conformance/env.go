package conformance

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// Env is the environment of a case: the service, and builders of basins and streams that belong to the case alone.
type Env struct {
	Service protocol.Service
	Door    Door

	t   *testing.T
	ctx context.Context // of the case; an Env lives no longer
	// opts go with every append and read.
	opts []protocol.RecordOption
	// joins wait for the goroutines that run beside the case.
	joins []func()
}

func newEnv(ctx context.Context, t *testing.T, svc protocol.Service, door Door) *Env {
	return &Env{Service: svc, Door: door, t: t, ctx: ctx}
}

// Names begin with a word of the process's own, so that a broker that outlives the test can be used again.
var (
	runID  = strings.ToLower(rand.Text()[:8])
	serial atomic.Uint64
)

// freeBasinName returns a basin name that nobody else uses. It is 20 bytes long, and the names rise.
func (e *Env) freeBasinName() protocol.BasinName {
	return protocol.BasinName(fmt.Sprintf("conf-%s-%06d", runID, serial.Add(1)))
}

// Basin is a basin of the case.
type Basin struct {
	Name protocol.BasinName
	e    *Env
}

// Stream is a stream of the case, which need not exist.
type Stream struct {
	protocol.StreamRef
	e *Env
}

// BasinOption changes the configuration of a basin to create.
type BasinOption func(*protocol.BasinConfig)

func createOnAppend(c *protocol.BasinConfig) { c.CreateStreamOnAppend = true }
func createOnRead(c *protocol.BasinConfig)   { c.CreateStreamOnRead = true }

// defaulting sets the layer of defaults for the basin's streams.
func defaulting(opts ...StreamOption) BasinOption {
	return func(c *protocol.BasinConfig) { c.DefaultStreamConfig = layer(opts...) }
}

func basinConfig(opts ...BasinOption) (c protocol.BasinConfig) {
	for _, opt := range opts {
		opt(&c)
	}
	return c
}

// StreamOption sets a member of a stream's configuration.
type StreamOption func(*protocol.StreamConfig)

func class(v protocol.StorageClass) StreamOption {
	return func(c *protocol.StreamConfig) { c.StorageClass = &v }
}

func mode(v protocol.TimestampingMode) StreamOption {
	return func(c *protocol.StreamConfig) { c.TimestampingMode = &v }
}

func uncapped(v bool) StreamOption {
	return func(c *protocol.StreamConfig) { c.Uncapped = &v }
}

func minAge(secs uint64) StreamOption {
	return func(c *protocol.StreamConfig) { c.DeleteOnEmptyMinAge = &secs }
}

func retain(p protocol.RetentionPolicy) StreamOption {
	return func(c *protocol.StreamConfig) { c.RetentionPolicy = &p }
}

func age(d time.Duration) protocol.RetentionPolicy {
	return protocol.RetentionPolicy{AgeSecs: uint64(d / time.Second)}
}

var forever = protocol.RetentionPolicy{}

func layer(opts ...StreamOption) (c protocol.StreamConfig) {
	for _, opt := range opts {
		opt(&c)
	}
	return c
}

// Basin creates a basin.
func (e *Env) Basin(opts ...BasinOption) *Basin {
	e.t.Helper()
	b := &Basin{e.freeBasinName(), e}
	_, _, err := e.Service.CreateBasin(e.ctx, protocol.CreateBasinRequest{Basin: b.Name, Config: basinConfig(opts...)})
	e.must(err, "create basin")
	return b
}

// NoBasin returns a basin that does not exist.
func (e *Env) NoBasin() *Basin { return &Basin{e.freeBasinName(), e} }

// Stream creates a stream, empty, in a basin of its own.
func (e *Env) Stream(opts ...StreamOption) *Stream {
	e.t.Helper()
	return e.Basin().Stream("stream", opts...)
}

// Stream creates a stream in the basin.
func (b *Basin) Stream(name protocol.StreamName, opts ...StreamOption) *Stream {
	b.e.t.Helper()
	_, _, err := b.e.Service.CreateStream(b.e.ctx, b.Name,
		protocol.CreateStreamRequest{Stream: name, Config: layer(opts...)})
	b.e.must(err, "create stream")
	return b.Missing(name)
}

// Missing names a stream without creating it.
func (b *Basin) Missing(name protocol.StreamName) *Stream {
	return &Stream{protocol.StreamRef{Basin: b.Name, Stream: name}, b.e}
}

// Basin returns the stream's basin.
func (s *Stream) basin() *Basin { return &Basin{s.StreamRef.Basin, s.e} }

// List returns the names of a page of the basin's streams.
func (b *Basin) List(req protocol.ListRequest) (names []string, more bool) {
	b.e.t.Helper()
	page, err := b.e.Service.ListStreams(b.e.ctx, b.Name, req)
	b.e.must(err, "list streams")
	for _, info := range page.Streams {
		names = append(names, string(info.Name))
	}
	return names, page.HasMore
}

// Holds checks the names of all streams of the basin, those being deleted included.
func (b *Basin) Holds(want ...string) {
	b.e.t.Helper()
	names, more := b.List(protocol.ListRequest{})
	equal(b.e.t, "streams of the basin", strings.Join(names, " "), strings.Join(want, " "))
	equal(b.e.t, "has_more", more, false)
}

// Delete deletes the basin.
func (b *Basin) Delete() {
	b.e.t.Helper()
	b.e.must(b.e.Service.DeleteBasin(b.e.ctx, b.Name), "delete basin")
}

// Delete deletes the stream.
func (s *Stream) Delete() {
	s.e.t.Helper()
	s.e.must(s.e.Service.DeleteStream(s.e.ctx, s.StreamRef), "delete stream")
}

// Config returns the stream's configuration.
func (s *Stream) Config() protocol.ResolvedStreamConfig {
	s.e.t.Helper()
	c, err := s.e.Service.GetStreamConfig(s.e.ctx, s.StreamRef)
	s.e.must(err, "get stream config")
	return c
}

// Reconfigure changes the stream's configuration.
func (s *Stream) Reconfigure(change protocol.StreamReconfiguration) protocol.ResolvedStreamConfig {
	s.e.t.Helper()
	c, err := s.e.Service.ReconfigureStream(s.e.ctx, s.StreamRef, change)
	s.e.must(err, "reconfigure stream")
	return c
}

// Ensure puts the stream's configuration.
func (s *Stream) Ensure(opts ...StreamOption) protocol.ProvisionResult {
	s.e.t.Helper()
	_, result, err := s.e.Service.EnsureStream(s.e.ctx, s.StreamRef, layer(opts...))
	s.e.must(err, "ensure stream")
	return result
}

// Config returns the basin's configuration.
func (b *Basin) Config() protocol.BasinConfig {
	b.e.t.Helper()
	c, err := b.e.Service.GetBasinConfig(b.e.ctx, b.Name)
	b.e.must(err, "get basin config")
	return c
}

// Reconfigure changes the basin's configuration.
func (b *Basin) Reconfigure(change protocol.BasinReconfiguration) protocol.BasinConfig {
	b.e.t.Helper()
	c, err := b.e.Service.ReconfigureBasin(b.e.ctx, b.Name, change)
	b.e.must(err, "reconfigure basin")
	return c
}

// Ensure puts the basin's configuration.
func (b *Basin) Ensure(config protocol.BasinConfig) (protocol.BasinInfo, protocol.ProvisionResult) {
	b.e.t.Helper()
	info, result, err := b.e.Service.EnsureBasin(b.e.ctx, b.Name, protocol.EnsureBasinRequest{Config: config})
	b.e.must(err, "ensure basin")
	return info, result
}
