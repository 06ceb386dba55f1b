package httpclient

import (
	"context"
	"net/http"
	"net/url"

	"github.com/weirstream/weir/protocol"
)

const metricsPath = "/v1/metrics"

func (c *Client) metrics(ctx context.Context, path string, q protocol.MetricsQuery) ([]protocol.Metric, error) {
	query := url.Values{}
	set := func(name, value string) {
		if value != "" {
			query.Set(name, value)
		}
	}
	set("set", string(q.Set))
	set("interval", string(q.Interval))
	if q.Start != nil {
		query.Set("start", number(uint64(*q.Start)))
	}
	if q.End != nil {
		query.Set("end", number(uint64(*q.End)))
	}
	answer, err := ask[protocol.MetricsAnswer](ctx, c, call{method: http.MethodGet, path: path + "?" + query.Encode()}, nil)
	return answer.Values, err
}

// AccountMetrics implements [protocol.MetricsService].
func (c *Client) AccountMetrics(ctx context.Context, q protocol.MetricsQuery) ([]protocol.Metric, error) {
	return c.metrics(ctx, metricsPath, q)
}

// BasinMetrics implements [protocol.MetricsService].
func (c *Client) BasinMetrics(ctx context.Context, basin protocol.BasinName, q protocol.MetricsQuery) ([]protocol.Metric, error) {
	return c.metrics(ctx, metricsPath+"/"+url.PathEscape(string(basin)), q)
}

// StreamMetrics implements [protocol.MetricsService].
func (c *Client) StreamMetrics(ctx context.Context, ref protocol.StreamRef, q protocol.MetricsQuery) ([]protocol.Metric, error) {
	return c.metrics(ctx, metricsPath+"/"+url.PathEscape(string(ref.Basin))+"/"+url.PathEscape(string(ref.Stream)), q)
}
