package broker_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// dashboardSession asks the broker what its console would.
func dashboardSession(b *broker.Broker, token string) *httptest.ResponseRecorder {
	return dashboard(b, "/dashboard/session", token)
}

func dashboard(b *broker.Broker, path, token string) *httptest.ResponseRecorder {
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil)
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

// checkConsole waits until the console of each node names all nodes, and a leader and copies for the log.
func (n *nodes) checkConsole(size int) {
	n.t.Helper()
	for i, b := range n.brokers {
		deadline := time.Now().Add(2 * time.Minute)
		for {
			w := dashboard(b, "/dashboard/cluster", "")
			var told struct {
				Name  string
				Nodes []struct {
					Name         string
					This, Online bool
				}
				Logs []struct {
					Log, Leader string
					Copies      []struct{ Node string }
				}
			}
			if err := json.Unmarshal(w.Body.Bytes(), &told); err != nil {
				n.t.Fatalf("%d %s: %v", w.Code, w.Body, err)
			}
			online, these := 0, 0
			for _, node := range told.Nodes {
				if node.Online {
					online++
				}
				if node.This {
					these++
				}
			}
			if told.Name == "test" && online == size && these == 1 && len(told.Logs) == 1 && told.Logs[0].Leader != "" && len(told.Logs[0].Copies) == size-1 {
				break
			}
			if time.Now().After(deadline) {
				n.t.Fatalf("the console of node %d shows %s", i, w.Body)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// TestDashboardWithoutCluster: one broker is no cluster, and nobody learns even that without a token.
func TestDashboardWithoutCluster(t *testing.T) {
	cfg := conf.Default().WithMemory()
	cfg.RootToken = "root-token-of-a-test"
	b, err := broker.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(t.Context())
	if w := dashboard(b, "/dashboard/cluster", ""); w.Code != http.StatusUnauthorized {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w := dashboard(b, "/dashboard/cluster", cfg.RootToken)
	if got, want := w.Body.String(), `{"name":"","nodes":[],"logs":[]}`; got != want || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s, want %s", w.Code, got, want)
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
