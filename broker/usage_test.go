package broker_test

import (
	"slices"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// total adds up one metric of the test's basin over the last hour.
func total(t *testing.T, svc protocol.Service, set protocol.MetricSet, name string) (sum float64) {
	t.Helper()
	from, to := uint32(time.Now().Add(-time.Hour).Unix()), uint32(time.Now().Add(30*time.Second).Unix())
	metrics, err := svc.BasinMetrics(t.Context(), events.Basin, protocol.MetricsQuery{Set: set, Start: &from, End: &to})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range metrics {
		for _, p := range m.Points {
			if m.Name == name {
				sum += p.Value
			}
		}
	}
	return sum
}

// TestUsageSurvivesRestarts: what was used before a restart is told after it, and counts once, on disk and by the real
// JetStream; control plane section 6.
func TestUsageSurvivesRestarts(t *testing.T) {
	dir := t.TempDir()
	one := input("0123456789")
	size := float64(one.MeteredSize())
	for round := range 3 {
		b := start(t, onDisk(dir))
		svc := b.Service()
		if got := total(t, svc, protocol.MetricAppendThroughput, "express"); got != float64(round)*size {
			t.Errorf("round %d begins with %v bytes appended, want %v", round, got, float64(round)*size)
		}
		ensureBasin(t, svc)
		appendTo(t, svc, "0123456789")
		readAll(t, svc)
		if got := total(t, svc, protocol.MetricReadOps, "unary"); got != float64(round+1) {
			t.Errorf("round %d: %v reads", round, got)
		}
		from, to := uint32(time.Now().Add(-time.Hour).Unix()), uint32(time.Now().Add(30*time.Second).Unix())
		stored, err := svc.StreamMetrics(t.Context(), events, protocol.MetricsQuery{Set: protocol.MetricStorage, Start: &from, End: &to})
		if err != nil {
			t.Fatal(err)
		}
		if points := stored[0].Points; len(points) == 0 || points[len(points)-1].Value != float64(round+1)*size {
			t.Errorf("round %d: stored is %v, want %v at last", round, stored, float64(round+1)*size)
		}
		if round == 2 { // a basin without streams was active all the same
			if err := svc.DeleteStream(t.Context(), events); err != nil {
				t.Fatal(err)
			}
		}
		closeBroker(t, b)
	}
	b := start(t, onDisk(dir))
	defer closeBroker(t, b)
	from, to := uint32(time.Now().Add(-time.Hour).Unix()), uint32(time.Now().Add(30*time.Second).Unix())
	active, err := b.Service().AccountMetrics(t.Context(), protocol.MetricsQuery{Set: protocol.MetricActiveBasins, Start: &from, End: &to})
	if err != nil || !slices.Contains(active[0].Labels, string(events.Basin)) {
		t.Errorf("active basins are %+v, %v", active, err)
	}
}
