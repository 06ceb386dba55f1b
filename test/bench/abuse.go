package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// The most that an attack may cost: resident memory above idle, in MiB, and the p99 of another client's append as a multiple of its idle figure.
const (
	abuseMemory  = 512
	abuseLatency = 5
)

// abuse runs the attacks of test/abuse and reports the cost of each. A whole run takes some minutes; with a scale below 1 the
// attacks are short.
func abuse(ctx context.Context, e *env) (figures []figure, err error) {
	path := filepath.Join(e.dir, "abuse.json")
	if err := os.MkdirAll(e.dir, 0o755); err != nil {
		return nil, err
	}
	defer os.Remove(path)
	cmd := exec.CommandContext(ctx, cmp.Or(os.Getenv("GO"), "go"), "test", "-count=1", "-timeout", "20m", "./test/abuse")
	cmd.Env = append(os.Environ(), "WEIR_ABUSE_FIGURES="+path)
	if e.scale >= 1 {
		cmd.Env = append(cmd.Env, "WEIR_ABUSE=full")
	}
	text, failed := cmd.CombinedOutput()
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the attacks gave no figures: %w\n%s", errors.Join(failed, err), text)
	}
	defer f.Close()
	for lines := json.NewDecoder(f); ; {
		var got struct {
			Attack    string
			Grown     int64
			Calm, P99 time.Duration
		}
		if err := lines.Decode(&got); err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
		figures = append(figures,
			figure{Name: "abuse " + got.Attack + ", memory", Unit: "MiB", Weir: float64(got.Grown >> 20)}.below(abuseMemory),
			figure{Name: "abuse " + got.Attack + ", p99 of others", Unit: "ms", Weir: ms(got.P99), Baseline: ms(got.Calm)}.atMost(abuseLatency))
	}
	if len(figures) == 0 {
		return nil, fmt.Errorf("the attacks gave no figures: %w\n%s", failed, text)
	}
	if failed != nil {
		fmt.Fprintf(os.Stderr, "abuse: an attack got through:\n%s", text)
	}
	return figures, nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
