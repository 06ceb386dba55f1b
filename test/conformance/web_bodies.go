package conformance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// bodyCases: data plane A.16 and A.1, bodies of appends.
var bodyCases = []WebCase{
	{Row: "A.16/307", Name: "what is not JSON", Run: func(t *testing.T, e *WebEnv) {
		e.refusesBodies(protocol.CodeBadJSON, "not json", "", "{truncated", `{"records":[{"body":"x"}]`, "\xff", "[", `"`)
	}},
	{Row: "A.16/308", Name: "JSON of another shape", Run: func(t *testing.T, e *WebEnv) {
		e.refusesBodies(protocol.CodeBadJSON, `{}`, `{} trailing`, oneRecord+"x", oneRecord+oneRecord, `{"records":"nope"}`,
			`{"records":null}`, `{"records":[{"body":123}]}`, `{"records":[{"body":null}]}`, `{"records":[{"headers":null}]}`,
			`{"records":[1]}`, `{"records":[{"timestamp":-1}]}`, `{"records":[{"timestamp":1.5}]}`,
			`{"records":[{"timestamp":18446744073709551616}]}`, `{"records":[{"timestamp":"1"}]}`,
			`{"records":[{}],"match_seq_num":-1}`, `{"records":[{}],"match_seq_num":18446744073709551616}`,
			`{"records":[{}],"match_seq_num":"0"}`, `{"records":[{}],"fencing_token":1}`, `null`, `[]`, `1`, `"x"`)
	}},
	{Row: "A.16/309", Name: "a batch of no records is JSON but no batch", Run: func(t *testing.T, e *WebEnv) {
		e.refusesBodies(protocol.CodeInvalid, `{"records":[],"match_seq_num":null}`, `{"records":[]}`)
	}},
	{Row: "A.16/310", Name: "headers of one or three strings", Run: func(t *testing.T, e *WebEnv) {
		e.refusesBodies(protocol.CodeBadJSON, `{"records":[{"headers":[["a"]]}]}`, `{"records":[{"headers":[["a","b","c"]]}]}`,
			`{"records":[{"headers":[[]]}]}`, `{"records":[{"headers":[["a",1]]}]}`, `{"records":[{"headers":[{"a":"b"}]}]}`,
			`{"records":[{"headers":{"a":"b"}}]}`)
	}},
	{Row: "A.16/311", Name: "what is not protobuf", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		for _, body := range []string{"\xff", "\x0a\x05x", "\x0a", "not protobuf", "\x0a\x02\x1a\x05", "\x0b"} {
			e.post(s.records(""), body, s.in(), protoBody).fails(protocol.CodeBadProto)
		}
		e.post(s.records(""), "", s.in(), protoBody).fails(protocol.CodeInvalid) // a message without records
		s.At(0)
	}},
	{Row: "A.16/312", Name: "a string that is not Base64", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		for _, text := range []string{"not base64!", "YQ", "YQ=", "Y Q==", "YR==", "YQ==\\n", "_-8="} {
			for _, record := range []string{`{"body":"%s"}`, `{"headers":[["%s",""]]}`, `{"headers":[["YQ==","%s"]]}`} {
				body := `{"records":[` + fmt.Sprintf(record, text) + `]}`
				e.post(s.records(""), body, s.in(), jsonBody, base64Fmt).fails(protocol.CodeInvalid)
			}
		}
		s.At(0)
	}},
	{Row: "A.1/29", Name: "a fencing_token of 37 bytes in JSON", Run: func(t *testing.T, e *WebEnv) {
		s := e.Basin(createOnAppend).Missing("stream")
		body := `{"records":[{}],"fencing_token":"` + strings.Repeat("t", 37) + `"}`
		e.post(s.records(""), body, s.in(), jsonBody).fails(protocol.CodeBadJSON)
		in := input(text("x"), holding(strings.Repeat("t", 37)))
		e.post(s.records(""), string(protocol.MarshalAppendInput(&in)), s.in(), protoBody).fails(protocol.CodeInvalid)
		s.basin().Holds()
	}},
	{Row: "A.16/323", Name: "a body of more than 2 MiB", Run: func(t *testing.T, e *WebEnv) {
		s := e.Basin(createOnAppend).Missing("stream")
		const limit = protocol.MaxRequestBytes
		fill := func(size int) string { // an append in JSON of exactly that size, padded with white space
			return oneRecord + strings.Repeat(" ", size-len(oneRecord))
		}
		e.post(s.records(""), fill(limit+1), s.in(), jsonBody).fails(protocol.CodeBadJSON)
		e.post(s.records(""), strings.Repeat("x", 3<<20), s.in(), jsonBody).fails(protocol.CodeBadJSON)
		e.post(s.records(""), strings.Repeat("\x0a", limit+1), s.in(), protoBody).fails(protocol.CodeBadProto)
		s.basin().Holds()
		e.post(s.records(""), fill(limit), s.in(), jsonBody).ack()
	}},
	{Row: "8.5", Name: "what JSON allows", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream(uncapped(true))
		for i, body := range []string{
			`{"records":[{}]}`,
			`{"records":[{"timestamp":null,"body":""}],"match_seq_num":null,"fencing_token":null}`,
			`{"records":[{"headers":[]}],"unknown":{"a":[1,2,{"b":null}]},"match_seq_num":2,"fencing_token":""}`,
			` {"records" : [ {"timestamp":18446744073709551615,"headers":[["n","v"],["n",""]],"body":"é\u0000\n"} ] } `,
		} {
			equal(t, "end", e.post(s.records(""), body, s.in(), jsonBody).ack().End.SeqNum, uint64(i+1))
		}
		got := s.Read(from(3)).Times(^uint64(0)).Bodies("é\x00\n")
		sameHeaders(t, got.Records[0], headed("", "n", "v", "n", "").Headers)
	}},
	{Row: "8.5", Name: "the ack in JSON, byte for byte", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream(uncapped(true))
		e.post(s.records(""), `{"records":[{"timestamp":7},{"timestamp":9}]}`, s.in(), jsonBody).ok().
			says(`{"start":{"seq_num":0,"timestamp":7},"end":{"seq_num":2,"timestamp":9},"tail":{"seq_num":2,"timestamp":9}}`)
		e.get(s.records("/tail"), s.in()).ok().says(`{"tail":{"seq_num":2,"timestamp":9}}`)
	}},
	{Row: "2.7", Name: "invalid records are refused in either type", Run: func(t *testing.T, e *WebEnv) {
		s := e.Basin(createOnAppend).Missing("stream")
		for _, bad := range badBatches() {
			in := input(bad.recs, bad.conds...)
			e.post(s.records(""), string(protocol.MarshalAppendInput(&in)), s.in(), protoBody).fails(protocol.CodeInvalid)
			body, err := protocol.EncodeAppendInputJSON(&in, protocol.FormatBase64)
			e.must(err, "encode")
			want := protocol.CodeInvalid
			if in.FencingToken != nil {
				want = protocol.CodeBadJSON
			}
			e.post(s.records(""), string(body), s.in(), jsonBody, base64Fmt).fails(want)
		}
		s.basin().Holds()
	}},
}

// refusesBodies checks that appends with each of the bodies in JSON fail with the code, before a stream is created.
func (e *WebEnv) refusesBodies(code protocol.Code, bodies ...string) {
	e.t.Helper()
	s := e.Basin(createOnAppend).Missing("stream")
	for _, body := range bodies {
		e.post(s.records(""), body, s.in(), jsonBody).fails(code)
	}
	s.basin().Holds()
}
