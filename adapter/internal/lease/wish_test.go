package lease

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

func TestWishesToDrain(t *testing.T) {
	m := &machine{nodes: map[string]*nodeView{}}
	for name, rec := range map[string]nodeRecord{
		"a": {Incarnation: "1", State: Live}, "b": {Incarnation: "2", State: Live, Draining: true}, "c": {Incarnation: "3", State: Dead}, "d": {Incarnation: "4", State: Left},
	} {
		m.nodes[name] = &nodeView{rec: rec}
	}
	for _, tc := range []struct {
		node     string
		draining bool
		refused  string // part of the error
	}{
		{"b", true, ""}, // again
		{"b", false, ""},
		{"a", false, ""},
		{"a", true, "the others drain as well"},
		{"c", true, "these are a, b"},
		{"d", false, "these are a, b"},
		{"unknown", true, `"unknown" is not a live node`},
	} {
		got, err := m.wish(tc.node, tc.draining)
		switch {
		case tc.refused != "":
			if protocol.CodeOf(err) != protocol.CodeInvalid || !strings.Contains(err.Error(), tc.refused) {
				t.Errorf("%s, %v: got %v, want %q", tc.node, tc.draining, err, tc.refused)
			}
		case err != nil || got != wishRecord{m.nodes[tc.node].rec.Incarnation, tc.draining}:
			t.Errorf("%s, %v: got %+v, %v", tc.node, tc.draining, got, err)
		}
	}
}
