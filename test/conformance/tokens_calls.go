package conformance

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/weirstream/weir/protocol"
)

// Target names the resources on which calls are tried. The new names begin with the others, so that one prefix covers both.
type Target struct {
	protocol.StreamRef // there, with a record; or not there
	Token              protocol.AccessTokenID
	NewBasin           protocol.BasinName
	NewStream          protocol.StreamRef
	NewToken           protocol.AccessTokenID
}

// Call is one operation as a client asks for it, and the operations that it needs (control plane 5.5).
type Call struct {
	Name  string
	Needs []protocol.Operation
	// Basin, Stream and Token say which of a token's scopes the call is checked against.
	Basin, Stream, Token bool
	Do                   func(ctx context.Context, svc protocol.Service, on Target) error
}

// second drops the first of two results.
func second[A any](_ A, err error) error { return err }

// third drops the first two of three results.
func third[A, B any](_ A, _ B, err error) error { return err }

func appending(recs []protocol.Record) func(context.Context, protocol.Service, Target) error {
	return func(ctx context.Context, svc protocol.Service, on Target) error {
		return second(svc.Append(ctx, on.StreamRef, input(recs)))
	}
}

// submitting appends through a session.
func submitting(recs []protocol.Record) func(context.Context, protocol.Service, Target) error {
	return func(ctx context.Context, svc protocol.Service, on Target) error {
		s, err := svc.OpenAppendSession(ctx, on.StreamRef)
		if err != nil {
			return err
		}
		defer s.Close()
		_ = s.Submit(ctx, input(recs)) // the reason comes from Recv
		_, err = s.Recv(ctx)
		return err
	}
}

