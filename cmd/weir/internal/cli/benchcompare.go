package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/weirstream/weir/cmd/weir/internal/bench"
)

// benchChange is one figure of two runs.
type benchChange struct {
	Figure string  `json:"figure"`
	Before float64 `json:"before"`
	Now    float64 `json:"now"`
	// Percent is the change from before to now; 0 if there was nothing before.
	Percent float64 `json:"percent"`
}

// readBenchReport reads the output of a run with --json; nil without a path.
func readBenchReport(path string) (*benchReport, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // nothing to compare with
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, usagef("--compare: %v", err)
	}
	var r benchReport
	if err := json.Unmarshal(text, &r); err != nil || r.RecordSize == 0 {
		return nil, usagef("--compare: %s is not what bench --json prints", path)
	}
	return &r, nil
}

// compareBench sets the figures of two runs side by side; those that a run does not have are left out.
func compareBench(now, before *benchReport) (out []benchChange) {
	add := func(figure string, now, before float64) {
		c := benchChange{Figure: figure, Now: now, Before: before}
		if before != 0 {
			c.Percent = (now/before - 1) * 100
		}
		out = append(out, c)
	}
	for _, p := range []struct {
		name        string
		now, before bench.Throughput
	}{{"append", now.Append, before.Append}, {"live read", now.Live, before.Live}, {"catch-up read", now.Catchup, before.Catchup}} {
		add(p.name+" records/s", p.now.RecordsPerSec, p.before.RecordsPerSec)
		add(p.name+" MiB/s", p.now.MiBPerSec, p.before.MiBPerSec)
		if n, b := p.now.LatencyMS, p.before.LatencyMS; n != nil && b != nil {
			add(p.name+" p50 ms", n.P50, b.P50)
			add(p.name+" p99 ms", n.P99, b.P99)
			add(p.name+" p99.9 ms", n.P999, b.P999)
		}
	}
	return out
}

// differences names the settings in which two runs differ: their figures say little of each other then.
func (r *benchReport) differences(other *benchReport) (out []string) {
	for _, s := range []struct {
		name       string
		now, other any
	}{
		{"streams", r.Streams, max(other.Streams, 1)}, {"over", r.Over, other.Over}, {"mode", r.Mode, other.Mode},
		{"storage class", r.StorageClass, other.StorageClass}, {"record size", r.RecordSize, other.RecordSize},
		{"batch records", r.BatchRecords, other.BatchRecords}, {"target", r.TargetMiBps, other.TargetMiBps},
		{"duration", r.DurationSecs, other.DurationSecs},
	} {
		if s.now != s.other {
			out = append(out, fmt.Sprintf("%s %v, before %v", s.name, s.now, s.other))
		}
	}
	return out
}

func (a *app) printBenchChanges(now, before *benchReport) error {
	if err := a.printf("\n%-24s %12s %12s %9s\n", "compared", "before", "now", "change"); err != nil {
		return err
	}
	for _, c := range now.Compared {
		if err := a.printf("%-24s %12.3f %12.3f %+8.1f%%\n", c.Figure, c.Before, c.Now, c.Percent); err != nil {
			return err
		}
	}
	if d := now.differences(before); len(d) > 0 {
		a.note("the runs differ: %s", strings.Join(d, "; "))
	}
	return nil
}
