package test

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

// strangers is the service in process of whoever is not known.
type strangers struct{ err error }

var _ protocol.Service = strangers{}

func (s strangers) ListBasins(context.Context, protocol.ListRequest) (protocol.BasinPage, error) {
	return protocol.BasinPage{}, s.err
}

func (s strangers) CreateBasin(context.Context, protocol.CreateBasinRequest) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	return protocol.BasinInfo{}, "", s.err
}

func (s strangers) EnsureBasin(context.Context, protocol.BasinName, protocol.EnsureBasinRequest) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	return protocol.BasinInfo{}, "", s.err
}

func (s strangers) GetBasinConfig(context.Context, protocol.BasinName) (protocol.BasinConfig, error) {
	return protocol.BasinConfig{}, s.err
}

func (s strangers) ReconfigureBasin(context.Context, protocol.BasinName, protocol.BasinReconfiguration) (protocol.BasinConfig, error) {
	return protocol.BasinConfig{}, s.err
}

func (s strangers) DeleteBasin(context.Context, protocol.BasinName) error {
	return s.err
}

func (s strangers) ListStreams(context.Context, protocol.BasinName, protocol.ListRequest) (protocol.StreamPage, error) {
	return protocol.StreamPage{}, s.err
}

func (s strangers) CreateStream(context.Context, protocol.BasinName, protocol.CreateStreamRequest) (protocol.StreamInfo, protocol.ProvisionResult, error) {
	return protocol.StreamInfo{}, "", s.err
}

func (s strangers) EnsureStream(context.Context, protocol.StreamRef, protocol.StreamConfig) (protocol.StreamInfo, protocol.ProvisionResult, error) {
	return protocol.StreamInfo{}, "", s.err
}

func (s strangers) GetStreamConfig(context.Context, protocol.StreamRef) (protocol.ResolvedStreamConfig, error) {
	return protocol.ResolvedStreamConfig{}, s.err
}

func (s strangers) ReconfigureStream(context.Context, protocol.StreamRef, protocol.StreamReconfiguration) (protocol.ResolvedStreamConfig, error) {
	return protocol.ResolvedStreamConfig{}, s.err
}

func (s strangers) DeleteStream(context.Context, protocol.StreamRef) error {
	return s.err
}

func (s strangers) CheckTail(context.Context, protocol.StreamRef) (protocol.Position, error) {
	return protocol.Position{}, s.err
}

func (s strangers) Append(context.Context, protocol.StreamRef, protocol.AppendInput, ...protocol.RecordOption) (protocol.AppendAck, error) {
	return protocol.AppendAck{}, s.err
}

func (s strangers) Read(context.Context, protocol.StreamRef, protocol.ReadRequest, ...protocol.RecordOption) (protocol.ReadBatch, error) {
	return protocol.ReadBatch{}, s.err
}

func (s strangers) OpenAppendSession(context.Context, protocol.StreamRef, ...protocol.RecordOption) (protocol.AppendSession, error) {
	return nil, s.err
}

func (s strangers) OpenReadSession(context.Context, protocol.StreamRef, protocol.ReadRequest, ...protocol.RecordOption) (protocol.ReadSession, error) {
	return nil, s.err
}

func (s strangers) ListAccessTokens(context.Context, protocol.ListRequest) (protocol.AccessTokenPage, error) {
	return protocol.AccessTokenPage{}, s.err
}

func (s strangers) IssueAccessToken(context.Context, protocol.IssueAccessTokenRequest) (string, error) {
	return "", s.err
}

func (s strangers) RevokeAccessToken(context.Context, protocol.AccessTokenID) error {
	return s.err
}

func (s strangers) AccountMetrics(context.Context, protocol.MetricsQuery) ([]protocol.Metric, error) {
	return nil, s.err
}

func (s strangers) BasinMetrics(context.Context, protocol.BasinName, protocol.MetricsQuery) ([]protocol.Metric, error) {
	return nil, s.err
}

func (s strangers) StreamMetrics(context.Context, protocol.StreamRef, protocol.MetricsQuery) ([]protocol.Metric, error) {
	return nil, s.err
}

func (s strangers) ListLocations(context.Context) ([]protocol.LocationInfo, error) {
	return nil, s.err
}

func (s strangers) DefaultLocation(context.Context) (protocol.LocationInfo, error) {
	return protocol.LocationInfo{}, s.err
}

func (s strangers) SetDefaultLocation(context.Context, protocol.LocationName) (protocol.LocationInfo, error) {
	return protocol.LocationInfo{}, s.err
}
