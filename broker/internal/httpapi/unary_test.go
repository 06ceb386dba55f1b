package httpapi_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/weirstream/weir/broker/internal/httpapi"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/s2s"
)

// want is what an answer must be: its status, and texts that its body or a header ("name: value") must hold.
type want struct {
	status int
	texts  []string
}

func (w want) check(t *testing.T, what string, resp *http.Response) {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if resp.StatusCode != w.status {
		t.Errorf("%s: status %d, want %d: %s", what, resp.StatusCode, w.status, body)
	}
	all := string(body)
	for name, values := range resp.Header {
		for _, v := range values {
			all += "\n" + strings.ToLower(name) + ": " + v
		}
	}
	for _, text := range w.texts {
		if !strings.Contains(all, text) {
			t.Errorf("%s: %q is not in %s", what, text, all)
		}
	}
	if resp.StatusCode >= 400 && resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s: an error with content-type %q", what, resp.Header.Get("Content-Type"))
	}
}

const (
	inBasin = "s2-basin: test-basin"
	asJSON  = "content-type: application/json"
)

// TestRequests sends requests one after the other to one broker, over HTTP/1.1 and over HTTP/2. Each row cites its rule.
func TestRequests(t *testing.T) {
	one := `{"records":[{"body":"x"}]}`
	for _, version := range []string{"http1", "http2"} {
		t.Run(version, func(t *testing.T) {
			url := listen(t, startBroker(t).HTTPHandler())
			c := http1(t)
			if version == "http2" {
				c = http2(t)
			}
			for _, r := range []struct {
				rule    string
				request string // method and path
				heads   []string
				body    string
				want    want
			}{
				{"3.2 created", "POST /v1/basins", []string{asJSON, "s2-request-token: t1"}, `{"basin":"other-basin"}`,
					want{201, []string{"s2-provision-result: created", `"name":"other-basin"`}}},
				{"3.3 replay", "POST /v1/basins", []string{asJSON, "s2-request-token: t1"}, `{"basin":"other-basin","config":{}}`,
					want{201, []string{"s2-provision-result: noop"}}},
				{"3.2 taken", "POST /v1/basins", []string{asJSON}, `{"basin":"other-basin"}`, want{409, []string{"resource_already_exists"}}},
				{"1.2 token before body", "POST /v1/basins", []string{asJSON, "s2-request-token: " + strings.Repeat("t", 37)}, `{`, want{400, []string{"bad_header"}}},
				{"2.9 content type", "POST /v1/basins", []string{"content-type: text/plain"}, `{"basin":"other-basin"}`, want{400, []string{"bad_json"}}},
				{"2.9 suffix", "POST /v1/basins", []string{"content-type: application/x+json"}, `{"basin":"other-basin"}`, want{409, nil}},
				{"2.9 empty body", "POST /v1/basins", []string{asJSON}, ``, want{400, []string{"bad_json"}}},
				{"2.9 no type, body ignored", "PUT /v1/basins/other-basin", nil, `{broken`, want{200, []string{"s2-provision-result: noop"}}},
				{"2.9 null", "PUT /v1/basins/other-basin", []string{asJSON}, `null`, want{200, []string{"s2-provision-result: noop"}}},
				{"2.9 other type", "PUT /v1/basins/other-basin", []string{"content-type: text/plain"}, ``, want{400, []string{"bad_json"}}},
				{"3.4 updated", "PUT /v1/basins/other-basin", []string{asJSON}, `{"config":{"create_stream_on_read":true}}`,
					want{200, []string{"s2-provision-result: updated"}}},
				{"2.7", "GET /v1/basins/other-basin", nil, ``, want{200, []string{`"create_stream_on_read":true`}}},
				{"2.9 age 0", "PATCH /v1/basins/other-basin", []string{asJSON}, `{"default_stream_config":{"retention_policy":{"age":0}}}`,
					want{422, []string{`"invalid"`}}},
				{"430 path before body", "PATCH /v1/basins/B", []string{asJSON}, `{`, want{400, []string{"bad_path"}}},
				{"1.3", "GET /v1/basins?prefix=other&limit=1", nil, ``, want{200, []string{`"basins":[{"name":"other-basin"`, `"has_more":false`}}},
				{"1.3", "GET /v1/basins?limit=-1", nil, ``, want{400, []string{"bad_query"}}},
				{"3.7", "DELETE /v1/basins/other-basin", nil, ``, want{202, []string{"content-length: 0"}}},
				{"3.7", "DELETE /v1/basins/never-there", nil, ``, want{404, []string{"basin_not_found"}}},

				{"4.2", "POST /v1/streams", []string{inBasin, asJSON}, `{"stream":"a/b"}`, want{201, []string{"s2-provision-result: created", `"deleted_at":null`}}},
				{"4.4", "GET /v1/streams/a%2Fb", []string{inBasin}, ``, want{200, []string{`"storage_class":"express"`}}},
				{"4.3", "PUT /v1/streams/a%2Fb", []string{inBasin, asJSON}, ``, want{200, []string{"s2-provision-result: noop"}}},
				{"4.5", "PATCH /v1/streams/a%2Fb", []string{inBasin, asJSON}, `{"storage_class":"standard"}`, want{200, []string{`"standard"`}}},
				{"1.2 basin before path", "GET /v1/streams/%2E%2E", []string{"s2-basin: B"}, ``, want{400, []string{"bad_header"}}},
				{"321", "GET /v1/streams/%2E%2E", []string{inBasin}, ``, want{400, []string{"bad_path"}}},
				{"319", "GET /v1/streams", nil, ``, want{400, []string{"bad_header"}}},
				{"D-2", "GET /v1/streams", []string{"s2-basin: never-there"}, ``, want{404, []string{"basin_not_found"}}},
				{"4.6", "DELETE /v1/streams/a%2Fb", []string{inBasin}, ``, want{202, nil}},

				{"8.7", "POST /v1/streams/s/records", []string{inBasin, asJSON}, one, want{200, []string{`{"start":{"seq_num":0,`}}},
				{"305", "POST /v1/streams/s/records", []string{inBasin, "content-type: application/protobuf", "accept: application/json"},
					string(protocol.MarshalAppendInput(&protocol.AppendInput{Records: []protocol.Record{{Body: []byte("y")}}})), want{200, []string{`{"start":{"seq_num":1,`}}},
				{"8.3", "POST /v1/streams/s/records", []string{inBasin, asJSON, "accept: application/x-protobuf"}, one,
					want{200, []string{"content-type: application/protobuf"}}},
				{"304", "POST /v1/streams/s/records", []string{inBasin}, one, want{400, []string{"bad_json"}}},
				{"311", "POST /v1/streams/s/records", []string{inBasin, "content-type: application/protobuf"}, "\xff", want{400, []string{"bad_proto"}}},
				{"314 before the body", "POST /v1/streams/s/records", []string{inBasin, asJSON, "s2-format: hex"}, `{`, want{400, []string{"bad_header", "s2-format"}}},
				{"8.5 not for protobuf", "POST /v1/streams/s/records", []string{inBasin, "content-type: application/protobuf", "s2-format: hex"}, "\xff", want{400, []string{"bad_proto"}}},
				{"285", "POST /v1/streams/s/records", []string{inBasin, asJSON, "s2-encryption-key: " + strings.Repeat("A", 45)}, `{`, want{400, []string{"s2-encryption-key"}}},
				{"286", "POST /v1/streams/s/records", []string{inBasin, asJSON, "s2-encryption-key: !!!!"}, `{`, want{400, []string{"bad_json"}}},
				{"326", "POST /v1/streams/s/records", []string{inBasin, asJSON, "content-encoding: br"}, one, want{415, []string{"bad_header", "accept-encoding: gzip, zstd, identity"}}},
				{"8.11", "POST /v1/streams/s/records", []string{inBasin, asJSON}, strings.Repeat(" ", 2<<20) + "1", want{400, []string{"bad_json", "2097152"}}},
				{"8.11", "POST /v1/streams/s/records", []string{inBasin, "content-type: application/protobuf"}, strings.Repeat(" ", 2<<20) + "1", want{400, []string{"bad_proto"}}},
				{"412", "POST /v1/streams/s/records", []string{inBasin, asJSON}, `{"records":[{}],"match_seq_num":9}`, want{412, []string{`{"seq_num_mismatch":3}`}}},
				{"2.7", "POST /v1/streams/s/records", []string{inBasin, asJSON}, `{"records":[]}`, want{422, []string{`"invalid"`}}},
				{"5", "GET /v1/streams/s/records/tail", []string{inBasin}, ``, want{200, []string{`{"tail":{"seq_num":3,`}}},
				{"8.5", "GET /v1/streams/s/records?seq_num=0&count=1", []string{inBasin}, ``, want{200, []string{`"body":"x"}]}`}}},
				{"8.5", "GET /v1/streams/s/records?seq_num=0&count=1", []string{inBasin, "s2-format: base64"}, ``, want{200, []string{`"body":"eA=="`}}},
				{"8.6", "GET /v1/streams/s/records?seq_num=0", []string{inBasin, "accept: application/protobuf"}, ``, want{200, []string{"content-type: application/protobuf"}}},
				{"416", "GET /v1/streams/s/records", []string{inBasin}, ``, want{416, []string{`{"tail":{"seq_num":3,`}}},
				{"8.14, 4 before 5", "GET /v1/streams/s/records?count=x", []string{inBasin, "s2-encryption-key: "}, ``, want{400, []string{"bad_query"}}},
				{"8.14, 5 before 6", "GET /v1/streams/s/records?seq_num=1&timestamp=1", []string{inBasin, "s2-encryption-key: ", "s2-format: hex"}, ``, want{400, []string{"s2-encryption-key"}}},
				{"8.14, 6 before 7", "GET /v1/streams/s/records?seq_num=1&timestamp=1", []string{inBasin, "s2-format: hex"}, ``, want{400, []string{"s2-format"}}},
				{"8.14, 7 before 9", "GET /v1/streams/missing/records?seq_num=1&timestamp=1", []string{inBasin}, ``, want{422, []string{`"invalid"`}}},
				{"8.14, 9", "GET /v1/streams/missing/records?seq_num=1", []string{inBasin}, ``, want{404, []string{"stream_not_found"}}},
				{"8.8", "GET /v1/streams/s/records", []string{inBasin, "accept: text/event-stream", "last-event-id: 1, 2,3"}, ``, want{400, []string{"last-event-id"}}},
				{"338", "GET /v1/streams/s/records?seq_num=3&count=1", []string{inBasin, "accept: text/event-stream"}, ``, want{416, []string{`{"tail":`}}},

				{"427", "GET /v1/basins/", nil, ``, want{404, []string{"bad_path"}}},
				{"428", "DELETE /v1/basins", nil, ``, want{405, []string{"bad_path", "allow: GET, POST"}}},
				{"D-12", "GET /v1/access-tokens?limit=x", nil, ``, want{400, []string{"bad_query"}}},
				{"5.7", "GET /v1/access-tokens", nil, ``, want{200, []string{`"id":"root"`, `"has_more":false`}}},
				{"431", "POST /v1/access-tokens", []string{asJSON}, `{}`, want{400, []string{"bad_json"}}},
				{"318", "POST /v1/access-tokens", []string{asJSON}, `{"id":"a","scope":{}}`, want{422, []string{"Access token permissions cannot be empty"}}},
				{"5.1", "POST /v1/access-tokens", []string{asJSON}, `{"id":"a/b","scope":{"ops":["read"]}}`, want{201, []string{`{"access_token":"weir_`, "cache-control: no-store"}}},
				{"5.1", "DELETE /v1/access-tokens/a%2Fb", nil, ``, want{204, nil}},
				{"D-12", "DELETE /v1/access-tokens/" + strings.Repeat("x", 97), nil, ``, want{400, []string{"bad_path"}}},
				{"351", "DELETE /v1/access-tokens/x", nil, ``, want{404, []string{"access_token_not_found"}}},
				{"7", "GET /v1/locations", nil, ``, want{200, []string{`[{"name":"local","is_private":true,"storage_classes":["express","standard"],"default_storage_class":"express"}]`}}},
				{"7", "GET /v1/locations/default", nil, ``, want{200, []string{`{"name":"local","is_private":true,"storage_classes":["express","standard"],"default_storage_class":"express"}`}}},
				{"7", "PUT /v1/locations/default", []string{asJSON}, `""`, want{400, []string{"bad_json"}}},
				{"7", "PUT /v1/locations/default", []string{asJSON}, `"aws:us-east-1"`, want{422, []string{"invalid"}}},
				{"7", "PUT /v1/locations/default", []string{asJSON}, `"local"`, want{200, []string{`{"name":"local","is_private":true,"storage_classes":["express","standard"],"default_storage_class":"express"}`}}},
				{"D-11", "GET /v1/metrics?set=nothing", nil, ``, want{400, []string{"bad_query"}}},
				{"6.1", "GET /v1/metrics/test-basin?set=storage&start=4294967296", nil, ``, want{400, []string{"bad_query"}}},
				{"6.1", "GET /v1/metrics/test-basin?set=storage&interval=week", nil, ``, want{400, []string{"bad_query"}}},
				{"6.1", "GET /v1/metrics/test-basin?set=storage&interval=", nil, ``, want{400, []string{"bad_query"}}},
				{"392", "GET /v1/metrics?set=active-basins", nil, ``, want{422, []string{"invalid", "start and end params required"}}},
				{"396", "GET /v1/metrics?set=active-basins&start=1&end=2", nil, ``, want{200, []string{`{"values":[{"label":{"name":"active_basins","values":[]}}]}`}}},
				{"399", "GET /v1/metrics/test-basin/a%2Fb?set=storage&start=1&end=2", nil, ``, want{200, []string{`{"values":[{"gauge":{"name":"storage","unit":"bytes","values":[]}}]}`}}},
				{"6.3", "GET /v1/metrics/Bad?set=storage&start=1&end=2", nil, ``, want{400, []string{"bad_path"}}},
				{"6.3", "GET /v1/metrics/test-basin/%2E?set=storage&start=1&end=2", nil, ``, want{400, []string{"bad_path"}}},

				{"432", "GET /health", nil, ``, want{200, []string{"OK", "content-type: text/plain"}}},
				{"432", "GET /ping", nil, ``, want{200, []string{"OK"}}},
				{"434", "GET /metrics", nil, ``, want{200, []string{"text/plain; version=0.0.4", "s2_append_permit_latency_seconds_count 4",
					"s2_append_ack_latency_seconds_count 3", "s2_append_batch_records_count", "s2_append_batch_bytes_sum",
					`weir_http_requests_total{route="check_tail",status="200"} 1`, "process_start_time_seconds"}}},
			} {
				method, path, _ := strings.Cut(r.request, " ")
				var heads []string
				for _, h := range r.heads {
					name, value, _ := strings.Cut(h, ": ")
					heads = append(heads, name, value)
				}
				r.want.check(t, r.rule+": "+r.request, send(t, c, method, url+path, strings.NewReader(r.body), heads...))
			}
		})
	}
}

