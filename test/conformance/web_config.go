package conformance

import (
	"fmt"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// webConfigCases: control plane A.3, bodies of configurations.
var webConfigCases = []WebCase{
	{Row: "cp A.3/56,57", Name: "a retention age of 0", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin()
		s := b.Stream("stream")
		const zero = `{"retention_policy":{"age":0}}`
		free := e.freeBasinName()
		e.post("/v1/streams", `{"stream":"new","config":`+zero+`}`, b.in(), jsonBody).fails(protocol.CodeInvalid)
		e.ask("PATCH", s.path(""), zero, b.in(), jsonBody).fails(protocol.CodeInvalid)
		e.ask("PUT", s.path(""), zero, b.in(), jsonBody).fails(protocol.CodeInvalid)
		e.post("/v1/basins", fmt.Sprintf(`{"basin":%q,"config":{"default_stream_config":%s}}`, free, zero), jsonBody).fails(protocol.CodeInvalid)
		e.ask("PUT", "/v1/basins/"+string(free), `{"config":{"default_stream_config":`+zero+`}}`, jsonBody).fails(protocol.CodeInvalid)
		e.ask("PATCH", "/v1/basins/"+string(b.Name), `{"default_stream_config":`+zero+`}`, jsonBody).fails(protocol.CodeInvalid)
		b.Holds("stream")
		e.get("/v1/basins/" + string(free)).fails(protocol.CodeBasinNotFound)
	}},
	{Row: "cp A.3/58,59,61,66", Name: "values of no meaning", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin()
		for _, config := range []string{`{"retention_policy":{"age":-1}}`, `{"retention_policy":{"age":1.5}}`, `{"retention_policy":{"age":"60"}}`,
			`{"retention_policy":{}}`, `{"retention_policy":{"age":1,"infinite":{}}}`, `{"retention_policy":{"forever":{}}}`,
			`{"retention_policy":"infinite"}`, `{"retention_policy":{"infinite":null}}`, `{"retention_policy":{"age":18446744073709551616}}`,
			`{"storage_class":"STANDARD"}`, `{"storage_class":""}`, `{"storage_class":"1a"}`, `{"storage_class":"-a"}`, `{"storage_class":"a_b"}`, `{"storage_class":"a b"}`, `{"storage_class":1}`, `{"timestamping":{"mode":"server"}}`,
			`{"timestamping":{"uncapped":"yes"}}`, `{"timestamping":[]}`, `{"delete_on_empty":{"min_age_secs":null}}`,
			`{"delete_on_empty":{"min_age_secs":-1}}`, `{"storage_class":"express","storage_class":"express"}`, `[]`, `"x"`, `1`, `{`} {
			e.ask("PUT", "/v1/streams/new", config, b.in(), jsonBody).fails(protocol.CodeBadJSON)
			e.post("/v1/streams", `{"stream":"new","config":`+config+`}`, b.in(), jsonBody).fails(protocol.CodeBadJSON)
		}
		b.Holds()
	}},
	{Row: "cp A.3/72", Name: "unknown members are ignored", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin()
		e.post("/v1/streams", `{"x":[{}],"stream":"a","config":{"y":{"z":null},"timestamping":{"w":1}}}`, b.in(), jsonBody).is(201)
		e.ask("PATCH", "/v1/streams/a", `{"x":1}`, b.in(), jsonBody).ok()
		e.ask("PUT", "/v1/streams/a", `{"x":1}`, b.in(), jsonBody).is(200)
	}},
	{Row: "cp A.3/73", Name: "no body where one is needed", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		b := s.basin()
		e.post("/v1/basins", "", jsonBody).fails(protocol.CodeBadJSON)
		e.post("/v1/streams", "", b.in(), jsonBody).fails(protocol.CodeBadJSON)
		e.ask("PATCH", "/v1/basins/"+string(b.Name), "", jsonBody).fails(protocol.CodeBadJSON)
		e.ask("PATCH", s.path(""), "", b.in(), jsonBody).fails(protocol.CodeBadJSON)
	}},
	{Row: "cp A.3/74", Name: "bodies of another type", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		b := s.basin()
		for _, lines := range [][]string{{"content-type: text/plain"}, {protoBody}, {}, {"content-type: nonsense"}, {"content-type: "}} {
			e.post("/v1/basins", fmt.Sprintf(`{"basin":%q}`, e.freeBasinName()), lines...).fails(protocol.CodeBadJSON)
			lines = append(lines, b.in())
			e.post("/v1/streams", `{"stream":"a"}`, lines...).fails(protocol.CodeBadJSON)
			e.ask("PATCH", s.path(""), "{}", lines...).fails(protocol.CodeBadJSON)
		}
		e.ask("PUT", s.path(""), "{}", b.in(), "content-type: text/plain").fails(protocol.CodeBadJSON)
		e.ask("PUT", "/v1/basins/"+string(b.Name), "{}", protoBody).fails(protocol.CodeBadJSON)
	}},
	{Row: "cp A.3/75", Name: "JSON with parameters", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin()
		for i, media := range []string{"application/json; charset=utf-8", "application/problem+json", "Application/JSON"} {
			e.post("/v1/streams", fmt.Sprintf(`{"stream":"s%d"}`, i), b.in(), "content-type: "+media).is(201)
		}
	}},
	{Row: "cp A.3/76", Name: "the first of several types counts", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin()
		e.post("/v1/streams", `{"stream":"a"}`, b.in(), "content-type: application/json , x/y").is(201)
		e.post("/v1/streams", `{"stream":"b"}`, b.in(), "content-type: x/y, application/json").fails(protocol.CodeBadJSON)
	}},
	{Row: "cp A.3/77", Name: "a type that cannot be read is none", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		for _, media := range []string{"", "nonsense", "\xff\xfe", "/", "application/", "; charset=utf-8"} {
			e.post("/v1/streams", `{"stream":"a"}`, s.in(), "content-type: "+media).fails(protocol.CodeBadJSON)
			e.ask("PATCH", s.path(""), "{}", s.in(), "content-type: "+media).fails(protocol.CodeBadJSON)
		}
	}},
	{Row: "cp A.3/78", Name: "an ensure without a type ignores its body", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin()
		e.ask("PUT", "/v1/streams/a", `{"storage_class":"standard"}`, b.in()).is(201).has("S2-Provision-Result", "created")
		equal(t, "class", b.Missing("a").Config().StorageClass, protocol.StorageExpress)
		e.ask("PUT", "/v1/streams/a", `not json`, b.in()).is(200).has("S2-Provision-Result", "noop")
		free := "/v1/basins/" + string(e.freeBasinName())
		e.ask("PUT", free, `{"config":{"create_stream_on_read":true}}`).is(201)
		e.get(free).ok().says(`{"default_stream_config":null,"stream_cipher":null,"create_stream_on_append":false,"create_stream_on_read":false}`)
	}},
	{Row: "cp A.3/79", Name: "an ensure with a type and no body", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin()
		e.ask("PUT", "/v1/streams/a", "", b.in(), jsonBody).is(201).has("S2-Provision-Result", "created")
		e.ask("PUT", "/v1/streams/a", "null", b.in(), jsonBody).is(200).has("S2-Provision-Result", "noop") // decision D-8
		e.ask("PUT", "/v1/basins/"+string(b.Name), "", jsonBody).is(200).has("S2-Provision-Result", "noop")
		e.ask("PUT", "/v1/basins/"+string(b.Name), "null", jsonBody).is(200).has("S2-Provision-Result", "noop")
	}},
	{Row: "cp A.3/80", Name: "null for a basin's flags", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin(createOnAppend)
		e.ask("PATCH", "/v1/basins/"+string(b.Name), `{"create_stream_on_append":null}`, jsonBody).ok() // decision D-7
		equal(t, "flag", b.Config().CreateStreamOnAppend, true)
		e.ask("PUT", "/v1/basins/"+string(b.Name), `{"config":{"create_stream_on_append":null}}`, jsonBody).is(200)
		equal(t, "flag", b.Config().CreateStreamOnAppend, false)
	}},
	{Row: "cp 2.7", Name: "configurations, byte for byte", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		const stream = `{"storage_class":"express","retention_policy":{"age":604800},` +
			`"timestamping":{"mode":"client-prefer","uncapped":false},"delete_on_empty":{"min_age_secs":0}}`
		e.get(s.path(""), s.in()).ok().says(stream)
		e.ask("PATCH", s.path(""), "{}", s.in(), jsonBody).ok().says(stream)
		basin := "/v1/basins/" + string(s.StreamRef.Basin)
		e.ask("PATCH", basin, `{"default_stream_config":{"storage_class":"standard","timestamping":{"uncapped":false}},`+
			`"create_stream_on_append":true}`, jsonBody).ok()
		e.get(basin).ok().says(`{"default_stream_config":{"storage_class":"standard","retention_policy":null,` +
			`"timestamping":{"mode":null,"uncapped":false},"delete_on_empty":null},"stream_cipher":null,` +
			`"create_stream_on_append":true,"create_stream_on_read":false}`)
	}},
}
