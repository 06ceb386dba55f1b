package conformance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// webNameCases: control plane A.1 and A.2, names and pages in paths, queries, headers and bodies.
var webNameCases = []WebCase{
	{Row: "cp A.1/30,31", Name: "request tokens of 36 and 37 bytes", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin()
		line := func(n int) string { return "s2-request-token: " + strings.Repeat("t", n) }
		body := fmt.Sprintf(`{"basin":%q}`, e.freeBasinName())
		e.post("/v1/basins", body, jsonBody, line(37)).fails(protocol.CodeBadHeader)
		e.post("/v1/basins", body, jsonBody, "s2-request-token: \xc3\xa9").fails(protocol.CodeBadHeader)
		e.post("/v1/basins", body, jsonBody, line(36)).is(201).has("S2-Provision-Result", "created")
		e.post("/v1/streams", `{"stream":"a"}`, b.in(), jsonBody, line(37)).fails(protocol.CodeBadHeader)
		e.post("/v1/streams", `{"stream":"a"}`, b.in(), jsonBody, line(36)).is(201)
		// The empty token is a token like any other.
		e.post("/v1/streams", `{"stream":"b"}`, b.in(), jsonBody, line(0)).is(201).has("S2-Provision-Result", "created")
		e.post("/v1/streams", `{"stream":"b"}`, b.in(), jsonBody, line(0)).is(201).has("S2-Provision-Result", "noop")
		// It is ignored elsewhere.
		e.ask("PUT", "/v1/streams/a", "", b.in(), line(37)).is(200)
		e.get("/v1/streams/a", b.in(), line(37)).ok()
	}},
	{Row: "cp A.1/32", Name: "streams of no basin", Run: func(t *testing.T, e *WebEnv) {
		e.get("/v1/streams").fails(protocol.CodeBadHeader)
		e.post("/v1/streams", `{"stream":"a"}`, jsonBody).fails(protocol.CodeBadHeader)
		for _, method := range []string{"GET", "PUT", "PATCH", "DELETE"} {
			e.ask(method, "/v1/streams/a", "", jsonBody).fails(protocol.CodeBadHeader)
		}
	}},
	{Row: "cp A.1/33", Name: "streams of a basin that cannot be", Run: func(t *testing.T, e *WebEnv) {
		for _, name := range []string{"BAD", "short", "", "under_score", "-hyphen-first", "hyphen-last-", strings.Repeat("a", 49)} {
			e.get("/v1/streams", "s2-basin: "+name).fails(protocol.CodeBadHeader)
			e.ask("DELETE", "/v1/streams/a", "", "s2-basin: "+name).fails(protocol.CodeBadHeader)
		}
	}},
	{Row: "cp A.1/34", Name: "a bad basin in the path", Run: func(t *testing.T, e *WebEnv) {
		for _, name := range []string{"UPPERCASE", "short", "%FF%FF%FF%FF%FF%FF%FF%FF", "with%2Fslash", "..", strings.Repeat("a", 49)} {
			for _, method := range []string{"GET", "PUT", "PATCH", "DELETE"} {
				e.ask(method, "/v1/basins/"+name, "", jsonBody).fails(protocol.CodeBadPath)
			}
		}
	}},
	{Row: "cp A.1/35", Name: "a bad name in a body", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin()
		for _, name := range []string{"UPPERCASE", "short", "", strings.Repeat("a", 49)} {
			e.post("/v1/basins", fmt.Sprintf(`{"basin":%q}`, name), jsonBody).fails(protocol.CodeBadJSON)
		}
		for _, name := range []string{"", ".", "..", strings.Repeat("a", 513), `a\u0000b`} {
			e.post("/v1/streams", `{"stream":"`+name+`"}`, b.in(), jsonBody).fails(protocol.CodeBadJSON)
		}
		b.Holds()
	}},
	{Row: "cp A.26/497", Name: "a stream's name is one segment of the path, escaped", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin()
		for segment, name := range map[string]string{
			"a%2Fb": "a/b", "a%20b": "a b", "100%25": "100%", "%E6%B5%81": "\u6d41", "a%2520b": "a%20b", "%2E%2E%2F": "../",
		} {
			e.ask("PUT", "/v1/streams/"+segment, "", b.in()).is(201)
			e.get("/v1/streams/"+segment, b.in()).ok()
			if _, err := e.Service.GetStreamConfig(e.ctx, protocol.StreamRef{Basin: b.Name, Stream: protocol.StreamName(name)}); err != nil {
				t.Errorf("%s is not %q: %v", segment, name, err)
			}
		}
	}},
	{Row: "cp A.26/499", Name: "a basin is ready when it was created", Run: func(t *testing.T, e *WebEnv) {
		name := e.freeBasinName()
		e.post("/v1/basins", fmt.Sprintf(`{"basin":%q}`, name), jsonBody).is(201)
		e.get("/v1/basins/" + string(name)).ok()
	}},
	{Row: "cp A.2/41", Name: "limits that cannot be read", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin()
		for _, limit := range []string{"-1", "x", "", "1.5", "18446744073709551616", "%201"} {
			e.get("/v1/basins?limit=" + limit).fails(protocol.CodeBadQuery)
			e.get("/v1/streams?limit="+limit, b.in()).fails(protocol.CodeBadQuery)
		}
		e.get("/v1/streams?limit=4294967296", b.in()).ok()
	}},
	{Row: "cp A.2/52", Name: "unknown parameters are ignored", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin()
		b.Stream("a")
		e.get("/v1/streams?nonsense=1&nonsense=2&prefix=&start_after=&limit=0", b.in()).ok()
	}},
	{Row: "cp A.2/53", Name: "repeated parameters", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin()
		for _, query := range []string{"prefix=a&prefix=a", "start_after=a&start_after=b", "limit=1&limit=1", "prefix=&prefix="} {
			e.get("/v1/basins?" + query).fails(protocol.CodeBadQuery)
			e.get("/v1/streams?"+query, b.in()).fails(protocol.CodeBadQuery)
		}
	}},
	{Row: "cp A.1/16,23", Name: "prefixes that no name begins with", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin()
		for _, name := range []string{"prefix", "start_after"} {
			for _, bad := range []string{strings.Repeat("a", 49), "-abc", "ab_cd", "ABC"} {
				e.get("/v1/basins?" + name + "=" + bad).fails(protocol.CodeBadQuery)
			}
			e.get("/v1/streams?"+name+"="+strings.Repeat("a", 513), b.in()).fails(protocol.CodeBadQuery)
			e.get("/v1/streams?"+name+"=%FF", b.in()).fails(protocol.CodeBadQuery)
			e.get("/v1/streams?"+name+"=a%00", b.in()).fails(protocol.CodeBadQuery)
			e.get("/v1/streams?"+name+"=..", b.in()).ok().says(`{"streams":[],"has_more":false}`)
		}
	}},
	{Row: "cp 1.3", Name: "parameters are form-encoded", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin()
		b.Stream("a b")
		b.Stream("a+b")
		for query, want := range map[string]string{"prefix=a+b": "a b", "prefix=a%20b": "a b", "prefix=a%2Bb": "a+b", "start_after=a+b": "a+b"} {
			page, err := protocol.DecodeJSON[protocol.StreamPage](e.get("/v1/streams?"+query, b.in()).ok().Body)
			e.must(err, "decode a page")
			if len(page.Streams) != 1 || string(page.Streams[0].Name) != want {
				t.Fatalf("%s: got %+v, want %q", query, page, want)
			}
		}
	}},
}
