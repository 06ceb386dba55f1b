package conformance

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// surfaceCases: control plane A.24 and section 9, the surroundings of the API.
var surfaceCases = []WebCase{
	{Row: "cp A.24/432", Name: "probes", Run: func(t *testing.T, e *WebEnv) {
		for _, path := range []string{"/health", "/ping"} {
			e.get(path).is(200).media("text/plain").says("OK")
		}
	}},
	{Row: "cp A.24/433,434", Name: "metrics of appends", Timed: true, Run: func(t *testing.T, e *WebEnv) {
		histograms := []string{"s2_append_permit_latency_seconds", "s2_append_ack_latency_seconds", "s2_append_batch_records", "s2_append_batch_bytes"}
		s := e.Stream()
		before := string(e.get("/metrics").is(200).media("text/plain").Body)
		e.post(s.records(""), oneRecord, s.in(), jsonBody).ack()
		after := string(e.get("/metrics").is(200).Body)
		for _, name := range histograms {
			if strings.Contains(before, name) {
				t.Errorf("%s is there before any append", name)
			}
			if !strings.Contains(after, name+"_count 1\n") {
				t.Errorf("%s does not count the append", name)
			}
		}
		if !strings.Contains(after, `s2_append_batch_bytes_sum 9`) {
			t.Error("s2_append_batch_bytes does not sum the metered bytes")
		}
	}},
	{Row: "cp A.24/435", Name: "a pre-flight request", Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		a := e.ask("OPTIONS", s.records(""), "", "origin: http://localhost:3000", "access-control-request-method: POST",
			"access-control-request-headers: content-type, s2-basin, s2-format")
		if a.Status != 200 && a.Status != 204 {
			t.Fatalf("got status %d", a.Status)
		}
		a.has("Access-Control-Allow-Origin", "http://localhost:3000")
		if !strings.Contains(a.Head.Get("Access-Control-Allow-Methods"), "POST") {
			t.Fatalf("allowed methods are %q", a.Head.Get("Access-Control-Allow-Methods"))
		}
		for _, name := range []string{"content-type", "s2-basin", "s2-format"} {
			if !strings.Contains(strings.ToLower(a.Head.Get("Access-Control-Allow-Headers")), name) {
				t.Fatalf("allowed headers are %q", a.Head.Get("Access-Control-Allow-Headers"))
			}
		}
	}},
	{Row: "cp A.24/435", Name: "answers to a page of another origin", Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		for _, a := range []*Answer{
			e.get(s.records("?seq_num=0"), s.in(), "origin: http://localhost:3000").is(200),
			e.get(s.records("?seq_num=0&count=1"), s.in(), wantSSE, "origin: http://localhost:3000").is(200),
			e.get(s.records("?seq_num=9"), s.in(), "origin: http://localhost:3000").is(416),
			e.get("/nonsense", "origin: http://localhost:3000").is(404),
		} {
			a.has("Access-Control-Allow-Origin", "http://localhost:3000")
			if !strings.Contains(strings.ToLower(a.Head.Get("Vary")+strings.Join(a.Head.Values("Vary"), ",")), "origin") {
				t.Fatalf("%s: got Vary %q", a.what, a.Head.Values("Vary"))
			}
		}
		a := e.ask("PUT", s.path(""), "", s.in(), "origin: http://localhost:3000").is(200)
		if !strings.Contains(strings.ToLower(a.Head.Get("Access-Control-Expose-Headers")), "s2-provision-result") {
			t.Fatalf("exposed headers are %q", a.Head.Get("Access-Control-Expose-Headers"))
		}
	}},
	{Row: "cp 9.2", Name: "an API description", Run: func(t *testing.T, e *WebEnv) {
		if body := string(e.get("/openapi.json").ok().Body); !strings.Contains(body, `"openapi"`) {
			t.Fatalf("got %.200s", body)
		}
	}},
	{Row: "cp 9.1", Name: "probes need nothing, and say nothing of S2", Run: func(t *testing.T, e *WebEnv) {
		e.post("/health", "", jsonBody).refuses(405, protocol.CodeBadPath)
	}},
}
