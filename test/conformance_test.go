package test

import (
	"testing"

	"github.com/weirstream/weir/test/conformance"
)

func TestConformance(t *testing.T) {
	for _, door := range doors {
		t.Run(door.Name, func(t *testing.T) { conformance.Run(t, door) })
	}
}
