package protocol_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

func TestLocationsJSON(t *testing.T) {
	sameJSON(t, protocol.LocationInfo{Name: "aws:us-east-1"}, `{"name":"aws:us-east-1","is_private":false}`)
	sameJSON(t, protocol.LocationInfo{Name: "local", StorageClasses: protocol.StorageClasses(), DefaultStorageClass: "express"},
		`{"name":"local","is_private":false,"storage_classes":["express","standard"],"default_storage_class":"express"}`)
	sameJSON(t, protocol.Locations(nil), `[]`)
	all := protocol.Locations{{Name: "local", IsPrivate: true}, {Name: "Other.1"}}
	sameJSON(t, all, `[{"name":"local","is_private":true},{"name":"Other.1","is_private":false}]`)
	if got := throughJSON(t, all); !reflect.DeepEqual(got, all) {
		t.Fatalf("got %+v", got)
	}
	for _, text := range []string{`{}`, `null`, `[{"name":"local"}]`, `[{"is_private":true}]`, `[{"name":"","is_private":true}]`, `[null]`,
		`[{"name":"local","is_private":null}]`, `["local"]`, `[] []`} {
		wantCode(t, decodes[protocol.Locations](text), protocol.CodeBadJSON)
	}
	t.Run("3.1 a basin's location", func(t *testing.T) {
		b, err := protocol.DecodeJSON[protocol.BasinInfo]([]byte(`{"name":"demo-basin","location":"aws:us-east-1","created_at":"2026-01-02T03:04:05Z"}`))
		if err != nil || b.Location != "aws:us-east-1" || throughJSON(t, b) != b {
			t.Fatalf("got %+v, %v", b, err)
		}
	})
}

// TestLocationNames: control plane A.1/28 and 29.
func TestLocationNames(t *testing.T) {
	for _, good := range []string{"a", "aws:us-east-1", "cloud:US-West-2.edge", strings.Repeat("x", 64)} {
		if got, err := protocol.ParseLocationName(good); err != nil || string(got) != good {
			t.Errorf("%q: got %q, %v", good, got, err)
		}
	}
	for _, bad := range []string{"", "a b", "a_b", "a/b", "é", strings.Repeat("x", 65)} {
		if got, err := protocol.ParseLocationName(bad); err == nil {
			t.Errorf("%q is accepted as %q", bad, got)
		}
	}
}

// TestLocationName: control plane A.22/407 and 409, the body that sets the default.
func TestLocationName(t *testing.T) {
	for _, name := range []protocol.LocationName{"local", "aws:us-east-1", "A.b-9:", protocol.LocationName(strings.Repeat("x", 64))} {
		if got, err := protocol.DecodeLocationName(protocol.EncodeLocationName(name)); err != nil || got != name {
			t.Errorf("%q: got %q, %v", name, got, err)
		}
	}
	for _, text := range []string{``, `""`, `local`, `null`, `1`, `{"name":"local"}`, `["local"]`, `"a b"`, `"a_b"`, `"é"`, `"a" "b"`,
		`"` + strings.Repeat("x", 65) + `"`} {
		_, err := protocol.DecodeLocationName([]byte(text))
		wantCode(t, err, protocol.CodeBadJSON)
	}
}
