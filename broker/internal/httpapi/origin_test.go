package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/weirstream/weir/broker/internal/httpapi"
)

// TestPagesOfAnOpenBroker: where nothing is checked only pages of this machine and of configured origins are served, under a name
// that cannot lead here by another's DNS, and none with credentials; what is no browser notices nothing.
func TestPagesOfAnOpenBroker(t *testing.T) {
	const page = "https://page.example"
	for _, tt := range []struct {
		name         string
		opts         httpapi.Options
		host, origin string
		status       int
		allowed      bool // the page may read the answer
		credentials  bool
	}{
		{"no browser", httpapi.Options{Open: true}, "127.0.0.1:8080", "", 200, false, false},
		{"no browser, by name", httpapi.Options{Open: true}, "localhost:8080", "", 200, false, false},
		{"no browser, IPv6", httpapi.Options{Open: true}, "[::1]:8080", "", 200, false, false},
		{"another name", httpapi.Options{Open: true}, "rebound.example:8080", "", 403, false, false},
		{"another name of the same page", httpapi.Options{Open: true}, "rebound.example:8080", "http://rebound.example:8080", 403, false, false},
		{"a page of this machine", httpapi.Options{Open: true}, "127.0.0.1:8080", "http://localhost:3000", 200, true, false},
		{"a page of this machine, IPv6", httpapi.Options{Open: true}, "127.0.0.1:8080", "http://[::1]:3000", 200, true, false},
		{"a page elsewhere", httpapi.Options{Open: true}, "127.0.0.1:8080", page, 403, false, false},
		{"a file", httpapi.Options{Open: true}, "127.0.0.1:8080", "null", 403, false, false},
		{"a page that is named", httpapi.Options{Open: true, CORSOrigins: []string{page}}, "127.0.0.1:8080", page, 200, true, false},
		{"a name that is named", httpapi.Options{Open: true, CORSOrigins: []string{page}}, "page.example", "", 200, false, false},
		{"without CORS, a page of this machine", httpapi.Options{Open: true, NoCORS: true}, "127.0.0.1:8080", "http://localhost:3000", 403, false, false},
		{"without CORS, the console", httpapi.Options{Open: true, NoCORS: true}, "127.0.0.1:8080", "http://127.0.0.1:8080", 200, false, false},
		{"checked, a page elsewhere", httpapi.Options{}, "weir.example", page, 200, true, true},
		{"checked, a page that is not named", httpapi.Options{CORSOrigins: []string{page}}, "weir.example", "https://other.example", 200, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := httpapi.New(nil, tt.opts)
			for _, method := range []string{http.MethodGet, http.MethodOptions} {
				r := httptest.NewRequest(method, "/health", nil)
				if r.Host = tt.host; tt.origin != "" {
					r.Header.Set("Origin", tt.origin)
				}
				if method == http.MethodOptions {
					if !tt.allowed {
						continue
					}
					r.Header.Set("Access-Control-Request-Method", "POST")
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code != tt.status {
					t.Errorf("%s: status %d, want %d: %s", method, w.Code, tt.status, w.Body)
				}
				if got := w.Header().Get("Access-Control-Allow-Origin") != ""; got != tt.allowed {
					t.Errorf("%s: the page may read it: %v", method, got)
				}
				if got := w.Header().Get("Access-Control-Allow-Credentials") != ""; got != tt.credentials {
					t.Errorf("%s: with credentials: %v", method, got)
				}
			}
		})
	}
}
