package conformance

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// webLocationCases: control plane A.22, bodies and codes.
var webLocationCases = []WebCase{
	{Row: "cp A.22/404", Name: "the list of locations is a bare array", Run: func(t *testing.T, e *WebEnv) {
		var all []json.RawMessage
		e.must(json.Unmarshal(e.get("/v1/locations").ok().Body, &all), "decode the locations")
		equal(t, "there are some", len(all) > 0, true)
		for _, l := range all {
			info := e.members(l, "name", "is_private", "storage_classes", "default_storage_class")
			if name, _ := info["name"].(string); name == "" {
				t.Fatalf("%s has no name", l)
			}
			if _, ok := info["is_private"].(bool); !ok {
				t.Fatalf("%s: is_private is no boolean", l)
			}
		}
	}},
	{Row: "cp A.22/407", Name: "a default that cannot be a name", Run: func(t *testing.T, e *WebEnv) {
		for _, body := range []string{`""`, `"a b"`, `"a_b"`, ``, `local`, `null`, `{}`, `["local"]`, `1`, `"local" "local"`} {
			e.ask("PUT", "/v1/locations/default", body, jsonBody).fails(protocol.CodeBadJSON)
		}
		e.ask("PUT", "/v1/locations/default", `"local"`).fails(protocol.CodeBadJSON) // no content type
	}},
	{Row: "cp A.22/409", Name: "the default is set with a bare string", Run: func(t *testing.T, e *WebEnv) {
		current := e.get("/v1/locations/default").ok()
		name := e.members(current.Body, "name", "is_private", "storage_classes", "default_storage_class")["name"]
		e.ask("PUT", "/v1/locations/default", fmt.Sprintf("%q", name), jsonBody).ok().says(string(current.Body))
		e.ask("PUT", "/v1/locations/default", `"nowhere"`, jsonBody).fails(protocol.CodeInvalid)
	}},
	{Row: "cp A.5/125,126", Name: "a basin shows its location", Run: func(t *testing.T, e *WebEnv) {
		name := e.defaultLocation()
		for _, asked := range []string{`null`, fmt.Sprintf("%q", name)} {
			a := e.post("/v1/basins", fmt.Sprintf(`{"basin":%q,"location":%s}`, e.freeBasinName(), asked), jsonBody).is(201)
			equal(t, "location", e.members(a.Body, "name", "location", "created_at", "deleted_at", "state")["location"], any(string(name)))
		}
	}},
}
