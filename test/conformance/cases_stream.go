package conformance

import (
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// create asks for the stream to be created; see [Basin.create].
func (s *Stream) create(token string, opts ...StreamOption) (protocol.StreamInfo, protocol.ProvisionResult, error) {
	req := protocol.CreateStreamRequest{Stream: s.StreamRef.Stream, Config: layer(opts...)}
	if token != none {
		req.RequestToken = &token
	}
	return s.e.Service.CreateStream(s.e.ctx, s.StreamRef.Basin, req)
}

// created checks that create makes the stream.
func (s *Stream) created(token string, opts ...StreamOption) protocol.StreamInfo {
	s.e.t.Helper()
	info, result, err := s.create(token, opts...)
	s.e.must(err, "create stream")
	equal(s.e.t, "result", result, protocol.ProvisionCreated)
	return info
}

// replayed checks that create recognises its earlier self and returns the original.
func (s *Stream) replayed(original protocol.StreamInfo, token string, opts ...StreamOption) {
	s.e.t.Helper()
	info, result, err := s.create(token, opts...)
	s.e.must(err, "create stream")
	equal(s.e.t, "result", result, protocol.ProvisionNoop)
	equal(s.e.t, "created_at", info.CreatedAt.Equal(original.CreatedAt), true)
}

// clashes checks that create fails with one of the codes.
func (s *Stream) clashes(token string, codes ...protocol.Code) {
	s.e.t.Helper()
	_, _, err := s.create(token)
	s.e.fails(err, codes...)
}

// createStreamCases: control plane A.9.
var createStreamCases = []Case{
	{Row: "cp A.9/178,179,181", Name: "create a stream and list it", Run: func(t *testing.T, e *Env) {
		s := e.Basin().Missing("stream")
		info := s.created(none)
		equal(t, "name", info.Name, s.StreamRef.Stream)
		equal(t, "deleted", !info.DeletedAt.IsZero(), false)
		equal(t, "cipher", info.Cipher, protocol.CipherNone)
		page, err := e.Service.ListStreams(e.ctx, s.StreamRef.Basin, protocol.ListRequest{Prefix: "stream"})
		e.must(err, "list streams")
		equal(t, "streams", len(page.Streams), 1)
		equal(t, "created_at as listed", page.Streams[0].CreatedAt.Equal(info.CreatedAt), true)
	}},
	{Row: "cp A.9/180", Name: "the basin's defaults", Run: func(t *testing.T, e *Env) {
		opts := []StreamOption{class(standard), retain(forever), clientRequire}
		equal(t, "config", e.Basin(defaulting(opts...)).Stream("stream").Config(), resolved(opts...))
	}},
	{Row: "cp A.9/184,185", Name: "a full config", Run: func(t *testing.T, e *Env) {
		equal(t, "config", e.Stream(everything...).Config(), resolved(everything...))
	}},
	{Row: "cp A.9/186", Name: "repeat with the same token and config", Run: func(t *testing.T, e *Env) {
		s := e.Basin().Missing("stream")
		info := s.created("token", arrival)
		s.Append(text("a"))
		s.replayed(info, "token", arrival)
		s.At(1)
	}},
	{Row: "cp A.9/187,188,189", Name: "repeat with another config, another token, or none", Run: func(t *testing.T, e *Env) {
		s := e.Basin().Missing("stream")
		s.created("token")
		_, _, err := s.create("token", arrival)
		e.fails(err, taken)
		s.clashes("other", taken)
		s.clashes(none, taken)
	}},
	{Row: "cp A.9/190", Name: "repeat after the basin's defaults changed", Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		s := b.Missing("stream")
		info := s.created("token")
		b.Ensure(basinConfig(defaulting(everything...)))
		s.replayed(info, "token")
		equal(t, "config", s.Config(), resolved())
	}},
	{Row: "cp A.9/191", Name: "repeat after an ensure changed the stream", Run: func(t *testing.T, e *Env) {
		s := e.Basin().Missing("stream")
		info := s.created("token")
		s.Ensure(arrival)
		s.replayed(info, "token")
		equal(t, "config", s.Config(), resolved(arrival))
	}},
	{Row: "cp A.9/192", Name: "in a missing basin", Run: func(t *testing.T, e *Env) {
		e.NoBasin().Missing("stream").clashes(none, protocol.CodeBasinNotFound)
	}},
	{Row: "cp A.9/193", Name: "in a basin being deleted", Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		b.Missing("stream").fill()
		b.Delete()
		b.Missing("other").clashes(none, basinPending...)
		b.Missing("stream").clashes(none, basinPending...)
	}},
	{Row: "cp A.9/194", Name: "a stream being deleted, whatever the token", Run: func(t *testing.T, e *Env) {
		s := e.Basin().Missing("stream")
		s.created("token")
		s.Fill(10)
		s.Delete()
		for _, token := range []string{"token", "other", none} {
			if _, _, err := s.create(token); err != nil {
				e.fails(err, protocol.CodeStreamDeletionPending)
			} else {
				return // the deletion is complete already
			}
		}
	}},
	{Row: "cp A.9/197", Name: "an explicit age of 0 in a basin with 60", Run: func(t *testing.T, e *Env) {
		s := e.Basin(defaulting(minAge(60))).Stream("stream", minAge(0))
		equal(t, "age", s.Config().DeleteOnEmptyMinAge, 0)
		equal(t, "result", s.Ensure(minAge(0)), protocol.ProvisionNoop)
	}},
	{Row: "cp A.9/198", Name: "an auto-created stream has no token", Run: func(t *testing.T, e *Env) {
		s := e.Basin(createOnAppend).Missing("stream")
		s.Append(text("a"))
		s.clashes("token", taken)
		s.clashes(none, taken)
	}},
	{Row: "cp A.9/199", Name: "a deleted stream's token creates it afresh", Run: func(t *testing.T, e *Env) {
		s := e.Basin().Missing("stream")
		old := s.created("token")
		s.Append(append(text("a"), fence("T")...))
		s.Delete()
		e.eventually("the name of the deleted stream is free", func() bool {
			info, result, err := s.create("token")
			if err != nil {
				e.fails(err, protocol.CodeStreamDeletionPending)
				return false
			}
			equal(t, "result", result, protocol.ProvisionCreated)
			equal(t, "created later", info.CreatedAt.After(old.CreatedAt), true)
			return true
		})
		equal(t, "tail", s.Tail(), position(0, 0))
		s.Append(text("a"), holding(""))
	}},
}

