package client_test

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/protocol"
)

// TestEmptyNamesAreNotSent: control plane A.19/353 and A.21/397. A connection that was never opened would tell.
func TestEmptyNamesAreNotSent(t *testing.T) {
	c := client.New(&nats.Conn{}, client.Options{})
	for name, ask := range map[string]func() error{
		"revoke a token": func() error { return c.RevokeAccessToken(t.Context(), "") },
		"metrics of a basin": func() error {
			_, err := c.BasinMetrics(t.Context(), "", protocol.MetricsQuery{})
			return err
		},
		"metrics of a basin's stream": func() error {
			_, err := c.StreamMetrics(t.Context(), protocol.StreamRef{Basin: "demo-basin"}, protocol.MetricsQuery{})
			return err
		},
		"metrics of a stream without its basin": func() error {
			_, err := c.StreamMetrics(t.Context(), protocol.StreamRef{Stream: "a"}, protocol.MetricsQuery{})
			return err
		},
	} {
		if err := ask(); protocol.CodeOf(err) != protocol.CodeBadPath {
			t.Errorf("%s: %v", name, err)
		}
	}
}
