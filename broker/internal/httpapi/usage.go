package httpapi

import (
	"context"
	"net/http"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/protocol"
)

func (c *call) accountMetrics() error {
	q, err := c.metricsQuery()
	if err != nil {
		return err
	}
	ctx, cancel := c.unary(noWait)
	defer cancel()
	return c.answerMetrics(ctx, func() ([]protocol.Metric, error) { return c.svc.AccountMetrics(ctx, q) })
}

func (c *call) basinMetrics() error {
	basin, err := c.basinParam()
	if err != nil {
		return err
	}
	q, err := c.metricsQuery()
	if err != nil {
		return err
	}
	ctx, cancel := c.unary(noWait)
	defer cancel()
	return c.answerMetrics(ctx, func() ([]protocol.Metric, error) { return c.svc.BasinMetrics(ctx, basin, q) })
}

func (c *call) streamMetrics() (err error) {
	var ref protocol.StreamRef
	if ref.Basin, err = c.basinParam(); err != nil {
		return err
	}
	if ref.Stream, err = c.streamParam(1); err != nil {
		return err
	}
	q, err := c.metricsQuery()
	if err != nil {
		return err
	}
	ctx, cancel := c.unary(noWait)
	defer cancel()
	return c.answerMetrics(ctx, func() ([]protocol.Metric, error) { return c.svc.StreamMetrics(ctx, ref, q) })
}

// metricsQuery decodes the query of control plane 6.1; the service validates it. The error has code bad_query.
func (c *call) metricsQuery() (out protocol.MetricsQuery, err error) {
	q, err := parseQuery(c.r.URL.RawQuery, metricsParams)
	if err != nil {
		return out, err
	}
	if v := q.text("set"); v != nil {
		out.Set = protocol.MetricSet(*v)
	}
	if v := q.text("interval"); v != nil {
		if out.Interval = protocol.MetricInterval(*v); out.Interval == "" {
			return out, protocol.Errorf(protocol.CodeBadQuery, "interval: want minute, hour or day")
		}
	}
	if out.Start, err = q.seconds("start"); err != nil {
		return out, err
	}
	out.End, err = q.seconds("end")
	return out, err
}

// seconds reads an optional parameter of 32 bits.
func (q *query) seconds(name string) (*uint32, error) {
	n, err := q.uint(name, 32)
	if err != nil || n == nil {
		return nil, err
	}
	secs := uint32(*n) // 32 bits
	return &secs, nil
}

func (c *call) answerMetrics(ctx context.Context, ask func() ([]protocol.Metric, error)) error {
	metrics, err := ask()
	if err != nil {
		return door.CauseOf(ctx, err)
	}
	return c.answerJSON(http.StatusOK, protocol.MetricsAnswer{Values: metrics})
}