// ensureStreamCases: control plane A.10.
var ensureStreamCases = []Case{
	{Row: "cp A.10/200,201", Name: "ensure makes a stream", Run: func(t *testing.T, e *Env) {
		b := e.Basin(defaulting(class(standard)))
		s := b.Missing("plain")
		equal(t, "result", s.Ensure(), protocol.ProvisionCreated)
		equal(t, "config", s.Config(), resolved(class(standard)))
		s = b.Missing("configured")
		equal(t, "result", s.Ensure(arrival), protocol.ProvisionCreated)
		equal(t, "config", s.Config(), resolved(class(standard), arrival))
	}},
	{Row: "cp A.10/202,203", Name: "ensure what is there", Run: func(t *testing.T, e *Env) {
		s := e.Stream(everything...)
		equal(t, "result", s.Ensure(everything...), protocol.ProvisionNoop)
		_, result, err := e.Service.EnsureStream(e.ctx, s.StreamRef, s.Config().Layer())
		e.must(err, "ensure stream")
		equal(t, "result", result, protocol.ProvisionNoop)
	}},
	{Row: "cp A.10/204,205", Name: "ensure replaces the whole config", Run: func(t *testing.T, e *Env) {
		s := e.Basin(defaulting(class(standard))).Stream("stream", everything...)
		equal(t, "result", s.Ensure(clientRequire), protocol.ProvisionUpdated)
		equal(t, "config", s.Config(), resolved(class(standard), clientRequire))
	}},
	{Row: "cp A.10/206,207", Name: "ensure compares what it resolves to", Run: func(t *testing.T, e *Env) {
		s := e.Basin(defaulting(class(standard), arrival)).Stream("stream")
		equal(t, "result", s.Ensure(class(standard), retain(age(7*24*time.Hour))), protocol.ProvisionNoop)
		equal(t, "result", s.Ensure(), protocol.ProvisionNoop)
		equal(t, "result", s.Ensure(class(express)), protocol.ProvisionUpdated)
		equal(t, "config", s.Config(), resolved(class(express), arrival))
	}},
	{Row: "cp A.10/208", Name: "ensure after the basin's default changed", Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		s := b.Stream("stream")
		b.Ensure(basinConfig(defaulting(arrival)))
		equal(t, "result", s.Ensure(), protocol.ProvisionUpdated)
		equal(t, "config", s.Config(), resolved(arrival))
	}},
	{Row: "cp A.10/209", Name: "ensuring client-require binds a running stream", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		w := s.Writer().Submit(text("a"))
		w.Acked(0, 1)
		s.Ensure(clientRequire)
		w.TrySubmit(text("b"))
		w.Fails(protocol.CodeInvalid)
	}},
	{Row: "cp A.10/210", Name: "ensure keeps the token and created_at", Run: func(t *testing.T, e *Env) {
		s := e.Basin().Missing("stream")
		info := s.created("token")
		ensured, _, err := e.Service.EnsureStream(e.ctx, s.StreamRef, layer(arrival))
		e.must(err, "ensure stream")
		equal(t, "created_at", ensured.CreatedAt.Equal(info.CreatedAt), true)
		s.replayed(info, "token")
	}},
	{Row: "cp A.10/211,212,213", Name: "ensure where nothing can be made", Run: func(t *testing.T, e *Env) {
		ensure := func(s *Stream) error {
			_, _, err := e.Service.EnsureStream(e.ctx, s.StreamRef, layer())
			return err
		}
		e.fails(ensure(e.NoBasin().Missing("stream")), protocol.CodeBasinNotFound)
		b := e.Basin()
		b.Missing("stream").fill()
		b.Delete()
		e.fails(ensure(b.Missing("stream")), basinPending...)
		s := e.small(10)
		s.Delete()
		if err := ensure(s); err != nil {
			e.fails(err, protocol.CodeStreamDeletionPending)
		}
	}},
	{Row: "cp A.10/216", Name: "ensure keeps records, tail and fencing token", Run: func(t *testing.T, e *Env) {
		s := e.full()
		s.Append(fence("T"))
		tail := s.Tail()
		s.Ensure(everything...)
		equal(t, "tail", s.Tail(), tail)
		s.Read(from(0)).Seqs(0, 6)
		s.refusesToken("T", text("a"), holding(""))
	}},
}

