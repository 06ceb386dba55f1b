package httpapi_test

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/weirstream/weir/broker/internal/httpapi"
	"github.com/weirstream/weir/protocol"
)

const page = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8" // what browsers accept

// oneToken is the console of a broker that knows one token.
func oneToken(token string) (httpapi.DashboardSession, error) {
	if token != "good" {
		return httpapi.DashboardSession{}, protocol.Errorf(protocol.CodeAuthn, "no")
	}
	return httpapi.DashboardSession{Version: "1.2.3", Checked: true, Token: protocol.AccessTokenInfo{ID: "reader"}}, nil
}

// TestDashboard: browsers get the console, with a policy that lets it load nothing else; programs notice nothing.
func TestDashboard(t *testing.T) {
	url := listen(t, httpapi.New(startBroker(t).Service(), httpapi.Options{Dashboard: oneToken}))
	c := http1(t)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	get := func(path string, headers ...string) *http.Response {
		return send(t, c, "GET", url+path, nil, headers...)
	}

	want{302, []string{"location: /dashboard", "vary: accept"}}.check(t, "a browser at /", get("/", "accept", page))
	for name, accept := range map[string]string{"curl": "*/*", "nothing": "", "json": "application/json", "refused": "text/html;q=0, */*"} {
		want{404, []string{"content-type: application/json"}}.check(t, name+" at /", get("/", "accept", accept))
	}

	pages := []string{"/dashboard", "/dashboard/", "/dashboard/basins/demo-basin/stream", "/dashboard/..%2F", "/dashboard/assets"}
	for _, path := range pages {
		want{200, []string{"content-type: text/html; charset=utf-8", "cache-control: no-store", "x-content-type-options: nosniff",
			"referrer-policy: no-referrer"}}.check(t, path, get(path, "accept", page))
	}
	policy := get("/dashboard").Header.Get("Content-Security-Policy")
	for _, rule := range []string{"default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "form-action 'none'", "require-trusted-types-for 'script'"} {
		if !strings.Contains(policy, rule) {
			t.Errorf("the policy lacks %s: %s", rule, policy)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
		t.Errorf("the policy is lax: %s", policy)
	}
	for _, path := range []string{"/dashboards", "/dashboard.html", "/dashboard/assets/none.js", "/dashboard/assets/../index.html"} {
		want{404, nil}.check(t, path, get(path))
	}
	want{404, nil}.check(t, "no form is taken", send(t, c, "POST", url+"/dashboard", strings.NewReader("x")))
	if h := get("/dashboard/session", "origin", "https://a.example").Header; h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another origin may read the session: %v", h)
	}
}

// TestDashboardFiles: index.html names files that exist, whose names change with their content, and nothing of other hosts;
// they may be kept for ever, and are compressed.
func TestDashboardFiles(t *testing.T) {
	url := listen(t, httpapi.New(startBroker(t).Service(), httpapi.Options{Dashboard: oneToken}))
	c := http1(t)
	resp := send(t, c, "GET", url+"/dashboard", nil)
	index, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(index), "://") || regexp.MustCompile(`<script[^>]*>[^<]|style=|<style`).Match(index) {
		t.Errorf("something inline, or of another host:\n%s", index)
	}
	files := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(string(index), -1)
	if len(files) < 3 {
		t.Fatalf("index.html names %d files: was the console built?\n%s", len(files), index)
	}
	for _, f := range files {
		if !regexp.MustCompile(`^/dashboard/assets/[a-z0-9]+-[\w-]{8}\.(js|css|svg)$`).MatchString(f[1]) {
			t.Errorf("%s has no hash in its name", f[1])
		}
		want{200, []string{"cache-control: public, max-age=31536000, immutable", "content-encoding: gzip", "vary: accept-encoding",
			"x-content-type-options: nosniff"}}.check(t, f[1], send(t, c, "GET", url+f[1], nil, "accept-encoding", "gzip, deflate, br, zstd"))
		if resp := send(t, c, "GET", url+f[1], nil, "accept-encoding", "br, gzip;q=0"); resp.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: compressed unasked: %v", f[1], resp.Header)
		}
	}
	head := send(t, c, "HEAD", url+"/dashboard", nil)
	if body, _ := io.ReadAll(head.Body); head.StatusCode != 200 || len(body) != 0 {
		t.Errorf("HEAD: %d with %d bytes", head.StatusCode, len(body))
	}
}

// TestDashboardSession: the console learns who uses it, and an unauthenticated client learns nothing.
func TestDashboardSession(t *testing.T) {
	url := listen(t, httpapi.New(startBroker(t).Service(), httpapi.Options{Dashboard: oneToken})) + "/dashboard/session"
	want{401, []string{`{"code":"authn","message":"no"}`}}.check(t, "no token", send(t, http1(t), "GET", url, nil))
	want{200, []string{"cache-control: no-store", `"version":"1.2.3"`, `"checked":true`, `"id":"reader"`}}.check(t, "a token",
		send(t, http1(t), "GET", url, nil, "authorization", "Bearer good"))
}

// TestDashboardOff: without the option there is nothing.
func TestDashboardOff(t *testing.T) {
	url := listen(t, httpapi.New(startBroker(t).Service(), httpapi.Options{}))
	for _, path := range []string{"/", "/dashboard", "/dashboard/session"} {
		want{404, []string{`"code":"bad_path"`}}.check(t, path, send(t, http1(t), "GET", url+path, nil, "accept", page))
	}
}
