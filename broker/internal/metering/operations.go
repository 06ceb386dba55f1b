package metering

import (
	"context"

	"github.com/weirstream/weir/broker/internal/access"
	"github.com/weirstream/weir/protocol"
)

// Operations is a service whose operations and reads are counted. An operation counts when it has succeeded. Appends are
// counted below; see [Appends].
type Operations struct {
	access.Core
	Meter *Meter
}

// done counts an operation on a basin or its streams unless it failed.
func (c Operations) done(basin protocol.BasinName, op protocol.Operation, err error) {
	if err == nil {
		c.Meter.Of(basin).operation(op)
	}
}

// account counts an operation of the account unless it failed.
func (c Operations) account(op protocol.Operation, err error) {
	if err == nil {
		c.Meter.Operation(op)
	}
}

func provisioned(result protocol.ProvisionResult, create, change protocol.Operation) protocol.Operation {
	if result == protocol.ProvisionCreated {
		return create
	}
	return change
}

func (c Operations) ListBasins(ctx context.Context, req protocol.ListRequest) (protocol.BasinPage, error) {
	page, err := c.Core.ListBasins(ctx, req)
	c.account(protocol.OpListBasins, err)
	return page, err
}

func (c Operations) CreateBasin(ctx context.Context, req protocol.CreateBasinRequest) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	info, result, err := c.Core.CreateBasin(ctx, req)
	c.account(protocol.OpCreateBasin, err)
	return info, result, err
}

// EnsureBasin counts as a creation if it made the basin, or else as a reconfiguration.
func (c Operations) EnsureBasin(ctx context.Context, basin protocol.BasinName, req protocol.EnsureBasinRequest) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	info, result, err := c.Core.EnsureBasin(ctx, basin, req)
	c.account(provisioned(result, protocol.OpCreateBasin, protocol.OpReconfigureBasin), err)
	return info, result, err
}

func (c Operations) GetBasinConfig(ctx context.Context, basin protocol.BasinName) (protocol.BasinConfig, error) {
	config, err := c.Core.GetBasinConfig(ctx, basin)
	c.account(protocol.OpGetBasinConfig, err)
	return config, err
}

func (c Operations) ReconfigureBasin(ctx context.Context, basin protocol.BasinName, change protocol.BasinReconfiguration) (protocol.BasinConfig, error) {
	config, err := c.Core.ReconfigureBasin(ctx, basin, change)
	c.account(protocol.OpReconfigureBasin, err)
	return config, err
}

func (c Operations) DeleteBasin(ctx context.Context, basin protocol.BasinName) error {
	err := c.Core.DeleteBasin(ctx, basin)
	c.account(protocol.OpDeleteBasin, err)
	return err
}

func (c Operations) ListStreams(ctx context.Context, basin protocol.BasinName, req protocol.ListRequest) (protocol.StreamPage, error) {
	page, err := c.Core.ListStreams(ctx, basin, req)
	c.done(basin, protocol.OpListStreams, err)
	return page, err
}

func (c Operations) CreateStream(ctx context.Context, basin protocol.BasinName, req protocol.CreateStreamRequest) (protocol.StreamInfo, protocol.ProvisionResult, error) {
	info, result, err := c.Core.CreateStream(ctx, basin, req)
	c.done(basin, protocol.OpCreateStream, err)
	return info, result, err
}

// EnsureStream counts as EnsureBasin does.
func (c Operations) EnsureStream(ctx context.Context, ref protocol.StreamRef, config protocol.StreamConfig) (protocol.StreamInfo, protocol.ProvisionResult, error) {
	info, result, err := c.Core.EnsureStream(ctx, ref, config)
	c.done(ref.Basin, provisioned(result, protocol.OpCreateStream, protocol.OpReconfigureStream), err)
	return info, result, err
}

func (c Operations) GetStreamConfig(ctx context.Context, ref protocol.StreamRef) (protocol.ResolvedStreamConfig, error) {
	config, err := c.Core.GetStreamConfig(ctx, ref)
	c.done(ref.Basin, protocol.OpGetStreamConfig, err)
	return config, err
}

