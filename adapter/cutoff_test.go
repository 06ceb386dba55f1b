package adapter

import (
	"context"
	"testing"
	"time"

	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/natscluster"
)

// A broker that is cut off from most servers does not know whether its tokens still count, and says so until it is back.
func TestTokensOfABrokerThatIsCutOff(t *testing.T) {
	c := startCluster(t)
	h := c.broker(0, nil)
	b := c.broker(1, nil).basin("test-basin", protocol.BasinConfig{})
	eventually(t, "the broker knows of the basin", func() bool {
		_, _, known := h.catalog.View.Basin(b)
		return known
	})
	if err := h.TokensCurrent(); err != nil {
		t.Fatalf("at the start: %v", err)
	}
	for _, i := range []int{1, 2} {
		c.Stop(i)
	}
	eventually(t, "the broker does not trust its tokens", func() bool { return protocol.CodeOf(h.TokensCurrent()) == protocol.CodeUnavailable })
	for _, i := range []int{1, 2} {
		c.StartAgain(i)
	}
	eventually(t, "the broker trusts its tokens again", func() bool { return h.TokensCurrent() == nil })
}

// A broker that is cut off together with the server that leads the catalog, which does not know that others may have been elected, does not say that a
// name does not exist: another broker may have made it.
func TestNamesAtABrokerThatIsCutOff(t *testing.T) {
	c := startCluster(t)
	bucket := layout.Catalog("S2")
	h := c.broker(0, nil)
	var leader int
	eventually(t, "the catalog has a leader", func() bool {
		leader = c.leader(bucket)
		return leader >= 0
	})
	if leader > 0 {
		h = c.broker(leader, nil)
	}
	if _, err := h.GetBasinConfig(t.Context(), "test-basin"); protocol.CodeOf(err) != protocol.CodeBasinNotFound {
		t.Fatalf("with contact: %v", err)
	}
	for i := range natscluster.Size {
		if i != leader {
			c.Stop(i)
		}
	}
	eventually(t, "the last contact is long ago", func() bool { return h.leaseAge() > time.Second })
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := h.GetBasinConfig(ctx, "test-basin"); protocol.CodeOf(err) != protocol.CodeUnavailable {
		t.Errorf("without contact: %v", err)
	}
}
