package natsd

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLockWaitsForADyingProcess: a process that is killed while another wants its lock gives it up in time.
func TestLockWaitsForADyingProcess(t *testing.T) {
	if dir := os.Getenv("WEIR_TEST_LOCK"); dir != "" { // the process that holds the lock
		if _, err := lockStore(t.Context(), dir, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		_, _ = os.Stdout.WriteString("locked\n")
		select {}
	}
	dir := t.TempDir()
	holder := exec.Command(os.Args[0], "-test.run", "^TestLockWaitsForADyingProcess$")
	holder.Env = append(os.Environ(), "WEIR_TEST_LOCK="+dir)
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Wait() }()
	defer func() { _ = holder.Process.Kill() }()
	if _, err := out.Read(make([]byte, len("locked\n"))); err != nil {
		t.Fatal(err)
	}

	// While it lives, the wait ends with the context and the refusal names the process.
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := lockStore(short, dir, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "another weir (process ") {
		t.Fatalf("got %v, want a refusal", err)
	}

	got := make(chan error, 1)
	lines := make(lineWriter, 10)
	go func() {
		l, err := lockStore(t.Context(), dir, slog.New(slog.NewTextHandler(lines, nil)))
		if err == nil {
			err = l.release()
		}
		got <- err
	}()
	select {
	case err := <-got:
		t.Fatalf("the lock was not waited for: %v", err)
	case line := <-lines:
		if !strings.Contains(line, "waiting for its end") {
			t.Errorf("the log says %q", line)
		}
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, lockName)); err != nil {
		t.Error(err)
	}
}

// lineWriter passes on each line of a log.
type lineWriter chan string

func (w lineWriter) Write(line []byte) (int, error) {
	w <- string(line)
	return len(line), nil
}
