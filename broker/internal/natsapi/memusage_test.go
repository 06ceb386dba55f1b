package natsapi_test

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

func (m *memory) AccountMetrics(context.Context, protocol.MetricsQuery) ([]protocol.Metric, error) {
	return nil, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (m *memory) BasinMetrics(context.Context, protocol.BasinName, protocol.MetricsQuery) ([]protocol.Metric, error) {
	return nil, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (m *memory) StreamMetrics(context.Context, protocol.StreamRef, protocol.MetricsQuery) ([]protocol.Metric, error) {
	return nil, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}
