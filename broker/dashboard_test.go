package broker_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// dashboardSession asks the broker what its console would.
func dashboardSession(b *broker.Broker, token string) *httptest.ResponseRecorder {
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://localhost/dashboard/session", nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	b.HTTPHandler().ServeHTTP(w, r)
	return w
}

// TestDashboardSession: the console is told the scope of whoever asks, without the prefix that a token's holder never sees;
// who has no token is told nothing.
func TestDashboardSession(t *testing.T) {
	const root = "root-token-of-a-test"
	cfg := conf.Default().WithMemory()
	cfg.RootToken = root
	b, err := broker.Start(t.Context(), cfg, broker.WithVersion("1.2.3"))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(t.Context())
	issued, err := b.Service().IssueAccessToken(t.Context(), protocol.IssueAccessTokenRequest{ID: "tenant", AutoPrefixStreams: true, Scope: protocol.AccessTokenScope{
		Streams: protocol.ResourceSet{Kind: protocol.MatchPrefix, Name: "secret-prefix/"},
		Groups:  protocol.OperationGroups{Stream: protocol.ReadWrite{Read: true}},
	}})
	if err != nil {
		t.Fatal(err)
	}

	for _, token := range []string{"", "unknown"} {
		if w := dashboardSession(b, token); w.Code != http.StatusUnauthorized || strings.Contains(w.Body.String(), "1.2.3") {
			t.Errorf("token %q: %d %s", token, w.Code, w.Body)
		}
	}
	for token, id := range map[string]string{root: "root", issued: "tenant"} {
		w := dashboardSession(b, token)
		var answer struct {
			Version, Durability string
			Checked             bool
			Token               struct{ ID string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%d %s: %v", w.Code, w.Body, err)
		}
		if answer.Version != "1.2.3" || answer.Durability == "" || !answer.Checked || answer.Token.ID != id {
			t.Errorf("%s is told %s", id, w.Body)
		}
		if strings.Contains(w.Body.String(), "secret-prefix") {
			t.Errorf("%s is told the prefix: %s", id, w.Body)
		}
	}
}

// TestDashboardSwitchedOff: http.dashboard: false.
func TestDashboardSwitchedOff(t *testing.T) {
	cfg := conf.Default().WithMemory()
	cfg.HTTP.Dashboard = false
	b, err := broker.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(t.Context())
	if w := dashboardSession(b, ""); w.Code != http.StatusNotFound {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