func following(ctx context.Context, svc protocol.Service, on Target) error {
	s, err := svc.OpenReadSession(ctx, on.StreamRef, request(from(0), count(1)))
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err = s.Next(ctx); errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// usageOf asks for a set of metrics of the last hour.
func usageOf(set protocol.MetricSet) protocol.MetricsQuery {
	end := uint32(time.Now().Unix())
	start := end - 3600
	return protocol.MetricsQuery{Set: set, Start: &start, End: &end}
}

// Calls are all calls of control plane 5.5.
var Calls = []Call{
	{"list basins", []protocol.Operation{protocol.OpListBasins}, false, false, false, func(ctx context.Context, svc protocol.Service, on Target) error {
		return second(svc.ListBasins(ctx, protocol.ListRequest{Prefix: string(on.Basin)}))
	}},
	{"create a basin", []protocol.Operation{protocol.OpCreateBasin}, true, false, false, func(ctx context.Context, svc protocol.Service, on Target) error {
		return third(svc.CreateBasin(ctx, protocol.CreateBasinRequest{Basin: on.NewBasin}))
	}},
	{"ensure a basin", []protocol.Operation{protocol.OpCreateBasin, protocol.OpReconfigureBasin}, true, false, false, func(ctx context.Context, svc protocol.Service, on Target) error {
		return third(svc.EnsureBasin(ctx, on.Basin, protocol.EnsureBasinRequest{}))
	}},
	{"get a basin", []protocol.Operation{protocol.OpGetBasinConfig}, true, false, false, func(ctx context.Context, svc protocol.Service, on Target) error {
		return second(svc.GetBasinConfig(ctx, on.Basin))
	}},
	{"reconfigure a basin", []protocol.Operation{protocol.OpReconfigureBasin}, true, false, false, func(ctx context.Context, svc protocol.Service, on Target) error {
		return second(svc.ReconfigureBasin(ctx, on.Basin, protocol.BasinReconfiguration{}))
	}},
	{"delete a basin", []protocol.Operation{protocol.OpDeleteBasin}, true, false, false, func(ctx context.Context, svc protocol.Service, on Target) error {
		return svc.DeleteBasin(ctx, on.Basin)
	}},
	{"list streams", []protocol.Operation{protocol.OpListStreams}, true, false, false, func(ctx context.Context, svc protocol.Service, on Target) error {
		return second(svc.ListStreams(ctx, on.Basin, protocol.ListRequest{}))
	}},
	{"create a stream", []protocol.Operation{protocol.OpCreateStream}, true, true, false, func(ctx context.Context, svc protocol.Service, on Target) error {
		return third(svc.CreateStream(ctx, on.Basin, protocol.CreateStreamRequest{Stream: on.NewStream.Stream}))
	}},
	{"ensure a stream", []protocol.Operation{protocol.OpCreateStream, protocol.OpReconfigureStream}, true, true, false, func(ctx context.Context, svc protocol.Service, on Target) error {
		return third(svc.EnsureStream(ctx, on.StreamRef, protocol.StreamConfig{}))
	}},
	{"get a stream", []protocol.Operation{protocol.OpGetStreamConfig}, true, true, false, func(ctx context.Context, svc protocol.Service, on Target) error {
		return second(svc.GetStreamConfig(ctx, on.StreamRef))
	}},
	{"reconfigure a stream", []protocol.Operation{protocol.OpReconfigureStream}, true, true, false, func(ctx context.Context, svc protocol.Service, on Target) error {
		return second(svc.ReconfigureStream(ctx, on.StreamRef, protocol.StreamReconfiguration{}))
	}},
	{"delete a stream", []protocol.Operation{protocol.OpDeleteStream}, true, true, false, func(ctx context.Context, svc protocol.Service, on Target) error {
		return svc.DeleteStream(ctx, on.StreamRef)
	}},
	{"check a tail", []protocol.Operation{protocol.OpCheckTail}, true, true, false, func(ctx context.Context, svc protocol.Service, on Target) error {
		return second(svc.CheckTail(ctx, on.StreamRef))
	}},
	{"read", []protocol.Operation{protocol.OpRead}, true, true, false, func(ctx context.Context, svc protocol.Service, on Target) error {
		return second(svc.Read(ctx, on.StreamRef, request(from(0))))
	}},
	{"follow", []protocol.Operation{protocol.OpRead}, true, true, false, following},
	{"append", []protocol.Operation{protocol.OpAppend}, true, true, false, appending(text("x"))},
	{"append in a session", []protocol.Operation{protocol.OpAppend}, true, true, false, submitting(text("x"))},
	{"fence", []protocol.Operation{protocol.OpFence}, true, true, false, appending(fence("x"))},
	{"fence in a session", []protocol.Operation{protocol.OpFence}, true, true, false, submitting(fence("x"))},
	{"trim", []protocol.Operation{protocol.OpTrim}, true, true, false, appending(trim(1))},
	{"trim in a session", []protocol.Operation{protocol.OpTrim}, true, true, false, submitting(trim(1))},
	{"append, fence and trim", []protocol.Operation{protocol.OpAppend, protocol.OpFence, protocol.OpTrim}, true, true, false,
		appending(these(protocol.FenceRecord("x"), protocol.Record{Body: []byte("x")}, protocol.TrimRecord(1)))},
	{"list tokens", []protocol.Operation{protocol.OpListAccessTokens}, false, false, false, func(ctx context.Context, svc protocol.Service, on Target) error {
		return second(svc.ListAccessTokens(ctx, protocol.ListRequest{Prefix: string(on.Token)}))
	}},
	{"issue a token", []protocol.Operation{protocol.OpIssueAccessToken}, false, false, true, func(ctx context.Context, svc protocol.Service, on Target) error {
		scope := protocol.AccessTokenScope{Ops: protocol.Operations(protocol.OpIssueAccessToken)}
		return second(svc.IssueAccessToken(ctx, protocol.IssueAccessTokenRequest{ID: on.NewToken, Scope: scope}))
	}},
	{"revoke a token", []protocol.Operation{protocol.OpRevokeAccessToken}, false, false, true, func(ctx context.Context, svc protocol.Service, on Target) error {
		return svc.RevokeAccessToken(ctx, on.Token)
	}},
	{"metrics of the account", []protocol.Operation{protocol.OpAccountMetrics}, false, false, false, func(ctx context.Context, svc protocol.Service, _ Target) error {
		return second(svc.AccountMetrics(ctx, usageOf(protocol.MetricActiveBasins)))
	}},
	{"metrics of a basin", []protocol.Operation{protocol.OpBasinMetrics}, true, false, false, func(ctx context.Context, svc protocol.Service, on Target) error {
		return second(svc.BasinMetrics(ctx, on.Basin, usageOf(protocol.MetricStorage)))
	}},
	{"metrics of a stream", []protocol.Operation{protocol.OpStreamMetrics}, true, true, false, func(ctx context.Context, svc protocol.Service, on Target) error {
		return second(svc.StreamMetrics(ctx, on.StreamRef, usageOf(protocol.MetricStorage)))
	}},
	{"list locations", []protocol.Operation{protocol.OpListLocations}, false, false, false, func(ctx context.Context, svc protocol.Service, _ Target) error {
		return second(svc.ListLocations(ctx))
	}},
	{"get the default location", []protocol.Operation{protocol.OpGetDefaultLocation}, false, false, false, func(ctx context.Context, svc protocol.Service, _ Target) error {
		return second(svc.DefaultLocation(ctx))
	}},
	{"set the default location", []protocol.Operation{protocol.OpSetDefaultLocation}, false, false, false, func(ctx context.Context, svc protocol.Service, _ Target) error {
		return second(svc.SetDefaultLocation(ctx, protocol.DefaultLocationName))
	}},
}

// NewTarget makes everything that calls can be tried on, as the root.
func NewTarget(ctx context.Context, root protocol.Service, basin protocol.BasinName, stream protocol.StreamName, token protocol.AccessTokenID) (Target, error) {
	on := NoTarget(basin, stream, token)
	if _, _, err := root.CreateBasin(ctx, protocol.CreateBasinRequest{Basin: basin}); err != nil {
		return on, err
	}
	if _, _, err := root.EnsureStream(ctx, on.StreamRef, protocol.StreamConfig{}); err != nil {
		return on, err
	}
	if _, err := root.Append(ctx, on.StreamRef, input(text("record"))); err != nil {
		return on, err
	}
	scope := protocol.AccessTokenScope{Ops: protocol.Operations(protocol.OpRead)}
	_, err := root.IssueAccessToken(ctx, protocol.IssueAccessTokenRequest{ID: token, Scope: scope})
	return on, err
}

// NoTarget is a target that is not there.
func NoTarget(basin protocol.BasinName, stream protocol.StreamName, token protocol.AccessTokenID) Target {
	return Target{StreamRef: protocol.StreamRef{Basin: basin, Stream: stream}, Token: token, NewBasin: basin + "-new",
		NewStream: protocol.StreamRef{Basin: basin, Stream: stream + "-new"}, NewToken: token + "-new"}
}

// target makes a target of the case's own.
func (e *TokenEnv) target() Target {
	e.t.Helper()
	on, err := NewTarget(e.ctx, e.Service, e.freeBasinName(), "stream", e.freeTokenID())
	e.must(err, "make a target")
	return on
}