// streamCases: control plane A.11.
var streamCases = []Case{
	{Row: "cp A.11/217,220", Name: "config of a stream", Run: func(t *testing.T, e *Env) {
		equal(t, "config", e.Stream().Config(), protocol.DefaultStreamConfig)
	}},
	{Row: "cp A.11/218,222,223", Name: "a missing stream, a missing basin", Run: func(t *testing.T, e *Env) {
		for _, c := range []struct {
			s    *Stream
			code protocol.Code
		}{
			{e.Basin().Missing("stream"), protocol.CodeStreamNotFound},
			{e.NoBasin().Missing("stream"), protocol.CodeBasinNotFound},
		} {
			_, err := e.Service.GetStreamConfig(e.ctx, c.s.StreamRef)
			e.fails(err, c.code)
			_, err = e.Service.ReconfigureStream(e.ctx, c.s.StreamRef, protocol.StreamReconfiguration{})
			e.fails(err, c.code)
		}
	}},
	{Row: "cp A.11/219,224", Name: "a stream being deleted", Run: func(t *testing.T, e *Env) {
		s := e.small(10)
		s.Delete()
		_, err := e.Service.GetStreamConfig(e.ctx, s.StreamRef)
		e.fails(err, deletionPending...)
		_, err = e.Service.ReconfigureStream(e.ctx, s.StreamRef, protocol.StreamReconfiguration{})
		e.fails(err, deletionPending...)
	}},
	{Row: "cp A.11/221", Name: "each member changes and is kept", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		for _, change := range []protocol.StreamReconfiguration{
			{StorageClass: protocol.Set(standard)}, {RetentionPolicy: protocol.Set(forever)},
			{TimestampingMode: protocol.Set(protocol.TimestampArrival)}, {Uncapped: protocol.Set(true)},
			{DeleteOnEmptyMinAge: protocol.Set(uint64(300))},
		} {
			want := change.ApplyResolved(s.Config(), protocol.StreamConfig{})
			equal(t, "config", s.Reconfigure(change), want)
			equal(t, "config", s.Config(), want)
		}
		equal(t, "config", s.Config(), resolved(everything...))
	}},
	{Row: "cp A.11/225", Name: "a stream in a basin being deleted", Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		b.Missing("stream").fill()
		b.Delete()
		_, err := e.Service.ReconfigureStream(e.ctx, b.Missing("stream").StreamRef, protocol.StreamReconfiguration{})
		e.fails(err, basinPending...)
	}},
	{Row: "cp A.11/226", Name: "client-require binds a running stream", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		w := s.Writer().Submit(text("a"))
		w.Acked(0, 1)
		s.Reconfigure(protocol.StreamReconfiguration{TimestampingMode: protocol.Set(protocol.TimestampClientRequire)})
		w.TrySubmit(text("b"))
		w.Fails(protocol.CodeInvalid)
	}},
	{Row: "cp A.11/227", Name: "clearing everything gives the basin's defaults", Run: func(t *testing.T, e *Env) {
		s := e.Basin(defaulting(everything...)).Stream("stream",
			class(express), retain(age(time.Hour)), clientRequire, uncapped(false), minAge(0))
		equal(t, "config", s.Reconfigure(unsetAll), resolved(everything...))
		equal(t, "config", s.Config(), resolved(everything...))
	}},
	{Row: "cp A.11/229", Name: "two clients reconfigure at once", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		e.race(10, func(i int) error {
			return retryingConflict(func() error {
				change := protocol.StreamReconfiguration{Uncapped: protocol.Set(true)}
				if i%2 == 0 {
					change = protocol.StreamReconfiguration{StorageClass: protocol.Set(standard)}
				}
				_, err := e.Service.ReconfigureStream(e.ctx, s.StreamRef, change)
				return err
			})
		}, "%d")
		equal(t, "config", s.Config(), resolved(class(standard), uncapped(true)))
	}},
}
