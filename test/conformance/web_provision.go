package conformance

import (
	"encoding/json"
	"fmt"
	"regexp"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// webProvisionCases: control plane A.5 to A.13, statuses and headers.
var webProvisionCases = []WebCase{
	{Row: "cp A.5/105", Name: "a create as the Rust SDK sends it", Run: func(t *testing.T, e *WebEnv) {
		body := fmt.Sprintf(`{"basin":%q,"config":null,"location":null}`, e.freeBasinName())
		e.post("/v1/basins", body, jsonBody, "s2-request-token: 0123456789abcdef0123456789abcdef").is(201).has("S2-Provision-Result", "created")
	}},
	{Row: "cp 3.1", Name: "a basin, member by member", Run: func(t *testing.T, e *WebEnv) {
		name := e.freeBasinName()
		a := e.post("/v1/basins", fmt.Sprintf(`{"basin":%q}`, name), jsonBody).is(201).media("application/json")
		info := e.members(a.Body, "name", "location", "created_at", "deleted_at", "state")
		equal(t, "name", info["name"], any(string(name)))
		equal(t, "state", info["state"], any("active"))
		equal(t, "deleted_at", info["deleted_at"], nil)
		if !rfc3339.MatchString(fmt.Sprint(info["created_at"])) {
			t.Fatalf("created_at is %v", info["created_at"])
		}
		// A list has the same, character for character.
		e.get("/v1/basins?prefix=" + string(name)).ok().says(`{"basins":[` + string(a.Body) + `],"has_more":false}`)
		// And after deletion.
		e.ask("DELETE", "/v1/basins/"+string(name), "").is(202).says("")
		var page struct{ Basins []map[string]any }
		e.must(json.Unmarshal(e.get("/v1/basins?prefix="+string(name)).ok().Body, &page), "decode a page")
		for _, b := range page.Basins {
			equal(t, "state", b["state"], any("deleting"))
			equal(t, "created_at", b["created_at"], info["created_at"])
			if !rfc3339.MatchString(fmt.Sprint(b["deleted_at"])) {
				t.Fatalf("deleted_at is %v", b["deleted_at"])
			}
		}
	}},
	{Row: "cp 4.1", Name: "a stream, member by member", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin()
		a := e.post("/v1/streams", `{"stream":"a/€"}`, b.in(), jsonBody).is(201).has("S2-Provision-Result", "created")
		info := e.members(a.Body, "name", "created_at", "deleted_at", "cipher")
		equal(t, "name", info["name"], any("a/€"))
		equal(t, "deleted_at", info["deleted_at"], nil)
		equal(t, "cipher", info["cipher"], nil)
		e.get("/v1/streams", b.in()).ok().says(`{"streams":[` + string(a.Body) + `],"has_more":false}`)
		e.ask("DELETE", "/v1/streams/a%2F%E2%82%AC", "", b.in()).is(202).says("")
	}},
	{Row: "cp 3.2", Name: "statuses and results of a create", Run: func(t *testing.T, e *WebEnv) {
		name := e.freeBasinName()
		body := fmt.Sprintf(`{"basin":%q}`, name)
		first := e.post("/v1/basins", body, jsonBody, "s2-request-token: t").is(201).has("S2-Provision-Result", "created")
		e.post("/v1/basins", body, jsonBody, "s2-request-token: t").is(201).has("S2-Provision-Result", "noop").says(string(first.Body))
		a := e.post("/v1/basins", body, jsonBody, "s2-request-token: u")
		a.fails(protocol.CodeResourceAlreadyExists)
		a.has("S2-Provision-Result", "")
	}},
	{Row: "cp A.6/147", Name: "an ensure of a name that cannot be", Run: func(t *testing.T, e *WebEnv) {
		e.ask("PUT", "/v1/basins/BAD-NAME", "").fails(protocol.CodeBadPath)
	}},
	{Row: "cp A.6/148", Name: "statuses and results of an ensure", Run: func(t *testing.T, e *WebEnv) {
		path := "/v1/basins/" + string(e.freeBasinName())
		const config = `{"config":{"create_stream_on_read":true}}`
		first := e.ask("PUT", path, "").is(201).has("S2-Provision-Result", "created").media("application/json")
		e.ask("PUT", path, "").is(200).has("S2-Provision-Result", "noop").says(string(first.Body))
		e.ask("PUT", path, config, jsonBody).is(200).has("S2-Provision-Result", "updated").says(string(first.Body))
		e.ask("PUT", path, config, jsonBody).is(200).has("S2-Provision-Result", "noop")
	}},
	{Row: "cp A.10/215", Name: "an ensure of a stream wrapped in config", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin()
		e.ask("PUT", "/v1/streams/a", `{"config":{"storage_class":"standard"}}`, b.in(), jsonBody).is(201) // decision D-22
		equal(t, "class", b.Missing("a").Config().StorageClass, protocol.StorageExpress)
		e.ask("PUT", "/v1/streams/a", `{"storage_class":"standard"}`, b.in(), jsonBody).is(200).has("S2-Provision-Result", "updated")
		equal(t, "class", b.Missing("a").Config().StorageClass, protocol.StorageStandard)
	}},
	{Row: "cp A.9/196", Name: "a retention age of 0 in a basin that is not there", Run: func(t *testing.T, e *WebEnv) {
		e.post("/v1/streams", `{"stream":"a","config":{"retention_policy":{"age":0}}}`, e.NoBasin().in(), jsonBody).fails(protocol.CodeInvalid)
	}},
}

var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z$`)

// members decodes an object that must have exactly the given members.
func (e *WebEnv) members(body []byte, names ...string) map[string]any {
	e.t.Helper()
	var m map[string]any
	e.must(json.Unmarshal(body, &m), "decode")
	equal(e.t, fmt.Sprintf("members of %s", body), len(m), len(names))
	for _, name := range names {
		if _, ok := m[name]; !ok {
			e.t.Fatalf("%s has no member %s", body, name)
		}
	}
	return m
}
