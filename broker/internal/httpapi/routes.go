package httpapi

import (
	"net/http"
	"slices"
	"strings"
)

// route is one operation of the API. The table below is the truth about the operations that are served: the router follows
// it, and a test holds the OpenAPI document against it.
type route struct {
	// name is the operation in logs, metrics and the OpenAPI document.
	name   string
	method string
	// pattern is the path; {name} stands for one segment, never empty.
	pattern string
	serve   func(*call) error
	// success are the statuses of an answer that is not a failure.
	success []int
	// failures are the statuses of failures, beside those that every operation has.
	failures []int
	// headers are the request headers that the operation knows, beside those that every operation has.
	headers []string
	// query are the query parameters that the operation knows.
	query []string
	// probe marks a route outside /v1: it is answered also while the broker drains, and knows no failures.
	probe bool

	segments []string
}

// anyFailure are the failures that every operation under /v1 has: malformed input, access, content encoding, overload,
// the unexpected, and draining.
var anyFailure = []int{400, 401, 403, 408, 415, 429, 499, 500, 503}

var (
	listParams    = []string{"prefix", "start_after", "limit"}
	readParams    = []string{"seq_num", "timestamp", "tail_offset", "clamp", "count", "bytes", "until", "wait"}
	metricsParams = []string{"set", "start", "end", "interval"}

	needsBasin = []string{headerBasin}
	takesToken = []string{headerRequestToken}
)

// routes is the table of control plane 0.3 and 9.1.
var routes = compile([]route{
	{name: "list_basins", method: "GET", pattern: "/v1/basins", serve: (*call).listBasins, success: []int{200}, query: listParams},
	{name: "create_basin", method: "POST", pattern: "/v1/basins", serve: (*call).createBasin, success: []int{201},
		failures: []int{409, 422}, headers: takesToken},
	{name: "get_basin_config", method: "GET", pattern: "/v1/basins/{basin}", serve: (*call).getBasin, success: []int{200},
		failures: []int{404, 409}},
	{name: "ensure_basin", method: "PUT", pattern: "/v1/basins/{basin}", serve: (*call).ensureBasin, success: []int{200, 201},
		failures: []int{409, 422}},
	{name: "reconfigure_basin", method: "PATCH", pattern: "/v1/basins/{basin}", serve: (*call).reconfigureBasin,
		success: []int{200}, failures: []int{404, 409, 422}},
	{name: "delete_basin", method: "DELETE", pattern: "/v1/basins/{basin}", serve: (*call).deleteBasin, success: []int{202},
		failures: []int{404, 409}},

	{name: "list_streams", method: "GET", pattern: "/v1/streams", serve: (*call).listStreams, success: []int{200},
		failures: []int{404}, headers: needsBasin, query: listParams},
	{name: "create_stream", method: "POST", pattern: "/v1/streams", serve: (*call).createStream, success: []int{201},
		failures: []int{404, 409, 422}, headers: []string{headerBasin, headerRequestToken}},
	{name: "get_stream_config", method: "GET", pattern: "/v1/streams/{stream}", serve: (*call).getStream, success: []int{200},
		failures: []int{404, 409}, headers: needsBasin},
	{name: "ensure_stream", method: "PUT", pattern: "/v1/streams/{stream}", serve: (*call).ensureStream,
		success: []int{200, 201}, failures: []int{404, 409, 422}, headers: needsBasin},
	{name: "reconfigure_stream", method: "PATCH", pattern: "/v1/streams/{stream}", serve: (*call).reconfigureStream,
		success: []int{200}, failures: []int{404, 409, 422}, headers: needsBasin},
	{name: "delete_stream", method: "DELETE", pattern: "/v1/streams/{stream}", serve: (*call).deleteStream,
		success: []int{202}, failures: []int{404, 409}, headers: needsBasin},

	{name: "check_tail", method: "GET", pattern: "/v1/streams/{stream}/records/tail", serve: (*call).checkTail,
		success: []int{200}, failures: []int{404, 409}, headers: needsBasin},
	{name: readName, method: "GET", pattern: "/v1/streams/{stream}/records", serve: (*call).read,
		success: []int{200}, failures: []int{404, 409, 416, 422, 501},
		headers: []string{headerBasin, headerFormat, headerEncryptionKey, headerStreamConfig, headerLastEventID}, query: readParams},
	{name: "append", method: "POST", pattern: "/v1/streams/{stream}/records", serve: (*call).append,
		success: []int{200}, failures: []int{404, 409, 412, 422, 501},
		headers: []string{headerBasin, headerFormat, headerEncryptionKey, headerStreamConfig}},

	{name: "list_access_tokens", method: "GET", pattern: "/v1/access-tokens", serve: (*call).listTokens, success: []int{200},
		query: listParams},
	{name: "issue_access_token", method: "POST", pattern: "/v1/access-tokens", serve: (*call).issueToken, success: []int{201},
		failures: []int{409, 422}},
	{name: "revoke_access_token", method: "DELETE", pattern: "/v1/access-tokens/{id}", serve: (*call).revokeToken,
		success: []int{204}, failures: []int{404}},
	{name: "confirm_access_token", method: "POST", pattern: "/v1/access-tokens/{id}/confirm", serve: (*call).confirmToken,
		success: []int{204}, failures: []int{404}},
	{name: "list_locations", method: "GET", pattern: "/v1/locations", serve: (*call).listLocations, success: []int{200}},
	{name: "get_default_location", method: "GET", pattern: "/v1/locations/default", serve: (*call).getLocation,
		success: []int{200}},
	{name: "set_default_location", method: "PUT", pattern: "/v1/locations/default", serve: (*call).setLocation,
		success: []int{200}, failures: []int{422}},
	{name: "account_metrics", method: "GET", pattern: "/v1/metrics", serve: (*call).accountMetrics, success: []int{200},
		failures: []int{422}, query: metricsParams},
	{name: "basin_metrics", method: "GET", pattern: "/v1/metrics/{basin}", serve: (*call).basinMetrics, success: []int{200},
		failures: []int{422}, query: metricsParams},
	{name: "stream_metrics", method: "GET", pattern: "/v1/metrics/{basin}/{stream}", serve: (*call).streamMetrics,
		success: []int{200}, failures: []int{422}, query: metricsParams},

	{name: "health", method: "GET", pattern: "/health", serve: (*call).health, success: []int{200}, failures: []int{503}, probe: true},
	{name: "ping", method: "GET", pattern: "/ping", serve: (*call).health, success: []int{200}, failures: []int{503}, probe: true},
	{name: "prometheus", method: "GET", pattern: "/metrics", serve: (*call).prometheus, success: []int{200}, probe: true},
	{name: "openapi", method: "GET", pattern: "/openapi.json", serve: (*call).openAPI, success: []int{200}, probe: true},
})

