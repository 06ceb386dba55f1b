package conformance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// webErrorCases: data plane A.16 and control plane A.23, bodies of errors.
var webErrorCases = []WebCase{
	{Row: "A.16/327", Name: "416 is the tail and nothing else", Run: func(t *testing.T, e *WebEnv) {
		empty := e.Stream()
		e.get(empty.records("?seq_num=0"), empty.in()).is(416).media("application/json").says(`{"tail":{"seq_num":0,"timestamp":0}}`)
		s := e.timed(1000)
		for _, lines := range [][]string{{s.in()}, {s.in(), wantProto}, {s.in(), wantSSE}, {s.in(), s2sBody}} {
			e.get(s.records("?seq_num=7"), lines...).is(416).media("application/json").says(`{"tail":{"seq_num":1,"timestamp":1000}}`)
		}
	}},
	{Row: "A.16/328", Name: "412 is one of two objects of one member", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		s.Append(fence(`a "token"`))
		e.post(s.records(""), `{"records":[{}],"match_seq_num":0}`, s.in(), jsonBody).
			is(412).media("application/json").says(`{"seq_num_mismatch":1}`)
		e.post(s.records(""), `{"records":[{}],"fencing_token":"b","match_seq_num":0}`, s.in(), jsonBody, wantProto).
			is(412).media("application/json").says(`{"fencing_token_mismatch":"a \"token\""}`)
		in := input(text("x"), at(5))
		e.post(s.records(""), string(protocol.MarshalAppendInput(&in)), s.in(), protoBody).is(412).says(`{"seq_num_mismatch":1}`)
		s.At(1)
	}},
	{Row: "cp A.23/414", Name: "coded errors are a code and a message", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin()
		missing := b.Missing("stream")
		e.get(missing.path(""), b.in()).fails(protocol.CodeStreamNotFound)
		e.ask("DELETE", missing.path(""), "", b.in()).fails(protocol.CodeStreamNotFound)
		e.ask("PATCH", missing.path(""), "{}", b.in(), jsonBody).fails(protocol.CodeStreamNotFound)
		e.get("/v1/basins/" + string(e.freeBasinName())).fails(protocol.CodeBasinNotFound)
		e.get("/v1/streams", e.NoBasin().in()).fails(protocol.CodeBasinNotFound)
		e.post("/v1/basins", `{"basin":"`+string(b.Name)+`"}`, jsonBody).fails(protocol.CodeResourceAlreadyExists)
	}},
	{Row: "cp A.23/415,416", Name: "412 and 416 have no code", Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		for _, a := range []*Answer{
			e.get(s.records("?seq_num=9"), s.in()),
			e.post(s.records(""), `{"records":[{}],"match_seq_num":0}`, s.in(), jsonBody),
		} {
			if strings.Contains(string(a.media("application/json").Body), "code") {
				t.Fatalf("status %d says %s", a.Status, a.Body)
			}
		}
	}},
	{Row: "cp A.23/424", Name: "compressed bodies of the control plane", Run: func(t *testing.T, e *WebEnv) {
		for _, encoding := range []string{"gzip", "zstd"} {
			body := e.encode(encoding, fmt.Sprintf(`{"basin":%q}`, e.freeBasinName()))
			e.post("/v1/basins", body, jsonBody, "content-encoding: "+encoding).is(201)
		}
	}},
	{Row: "cp A.23/425", Name: "another content-encoding", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin()
		e.ask("PATCH", "/v1/basins/"+string(b.Name), "{}", jsonBody, "content-encoding: br").refuses(415, protocol.CodeBadHeader)
	}},
	{Row: "cp A.23/426", Name: "a long list is compressed", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin()
		for i := range 30 {
			b.Stream(protocol.StreamName(fmt.Sprintf("stream-%d", i)))
		}
		for _, encoding := range []string{"zstd", "gzip"} {
			a := e.get("/v1/streams", b.in(), "accept-encoding: "+encoding).ok().has("Content-Encoding", encoding)
			page, err := protocol.DecodeJSON[protocol.StreamPage](e.decode(encoding, a.Body))
			e.must(err, "decode the list")
			equal(t, "streams", len(page.Streams), 30)
		}
	}},
	{Row: "cp A.23/427", Name: "paths that lead nowhere", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin()
		for _, path := range []string{"/v1/basins/", "/v1/streams/", "/v1", "/v1/", "/", "/v2/basins", "/v1/nonsense",
			"/v1/basins/" + string(b.Name) + "/", "/v1/basins/" + string(b.Name) + "/streams", "/v1/streams/a/b", "/v1/streams/a/records/",
			"/v1/streams/a/records/tail/", "/v1/streams/a/records/head", "//v1/basins", "/v1//basins", "/v1/streams//records",
			"/v1/./basins", "/v1/x/../basins", "/V1/basins"} {
			e.get(path, b.in()).refuses(404, protocol.CodeBadPath) // decision D-21
		}
	}},
	{Row: "cp A.23/428", Name: "methods that a path does not have", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin()
		s := b.Stream("stream")
		for path, allowed := range map[string]string{
			"/v1/basins": "GET POST", "/v1/basins/" + string(b.Name): "GET PUT PATCH DELETE", "/v1/streams": "GET POST",
			s.path(""): "GET PUT PATCH DELETE", s.records(""): "GET POST", s.records("/tail"): "GET",
		} {
			for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
				if strings.Contains(allowed, method) {
					continue
				}
				a := e.ask(method, path, "", b.in())
				a.refuses(405, protocol.CodeBadPath)
				for want := range strings.FieldsSeq(allowed) {
					if !strings.Contains(a.Head.Get("Allow"), want) {
						t.Fatalf("%s: got Allow %q, want %s", a.what, a.Head.Get("Allow"), want)
					}
				}
			}
		}
		b.Holds("stream")
	}},
	{Row: "cp A.23/429", Name: "a body of more than 2 MiB", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin()
		long := `{"x":"` + strings.Repeat("x", protocol.MaxRequestBytes) + `"}`
		e.ask("PATCH", "/v1/basins/"+string(b.Name), long, jsonBody).fails(protocol.CodeBadJSON)
		e.ask("PUT", b.Missing("stream").path(""), long, b.in(), jsonBody).fails(protocol.CodeBadJSON)
		e.ask("PUT", b.Missing("stream").path(""), e.encode("zstd", long), b.in(), jsonBody, "content-encoding: zstd").fails(protocol.CodeBadJSON)
		e.post("/v1/streams", long, b.in(), jsonBody).fails(protocol.CodeBadJSON)
		b.Holds()
	}},
	{Row: "cp A.23/430", Name: "a bad path and a bad body", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin()
		e.ask("PATCH", "/v1/basins/UPPERCASE", "nonsense", jsonBody).fails(protocol.CodeBadPath)
		e.ask("PUT", "/v1/streams/%2E", "nonsense", b.in(), jsonBody).fails(protocol.CodeBadPath)
	}},
}
