package client

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

// metricsBody is the body of a query of usage metrics.
type metricsBody protocol.MetricsQuery

func (b metricsBody) MarshalJSON() ([]byte, error) {
	return protocol.EncodeMetricsQueryJSON(protocol.MetricsQuery(b)), nil
}

func (c *Client) metrics(ctx context.Context, subject string, q protocol.MetricsQuery) ([]protocol.Metric, error) {
	answer, _, err := call[protocol.MetricsAnswer](ctx, c, c.ask, subject, nil, metricsBody(q))
	return answer.Values, err
}

// AccountMetrics implements [protocol.MetricsService].
func (c *Client) AccountMetrics(ctx context.Context, q protocol.MetricsQuery) ([]protocol.Metric, error) {
	return c.metrics(ctx, c.subjects.Metrics("", ""), q)
}

// BasinMetrics implements [protocol.MetricsService]. Row A.21/397: an empty name has code bad_path and is not sent.
func (c *Client) BasinMetrics(ctx context.Context, basin protocol.BasinName, q protocol.MetricsQuery) ([]protocol.Metric, error) {
	if basin == "" {
		return nil, errEmptyName("basin")
	}
	return c.metrics(ctx, c.subjects.Metrics(basin, ""), q)
}

// StreamMetrics implements [protocol.MetricsService]. Row A.21/397: an empty name has code bad_path and is not sent.
func (c *Client) StreamMetrics(ctx context.Context, ref protocol.StreamRef, q protocol.MetricsQuery) ([]protocol.Metric, error) {
	if ref.Basin == "" || ref.Stream == "" {
		return nil, errEmptyName("basin or the stream")
	}
	return c.metrics(ctx, c.subjects.Metrics(ref.Basin, ref.Stream), q)
}

// errEmptyName refuses an empty name, which would make a subject of another meaning.
func errEmptyName(of string) *protocol.Error {
	return protocol.Errorf(protocol.CodeBadPath, "the name of the %s is empty", of)
}