func compile(table []route) []route {
	for i := range table {
		table[i].segments = strings.Split(table[i].pattern[1:], "/")
	}
	return table
}

// maxParams is the largest number of {name} segments in a pattern.
const maxParams = 2

// match finds the route for a method and a raw path, and the raw values of its {name} segments in their order. Without
// one it returns the methods that the path does have, none if the path is unknown.
func match(method, path string) (found *route, params [maxParams]string, allowed []string) {
	if len(path) == 0 || path[0] != '/' {
		return nil, params, nil
	}
	for i := range routes {
		r := &routes[i]
		p, ok := r.matchPath(path[1:])
		switch {
		case !ok:
		case r.method == method || method == http.MethodHead && r.answersHead():
			return r, p, nil
		case !slices.Contains(allowed, r.method):
			allowed = append(allowed, r.method)
		}
	}
	return nil, params, allowed
}

// answersHead reports whether the route takes HEAD: wherever it takes GET (RFC 9110, section 9.1), but for reads of records,
// which may be sessions, wait, and count as delivered.
func (r *route) answersHead() bool { return r.method == http.MethodGet && r.name != readName }

// readName is the route of reads.
const readName = "read"

func (r *route) matchPath(rest string) (params [maxParams]string, ok bool) {
	n := 0
	for i, want := range r.segments {
		seg, after, more := strings.Cut(rest, "/")
		if more != (i < len(r.segments)-1) {
			return params, false
		}
		rest = after
		switch {
		case want[0] != '{':
			if seg != want {
				return params, false
			}
		case seg == "":
			return params, false
		default:
			params[n] = seg
			n++
		}
	}
	return params, true
}
