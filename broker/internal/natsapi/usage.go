package natsapi

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

func accountMetrics(ctx context.Context, c *call) (reply, error) {
	q, err := decodeBody(c, protocol.DecodeMetricsQueryJSON)
	if err != nil {
		return reply{}, err
	}
	metrics, err := c.svc.AccountMetrics(ctx, q)
	return c.metricsReply(metrics, err)
}

func basinMetrics(ctx context.Context, c *call) (reply, error) {
	basin, err := c.basin()
	if err != nil {
		return reply{}, err
	}
	q, err := decodeBody(c, protocol.DecodeMetricsQueryJSON)
	if err != nil {
		return reply{}, err
	}
	metrics, err := c.svc.BasinMetrics(ctx, basin, q)
	return c.metricsReply(metrics, err)
}

func streamMetrics(ctx context.Context, c *call) (reply, error) {
	ref, err := c.stream()
	if err != nil {
		return reply{}, err
	}
	q, err := decodeBody(c, protocol.DecodeMetricsQueryJSON)
	if err != nil {
		return reply{}, err
	}
	metrics, err := c.svc.StreamMetrics(ctx, ref, q)
	return c.metricsReply(metrics, err)
}

// metricsReply refuses an answer that does not fit a message: a month of minutes of many operations.
func (c *call) metricsReply(metrics []protocol.Metric, err error) (reply, error) {
	if err != nil {
		return reply{}, err
	}
	r, err := jsonReply(protocol.MetricsAnswer{Values: metrics})
	if limit := c.room(); err == nil && len(r.body) > limit {
		return reply{}, protocol.Errorf(protocol.CodeInvalid,
			"start, end, interval: the answer has %d bytes and a message at most %d: ask for less time or a wider interval", len(r.body), limit)
	}
	return r, err
}
