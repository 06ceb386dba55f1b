package access

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

func (s *service) ListBasins(ctx context.Context, req protocol.ListRequest) (protocol.BasinPage, error) {
	if err := s.allow(protocol.OpListBasins); err != nil {
		return protocol.BasinPage{}, err
	}
	req, some := narrow(s.scope.Basins, req)
	if !some {
		return protocol.BasinPage{}, nil
	}
	page, err := s.inner.ListBasins(ctx, req)
	page.Basins = keep(s.scope.Basins, page.Basins, &page.HasMore, func(b protocol.BasinInfo) string { return string(b.Name) })
	return page, err
}

func (s *service) CreateBasin(ctx context.Context, req protocol.CreateBasinRequest) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	if err := s.basin(req.Basin, protocol.OpCreateBasin); err != nil {
		return protocol.BasinInfo{}, "", err
	}
	return s.inner.CreateBasin(ctx, req)
}

func (s *service) EnsureBasin(ctx context.Context, name protocol.BasinName, req protocol.EnsureBasinRequest) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	if err := s.basin(name, protocol.OpCreateBasin, protocol.OpReconfigureBasin); err != nil {
		return protocol.BasinInfo{}, "", err
	}
	return s.inner.EnsureBasin(ctx, name, req)
}

func (s *service) GetBasinConfig(ctx context.Context, name protocol.BasinName) (protocol.BasinConfig, error) {
	if err := s.basin(name, protocol.OpGetBasinConfig); err != nil {
		return protocol.BasinConfig{}, err
	}
	return s.inner.GetBasinConfig(ctx, name)
}

func (s *service) ReconfigureBasin(ctx context.Context, name protocol.BasinName, change protocol.BasinReconfiguration) (protocol.BasinConfig, error) {
	if err := s.basin(name, protocol.OpReconfigureBasin); err != nil {
		return protocol.BasinConfig{}, err
	}
	return s.inner.ReconfigureBasin(ctx, name, change)
}

func (s *service) DeleteBasin(ctx context.Context, name protocol.BasinName) error {
	if err := s.basin(name, protocol.OpDeleteBasin); err != nil {
		return err
	}
	return s.inner.DeleteBasin(ctx, name)
}

func (s *service) ListStreams(ctx context.Context, basin protocol.BasinName, req protocol.ListRequest) (page protocol.StreamPage, err error) {
	if err := s.basin(basin, protocol.OpListStreams); err != nil {
		return page, err
	}
	size := req.PageSize()
	if s.prefix != "" {
		// A stream that is called just like the prefix would have no name, so the listing begins behind it.
		req.Prefix, req.StartAfter = s.prefix+req.Prefix, s.prefix+req.StartAfter
	}
	narrowed, some := narrow(s.scope.Streams, req)
	if !some {
		// Nothing to show; but whether the basin is there is known to a caller that may list it.
		_, err := s.inner.ListStreams(ctx, basin, protocol.ListRequest{Limit: 1})
		return page, err
	}
	for {
		got, err := s.inner.ListStreams(ctx, basin, narrowed)
		if err != nil {
			return protocol.StreamPage{}, err
		}
		got.Streams = keep(s.scope.Streams, got.Streams, &got.HasMore, func(i protocol.StreamInfo) string { return string(i.Name) })
		if n := len(got.Streams); n > 0 {
			narrowed.StartAfter = string(got.Streams[n-1].Name)
		}
		page.Streams, page.HasMore = s.own(page.Streams, got.Streams), got.HasMore
		if len(page.Streams) == size || !got.HasMore || s.prefix == "" {
			return page, nil
		}
		narrowed.Limit = size - len(page.Streams) // the two names that own leaves out have to be made up for
	}
}

// own appends to page those of infos that the caller can name, by the names it uses: the prefix and "." make no name, nor do
// the prefix and "..".
func (s *service) own(page, infos []protocol.StreamInfo) []protocol.StreamInfo {
	if s.prefix == "" {
		return infos
	}
	for _, info := range infos {
		info = s.shown(info)
		if _, err := protocol.ParseStreamName(string(info.Name)); err == nil {
			page = append(page, info)
		}
	}
	return page
}

// shown gives a stream the name that the caller uses.
func (s *service) shown(info protocol.StreamInfo) protocol.StreamInfo {
	info.Name = info.Name[min(len(s.prefix), len(info.Name)):]
	return info
}

