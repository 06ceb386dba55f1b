package deploy

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/broker"
)

const (
	alertsFile    = "../../deploy/prometheus/alerts.yml"
	dashboardFile = "../../deploy/grafana/weir.json"
)

var metricName = regexp.MustCompile(`\b(?:weir|s2|process|go)_[a-z0-9_]+\b`)

// TestMetricsExist: a broker that was used shows every metric that the alerts and the dashboard name.
func TestMetricsExist(t *testing.T) {
	shown := scrape(t, usedBroker(t))
	for _, file := range []string{alertsFile, dashboardFile} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		names := metricName.FindAllString(string(text), -1)
		if len(names) < 10 {
			t.Errorf("%s names only %d metrics", file, len(names))
		}
		for _, name := range names {
			if !shown[name] && !strings.HasPrefix(name, "weir_cluster_") { // nodes of clusters alone show these
				t.Errorf("%s names %s, which a broker does not show", file, name)
			}
		}
	}
}

// usedBroker has served what makes all metrics appear: appends, reads, sessions, requests over HTTP, and failures.
func usedBroker(t *testing.T) *broker.Broker {
	t.Helper()
	b := startBroker(t)
	createStream(t, b, 3)
	for _, request := range []struct{ path, accept string }{
		{"/v1/streams/greetings/records?seq_num=0", "application/json"},
		{"/v1/streams/greetings/records?seq_num=0&count=3", "text/event-stream"},
		{"/v1/streams/greetings/records?seq_num=99", "application/json"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.HTTPURL()+request.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("s2-basin", "demo-basin")
		req.Header.Set("accept", request.accept)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		for s := bufio.NewScanner(res.Body); s.Scan(); {
		}
		if err := res.Body.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// scrape returns the names of the samples that the broker shows. The streams' sizes come a moment after the start.
func scrape(t *testing.T, b *broker.Broker) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for end := time.Now().Add(2 * time.Minute); !names["weir_stored_bytes"] && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.HTTPURL()+"/metrics", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			if name := metricName.FindString(s.Text()); !strings.HasPrefix(s.Text(), "#") && name != "" {
				names[name] = true
			}
		}
		_ = res.Body.Close()
	}
	return names
}

// TestAlerts: promtool accepts the rules, and their own tests pass.
func TestAlerts(t *testing.T) {
	promtool := program(t, "promtool")
	for _, args := range [][]string{
		{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}, {"check", "config", "prometheus.yml"},
	} {
		command := exec.CommandContext(t.Context(), promtool, args...)
		command.Dir = filepath.Dir(alertsFile)
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestExposition: promtool accepts what /metrics shows.
func TestExposition(t *testing.T) {
	promtool := program(t, "promtool")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, usedBroker(t).HTTPURL()+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	command := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	command.Stdin = res.Body
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// TestDashboardQueries: promtool accepts every query of the dashboard, as the expression of a rule.
func TestDashboardQueries(t *testing.T) {
	promtool := program(t, "promtool")
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	count := 0
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			count++
			expr := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*").Replace(target.Expr)
			fmt.Fprintf(&rules, "  - record: query:%d\n    expr: %q\n", count, expr)
		}
	}
	if count < 30 {
		t.Errorf("the dashboard has only %d queries", count)
	}
	file := filepath.Join(t.TempDir(), "queries.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestRunbooks: every alert has a summary and a runbook that is there.
func TestRunbooks(t *testing.T) {
	rules, err := os.ReadFile(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	alerts := strings.Split(string(rules), "- alert: ")[1:]
	if len(alerts) < 10 {
		t.Errorf("found only %d alerts", len(alerts))
	}
	for _, alert := range alerts {
		name, _, _ := strings.Cut(alert, "\n")
		if !strings.Contains(alert, "summary: ") || !strings.Contains(alert, "operations.md#"+strings.ToLower(name)+"\n") {
			t.Errorf("%s has no summary, or no runbook of its name", name)
		}
		if !strings.Contains(string(page), "\n### "+name+"\n") {
			t.Errorf("docs/operations.md has no runbook %s", name)
		}
	}
}
