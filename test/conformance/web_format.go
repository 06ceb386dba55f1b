package conformance

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// formatCases: data plane A.16, how bytes stand in JSON.
var formatCases = []WebCase{
	{Row: "A.16/313", Name: "json and json-binsafe are raw and base64", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream(uncapped(true))
		raw := `{"records":[{"timestamp":1,"headers":[["n","v"]],"body":"YQ=="}]}`
		want := map[string]string{
			"raw": `{"seq_num":0,"timestamp":1,"headers":[["n","v"]],"body":"YQ=="}`,
			"b64": `{"seq_num":1,"timestamp":1,"headers":[["a","a"]],"body":"a"}`,
		}
		e.post(s.records(""), raw, s.in(), jsonBody, "s2-format: json").ack()
		e.post(s.records(""), `{"records":[{"timestamp":1,"headers":[["YQ==","YQ=="]],"body":"YQ=="}]}`, s.in(), jsonBody, "s2-format: json-binsafe").ack()
		for _, format := range []string{"raw", "json", " raw "} {
			e.get(s.records("?seq_num=0"), s.in(), "s2-format: "+format).ok().
				says(`{"records":[` + want["raw"] + `,` + want["b64"] + `]}`)
		}
		e.get(s.records("?seq_num=0"), s.in(), "s2-format: ").fails(protocol.CodeBadHeader)
		for _, format := range []string{"base64", "json-binsafe"} {
			e.get(s.records("?seq_num=1"), s.in(), "s2-format: "+format).ok().
				says(`{"records":[{"seq_num":1,"timestamp":1,"headers":[["YQ==","YQ=="]],"body":"YQ=="}]}`)
		}
	}},
	{Row: "A.16/314", Name: "another format", Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		for _, format := range []string{"hex", "RAW", "Base64", "raw,base64", "raw base64"} {
			line := "s2-format: " + format
			e.post(s.records(""), oneRecord, s.in(), jsonBody, line).fails(protocol.CodeBadHeader)
			e.get(s.records("?seq_num=0"), s.in(), line).fails(protocol.CodeBadHeader)
			e.get(s.records("?seq_num=0"), s.in(), wantProto, line).fails(protocol.CodeBadHeader)
			e.get(s.records("?seq_num=0&count=1"), s.in(), wantSSE, line).fails(protocol.CodeBadHeader)
			// Neither protobuf appends nor s2s sessions look at it.
			in := input(text("x"))
			e.post(s.records(""), string(protocol.MarshalAppendInput(&in)), s.in(), protoBody, line).ack()
			w := e.openWire("GET", s.records("?seq_num=0&count=1"), nil, s.in(), s2sBody, line)
			w.batch().Seqs(0, 1)
			w.ends()
		}
	}},
	{Row: "A.16/315", Name: "what is not UTF-8 is replaced on the way out", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream(uncapped(true))
		recs := these(headed("\xf0\x28\x8c\xbc", "n", "\x61\xff\x7a"), headed("\xe2\x82\x58"), headed("ok"))
		for i := range recs {
			recs[i].Timestamp = new(uint64(5))
		}
		s.Append(recs)
		e.get(s.records("?seq_num=0"), s.in()).ok().says(`{"records":[` +
			`{"seq_num":0,"timestamp":5,"headers":[["n","a` + "\ufffd" + `z"]],"body":"` + "\ufffd(\ufffd\ufffd" + `"},` +
			`{"seq_num":1,"timestamp":5,"body":"` + "\ufffdX" + `"},{"seq_num":2,"timestamp":5,"body":"ok"}]}`)
		e.get(s.records("?seq_num=1&count=1"), s.in(), base64Fmt).ok().says(
			`{"records":[{"seq_num":1,"timestamp":5,"body":"` + base64.StdEncoding.EncodeToString([]byte("\xe2\x82\x58")) + `"}]}`)
	}},
	{Row: "A.16/316", Name: "an empty fence in JSON", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream(uncapped(true))
		e.post(s.records(""), `{"records":[{"timestamp":1,"headers":[["","fence"]]}]}`, s.in(), jsonBody).ack()
		e.get(s.records("?seq_num=0"), s.in()).ok().says(`{"records":[{"seq_num":0,"timestamp":1,"headers":[["","fence"]]}]}`)
		s.Append(text("a"), holding(""))
	}},
	{Row: "A.16/317", Name: "a fence and a trim in JSON", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream(uncapped(true))
		e.post(s.records(""), `{"records":[{"timestamp":1,"headers":[["","fence"]],"body":"tok"}]}`, s.in(), jsonBody).ack()
		e.post(s.records(""), `{"records":[{"timestamp":1,"headers":[["","trim"]],"body":"\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000"}],"fencing_token":"tok"}`,
			s.in(), jsonBody).ack()
		e.post(s.records(""), `{"records":[{"timestamp":1,"headers":[["","dHJpbQ=="]],"body":"AAAAAAAAAAA="}]}`, s.in(), jsonBody, base64Fmt).ack()
		e.get(s.records("?seq_num=0"), s.in()).ok().says(`{"records":[` +
			`{"seq_num":0,"timestamp":1,"headers":[["","fence"]],"body":"tok"},` +
			`{"seq_num":1,"timestamp":1,"headers":[["","trim"]],"body":"` + strings.Repeat(`\u0000`, 8) + `"},` +
			`{"seq_num":2,"timestamp":1,"headers":[["","trim"]],"body":"` + strings.Repeat(`\u0000`, 8) + `"}]}`)
		e.get(s.records("?seq_num=2"), s.in(), base64Fmt).ok().
			says(`{"records":[{"seq_num":2,"timestamp":1,"headers":[["","dHJpbQ=="]],"body":"AAAAAAAAAAA="}]}`)
	}},
	{Row: "A.16/318", Name: "the tail follows the records, if there is one", Timed: true, Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream(uncapped(true))
		e.get(s.records("?count=0"), s.in()).ok().says(`{"records":[]}`)
		done := s.AppendIn(3e9, stamped(1))
		e.get(s.records("?seq_num=0&wait=10"), s.in()).ok().
			says(`{"records":[{"seq_num":0,"timestamp":1,"body":"at 1"}],"tail":{"seq_num":1,"timestamp":1}}`)
		done()
		e.get(s.records("?seq_num=0&wait=10"), s.in()).ok().
			says(`{"records":[{"seq_num":0,"timestamp":1,"body":"at 1"}]}`)
	}},
}
