package compare

import "strings"

// request is one step of a row. In path, head and body BASIN is the row's own basin.
type request struct {
	method, path string
	head         []string // "name: value"; s2-basin and the content type of a body are added
	body         string
	opaque       bool   // the path goes out as it stands
	status       int    // that weir answers with
	says         string // part of weir's body
	liteCode     string // the code of s2-lite where the page says that it differs and lite is set
	lite         int    // the status of s2-lite where the page says that it differs; 0: the same
}

// row replays one row of docs/compatibility.md. Rows that make a difference say in the page what it is.
type row struct {
	page  string // the first cell of the row, as on the page
	steps []request
}

const (
	records = "/v1/streams/s/records"
	stream  = "/v1/streams/s"
	basin   = "/v1/basins/BASIN"
)

func get(path string, status int, says string) request {
	return request{method: "GET", path: path, status: status, says: says}
}

func send(method, path, body string, status int, says string) request {
	return request{method: method, path: path, body: body, status: status, says: says}
}

// raw is a request whose path goes out as it stands, although it is no path of a URL.
func raw(method, path string, status int, says string) request {
	return request{method: method, path: path, opaque: true, status: status, says: says}
}

// with adds a header.
func (r request) with(head ...string) request {
	r.head = append(r.head, head...)
	return r
}

// onLiteCode is the status and the code of s2-lite where they differ.
func (r request) onLiteCode(status int, code string) request {
	r.lite, r.liteCode = status, code
	return r
}

// onLite is the status of s2-lite, which differs.
func (r request) onLite(status int) request {
	r.lite = status
	return r
}

// badJSON are requests with bodies that are bad_json.
func badJSON(method, path string, bodies ...string) (steps []request) {
	for _, body := range bodies {
		steps = append(steps, send(method, path, body, 400, "bad_json").with("content-type: application/json"))
	}
	return steps
}

var (
	appendOne = send("POST", records, `{"records":[{"body":"x"}]}`, 200, `"seq_num":1`)
	deep      = strings.Repeat(`[`, 50_000) + strings.Repeat(`]`, 50_000)
)

