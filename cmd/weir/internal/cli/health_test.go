package cli_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weirstream/weir/cmd/weir/internal/cli"
)

// TestHealth: the exit code tells a broker that serves from one that does not, and from none.
func TestHealth(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health" {
			status = http.StatusNotFound
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte("says the broker"))
	}))
	defer server.Close()
	secure := httptest.NewTLSServer(server.Config.Handler)
	defer secure.Close()
	address := strings.TrimPrefix(server.URL, "http://")

	ask := func(environ []string, args ...string) *run {
		r := &run{}
		e := env(newFake(), r, "")
		e.Environ = environ
		r.code = cli.Main(context.Background(), e, append([]string{"health"}, args...))
		return r
	}
	if r := ask(nil, "--url", server.URL); r.code != 0 || r.stdout.String() != "says the broker\n" {
		t.Errorf("healthy: exit %d, %q, %q", r.code, r.stdout.String(), r.stderr.String())
	}
	if r := ask([]string{"WEIR_HTTP_LISTEN=" + address}); r.code != 0 {
		t.Errorf("by the variable: exit %d, %q", r.code, r.stderr.String())
	}
	if r := ask([]string{"WEIR_HTTP_LISTEN=" + strings.TrimPrefix(secure.URL, "https://"), "WEIR_HTTP_TLS_SELF=true"}); r.code != 0 {
		t.Errorf("with a certificate of its own: exit %d, %q", r.code, r.stderr.String())
	}
	if r := ask(nil, "--url", secure.URL); r.code != 3 {
		t.Errorf("another machine's certificate is checked: exit %d, %q", r.code, r.stderr.String())
	}
	status = http.StatusServiceUnavailable
	if r := ask(nil, "--url", server.URL); r.code != 1 || !strings.Contains(r.stderr.String(), "says the broker") {
		t.Errorf("not healthy: exit %d, %q", r.code, r.stderr.String())
	}
	if r := ask([]string{"WEIR_HTTP_LISTEN=none"}); r.code != 2 {
		t.Errorf("no port: exit %d, %q", r.code, r.stderr.String())
	}
	server.Close()
	if r := ask(nil, "--url", server.URL); r.code != 3 {
		t.Errorf("no broker: exit %d, %q", r.code, r.stderr.String())
	}
}
