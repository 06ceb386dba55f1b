package adapter

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// The server that leads the catalog goes away while streams are made: each call succeeds, and what it made is there.
func TestStreamsAreMadeWhileTheLeaderOfTheCatalogGoes(t *testing.T) {
	c := startCluster(t)
	h := c.broker(0, nil)
	b := h.basin("test-basin", protocol.BasinConfig{})
	var leader int
	eventually(t, "the catalog has a leader", func() bool {
		leader = c.leader(layout.Catalog("s2"))
		return leader >= 0
	})
	const workers, each = 3, 8
	var wg sync.WaitGroup
	begun := make(chan struct{}, workers*each)
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				begun <- struct{}{}
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // only a hang fails
				_, _, err := h.CreateStream(ctx, b, protocol.CreateStreamRequest{Stream: protocol.StreamName(fmt.Sprintf("%d-%d", w, i))})
				cancel()
				if err != nil {
					t.Errorf("stream %d-%d: %v", w, i, err)
				}
			}
		})
	}
	for range workers * each / 2 {
		<-begun
	}
	c.Server(leader).Shutdown()
	wg.Wait()
	page, err := h.ListStreams(t.Context(), b, protocol.ListRequest{})
	if err != nil || len(page.Streams) != workers*each {
		t.Errorf("%d streams, %v", len(page.Streams), err)
	}
}