// rows run in a basin of their own each, with a stream s that is empty.
var rows = []row{
	{"`GET /v1/basins`", []request{get("/v1/basins?prefix=BASIN", 200, `"has_more":false`)}},
	{"`POST /v1/basins`", []request{send("POST", "/v1/basins", `{"basin":"BASIN"}`, 409, "resource_already_exists"),
		send("POST", "/v1/basins", `{"basin":"BASIN-2","location":"nowhere"}`, 422, "invalid").onLite(201)}},
	{"`GET /v1/basins/{basin}`", []request{get(basin, 200, `"create_stream_on_append":false`), get("/v1/basins/no-such-basin", 404, "basin_not_found")}},
	{"`PUT /v1/basins/{basin}`", []request{send("PUT", basin, `{"config":{}}`, 200, "BASIN")}},
	{"`PATCH /v1/basins/{basin}`", []request{send("PATCH", basin, `{"create_stream_on_read":true}`, 200, `"create_stream_on_read":true`)}},
	{"`DELETE /v1/basins/{basin}`", []request{send("DELETE", basin, "", 202, ""), send("DELETE", "/v1/basins/no-such-basin", "", 404, "basin_not_found")}},
	{"`GET /v1/streams`", []request{get("/v1/streams", 200, `"name":"s"`),
		get("/v1/streams", 404, "basin_not_found").with("s2-basin: no-such-basin"), get("/v1/streams?prefix=a%00", 400, "bad_query")}},
	{"`POST /v1/streams`", []request{send("POST", "/v1/streams", `{"stream":"t"}`, 201, `"name":"t"`), send("POST", "/v1/streams", `{"stream":"t"}`, 409, "resource_already_exists")}},
	{"`GET /v1/streams/{stream}`", []request{get(stream, 200, `"storage_class":"express"`), get("/v1/streams/missing", 404, "stream_not_found"),
		get(stream, 404, "basin_not_found").with("s2-basin: no-such-basin").onLiteCode(404, "stream_not_found")}},
	{"`PUT /v1/streams/{stream}`", []request{send("PUT", "/v1/streams/t", `{"storage_class":"standard"}`, 201, `"name":"t"`)}},
	{"`PATCH /v1/streams/{stream}`", []request{send("PATCH", stream, `{"storage_class":"glacier"}`, 200, "glacier")}},
	{"`DELETE /v1/streams/{stream}`", []request{send("DELETE", stream, "", 202, ""), send("DELETE", "/v1/streams/missing", "", 404, "stream_not_found"),
		send("DELETE", "/v1/streams/missing", "", 404, "basin_not_found").with("s2-basin: no-such-basin").onLiteCode(404, "stream_not_found")}},
	{"`GET /v1/streams/{stream}/records/tail`", []request{get(records+"/tail", 200, `{"tail":{"seq_num":0,"timestamp":0}}`)}},
	{"`GET /v1/streams/{stream}/records`, one batch", []request{get(records+"?seq_num=0", 416, `{"tail":{"seq_num":0,"timestamp":0}}`), appendOne,
		get(records+"?seq_num=0", 200, `"body":"x"`), get(records+"?seq_num=9&count=0", 200, `{"records":[]}`),
		get(records+"?timestamp=0&until=0", 422, "invalid")}},
	{"`POST /v1/streams/{stream}/records`, one batch", []request{appendOne,
		send("POST", records, `{"records":[{"body":"x"}],"match_seq_num":0}`, 412, `{"seq_num_mismatch":1}`),
		send("POST", records, `{"records":[]}`, 422, "invalid"), send("POST", records, `{"records":`, 400, "bad_json"),
		send("POST", records, `{"records":`+deep+`}`, 400, "bad_json")}},
	{"`GET`, `POST /v1/access-tokens`, `DELETE /v1/access-tokens/{id}`", []request{get("/v1/access-tokens", 200, `"access_tokens"`).onLite(501)}},
	{"`POST /v1/access-tokens/{id}/confirm`", []request{send("POST", "/v1/access-tokens/a/confirm", "", 403, "permission_denied").onLite(404)}},
	{"`GET /v1/locations`, `GET`, `PUT /v1/locations/default`", []request{get("/v1/locations", 200, `"default_storage_class"`).onLite(501)}},
	{"`GET /v1/metrics`, `/v1/metrics/{basin}`, `/v1/metrics/{basin}/{stream}`", []request{
		get("/v1/metrics?set=estimated-billable-usage&start=1&end=2", 200, `"values"`).onLite(501)}},
	{"`GET /health`, `GET /ping`", []request{get("/health", 200, "OK"), get("/ping", 200, "OK")}},
	{"any other path", []request{get("/v1/nothing", 404, "bad_path"), get("/v1/basins/", 404, "bad_path"), get("//v1/basins", 404, "bad_path")}},
	{"any other method", []request{send("PATCH", "/v1/basins", `{}`, 405, "bad_path"), send("OPTIONS", "/v1/basins", "", 405, "bad_path").onLite(200)}},
	{"a `%` in the path that begins no escape", []request{raw("GET", "/v1/streams/a%zz", 400, "bad_path").onLite(404), raw("GET", "/v1/streams/a%2", 400, "bad_path").onLite(404)}},
	{"`HEAD`", []request{{method: "HEAD", path: basin, status: 200}, {method: "HEAD", path: records + "?seq_num=0", status: 405, lite: 416}}},
	{"`s2-format`", []request{send("POST", records, `{"records":[{"body":"eA=="}]}`, 200, "").with("s2-format: base64"), get(records+"?seq_num=0", 200, `"body":"x"`),
		get(records+"?seq_num=0", 400, "bad_header").with("s2-format: hex"), get(records+"?seq_num=0", 400, "bad_header").with("s2-format: ")}},
	{"`s2-request-token`", []request{send("POST", "/v1/streams", `{"stream":"t"}`, 201, "").with("s2-request-token: a"),
		send("POST", "/v1/streams", `{"stream":"t"}`, 201, "").with("s2-request-token: a"),
		send("POST", "/v1/streams", `{"stream":"u"}`, 400, "bad_header").with("s2-request-token: a b").onLite(201),
		send("POST", "/v1/streams", `{"stream":"u"}`, 400, "bad_header").with("s2-request-token: " + strings.Repeat("x", 37))}},
	{"`content-encoding`", []request{send("POST", records, `{}`, 415, "bad_header").with("content-encoding: br")}},
	{"null for `create_stream_on_append`, `create_stream_on_read`", []request{
		send("PUT", basin, `{"config":{"create_stream_on_append":null}}`, 200, "").onLite(400)}},
	{"literal `null` as the body of a `PUT`", []request{send("PUT", "/v1/streams/t", `null`, 201, "").onLite(400)}},
	{"NUL in a stream's name or a token's id", []request{get("/v1/streams/a%00b", 400, "bad_path"), send("PUT", "/v1/streams/a%00b", `{}`, 400, "bad_path"),
		send("POST", "/v1/streams", `{"stream":"a\u0000b"}`, 400, "bad_json"), get("/v1/streams?start_after=%00", 400, "bad_query"),
		send("POST", "/v1/access-tokens", `{"id":"a\u0000b","scope":{"ops":["read"]}}`, 400, "bad_json"),
		send("DELETE", "/v1/access-tokens/a%00b", "", 400, "bad_path"), get("/v1/access-tokens?prefix=%00", 400, "bad_query")}},
	{"a `storage_class` that is no word `[a-z][a-z0-9-]*`", []request{
		send("POST", "/v1/streams", `{"stream":"t","config":{"storage_class":"GLACIER"}}`, 400, "bad_json").onLite(201),
		send("PATCH", stream, `{"storage_class":"a b"}`, 400, "bad_json").onLite(200)}},
	{"an escape in a query that is none, or no UTF-8", []request{get("/v1/streams?prefix=%zz", 400, "bad_query").onLite(200),
		get("/v1/streams?prefix=%ff", 400, "bad_query").onLite(200)}},
	{"an array in the place of an object", []request{send("PATCH", stream, `[]`, 400, "bad_json").onLite(200), send("POST", "/v1/streams", `[]`, 400, "bad_json")}},
	{"JSON nested deeper than 10,000, in a member that is not known", []request{
		send("POST", "/v1/streams", `{"stream":"t","x":`+deep+`}`, 400, "bad_json").onLite(201),
		send("POST", records, `{"records":[{"body":"x"}],"x":`+deep+`}`, 400, "bad_json").onLite(200),
		send("POST", "/v1/streams", deep, 400, "bad_json"), send("POST", "/v1/streams", `{"stream":"u","config":`+deep+`}`, 400, "bad_json")}},
	{"malformed JSON; JSON that is not what the request wants", badJSON("POST", "/v1/streams", ``, `{`, `}`, `null`, `1`, `"x"`, `{"stream":"t"`, `{"stream":"t",}`,
		`{"stream":"t"} x`, `{"stream":"t","stream":"u"}`, `{"stream":"\x"}`, `{"stream":01}`, `{"stream":1}`, `{"config":{}}`, `{"stream":"t","config":1}`,
		`{"stream":"t","config":{"retention_policy":{"age":1.5}}}`,
		`{"stream":"t","config":{"retention_policy":{}}}`, `{"stream":"t","config":{"timestamping":{"mode":"other"}}}`)},
	{"values that are understood and not allowed", []request{send("POST", records, `{"records":[]}`, 422, "invalid"),
		send("POST", records, `{"records":[{"body":"x","headers":[["","other"]]}]}`, 422, "invalid"),
		send("POST", "/v1/streams", `{"stream":"t","config":{"retention_policy":{"age":0}}}`, 422, "invalid"),
		get(records+"?seq_num=0&timestamp=0", 422, "invalid"), get(records+"?timestamp=5&until=4", 422, "invalid")}},
	{"defaults in a stream's config", []request{get(stream, 200, `"delete_on_empty":{"min_age_secs":0}`)}},
	{"an invalid name in a body or query", []request{send("POST", "/v1/streams", `{"stream":".."}`, 400, "bad_json"),
		get("/v1/basins?prefix=UPPER", 400, "bad_query")}},
}

// elsewhere are rows of the page's first tables that other tests hold.
var elsewhere = map[string]string{
	"the same, SSE":                             "test/conformance, A.17",
	"the same, s2s":                             "test/conformance, A.18",
	"`GET /metrics`":                            "broker, TestMetrics",
	"`GET /openapi.json`":                       "broker/internal/httpapi, openapi_test.go",
	"`s2-basin`":                                "every row sends it",
	"`s2-stream-config`":                        "test/conformance, A.14/277",
	"`s2-encryption-key`":                       "test/conformance, A.15",
	"`authorization`":                           "test, TestAccessTokens",
	"`content-type`, `accept`":                  "test/conformance, A.16",
	"`accept-encoding`":                         "test/conformance, A.16/325",
	"`last-event-id`":                           "test/conformance, A.17",
	"`origin`, `access-control-request-*`":      "test/conformance, cp A.1",
	"repeat of a `POST` with its request token": "the row s2-request-token",
	"`scope` of a basin (older clients)":        "test/conformance, web_provision.go",
	"limits of S2's free tier":                  "there is nothing to ask for",
	"`delete_on_empty`":                         "test/conformance, cases_empty.go",
	"retention by age":                          "test/conformance, cp 4.10",
}
