package conformance

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// webUsageCases: control plane A.21, the rules that show in the wire form only.
var webUsageCases = []WebCase{
	{Row: "cp A.21/402", Name: "points of metrics", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		s.Append(text("a"))
		now := time.Now().Unix()
		for path, form := range map[string]string{
			"/v1/metrics/" + string(s.StreamRef.Basin) + "?set=append-ops":     `{"accumulation":{"name":"express","unit":"operations","interval":"minute","values":[[%d,`,
			"/v1/metrics/" + string(s.StreamRef.Basin) + "/stream?set=storage": `{"values":[{"gauge":{"name":"storage","unit":"bytes","values":[[%d,`,
		} {
			a := e.get(fmt.Sprintf("%s&start=%d&end=%d", path, now-3600, now+30)).is(200).media("application/json")
			// Seconds are an integer without a fraction or an exponent.
			want := strings.ReplaceAll(regexp.QuoteMeta(form), "%d", `[1-9][0-9]{9}`)
			if !regexp.MustCompile(want).Match(a.Body) {
				t.Fatalf("got %s", a.Body)
			}
		}
	}},
	{Row: "cp A.21/398", Name: "queries that cannot be read", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		for _, path := range []string{"/v1/metrics?set=account-ops", "/v1/metrics/" + string(s.StreamRef.Basin) + "?set=storage",
			"/v1/metrics/" + string(s.StreamRef.Basin) + "/stream?set=storage"} {
			for _, bad := range []string{"&start=-1&end=1", "&start=1&end=4294967296", "&start=1.0&end=2", "&start=a&end=2", "&start=&end=2",
				"&start=1&end=2&interval=week", "&start=1&end=2&interval=", "&start=1&end=2&interval=Minute", "&start=1&start=1&end=2"} {
				e.get(path + bad).fails(protocol.CodeBadQuery)
			}
			e.get(strings.Split(path, "?")[0] + "?start=1&end=2").fails(protocol.CodeBadQuery)
			e.get(path + "&start=2&end=1").fails(protocol.CodeInvalid)
			e.get(path + "&start=1&end=2&unknown=1&unknown=2").is(200)
		}
		for _, path := range []string{"/v1/metrics/short", "/v1/metrics/UPPER-CASE", "/v1/metrics/" + string(s.StreamRef.Basin) + "/%2E%2E"} {
			e.get(path + "?set=storage&start=1&end=2").fails(protocol.CodeBadPath)
		}
	}},
}
