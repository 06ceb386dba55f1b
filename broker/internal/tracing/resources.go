package tracing

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

func (s service) ListBasins(ctx context.Context, req protocol.ListRequest) (page protocol.BasinPage, err error) {
	ctx, span := s.begin(ctx, "list_basins")
	defer func() { s.end(span, err) }()
	return s.Service.ListBasins(ctx, req)
}

func (s service) CreateBasin(ctx context.Context, req protocol.CreateBasinRequest) (info protocol.BasinInfo, result protocol.ProvisionResult, err error) {
	ctx, span := s.basin(ctx, "create_basin", req.Basin)
	defer func() { s.end(span, err) }()
	return s.Service.CreateBasin(ctx, req)
}

func (s service) EnsureBasin(ctx context.Context, basin protocol.BasinName, req protocol.EnsureBasinRequest) (info protocol.BasinInfo, result protocol.ProvisionResult, err error) {
	ctx, span := s.basin(ctx, "ensure_basin", basin)
	defer func() { s.end(span, err) }()
	return s.Service.EnsureBasin(ctx, basin, req)
}

func (s service) GetBasinConfig(ctx context.Context, basin protocol.BasinName) (config protocol.BasinConfig, err error) {
	ctx, span := s.basin(ctx, "get_basin_config", basin)
	defer func() { s.end(span, err) }()
	return s.Service.GetBasinConfig(ctx, basin)
}

func (s service) ReconfigureBasin(ctx context.Context, basin protocol.BasinName, change protocol.BasinReconfiguration) (config protocol.BasinConfig, err error) {
	ctx, span := s.basin(ctx, "reconfigure_basin", basin)
	defer func() { s.end(span, err) }()
	return s.Service.ReconfigureBasin(ctx, basin, change)
}

func (s service) DeleteBasin(ctx context.Context, basin protocol.BasinName) (err error) {
	ctx, span := s.basin(ctx, "delete_basin", basin)
	defer func() { s.end(span, err) }()
	return s.Service.DeleteBasin(ctx, basin)
}

func (s service) ListStreams(ctx context.Context, basin protocol.BasinName, req protocol.ListRequest) (page protocol.StreamPage, err error) {
	ctx, span := s.basin(ctx, "list_streams", basin)
	defer func() { s.end(span, err) }()
	return s.Service.ListStreams(ctx, basin, req)
}

func (s service) CreateStream(ctx context.Context, basin protocol.BasinName, req protocol.CreateStreamRequest) (info protocol.StreamInfo, result protocol.ProvisionResult, err error) {
	ctx, span := s.stream(ctx, "create_stream", protocol.StreamRef{Basin: basin, Stream: req.Stream})
	defer func() { s.end(span, err) }()
	return s.Service.CreateStream(ctx, basin, req)
}

func (s service) EnsureStream(ctx context.Context, ref protocol.StreamRef, config protocol.StreamConfig) (info protocol.StreamInfo, result protocol.ProvisionResult, err error) {
	ctx, span := s.stream(ctx, "ensure_stream", ref)
	defer func() { s.end(span, err) }()
	return s.Service.EnsureStream(ctx, ref, config)
}

func (s service) GetStreamConfig(ctx context.Context, ref protocol.StreamRef) (config protocol.ResolvedStreamConfig, err error) {
	ctx, span := s.stream(ctx, "get_stream_config", ref)
	defer func() { s.end(span, err) }()
	return s.Service.GetStreamConfig(ctx, ref)
}

func (s service) ReconfigureStream(ctx context.Context, ref protocol.StreamRef, change protocol.StreamReconfiguration) (config protocol.ResolvedStreamConfig, err error) {
	ctx, span := s.stream(ctx, "reconfigure_stream", ref)
	defer func() { s.end(span, err) }()
	return s.Service.ReconfigureStream(ctx, ref, change)
}

func (s service) DeleteStream(ctx context.Context, ref protocol.StreamRef) (err error) {
	ctx, span := s.stream(ctx, "delete_stream", ref)
	defer func() { s.end(span, err) }()
	return s.Service.DeleteStream(ctx, ref)
}

func (s service) ListAccessTokens(ctx context.Context, req protocol.ListRequest) (page protocol.AccessTokenPage, err error) {
	ctx, span := s.begin(ctx, "list_access_tokens")
	defer func() { s.end(span, err) }()
	return s.Service.ListAccessTokens(ctx, req)
}

func (s service) IssueAccessToken(ctx context.Context, req protocol.IssueAccessTokenRequest) (secret string, err error) {
	ctx, span := s.begin(ctx, "issue_access_token")
	defer func() { s.end(span, err) }()
	return s.Service.IssueAccessToken(ctx, req)
}

func (s service) RevokeAccessToken(ctx context.Context, id protocol.AccessTokenID) (err error) {
	ctx, span := s.begin(ctx, "revoke_access_token")
	defer func() { s.end(span, err) }()
	return s.Service.RevokeAccessToken(ctx, id)
}

func (s service) ConfirmAccessToken(ctx context.Context, id protocol.AccessTokenID) (err error) {
	ctx, span := s.begin(ctx, "confirm_access_token")
	defer func() { s.end(span, err) }()
	return s.Service.ConfirmAccessToken(ctx, id)
}

func (s service) AccountMetrics(ctx context.Context, query protocol.MetricsQuery) (metrics []protocol.Metric, err error) {
	ctx, span := s.begin(ctx, "account_metrics")
	defer func() { s.end(span, err) }()
	return s.Service.AccountMetrics(ctx, query)
}

func (s service) BasinMetrics(ctx context.Context, basin protocol.BasinName, query protocol.MetricsQuery) (metrics []protocol.Metric, err error) {
	ctx, span := s.basin(ctx, "basin_metrics", basin)
	defer func() { s.end(span, err) }()
	return s.Service.BasinMetrics(ctx, basin, query)
}

func (s service) StreamMetrics(ctx context.Context, ref protocol.StreamRef, query protocol.MetricsQuery) (metrics []protocol.Metric, err error) {
	ctx, span := s.stream(ctx, "stream_metrics", ref)
	defer func() { s.end(span, err) }()
	return s.Service.StreamMetrics(ctx, ref, query)
}

func (s service) ListLocations(ctx context.Context) (locations []protocol.LocationInfo, err error) {
	ctx, span := s.begin(ctx, "list_locations")
	defer func() { s.end(span, err) }()
	return s.Service.ListLocations(ctx)
}

func (s service) DefaultLocation(ctx context.Context) (location protocol.LocationInfo, err error) {
	ctx, span := s.begin(ctx, "get_default_location")
	defer func() { s.end(span, err) }()
	return s.Service.DefaultLocation(ctx)
}

func (s service) SetDefaultLocation(ctx context.Context, name protocol.LocationName) (location protocol.LocationInfo, err error) {
	ctx, span := s.begin(ctx, "set_default_location")
	defer func() { s.end(span, err) }()
	return s.Service.SetDefaultLocation(ctx, name)
}
