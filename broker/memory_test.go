package broker

import (
	"errors"
	"testing"
)

// TestMemoryLimit: the setting comes first, then GOMEMLIMIT, then a part of what there is.
func TestMemoryLimit(t *testing.T) {
	there := func() (uint64, error) { return 1000, nil }
	for _, tt := range []struct {
		name  string
		set   int64
		env   string
		there func() (uint64, error)
		want  int64
	}{
		{"set", 5, "1GiB", there, 5},
		{"by the environment", 0, "1GiB", there, 0},
		{"of the machine", 0, "", there, 800},
		{"unknown", 0, "", func() (uint64, error) { return 0, errors.New("no") }, 0},
		{"without a bound", 0, "", func() (uint64, error) { return 1 << 63, nil }, 0},
	} {
		if got, from := memoryLimit(tt.set, tt.env, tt.there); got != tt.want || from == "" {
			t.Errorf("%s: %d from %q, want %d", tt.name, got, from, tt.want)
		}
	}
}
