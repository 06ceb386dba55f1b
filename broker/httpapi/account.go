package httpapi

import (
	"slices"

	"github.com/weirstream/weir/protocol"
)

// The operations below are decoded, so that malformed requests get what they will always get, and then refused
// (control plane 6, D-12).

// The sets of control plane 6.2.
var (
	accountSets = []string{"active-basins", "account-ops"}
	basinSets   = []string{"storage", "append-ops", "read-ops", "read-throughput", "append-throughput", "basin-ops"}
	streamSets  = []string{"storage"}
)

func (c *call) accountMetrics() error { return c.usage(accountSets) }

func (c *call) basinMetrics() error {
	if _, err := c.basinParam(0); err != nil {
		return err
	}
	return c.usage(basinSets)
}

func (c *call) streamMetrics() error {
	if _, err := c.basinParam(0); err != nil {
		return err
	}
	if _, err := c.streamParam(1); err != nil {
		return err
	}
	return c.usage(streamSets)
}

// usage decodes the query of control plane 6.1.
func (c *call) usage(sets []string) error {
	q, err := parseQuery(c.r.URL.RawQuery, metricsParams)
	if err != nil {
		return err
	}
	if set := q.text("set"); set == nil || !slices.Contains(sets, *set) {
		return protocol.Errorf(protocol.CodeBadQuery, "set: want one of %q", sets)
	}
	for _, name := range []string{"start", "end"} {
		if _, err := q.uint(name, 32); err != nil {
			return err
		}
	}
	if v := q.text("interval"); v != nil && !slices.Contains([]string{"minute", "hour", "day"}, *v) {
		return protocol.Errorf(protocol.CodeBadQuery, "interval: want minute, hour or day")
	}
	return notImplemented("usage metrics")
}
