package conformance

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// fault is something wrong with a request, and the step of data plane 8.14 that finds it. Headers and the path
// replace those of a sound request; queries add to it.
type fault struct {
	step    int
	name    string
	path    string // in place of the stream's
	query   string
	headers map[string]string // "" removes the header
	body    string
	status  int
	code    protocol.Code // "" for 412 and 416
}

// Faults of every step that a request of any kind can have.
func doorFaults() []fault {
	return []fault{
		{step: 1, name: "content-encoding", headers: map[string]string{"content-encoding": "br"}, status: 415, code: protocol.CodeBadHeader},
		{step: 2, name: "basin", headers: map[string]string{"s2-basin": "BAD"}, status: 400, code: protocol.CodeBadHeader},
		{step: 3, name: "stream", path: "/v1/streams/%2E%2E", status: 400, code: protocol.CodeBadPath},
	}
}

func keyFault() fault {
	return fault{step: 5, name: "key", headers: map[string]string{"s2-encryption-key": strings.Repeat("k", 45)},
		status: 400, code: protocol.CodeBadHeader}
}

func formatFault() fault {
	return fault{step: 6, name: "format", headers: map[string]string{"s2-format": "hex"}, status: 400, code: protocol.CodeBadHeader}
}

func missingFault() fault {
	return fault{step: 9, name: "stream that is not there", path: "/v1/streams/missing", status: 404, code: protocol.CodeStreamNotFound}
}

// kind is a kind of request and its possible faults, in order.
type kind struct {
	name, method, more string
	headers            map[string]string
	body               string // of a request without a fault
	faults             []fault
}

func kinds() []kind {
	read := append(doorFaults(),
		fault{step: 4, name: "query", query: "count=abc", status: 400, code: protocol.CodeBadQuery},
		keyFault(), formatFault(),
		fault{step: 7, name: "starts", query: "seq_num=0&timestamp=9", status: 422, code: protocol.CodeInvalid},
		fault{step: 8, name: "until", query: "timestamp=9&until=9", status: 422, code: protocol.CodeInvalid},
		missingFault(),
		fault{step: 10, name: "unwritten start", query: "tail_offset=0&count=1", status: 416})
	resume := fault{step: 6, name: "last-event-id", headers: map[string]string{"last-event-id": "x"}, status: 400, code: protocol.CodeBadHeader}
	wire := append(doorFaults(), read[3], keyFault(), read[6], read[7], missingFault(), read[9])
	events := append(append([]fault{}, read[:6]...), resume)
	events = append(events, read[6:]...)
	write := append(doorFaults(), keyFault(), formatFault(),
		fault{step: 7, name: "body", body: "{", status: 400, code: protocol.CodeBadJSON},
		fault{step: 8, name: "records", body: `{"records":[]}`, status: 422, code: protocol.CodeInvalid},
		missingFault(),
		fault{step: 10, name: "condition", body: `{"records":[{}],"match_seq_num":9}`, status: 412})
	typed := fault{step: 7, name: "content type", headers: map[string]string{"content-type": "text/plain"}, status: 400, code: protocol.CodeBadJSON}
	return []kind{
		{name: "read", method: "GET", more: "/records", faults: read},
		{name: "read by SSE", method: "GET", more: "/records", headers: map[string]string{"accept": "text/event-stream"}, faults: events},
		{name: "read by s2s", method: "GET", more: "/records", headers: map[string]string{"content-type": "s2s/proto"}, faults: wire},
		{name: "append", method: "POST", more: "/records", body: oneRecord,
			headers: map[string]string{"content-type": "application/json"}, faults: write},
		{name: "append of another type", method: "POST", more: "/records", body: oneRecord,
			headers: map[string]string{"content-type": "application/json"}, faults: append(append(doorFaults(), keyFault(), typed), missingFault())},
		{name: "append by s2s", method: "POST", more: "/records", headers: map[string]string{"content-type": "s2s/proto"},
			faults: append(doorFaults(), keyFault(), missingFault())},
		{name: "check tail", method: "GET", more: "/records/tail", faults: append(doorFaults(), missingFault())},
	}
}

// orderCases: data plane 8.14. Of any two things that are wrong with a request, the one of the earlier step decides.
func orderCases() []WebCase {
	var cases []WebCase
	for _, k := range kinds() {
		cases = append(cases, WebCase{Row: "8.14", Name: "order of evaluation: " + k.name, Run: func(t *testing.T, e *WebEnv) {
			s := e.full()
			for i, first := range k.faults {
				e.decides(s, k, first)
				for _, second := range k.faults[i+1:] {
					if second.step > first.step && !clash(first, second) {
						e.decides(s, k, first, second)
					}
				}
			}
			s.At(5)
		}})
	}
	return cases
}

// clash reports whether two faults cannot be in one request.
func clash(a, b fault) bool {
	if a.path != "" && b.path != "" || a.body != "" && b.body != "" {
		return true
	}
	// Another start, or a parameter given twice, is a fault of its own.
	return a.step > 4 && a.query != "" && b.query != ""
}

// decides sends a request with all of the faults and checks that the first is the one answered.
func (e *WebEnv) decides(s *Stream, k kind, faults ...fault) {
	e.t.Helper()
	headers := map[string]string{"s2-basin": string(s.StreamRef.Basin)}
	maps.Copy(headers, k.headers)
	path, body, query, names := s.path(""), k.body, "", ""
	for _, f := range faults {
		maps.Copy(headers, f.headers)
		if f.path != "" {
			path = f.path
		}
		if f.body != "" {
			body = f.body
		}
		if f.query != "" {
			query += "&" + f.query
		}
		names += " " + f.name
	}
	var lines []string
	for name, value := range headers {
		lines = append(lines, name+": "+value)
	}
	a := e.ask(k.method, path+k.more+"?"+strings.TrimPrefix(query, "&"), body, lines...)
	a.what = fmt.Sprintf("%s with%s", k.name, names)
	if want := faults[0]; want.code != "" {
		a.refuses(want.status, want.code)
	} else {
		a.is(want.status)
		equal(e.t, "a known status", want.status == http.StatusPreconditionFailed || want.status == http.StatusRequestedRangeNotSatisfiable, true)
	}
}
