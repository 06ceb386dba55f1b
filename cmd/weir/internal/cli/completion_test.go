package cli_test

import (
	"strings"
	"testing"
)

// TestCompletion: the shell's hidden verb offers basins and streams of the broker.
func TestCompletion(t *testing.T) {
	svc := newFake()
	for _, line := range []string{"create-basin alpha-basin", "create-basin beta-basin", "create-stream s2://alpha-basin/logs/a", "create-stream s2://alpha-basin/logs/b", "create-stream s2://alpha-basin/x"} {
		if r := weir(svc, "", strings.Fields(line)...); r.code != 0 {
			t.Fatal(line, r.stderr.String())
		}
	}
	for _, tc := range []struct{ typed, want string }{
		{"delete-basin a", "alpha-basin"},
		{"list-streams s2://b", "s2://beta-basin"},
		{"read s2://", "s2://alpha-basin/ s2://beta-basin/"},
		{"read s2://alpha-basin/logs/", "s2://alpha-basin/logs/a s2://alpha-basin/logs/b"},
		{"read s2://gamma-basin/", ""},
		{"check-tail s2://alpha-basin/x s2", ""},
		{"diff s2://alpha-basin/x s2://alpha-basin/logs/a", "s2://alpha-basin/logs/a"},
	} {
		r := weir(svc, "", append([]string{"__complete"}, strings.Fields(tc.typed)...)...)
		var got []string
		for line := range strings.Lines(r.stdout.String()) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, ":") {
				got = append(got, line)
			}
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%q offers %q, want %q", tc.typed, got, tc.want)
		}
	}
}