// TestMetricsBeforeAnyAppend: row 433.
func TestMetricsBeforeAnyAppend(t *testing.T) {
	url := listen(t, startBroker(t).HTTPHandler())
	body, err := io.ReadAll(send(t, http1(t), "GET", url+"/metrics", nil).Body)
	if err != nil || strings.Contains(string(body), "s2_append") || !strings.Contains(string(body), "process_cpu_seconds_total") {
		t.Errorf("%v: %s", err, body)
	}
}

// TestCompression: data plane 8.10 and 8.11, rows 323 to 325.
func TestCompression(t *testing.T) {
	url := listen(t, startBroker(t).HTTPHandler()) + "/v1/streams/s/records"
	c := http1(t)
	in := `{"records":[{"body":"` + strings.Repeat("x", 2048) + `"},{"body":"` + strings.Repeat("y", 2048) + `"}]}`
	for _, coding := range []s2s.Compression{s2s.Gzip, s2s.Zstd} {
		head := []string{"s2-basin", "test-basin", "content-type", "application/json", "content-encoding", coding.String()}
		post := func(body []byte) *http.Response { return send(t, c, "POST", url, bytes.NewReader(body), head...) }
		want{200, nil}.check(t, "compressed", post(coding.Append(nil, []byte(in))))
		want{200, nil}.check(t, "compressed though small", post(coding.Append(nil, []byte(`{"records":[{}]}`))))
		want{400, []string{"bad_json"}}.check(t, "not what it says", post([]byte(in)))
		want{400, []string{"bad_json", "2097152"}}.check(t, "a bomb", post(coding.Append(nil, bytes.Repeat([]byte(" "), 64<<20))))
		want{400, []string{"bad_json"}}.check(t, "a body that is cut", post(coding.Append(nil, []byte(in))[:20]))

		resp := send(t, c, "GET", url+"?seq_num=0&count=2", nil, "s2-basin", "test-basin", "accept-encoding", coding.String())
		packed, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := coding.Decode(packed, 1<<20)
		if err != nil || resp.Header.Get("Content-Encoding") != coding.String() || resp.Header.Get("Vary") != "accept-encoding" || len(packed) > 500 {
			t.Fatalf("%v: %v, %d bytes", coding, resp.Header, len(packed))
		}
		if batch, err := protocol.DecodeReadBatchJSON(plain, protocol.FormatRaw); err != nil || batch.Records.Len() != 2 {
			t.Errorf("%v: %q, %v", coding, plain, err)
		}
	}
	resp := send(t, c, "GET", url+"?seq_num=0&count=1", nil, "s2-basin", "test-basin")
	if resp.Header.Get("Content-Encoding") != "" || resp.Header.Get("Vary") != "accept-encoding" {
		t.Errorf("not asked for: %v", resp.Header)
	}
	resp = send(t, c, "GET", url+"/tail", nil, "s2-basin", "test-basin", "accept-encoding", "gzip")
	if resp.Header.Get("Content-Encoding") != "" || resp.Header.Get("Vary") != "" {
		t.Errorf("small: %v", resp.Header)
	}
}

