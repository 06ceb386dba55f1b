package adapter

import (
	"testing"

	"github.com/weirstream/weir/protocol"
)

// The catalog is read in the order of its last changes, so a basin that was reconfigured comes after its streams.
func TestStreamsOutliveAReconfigurationOfTheirBasin(t *testing.T) {
	h := newHarness(t)
	b := h.basin("test-basin", protocol.BasinConfig{})
	ref := h.stream(b, "s", protocol.StreamConfig{})
	h.mustAppend(ref, body("kept"))
	flag := true
	if _, err := h.ReconfigureBasin(t.Context(), b, protocol.BasinReconfiguration{CreateStreamOnAppend: &flag}); err != nil {
		t.Fatal(err)
	}
	h.reopen()
	if _, err := h.GetStreamConfig(t.Context(), ref); err != nil {
		t.Fatalf("after a restart: %v", err)
	}
	if got := h.read(ref, 0); len(got) != 1 {
		t.Fatalf("%d records after a restart, want 1", len(got))
	}
}
