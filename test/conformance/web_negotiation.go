package conformance

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// oneRecord is an append of one record in JSON.
const oneRecord = `{"records":[{"body":"x"}]}`

// negotiationCases: data plane A.16, the media types of requests and answers.
var negotiationCases = []WebCase{
	{Row: "A.16/301", Name: "JSON whatever its parameters and case", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		for _, media := range []string{"application/json; charset=utf-8", "application/json;charset=utf-8", "APPLICATION/Json",
			"application/vnd.s2+json", "application/json , text/plain", " application/json "} {
			e.post(s.records(""), oneRecord, s.in(), "content-type: "+media).ack()
		}
	}},
	{Row: "A.16/302", Name: "the first element of accept counts", Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		e.get(s.records("?seq_num=0"), s.in(), "accept:  application/json  , application/protobuf").ok()
		e.get(s.records("?seq_num=0"), s.in(), "accept: application/protobuf, application/json").media("application/protobuf")
	}},
	{Row: "A.16/303", Name: "an accept that says nothing means JSON", Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		for _, accept := range []string{"not/a/mime, application/json", "", "\xff\xfe", "nonsense", "*/*", "text/html"} {
			e.get(s.records("?seq_num=0"), s.in(), "accept: "+accept).ok()
		}
		e.get(s.records("?seq_num=0"), s.in()).ok()
	}},
	{Row: "A.16/304", Name: "an append of another type is refused", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		e.post(s.records(""), oneRecord, s.in()).fails(protocol.CodeBadJSON)
		for _, media := range []string{"text/plain", "", "application/x-www-form-urlencoded", "nonsense", "\xff"} {
			e.post(s.records(""), oneRecord, s.in(), "content-type: "+media).fails(protocol.CodeBadJSON)
		}
		s.At(0)
	}},
	{Row: "A.16/305", Name: "types of request and answer are independent", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		in := input(text("x"))
		proto := string(protocol.MarshalAppendInput(&in))
		e.post(s.records(""), proto, s.in(), protoBody, wantJSON).ack()
		e.post(s.records(""), proto, s.in(), "content-type: application/x-protobuf").ack()
		for _, accept := range []string{wantProto, "accept: application/x-protobuf"} {
			a := e.post(s.records(""), oneRecord, s.in(), jsonBody, accept).is(200).media("application/protobuf")
			ack, err := protocol.UnmarshalAppendAck(a.Body)
			e.must(err, "decode the ack")
			e.soundAck(ack, 1)
		}
		a := e.get(s.records("?seq_num=0"), s.in(), "accept: application/x-protobuf").media("application/protobuf")
		a.batch().Seqs(0, 4)
		s.At(4)
	}},
	{Row: "A.16/306", Name: "the type of the request decides for a session", Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		w := e.openWire("GET", s.records("?seq_num=0&count=5"), nil, s.in(), s2sBody, wantSSE)
		w.batch().Seqs(0, 5)
		w.ends()
	}},
	{Row: "8.3", Name: "errors are JSON whatever is accepted", Run: func(t *testing.T, e *WebEnv) {
		s := e.Basin().Missing("stream")
		for _, accept := range []string{wantProto, wantSSE, "accept: text/plain"} {
			e.get(s.records("?seq_num=0"), s.in(), accept).fails(protocol.CodeStreamNotFound)
			e.post(s.records(""), oneRecord, s.in(), jsonBody, accept).fails(protocol.CodeStreamNotFound)
		}
		e.get(s.records("?seq_num=0"), s.in(), s2sBody).fails(protocol.CodeStreamNotFound)
	}},
	{Row: "8.6", Name: "an empty read without a tail is an empty body in protobuf", Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		e.get(s.records("?seq_num=0&count=0"), s.in(), wantProto).is(200).media("application/protobuf").says("")
		e.get(s.records("?seq_num=0&count=0"), s.in()).ok().says(`{"records":[]}`)
	}},
	{Row: "8.2", Name: "the first of repeated headers counts, whatever its case", Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		other := e.NoBasin()
		e.get(s.records("?seq_num=0"), "S2-BASIN: "+string(s.StreamRef.Basin), other.in()).ok()
		e.get(s.records("?seq_num=0"), other.in(), s.in()).fails(protocol.CodeBasinNotFound)
		e.get(s.records("?seq_num=0"), s.in(), base64Fmt, "s2-format: hex").ok()
		e.get(s.records("?seq_num=0"), s.in(), "authorization: Bearer nonsense").ok()
	}},
	{Row: "8.2", Name: "headers beyond visible ASCII", Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		for _, line := range []string{"s2-basin: \xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", "s2-basin: "} {
			e.get(s.records("?seq_num=0"), line).fails(protocol.CodeBadHeader)
		}
		e.get(s.records("?seq_num=0"), s.in(), "s2-format: raw\xff").fails(protocol.CodeBadHeader)
		e.get(s.records("?seq_num=0"), s.in(), wantSSE, "last-event-id: 1,2,\xff").fails(protocol.CodeBadHeader)
		e.get(s.records("?seq_num=0"), s.in(), "s2-encryption-key: \xc3\xa9").fails(protocol.CodeBadHeader)
	}},
	{Row: "7.2", Name: "the syntax of a key that is not needed", Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		for _, good := range []string{"!!!!", "x", strings.Repeat("a", 44), "  " + strings.Repeat("a", 44) + " "} {
			e.get(s.records("?seq_num=0"), s.in(), "s2-encryption-key: "+good).ok()
			e.post(s.records(""), oneRecord, s.in(), jsonBody, "s2-encryption-key: "+good).ack()
		}
		for _, bad := range []string{"", "   ", strings.Repeat("a", 45)} {
			e.get(s.records("?seq_num=0"), s.in(), "s2-encryption-key: "+bad).fails(protocol.CodeBadHeader)
			e.post(s.records(""), oneRecord, s.in(), jsonBody, "s2-encryption-key: "+bad).fails(protocol.CodeBadHeader)
			e.get(s.records("/tail"), s.in(), "s2-encryption-key: "+bad).ok()
		}
	}},
}
