package conformance

import (
	"net/url"
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// queryCases: data plane A.8 and A.16, paths, queries and starts of reads.
var queryCases = []WebCase{
	{Row: "A.16/319", Name: "no basin", Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		for _, lines := range [][]string{nil, {"s2-basin: short"}, {"s2-basin: UPPER-CASE"}, {"s2-basin: " + strings.Repeat("a", 49)}} {
			e.get(s.records("?seq_num=0"), lines...).fails(protocol.CodeBadHeader)
			e.get(s.records("/tail"), lines...).fails(protocol.CodeBadHeader)
			e.post(s.records(""), oneRecord, append(lines, jsonBody)...).fails(protocol.CodeBadHeader)
			e.get(s.records("?seq_num=0"), append(lines, s2sBody)...).fails(protocol.CodeBadHeader)
		}
	}},
	{Row: "A.16/320", Name: "a stream is one segment, decoded after routing", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin(createOnAppend)
		for segment, name := range map[string]protocol.StreamName{
			"a%2Fb": "a/b", "a%2fc": "a/c", "%2F": "/", "%2Frecords": "/records", "a+b": "a+b", "a%20b": "a b", "a%25b": "a%b",
			"...": "...", "%2E%2E%2E%2E": "....", "a%2F..%2Fb": "a/../b", "a%2F%2Fb": "a//b", "%2F%2E": "/.", "x%2Frecords%2Ftail": "x/records/tail",
			"records": "records", "tail": "tail", "%E2%82%AC": "€", "a%3Fb%23c": "a?b#c", "a:b@c;d=e,f$g&h": "a:b@c;d=e,f$g&h",
		} {
			e.post("/v1/streams/"+segment+"/records", oneRecord, b.in(), jsonBody).ack()
			b.Missing(name).Read(from(0)).Bodies("x")
			e.get("/v1/streams/"+segment+"/records/tail", b.in()).ok()
			b.Missing(name).At(1)
		}
	}},
	{Row: "A.16/321", Name: "names that no stream can have", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin(createOnAppend, createOnRead)
		for _, segment := range []string{strings.Repeat("a", 513), "%2E%2E", "%2e", "%FF", "a%00b", "%C3%28",
			url.PathEscape(strings.Repeat("€", 171))} {
			path := "/v1/streams/" + segment
			e.get(path, b.in()).fails(protocol.CodeBadPath)
			e.ask("PUT", path, "", b.in()).fails(protocol.CodeBadPath)
			e.ask("PATCH", path, "{}", b.in(), jsonBody).fails(protocol.CodeBadPath)
			e.ask("DELETE", path, "", b.in()).fails(protocol.CodeBadPath)
			e.get(path+"/records", b.in()).fails(protocol.CodeBadPath)
			e.get(path+"/records/tail", b.in()).fails(protocol.CodeBadPath)
			e.post(path+"/records", oneRecord, b.in(), jsonBody).fails(protocol.CodeBadPath)
		}
		b.Holds()
	}},
	{Row: "A.16/322", Name: "parameters that cannot be read", Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		bad := []string{"wait=4294967296", "wait=-1", "clamp=yes", "clamp=True", "clamp=1", "clamp=", "clamp=true&clamp=true",
			"count=1&count=1", "seq_num=0&seq_num=0", "wait=1.5", "wait="}
		for _, name := range []string{"seq_num", "timestamp", "tail_offset", "count", "bytes", "until"} {
			for _, value := range []string{"-1", "abc", "", "1.5", "1e3", "0x10", "18446744073709551616", "+1", "%201", "1%20", "1,2", "true"} {
				bad = append(bad, name+"="+value)
			}
		}
		for _, query := range bad {
			for _, lines := range [][]string{{s.in()}, {s.in(), wantSSE}, {s.in(), s2sBody}} {
				e.get(s.records("?"+query), lines...).fails(protocol.CodeBadQuery)
			}
		}
	}},
	{Row: "8.4", Name: "parameters that can be read", Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		for query, n := range map[string]uint64{
			"seq_num=0&count=18446744073709551615&bytes=18446744073709551615&until=18446744073709551615": 5,
			"seq_num=0&wait=4294967295": 5, "seq_num=0&unknown=1&unknown=2&clamp=false": 5, "timestamp=0&count=3": 3,
			"tail_offset=2&clamp=true": 2, "s%65q_num=%33": 2, "seq_num=000": 5,
		} {
			equal(t, query, uint64(len(e.get(s.records("?"+query), s.in(), wantProto).batch().Records)), n)
		}
	}},
	{Row: "A.8/156", Name: "two starts", Run: func(t *testing.T, e *WebEnv) {
		s := e.Basin(createOnRead).Missing("stream")
		for _, query := range []string{"seq_num=0&timestamp=1", "seq_num=0&tail_offset=0", "timestamp=0&tail_offset=1",
			"seq_num=1&timestamp=2&tail_offset=3"} {
			for _, lines := range [][]string{{s.in()}, {s.in(), wantSSE}, {s.in(), s2sBody}} {
				e.get(s.records("?"+query), lines...).fails(protocol.CodeInvalid)
			}
		}
		s.basin().Holds()
	}},
	{Row: "A.8/158", Name: "a timestamp that is until", Run: func(t *testing.T, e *WebEnv) {
		s := e.Basin(createOnRead).Missing("stream")
		for _, query := range []string{"timestamp=5&until=5", "timestamp=6&until=5", "timestamp=0&until=0&wait=1"} {
			for _, lines := range [][]string{{s.in()}, {s.in(), wantSSE}, {s.in(), s2sBody}} {
				message := e.get(s.records("?"+query), lines...).fails(protocol.CodeInvalid)
				if !strings.Contains(message, "start `timestamp` exceeds or equal to `until`") {
					t.Fatalf("got message %q", message)
				}
			}
		}
		s.basin().Holds()
	}},
	{Row: "A.8/159", Name: "without a start a read begins at the tail", Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		want := string(protocol.EncodeTailJSON(protocol.StreamTail{Position: s.Tail()}))
		e.get(s.records(""), s.in()).is(416).media("application/json").says(want)
		e.get(s.records("?count=3"), s.in()).is(416).says(want)
		e.get(s.records("?count=3"), s.in(), s2sBody).is(416).says(want)
	}},
}
