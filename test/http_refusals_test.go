package test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/weirstream/weir/test/conformance"
)

// answered is an answer that was read whole.
type answered struct {
	status int
	head   http.Header
	body   string
}

// exactly sends a request whose path goes out as it stands.
func exactly(t *testing.T, web conformance.Web, method, path string, body io.Reader, head ...string) answered {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, web.Base, body)
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Opaque = path
	req.Header.Set("S2-Basin", "hostile-basin")
	for _, h := range head {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := web.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered{resp.StatusCode, resp.Header, string(text)}
}

// TestBrokenEscapes: a % in the path that begins no escape is answered in JSON that a page may read, and so is its preflight, on
// every request of a connection.
func TestBrokenEscapes(t *testing.T) {
	const page = "http://localhost:3000"
	_, web := hostile(t, conformance.RealClock, http1)
	for range 20 { // one connection
		got := exactly(t, web, "POST", "/v1/streams/a%zz/records", strings.NewReader(`{"records":[{"body":"/%zz"}]}`), "origin: "+page, hostileJSON)
		if got.status != 400 || !strings.Contains(got.body, `"code":"bad_path"`) || got.head.Get("Content-Type") != "application/json" ||
			got.head.Get("Access-Control-Allow-Origin") != page {
			t.Fatalf("%d %v %q", got.status, got.head, got.body)
		}
		got = exactly(t, web, "OPTIONS", "/v1/streams/a%2/records", nil, "origin: "+page, "access-control-request-method: POST")
		if got.status != 200 || got.head.Get("Access-Control-Allow-Methods") != "POST" {
			t.Fatalf("the preflight: %d %v %q", got.status, got.head, got.body)
		}
		got = exactly(t, web, "POST", "/v1/streams/stream/records", strings.NewReader(`{"records":[{"body":"GET /%zz "}]}`), hostileJSON)
		if got.status != 200 {
			t.Fatalf("a body that looks like a request: %d %q", got.status, got.body)
		}
	}
	got := exactly(t, web, "GET", "/v1/streams/stream/records?seq_num=1&count=20", nil)
	if n := strings.Count(got.body, `"GET /%zz "`); got.status != 200 || n != 20 {
		t.Errorf("%d of 20 bodies came back as they were sent: %d %q", n, got.status, got.body)
	}
}

// TestUnescapedSlash: the refusal says how a / in a name is written.
func TestUnescapedSlash(t *testing.T) {
	for _, wire := range []httpVersion{http1, http2} {
		_, web := hostile(t, conformance.RealClock, wire)
		for _, path := range []string{"/v1/streams/a/b", "/v1/streams/a/b/records", "/v1/streams/a/records/tail/x"} {
			if got := exactly(t, web, "GET", path, nil); got.status != 404 || !strings.Contains(got.body, "%2F") {
				t.Errorf("%s: %d %q", path, got.status, got.body)
			}
		}
	}
}

// TestHead: HEAD is answered as GET without a body, but for reads.
func TestHead(t *testing.T) {
	_, web := hostile(t, conformance.RealClock, http1)
	for _, path := range []string{"/v1/basins", "/v1/basins/hostile-basin", "/v1/streams", "/v1/streams/stream", "/v1/streams/stream/records/tail", "/v1/locations",
		"/v1/access-tokens", "/health", "/metrics", "/openapi.json", "/dashboard", "/v1/streams/missing", "/nothing"} {
		get, head := exactly(t, web, "GET", path, nil), exactly(t, web, "HEAD", path, nil)
		if head.status != get.status || head.body != "" || head.head.Get("Content-Type") != get.head.Get("Content-Type") {
			t.Errorf("%s: HEAD %d %q %q, GET %d %q", path, head.status, head.body, head.head.Get("Content-Type"), get.status, get.head.Get("Content-Type"))
		}
	}
	if got := exactly(t, web, "HEAD", "/v1/streams/stream/records?seq_num=0", nil); got.status != 405 {
		t.Errorf("HEAD of a read: %d", got.status)
	}
}

// TestZstdWindow: a window over the limit is told as such, and not as a body that is too large.
func TestZstdWindow(t *testing.T) {
	_, web := hostile(t, conformance.RealClock, http1)
	compressed := func(window int) io.Reader {
		var out bytes.Buffer
		w, err := zstd.NewWriter(&out, zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		// In pieces, so that the frame does not tell its size in the place of its window.
		for _, piece := range []string{`{"records":[{"bo`, `dy":"x"}]}`} {
			if _, err := io.WriteString(w, piece); err != nil {
				t.Fatal(err)
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return &out
	}
	const path = "/v1/streams/stream/records"
	if got := exactly(t, web, "POST", path, compressed(8<<20), hostileJSON, "content-encoding: zstd"); got.status != 200 {
		t.Errorf("the largest window: %d %q", got.status, got.body)
	}
	got := exactly(t, web, "POST", path, compressed(16<<20), hostileJSON, "content-encoding: zstd")
	if got.status != 400 || !strings.Contains(got.body, "window of more than 8388608 bytes") {
		t.Errorf("a larger one: %d %q", got.status, got.body)
	}
}