func (c Operations) ReconfigureStream(ctx context.Context, ref protocol.StreamRef, change protocol.StreamReconfiguration) (protocol.ResolvedStreamConfig, error) {
	config, err := c.Core.ReconfigureStream(ctx, ref, change)
	c.done(ref.Basin, protocol.OpReconfigureStream, err)
	return config, err
}

func (c Operations) DeleteStream(ctx context.Context, ref protocol.StreamRef) error {
	err := c.Core.DeleteStream(ctx, ref)
	c.done(ref.Basin, protocol.OpDeleteStream, err)
	return err
}

func (c Operations) CheckTail(ctx context.Context, ref protocol.StreamRef) (protocol.StreamTail, error) {
	tail, err := c.Core.CheckTail(ctx, ref)
	c.done(ref.Basin, protocol.OpCheckTail, err)
	return tail, err
}

func (c Operations) ListLocations(ctx context.Context) ([]protocol.LocationInfo, error) {
	list, err := c.Core.ListLocations(ctx)
	c.account(protocol.OpListLocations, err)
	return list, err
}

func (c Operations) DefaultLocation(ctx context.Context) (protocol.LocationInfo, error) {
	info, err := c.Core.DefaultLocation(ctx)
	c.account(protocol.OpGetDefaultLocation, err)
	return info, err
}

func (c Operations) SetDefaultLocation(ctx context.Context, name protocol.LocationName) (protocol.LocationInfo, error) {
	info, err := c.Core.SetDefaultLocation(ctx, name)
	c.account(protocol.OpSetDefaultLocation, err)
	return info, err
}

func (c Operations) AccountMetrics(ctx context.Context, q protocol.MetricsQuery) ([]protocol.Metric, error) {
	metrics, err := c.Core.AccountMetrics(ctx, q)
	c.account(protocol.OpAccountMetrics, err)
	return metrics, err
}

// Read counts the records that were delivered.
func (c Operations) Read(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts ...protocol.RecordOption) (protocol.ReadBatch, error) {
	batch, err := c.Core.Read(ctx, ref, req, opts...)
	if err == nil {
		c.Meter.Of(ref.Basin).read(batch.Records.MeteredSize())
	}
	return batch, err
}

// OpenReadSession counts the session, and then the records that it delivers.
func (c Operations) OpenReadSession(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts ...protocol.RecordOption) (protocol.ReadSession, error) {
	s, err := c.Core.OpenReadSession(ctx, ref, req, opts...)
	if err != nil {
		return nil, err
	}
	r := &countedRead{ReadSession: s, scope: c.Meter.Of(ref.Basin)}
	r.scope.delivered(&r.conn, 0)
	return r, nil
}

// countedRead is a read session whose batches are counted.
type countedRead struct {
	protocol.ReadSession
	scope *Scope
	conn  ConnectionMinute
}

func (r *countedRead) Next(ctx context.Context) (protocol.ReadBatch, error) {
	batch, err := r.ReadSession.Next(ctx)
	if err == nil && batch.Records.Len() > 0 {
		r.scope.delivered(&r.conn, batch.Records.MeteredSize())
	}
	return batch, err
}

// Tokens counts the operations on access tokens.
type Tokens struct {
	access.Tokens
	Meter *Meter
}

func (t Tokens) count(op protocol.Operation, err error) error {
	if err == nil {
		t.Meter.Operation(op)
	}
	return err
}

func (t Tokens) PutToken(ctx context.Context, token protocol.StoredToken) error {
	return t.count(protocol.OpIssueAccessToken, t.Tokens.PutToken(ctx, token))
}

func (t Tokens) RemoveToken(ctx context.Context, id protocol.AccessTokenID) error {
	return t.count(protocol.OpRevokeAccessToken, t.Tokens.RemoveToken(ctx, id))
}

func (t Tokens) ListTokens(ctx context.Context, req protocol.ListRequest) ([]protocol.StoredToken, bool, error) {
	page, more, err := t.Tokens.ListTokens(ctx, req)
	return page, more, t.count(protocol.OpListAccessTokens, err)
}
