package broker_test

import (
	"io"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/broker/internal/metric"
	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/protocol"
)

// scrape returns what /metrics shows: the text, and the values by name and labels.
func scrape(t *testing.T, b *broker.Broker) (string, map[string]float64) {
	t.Helper()
	w := httptest.NewRecorder()
	b.HTTPHandler().ServeHTTP(w, httptest.NewRequest("GET", "http://localhost/metrics", nil))
	text := w.Body.String()
	values := map[string]float64{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && name != "#" && err == nil {
			values[name] = v
		}
	}
	return text, values
}

// TestMetrics: every metric of the table is shown, keeps to Prometheus' conventions, and moves with what is done.
func TestMetrics(t *testing.T) {
	b := start(t, onDisk(t.TempDir()))
	defer closeBroker(t, b)
	_, before := scrape(t, b)
	nc, err := b.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	overNATS := client.New(nc, client.Options{})
	ensureBasin(t, b.Service())
	ref := protocol.StreamRef{Basin: "test-basin", Stream: "s"}
	record := protocol.Record{Body: []byte("0123456789")}
	batch := protocol.AppendInput{Records: []protocol.Record{record, record}}
	for _, svc := range []protocol.Service{b.Service(), overNATS} {
		if _, err := svc.Append(t.Context(), ref, batch); err != nil {
			t.Fatal(err)
		}
		if _, err := svc.Read(t.Context(), ref, protocol.ReadRequest{Start: protocol.FromSeqNum(0)}); err != nil {
			t.Fatal(err)
		}
		appends, err := svc.OpenAppendSession(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		defer appends.Close()
		if err := appends.Submit(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		if _, err := appends.Recv(t.Context()); err != nil {
			t.Fatal(err)
		}
		reads, err := svc.OpenReadSession(t.Context(), ref, protocol.ReadRequest{Start: protocol.FromSeqNum(0)})
		if err != nil {
			t.Fatal(err)
		}
		defer reads.Close()
		if _, err := reads.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		wrong := uint64(1000)
		if _, err := svc.Append(t.Context(), ref, protocol.AppendInput{Records: batch.Records, MatchSeqNum: &wrong}); err == nil {
			t.Fatal("the condition held")
		}
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "http://localhost/v1/streams/s/records", strings.NewReader(`{"records":[{"body":"x"}]}`))
	r.Header.Set("s2-basin", "test-basin")
	r.Header.Set("content-type", "application/json")
	b.HTTPHandler().ServeHTTP(w, r)
	if w.Code != 200 {
		t.Fatal(w.Body)
	}

	text, after := scrape(t, b)
	for _, d := range metric.Table {
		if d.Name == "weir_stored_bytes" || d.Name == "weir_http_sessions" || strings.HasPrefix(d.Name, "weir_cluster_") {
			continue // once all is measured; once there was a session over HTTP; at a node of a cluster
		}
		if !strings.Contains(text, "# TYPE "+d.Name+" "+string(d.Kind)+"\n") || !strings.Contains(text, "# HELP "+d.Name+" "+d.Help+"\n") {
			t.Errorf("%s is not shown", d.Name)
		}
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	size := float64(2 * record.MeteredSize())
	for name, want := range map[string]float64{
		`weir_append_records_total{door="in_process"}`: 4, `weir_append_bytes_total{door="nats"}`: 2 * size,
		`weir_append_records_total{door="http"}`: 1, `weir_append_seconds_count{door="nats"}`: 2, `weir_append_seconds_count{door="http"}`: 1,
		`weir_read_records_total{door="in_process"}`: 2 + 4, `weir_read_seconds_count{door="nats"}`: 1,
		`weir_record_failures_total{code="condition_failed",door="nats",operation="append"}`: 1,
		`weir_sessions{door="in_process",kind="append"}`:                                     1, `weir_sessions{door="nats",kind="read"}`: 1,
		"weir_catalog_basins": 1, "weir_catalog_streams": 1, "weir_streams_loaded": 1, "weir_logs_open": 1, "weir_jetstream_up": 1,
		"weir_store_failed": 0, "weir_sync_chunks_sum": 5, "s2_append_ack_latency_seconds_count": 5,
	} {
		if after[name] != want {
			t.Errorf("%s is %v, want %v", name, after[name], want)
		}
	}
	for _, name := range []string{"weir_jetstream_store_bytes", "weir_jetstream_streams", "weir_disk_free_bytes", "weir_store_limit_bytes",
		"weir_uptime_seconds", "weir_jetstream_api_requests_total", "weir_sync_seconds_count"} {
		if after[name] <= 0 || name != "weir_disk_free_bytes" && name != "weir_store_limit_bytes" && after[name] <= before[name] {
			t.Errorf("%s is %v, and was %v", name, after[name], before[name])
		}
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "test-basin") || strings.Contains(line, `"s"`) {
			t.Errorf("a name in a label: %s", line)
		}
	}
}

// TestMetricsPage: docs/metrics.md tells of every metric, with its kind and labels, and of no other.
func TestMetricsPage(t *testing.T) {
	f, err := os.Open("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, d := range metric.Table {
		row := "| `" + d.Name + "` | " + string(d.Kind) + " | " + strings.Join(d.Labels, ", ") + " |"
		if !strings.Contains(page, strings.ReplaceAll(row, "|  |", "| |")) {
			t.Errorf("docs/metrics.md has no row %s", row)
		}
	}
	for line := range strings.Lines(page) {
		name, row := strings.CutPrefix(line, "| `weir_")
		name, _, ok := strings.Cut(name, "` | ")
		ok = ok && row && !strings.Contains(name, " ")
		if ok && !slices.ContainsFunc(metric.Table, func(d metric.Definition) bool { return d.Name == "weir_"+name }) {
			t.Errorf("docs/metrics.md tells of weir_%s, which there is not", name)
		}
	}
}
