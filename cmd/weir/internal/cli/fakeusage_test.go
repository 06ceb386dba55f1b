package cli_test

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

func (f *fakeService) AccountMetrics(context.Context, protocol.MetricsQuery) ([]protocol.Metric, error) {
	return nil, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (f *fakeService) BasinMetrics(context.Context, protocol.BasinName, protocol.MetricsQuery) ([]protocol.Metric, error) {
	return nil, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (f *fakeService) StreamMetrics(context.Context, protocol.StreamRef, protocol.MetricsQuery) ([]protocol.Metric, error) {
	return nil, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}
