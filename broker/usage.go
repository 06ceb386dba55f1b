package broker

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

func (s *service) AccountMetrics(context.Context, protocol.MetricsQuery) ([]protocol.Metric, error) {
	return nil, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (s *service) BasinMetrics(context.Context, protocol.BasinName, protocol.MetricsQuery) ([]protocol.Metric, error) {
	return nil, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (s *service) StreamMetrics(context.Context, protocol.StreamRef, protocol.MetricsQuery) ([]protocol.Metric, error) {
	return nil, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}
