//go:build linux

package cluster

import (
	"os"
	"strings"
	"testing"
)

// setting is how a node is made up.
type setting string

const (
	embedded setting = "embedded" // a broker with its NATS server
	external setting = "external" // a stock nats-server, and a broker that keeps nothing
)

// settings are those that CLUSTER_SETTINGS names; without it both.
func settings(t *testing.T) (list []setting) {
	t.Helper()
	all := []setting{embedded, external}
	names := os.Getenv(settingsEnv)
	if names == "" {
		return all
	}
	for name := range strings.SplitSeq(names, ",") {
		found := false
		for _, s := range all {
			if string(s) == name {
				list, found = append(list, s), true
			}
		}
		if !found {
			t.Fatalf("%s: %q is neither %s nor %s", settingsEnv, name, embedded, external)
		}
	}
	return list
}