// TestCORS: control plane 9.2, A.24/435 and 436.
func TestCORS(t *testing.T) {
	svc := startBroker(t).Service()
	preflight := []string{"origin", "https://a.example", "access-control-request-method", "PATCH", "access-control-request-headers", "s2-basin, content-type"}
	url := listen(t, httpapi.New(svc, httpapi.Options{}))
	want{200, []string{"access-control-allow-origin: https://a.example", "access-control-allow-credentials: true",
		"access-control-allow-methods: PATCH", "access-control-allow-headers: s2-basin, content-type"}}.check(t, "preflight",
		send(t, http1(t), "OPTIONS", url+"/v1/streams/x", nil, preflight...))
	want{200, []string{"access-control-allow-origin: https://a.example", "access-control-expose-headers: S2-Provision-Result", "vary: origin"}}.check(t, "request",
		send(t, http1(t), "GET", url+"/v1/basins", nil, "origin", "https://a.example"))
	resp := send(t, http1(t), "GET", url+"/v1/basins", nil)
	if resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("no origin: %v", resp.Header)
	}

	off := listen(t, httpapi.New(svc, httpapi.Options{NoCORS: true}))
	want{405, []string{"allow: "}}.check(t, "switched off", send(t, http1(t), "OPTIONS", off+"/v1/streams/x", nil, preflight...))
	if resp := send(t, http1(t), "GET", off+"/v1/basins", nil, "origin", "https://a.example"); resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("switched off: %v", resp.Header)
	}
}
