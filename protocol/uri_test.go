package protocol_test

import (
	"testing"

	"github.com/weirstream/weir/protocol"
)

// TestURIRows: control plane A.25/464 to 470.
func TestURIRows(t *testing.T) {
	basin := func(s string) error { _, _, err := protocol.ParseBasinURI(s); return err }
	stream := func(s string) error { _, err := protocol.ParseStreamURI(s); return err }
	for _, c := range []struct {
		name  string
		parse func(string) error
		in    string
		want  string // "" for no error
	}{
		{"cp A.25/464 bare name", basin, "valid-basin", ""},
		{"cp A.25/465 bare name as a stream", stream, "valid-basin", "does not begin with s2://"},
		{"cp A.25/466 basin URI", basin, "s2://valid-basin", ""},
		{"cp A.25/466 basin URI with a slash", basin, "s2://valid-basin/", ""},
		{"cp A.25/467 stream is missing", stream, "s2://valid-basin/", "names no stream"},
		{"cp A.25/468 stream", stream, "s2://valid-basin/stream/name", ""},
		{"cp A.25/469 another scheme for a basin", basin, "http://valid-basin", "s2://"},
		{"cp A.25/469 another scheme for a stream", stream, "foo://valid-basin/stream", "s2://"},
		{"cp A.25/470 invalid basin", basin, "s2://-invalid-basin", "basin name"},
		{"cp A.25/470 no basin", stream, "s2:///stream/name", "basin name"},
	} {
		t.Run(c.name, func(t *testing.T) { wantName(t, c.parse(c.in), c.want) })
	}
	ref, err := protocol.ParseStreamURI("s2://valid-basin/stream/name")
	if err != nil || ref.Stream != "stream/name" {
		t.Errorf("cp A.25/468: got %q, %v", ref.Stream, err)
	}
}
