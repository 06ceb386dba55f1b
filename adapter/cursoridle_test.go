package adapter

import (
	"context"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// TestCursorsThatRestKeepNobodyWaiting: readers that stop in the middle of what they have fetched hold nothing that another reader needs.
func TestCursorsThatRestKeepNobodyWaiting(t *testing.T) {
	h := newHarness(t)
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	s := h.handle(ref)
	defer s.Close()
	for range 4 {
		if _, err := h.append(ref, protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, 900<<10)}}}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range 60 {
		c := s.Scan(0, 4)
		defer c.Close()
		for range 2 { // the second record comes with a batch that has more
			if _, err := c.Next(ctx); err != nil {
				t.Fatalf("reader %d: %v", i, err)
			}
		}
	}
}
