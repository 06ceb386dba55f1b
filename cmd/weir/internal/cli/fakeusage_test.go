package cli_test

import (
	"context"
	"time"

	"github.com/weirstream/weir/protocol"
)

// The usage of the fake is invented: it shows what was asked.

func fakeMetric(kind protocol.MetricKind, name, unit string, q protocol.MetricsQuery, values ...float64) protocol.Metric {
	m := protocol.Metric{Kind: kind, Name: name, Unit: unit}
	if kind == protocol.MetricAccumulation {
		m.Interval = q.Interval
		if m.Interval == "" {
			m.Interval = protocol.IntervalMinute
		}
	}
	for i, v := range values {
		if v >= 0 {
			m.Points = append(m.Points, protocol.MetricPoint{At: time.Unix(int64(*q.Start)+60*int64(i), 0).UTC(), Value: v})
		}
	}
	return m
}

func (f *fakeService) AccountMetrics(_ context.Context, q protocol.MetricsQuery) ([]protocol.Metric, error) {
	if *q.Start > *q.End {
		return nil, protocol.Errorf(protocol.CodeInvalid, "start: is after the end")
	}
	if q.Set == protocol.MetricActiveBasins {
		return []protocol.Metric{{Kind: protocol.MetricLabel, Name: "active_basins", Labels: []string{"basin-one", "basin-two"}}}, nil
	}
	return []protocol.Metric{fakeMetric(protocol.MetricAccumulation, "create-basin", protocol.UnitOperations, q, 1, -1, 30),
		fakeMetric(protocol.MetricAccumulation, "list-basins", protocol.UnitOperations, q, -1, 20)}, nil
}

func (f *fakeService) BasinMetrics(_ context.Context, basin protocol.BasinName, q protocol.MetricsQuery) ([]protocol.Metric, error) {
	if basin == "idle-basin" {
		return []protocol.Metric{fakeMetric(protocol.MetricGauge, "storage", protocol.UnitBytes, q)}, nil
	}
	return []protocol.Metric{fakeMetric(protocol.MetricAccumulation, "express", protocol.UnitBytes, q, 1024, 1.5)}, nil
}

func (f *fakeService) StreamMetrics(_ context.Context, ref protocol.StreamRef, q protocol.MetricsQuery) ([]protocol.Metric, error) {
	return []protocol.Metric{fakeMetric(protocol.MetricGauge, "storage", protocol.UnitBytes, q, float64(len(ref.Stream)))}, nil
}
