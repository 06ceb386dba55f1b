package test

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

// unauthenticated is the service in process of a caller that is not authenticated.
type unauthenticated struct{ err error }

var _ protocol.Service = unauthenticated{}

func (s unauthenticated) ListBasins(context.Context, protocol.ListRequest) (protocol.BasinPage, error) {
	return protocol.BasinPage{}, s.err
}

func (s unauthenticated) CreateBasin(context.Context, protocol.CreateBasinRequest) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	return protocol.BasinInfo{}, "", s.err
}

func (s unauthenticated) EnsureBasin(context.Context, protocol.BasinName, protocol.EnsureBasinRequest) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	return protocol.BasinInfo{}, "", s.err
}

func (s unauthenticated) GetBasinConfig(context.Context, protocol.BasinName) (protocol.BasinConfig, error) {
	return protocol.BasinConfig{}, s.err
}

func (s unauthenticated) ReconfigureBasin(context.Context, protocol.BasinName, protocol.BasinReconfiguration) (protocol.BasinConfig, error) {
	return protocol.BasinConfig{}, s.err
}

func (s unauthenticated) DeleteBasin(context.Context, protocol.BasinName) error {
	return s.err
}

func (s unauthenticated) ListStreams(context.Context, protocol.BasinName, protocol.ListRequest) (protocol.StreamPage, error) {
	return protocol.StreamPage{}, s.err
}

func (s unauthenticated) CreateStream(context.Context, protocol.BasinName, protocol.CreateStreamRequest) (protocol.StreamInfo, protocol.ProvisionResult, error) {
	return protocol.StreamInfo{}, "", s.err
}

func (s unauthenticated) EnsureStream(context.Context, protocol.StreamRef, protocol.StreamConfig) (protocol.StreamInfo, protocol.ProvisionResult, error) {
	return protocol.StreamInfo{}, "", s.err
}

func (s unauthenticated) GetStreamConfig(context.Context, protocol.StreamRef) (protocol.ResolvedStreamConfig, error) {
	return protocol.ResolvedStreamConfig{}, s.err
}

func (s unauthenticated) ReconfigureStream(context.Context, protocol.StreamRef, protocol.StreamReconfiguration) (protocol.ResolvedStreamConfig, error) {
	return protocol.ResolvedStreamConfig{}, s.err
}

func (s unauthenticated) DeleteStream(context.Context, protocol.StreamRef) error {
	return s.err
}

func (s unauthenticated) CheckTail(context.Context, protocol.StreamRef) (protocol.StreamTail, error) {
	return protocol.StreamTail{}, s.err
}

func (s unauthenticated) Append(context.Context, protocol.StreamRef, protocol.AppendInput, ...protocol.RecordOption) (protocol.AppendAck, error) {
	return protocol.AppendAck{}, s.err
}

func (s unauthenticated) Read(context.Context, protocol.StreamRef, protocol.ReadRequest, ...protocol.RecordOption) (protocol.ReadBatch, error) {
	return protocol.ReadBatch{}, s.err
}

func (s unauthenticated) OpenAppendSession(context.Context, protocol.StreamRef, ...protocol.RecordOption) (protocol.AppendSession, error) {
	return nil, s.err
}

func (s unauthenticated) OpenReadSession(context.Context, protocol.StreamRef, protocol.ReadRequest, ...protocol.RecordOption) (protocol.ReadSession, error) {
	return nil, s.err
}

func (s unauthenticated) ListAccessTokens(context.Context, protocol.ListRequest) (protocol.AccessTokenPage, error) {
	return protocol.AccessTokenPage{}, s.err
}

func (s unauthenticated) IssueAccessToken(context.Context, protocol.IssueAccessTokenRequest) (string, error) {
	return "", s.err
}

func (s unauthenticated) ConfirmAccessToken(context.Context, protocol.AccessTokenID) error {
	return s.err
}

func (s unauthenticated) RevokeAccessToken(context.Context, protocol.AccessTokenID) error {
	return s.err
}

func (s unauthenticated) AccountMetrics(context.Context, protocol.MetricsQuery) ([]protocol.Metric, error) {
	return nil, s.err
}

func (s unauthenticated) BasinMetrics(context.Context, protocol.BasinName, protocol.MetricsQuery) ([]protocol.Metric, error) {
	return nil, s.err
}

func (s unauthenticated) StreamMetrics(context.Context, protocol.StreamRef, protocol.MetricsQuery) ([]protocol.Metric, error) {
	return nil, s.err
}

func (s unauthenticated) ListLocations(context.Context) ([]protocol.LocationInfo, error) {
	return nil, s.err
}

func (s unauthenticated) DefaultLocation(context.Context) (protocol.LocationInfo, error) {
	return protocol.LocationInfo{}, s.err
}

func (s unauthenticated) SetDefaultLocation(context.Context, protocol.LocationName) (protocol.LocationInfo, error) {
	return protocol.LocationInfo{}, s.err
}
