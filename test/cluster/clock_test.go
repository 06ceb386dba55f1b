//go:build linux

package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A machine has one wall clock, which other programs need, and a program written in Go asks the kernel for it without the C library. So the
// programs of the suite are built with a package time whose Now adds a step to the wall clock, and nothing to the monotonic one. A file has
// the step, which they read all the time. All but that is the source as it is.

// clockEnv names the file.
const clockEnv = "CLUSTER_CLOCK"

const (
	stepInTime = `package time

import (
	"sync/atomic"
	"syscall"
)

// wallStep is added to the wall clock, in seconds.
var wallStep atomic.Int64

func init() {
	path, ok := syscall.Getenv("` + clockEnv + `")
	if !ok {
		return
	}
	go func() {
		var text [32]byte
		for ; ; Sleep(50 * Millisecond) {
			file, err := open(path)
			if err != nil {
				continue
			}
			n, err := read(file, text[:])
			closefd(file)
			if err != nil || n == 0 {
				continue
			}
			if step, err := atoi(text[:n]); err == nil {
				wallStep.Store(int64(step))
			}
		}
	}()
}
`
	nowIs   = "sec, nsec, mono := runtimeNow()\n\tif mono == 0 {"
	nowToBe = "sec, nsec, mono := runtimeNow()\n\tsec += wallStep.Load()\n\tif mono == 0 {"
)

// stepsClocks reports whether one of the rows that are to be run, with commas, steps clocks.
func stepsClocks(names string) bool {
	for _, r := range rows() {
		if r.steps && (names == "" || slices.Contains(strings.Split(names, ","), r.name)) {
			return true
		}
	}
	return false
}

// buildSteppable builds the programs with a wall clock that can be stepped.
func buildSteppable(dir string, programs map[string]string) error {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env GOROOT: %w", err)
	}
	inTime := func(file string) string { return filepath.Join(strings.TrimSpace(string(root)), "src", "time", file) }
	source, err := os.ReadFile(inTime("time.go"))
	if err != nil {
		return err
	}
	if bytes.Count(source, []byte(nowIs)) != 1 {
		return fmt.Errorf("%s: Now is not as expected", inTime("time.go"))
	}
	replaced := map[string]string{}
	replace := func(file string, text []byte) error {
		replaced[file] = filepath.Join(dir, fmt.Sprintf("overlay%d.go", len(replaced)))
		return os.WriteFile(replaced[file], text, 0o600)
	}
	if err := replace(inTime("time.go"), bytes.Replace(source, []byte(nowIs), []byte(nowToBe), 1)); err != nil {
		return err
	}
	if err := replace(inTime("wallstep.go"), []byte(stepInTime)); err != nil {
		return err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		return err
	}
	return build(programs, "-overlay", file)
}

// build builds programs: packages and their files.
func build(programs map[string]string, flags ...string) error {
	for pkg, file := range programs {
		args := append(append([]string{"build"}, flags...), "-o", file, pkg)
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
	}
	return nil
}

// stepClock steps the wall clock of a node's programs, and of those that are started there later, and waits until the broker's answers show it.
func (c *cluster) stepClock(number int, by time.Duration) {
	c.t.Helper()
	for _, p := range c.nodes[number].programs() {
		if err := os.WriteFile(p.clock, []byte(strconv.FormatInt(int64(by/time.Second), 10)), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(recovery); ; time.Sleep(20 * time.Millisecond) {
		resp, err := c.http.Get("http://" + address(number) + ":8080/health")
		if err == nil {
			_ = resp.Body.Close()
			at, err := http.ParseTime(resp.Header.Get("Date"))
			if err == nil && (time.Until(at)-by).Abs() < time.Minute {
				return
			}
		}
		if time.Now().After(deadline) {
			c.t.Errorf("the clock of node %d is not stepped by %v: %v", number+1, by, err)
			return
		}
	}
}

// stepping steps the clock of a node by an hour, ahead or back, starts the node anew while it is wrong, and sets it right again.
func stepping(which target) func(*cluster, *rand.Rand) {
	return func(c *cluster, rng *rand.Rand) {
		victim := which(c, rng)
		step := time.Hour
		if rng.IntN(2) == 0 {
			step = -step
		}
		c.t.Logf("step the clock of node %d by %v", victim+1, step)
		c.stepClock(victim, step)
		time.Sleep(between(rng, 3*time.Second, 10*time.Second))
		if rng.IntN(2) == 0 {
			c.t.Logf("kill node %d", victim+1)
			c.nodes[victim].kill()
			c.nodes[victim].start()
			time.Sleep(between(rng, 3*time.Second, 10*time.Second))
		}
		c.stepClock(victim, 0)
		time.Sleep(between(rng, time.Second, 5*time.Second))
	}
}
