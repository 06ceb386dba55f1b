package metering

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

// Core is a service without the access tokens.
type Core interface {
	protocol.BasinService
	protocol.StreamService
	protocol.RecordService
	protocol.MetricsService
	protocol.LocationService
}

// Counted is a service whose operations and reads are counted. An operation counts when it has succeeded. Appends are
// counted below, where the storage class is known; see [Scope.Appended].
type Counted struct {
	Core
	Meter *Meter
}

// done counts an operation on a basin or its streams unless it failed.
func (c Counted) done(basin protocol.BasinName, op protocol.Operation, err error) {
	if err == nil {
		c.Meter.Of(basin).operation(op)
	}
}

// account counts an operation of the account unless it failed.
func (c Counted) account(op protocol.Operation, err error) {
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

func (c Counted) ListBasins(ctx context.Context, req protocol.ListRequest) (protocol.BasinPage, error) {
	page, err := c.Core.ListBasins(ctx, req)
	c.account(protocol.OpListBasins, err)
	return page, err
}

func (c Counted) CreateBasin(ctx context.Context, req protocol.CreateBasinRequest) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	info, result, err := c.Core.CreateBasin(ctx, req)
	c.account(protocol.OpCreateBasin, err)
	return info, result, err
}

// EnsureBasin counts as what it did: a creation, or else a reconfiguration.
func (c Counted) EnsureBasin(ctx context.Context, basin protocol.BasinName, req protocol.EnsureBasinRequest) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	info, result, err := c.Core.EnsureBasin(ctx, basin, req)
	c.account(provisioned(result, protocol.OpCreateBasin, protocol.OpReconfigureBasin), err)
	return info, result, err
}

func (c Counted) GetBasinConfig(ctx context.Context, basin protocol.BasinName) (protocol.BasinConfig, error) {
	config, err := c.Core.GetBasinConfig(ctx, basin)
	c.account(protocol.OpGetBasinConfig, err)
	return config, err
}

func (c Counted) ReconfigureBasin(ctx context.Context, basin protocol.BasinName, change protocol.BasinReconfiguration) (protocol.BasinConfig, error) {
	config, err := c.Core.ReconfigureBasin(ctx, basin, change)
	c.account(protocol.OpReconfigureBasin, err)
	return config, err
}

func (c Counted) DeleteBasin(ctx context.Context, basin protocol.BasinName) error {
	err := c.Core.DeleteBasin(ctx, basin)
	c.account(protocol.OpDeleteBasin, err)
	return err
}

func (c Counted) ListStreams(ctx context.Context, basin protocol.BasinName, req protocol.ListRequest) (protocol.StreamPage, error) {
	page, err := c.Core.ListStreams(ctx, basin, req)
	c.done(basin, protocol.OpListStreams, err)
	return page, err
}

func (c Counted) CreateStream(ctx context.Context, basin protocol.BasinName, req protocol.CreateStreamRequest) (protocol.StreamInfo, protocol.ProvisionResult, error) {
	info, result, err := c.Core.CreateStream(ctx, basin, req)
	c.done(basin, protocol.OpCreateStream, err)
	return info, result, err
}

// EnsureStream counts as EnsureBasin does.
func (c Counted) EnsureStream(ctx context.Context, ref protocol.StreamRef, config protocol.StreamConfig) (protocol.StreamInfo, protocol.ProvisionResult, error) {
	info, result, err := c.Core.EnsureStream(ctx, ref, config)
	c.done(ref.Basin, provisioned(result, protocol.OpCreateStream, protocol.OpReconfigureStream), err)
	return info, result, err
}

func (c Counted) GetStreamConfig(ctx context.Context, ref protocol.StreamRef) (protocol.ResolvedStreamConfig, error) {
	config, err := c.Core.GetStreamConfig(ctx, ref)
	c.done(ref.Basin, protocol.OpGetStreamConfig, err)
	return config, err
}

func (c Counted) ReconfigureStream(ctx context.Context, ref protocol.StreamRef, change protocol.StreamReconfiguration) (protocol.ResolvedStreamConfig, error) {
	config, err := c.Core.ReconfigureStream(ctx, ref, change)
	c.done(ref.Basin, protocol.OpReconfigureStream, err)
	return config, err
}

func (c Counted) DeleteStream(ctx context.Context, ref protocol.StreamRef) error {
	err := c.Core.DeleteStream(ctx, ref)
	c.done(ref.Basin, protocol.OpDeleteStream, err)
	return err
}

func (c Counted) CheckTail(ctx context.Context, ref protocol.StreamRef) (protocol.Position, error) {
	tail, err := c.Core.CheckTail(ctx, ref)
	c.done(ref.Basin, protocol.OpCheckTail, err)
	return tail, err
}

func (c Counted) ListLocations(ctx context.Context) ([]protocol.LocationInfo, error) {
	list, err := c.Core.ListLocations(ctx)
	c.account(protocol.OpListLocations, err)
	return list, err
}

func (c Counted) DefaultLocation(ctx context.Context) (protocol.LocationInfo, error) {
	info, err := c.Core.DefaultLocation(ctx)
	c.account(protocol.OpGetDefaultLocation, err)
	return info, err
}

func (c Counted) SetDefaultLocation(ctx context.Context, name protocol.LocationName) (protocol.LocationInfo, error) {
	info, err := c.Core.SetDefaultLocation(ctx, name)
	c.account(protocol.OpSetDefaultLocation, err)
	return info, err
}

func (c Counted) AccountMetrics(ctx context.Context, q protocol.MetricsQuery) ([]protocol.Metric, error) {
	metrics, err := c.Core.AccountMetrics(ctx, q)
	c.account(protocol.OpAccountMetrics, err)
	return metrics, err
}

// Read counts what was delivered.
func (c Counted) Read(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts ...protocol.RecordOption) (protocol.ReadBatch, error) {
	batch, err := c.Core.Read(ctx, ref, req, opts...)
	if err == nil {
		c.Meter.Of(ref.Basin).read(batch.Records.MeteredSize())
	}
	return batch, err
}

// OpenReadSession counts the session, and then what it delivers.
func (c Counted) OpenReadSession(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts ...protocol.RecordOption) (protocol.ReadSession, error) {
	s, err := c.Core.OpenReadSession(ctx, ref, req, opts...)
	if err != nil {
		return nil, err
	}
	r := &countedRead{ReadSession: s, scope: c.Meter.Of(ref.Basin)}
	r.scope.delivered(&r.lane, 0)
	return r, nil
}

// countedRead is a read session whose batches are counted.
type countedRead struct {
	protocol.ReadSession
	scope *Scope
	lane  Lane
}

func (r *countedRead) Next(ctx context.Context) (protocol.ReadBatch, error) {
	batch, err := r.ReadSession.Next(ctx)
	if err == nil && batch.Records.Len() > 0 {
		r.scope.delivered(&r.lane, batch.Records.MeteredSize())
	}
	return batch, err
}
