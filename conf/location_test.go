package conf

import (
	"slices"
	"testing"
)

func TestLocationNames(t *testing.T) {
	if got := Default().LocationNames(); !slices.Equal(got, []string{"local"}) {
		t.Errorf("by default: %q", got)
	}
	c := Config{Locations: "a, b,c "}
	if got := c.LocationNames(); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("got %q", got)
	}
}

// TestInitFileVariables: S2's variable is known (control plane 9.3), and weir's own goes over it, whatever their order.
func TestInitFileVariables(t *testing.T) {
	for _, tc := range []struct {
		environ []string
		want    string
	}{
		{nil, ""},
		{[]string{"S2LITE_INIT_FILE=theirs"}, "theirs"},
		{[]string{"WEIR_INIT_FILE=ours"}, "ours"},
		{[]string{"WEIR_INIT_FILE=ours", "S2LITE_INIT_FILE=theirs"}, "ours"},
		{[]string{"S2LITE_INIT_FILE=theirs", "WEIR_INIT_FILE=ours"}, "ours"},
	} {
		c := Default()
		if err := c.ApplyEnv(tc.environ); err != nil || c.InitFile != tc.want {
			t.Errorf("%q: got %q, %v", tc.environ, c.InitFile, err)
		}
	}
}