func (s *service) CreateStream(ctx context.Context, basin protocol.BasinName, req protocol.CreateStreamRequest) (protocol.StreamInfo, protocol.ProvisionResult, error) {
	ref, err := s.stream(protocol.StreamRef{Basin: basin, Stream: req.Stream}, protocol.OpCreateStream)
	if err != nil {
		return protocol.StreamInfo{}, "", err
	}
	req.Stream = ref.Stream
	if req.Fork != nil {
		source, err := s.stream(protocol.StreamRef{Basin: basin, Stream: req.Fork.Source}, protocol.OpRead)
		if err != nil {
			return protocol.StreamInfo{}, "", err
		}
		req.Fork = &protocol.ForkRequest{Source: source.Stream, At: req.Fork.At}
		info, result, err := s.inner.CreateStream(ctx, basin, req)
		return s.shown(info), result, s.hide(s.hide(err, ref), source)
	}
	info, result, err := s.inner.CreateStream(ctx, basin, req)
	return s.shown(info), result, s.hide(err, ref)
}

func (s *service) EnsureStream(ctx context.Context, ref protocol.StreamRef, config protocol.StreamConfig) (protocol.StreamInfo, protocol.ProvisionResult, error) {
	ref, err := s.stream(ref, protocol.OpCreateStream, protocol.OpReconfigureStream)
	if err != nil {
		return protocol.StreamInfo{}, "", err
	}
	info, result, err := s.inner.EnsureStream(ctx, ref, config)
	return s.shown(info), result, s.hide(err, ref)
}

func (s *service) GetStreamConfig(ctx context.Context, ref protocol.StreamRef) (protocol.ResolvedStreamConfig, error) {
	ref, err := s.stream(ref, protocol.OpGetStreamConfig)
	if err != nil {
		return protocol.ResolvedStreamConfig{}, err
	}
	config, err := s.inner.GetStreamConfig(ctx, ref)
	return config, s.hide(err, ref)
}

func (s *service) ReconfigureStream(ctx context.Context, ref protocol.StreamRef, change protocol.StreamReconfiguration) (protocol.ResolvedStreamConfig, error) {
	ref, err := s.stream(ref, protocol.OpReconfigureStream)
	if err != nil {
		return protocol.ResolvedStreamConfig{}, err
	}
	config, err := s.inner.ReconfigureStream(ctx, ref, change)
	return config, s.hide(err, ref)
}

func (s *service) DeleteStream(ctx context.Context, ref protocol.StreamRef) error {
	ref, err := s.stream(ref, protocol.OpDeleteStream)
	if err != nil {
		return err
	}
	return s.hide(s.inner.DeleteStream(ctx, ref), ref)
}

// AccountMetrics leaves out the names of basins that are out of scope.
func (s *service) AccountMetrics(ctx context.Context, query protocol.MetricsQuery) ([]protocol.Metric, error) {
	if err := s.allow(protocol.OpAccountMetrics); err != nil {
		return nil, err
	}
	metrics, err := s.inner.AccountMetrics(ctx, query)
	for i := range metrics {
		if m := &metrics[i]; m.Kind == protocol.MetricLabel {
			names := m.Labels
			m.Labels = nil
			for _, name := range names {
				if s.scope.Basins.Matches(name) {
					m.Labels = append(m.Labels, name)
				}
			}
		}
	}
	return metrics, err
}

func (s *service) BasinMetrics(ctx context.Context, basin protocol.BasinName, query protocol.MetricsQuery) ([]protocol.Metric, error) {
	if err := s.basin(basin, protocol.OpBasinMetrics); err != nil {
		return nil, err
	}
	return s.inner.BasinMetrics(ctx, basin, query)
}

func (s *service) StreamMetrics(ctx context.Context, ref protocol.StreamRef, query protocol.MetricsQuery) ([]protocol.Metric, error) {
	ref, err := s.stream(ref, protocol.OpStreamMetrics)
	if err != nil {
		return nil, err
	}
	metrics, err := s.inner.StreamMetrics(ctx, ref, query)
	return metrics, s.hide(err, ref)
}

func (s *service) ListLocations(ctx context.Context) ([]protocol.LocationInfo, error) {
	if err := s.allow(protocol.OpListLocations); err != nil {
		return nil, err
	}
	return s.inner.ListLocations(ctx)
}

func (s *service) DefaultLocation(ctx context.Context) (protocol.LocationInfo, error) {
	if err := s.allow(protocol.OpGetDefaultLocation); err != nil {
		return protocol.LocationInfo{}, err
	}
	return s.inner.DefaultLocation(ctx)
}

func (s *service) SetDefaultLocation(ctx context.Context, name protocol.LocationName) (protocol.LocationInfo, error) {
	if err := s.allow(protocol.OpSetDefaultLocation); err != nil {
		return protocol.LocationInfo{}, err
	}
	return s.inner.SetDefaultLocation(ctx, name)
}
