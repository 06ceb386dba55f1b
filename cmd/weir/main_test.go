package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// asCommand makes the test binary be the command itself: the tests start it as a user would.
const asCommand = "WEIR_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		if err := os.Unsetenv(asCommand); err != nil {
			panic(err)
		}
		main()
	}
	os.Exit(m.Run())
}

// command is this program with the given arguments, in an environment without a user's settings.
func command(t *testing.T, home, natsURL string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(ctx, exe, args...)
	c.Env = []string{asCommand + "=1", "HOME=" + home, "NATS_URL=" + natsURL, "GOCOVERDIR=" + home}
	return c
}

// startServe runs weir serve and returns the address that it prints.
func startServe(t *testing.T, home string, args ...string) (url string, c *exec.Cmd, stop func() error) {
	t.Helper()
	c = command(t, home, "", append([]string{"serve", "--http-listen", "none"}, args...)...)
	greeting, stop := serve(t, c)
	return addressIn(t, greeting, natsAddress), c, stop
}

// serve starts c, which runs weir serve, and returns what it prints of itself.
func serve(t *testing.T, c *exec.Cmd) (greeting string, stop func() error) {
	t.Helper()
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	c.Stderr = &log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceValue(func() error {
		if err := c.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		return c.Wait()
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("serve: %v\n%s", err, log.String())
		}
	})
	return readGreeting(t, out), stop
}

// readGreeting reads what serve prints up to its end.
func readGreeting(t *testing.T, out io.Reader) string {
	t.Helper()
	var text []byte
	buf := make([]byte, 4096)
	for !bytes.Contains(text, []byte("Ctrl-C stops the broker.\n")) {
		n, err := out.Read(buf)
		text = append(text, buf[:n]...)
		if err != nil {
			t.Fatalf("serve printed only %q", text)
		}
	}
	return string(text)
}

// The addresses in what serve prints.
var (
	natsAddress = regexp.MustCompile(`export NATS_URL=(\S+)`)
	httpAddress = regexp.MustCompile(`export S2_ACCOUNT_ENDPOINT=(\S+)`)
)

func addressIn(t *testing.T, text string, pattern *regexp.Regexp) string {
	t.Helper()
	m := pattern.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no address in %q", text)
	}
	return m[1]
}

// TestTheLinesOfTheIssue: each works as it stands, on a broker that was started as it says. Data plane A.19/374 and 375 are among
// them.
func TestTheLinesOfTheIssue(t *testing.T) {
	home := t.TempDir()
	url, _, stop := startServe(t, home, "--store-dir", t.TempDir(), "--nats-listen", "127.0.0.1:0", "--lame-duck", "0")
	run := func(stdin string, args ...string) string {
		t.Helper()
		c := command(t, home, url, args...)
		c.Stdin = strings.NewReader(stdin)
		var stderr bytes.Buffer
		c.Stderr = &stderr
		out, err := c.Output()
		if err != nil {
			t.Fatalf("weir %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
		}
		return string(out)
	}
	run("", "create-basin", "demo-basin", "--create-stream-on-append")
	if got := run("", "list-basins"); !strings.HasPrefix(got, "demo-basin 20") {
		t.Errorf("list-basins: %q", got)
	}
	run("a\nb\nc\n", "append", "s2://demo-basin/greetings")
	got := run("", "read", "s2://demo-basin/greetings", "--seq-num", "1", "--count", "2", "--json")
	if !regexp.MustCompile(`^\{"seq_num":1,"timestamp":\d+,"body":"b"\}\n\{"seq_num":2,"timestamp":\d+,"body":"c"\}\n$`).MatchString(got) {
		t.Errorf("read: %q", got)
	}
	if got := run("", "read", "s2://demo-basin/greetings", "--timestamp", "0", "--until", "99999999999999"); got != "a\nb\nc\n" {
		t.Errorf("read: %q", got)
	}
	for _, start := range [][]string{{"--ago", "1h"}, {"--tail-offset", "3"}, {"--seq-num", "0", "--bytes", "1000"}} {
		if got := run("", append([]string{"read", "s2://demo-basin/greetings", "--count", "3"}, start...)...); got != "a\nb\nc\n" {
			t.Errorf("read %q: %q", start, got)
		}
	}
	if got := run("", "tail", "s2://demo-basin/greetings", "-n", "2"); got != "b\nc\n" {
		t.Errorf("tail: %q", got)
	}
	followUntil(t, command(t, home, url, "tail", "s2://demo-basin/greetings", "-n", "2", "-f"), "b\nc\n", func() {
		run("d\n", "append", "s2://demo-basin/greetings")
	}, "b\nc\nd\n")
	if got := run("", "check-tail", "s2://demo-basin/greetings", "--json"); !strings.HasPrefix(got, `{"tail":{"seq_num":4,"timestamp":1`) {
		t.Errorf("check-tail: %q", got)
	}
	run("", "fence", "s2://demo-basin/greetings", "my-token")
	run("", "trim", "s2://demo-basin/greetings", "2")
	if got := run("", "read", "s2://demo-basin/greetings", "--seq-num", "0", "--count", "2"); got != "c\nd\n" {
		t.Errorf("read after trim: %q", got)
	}
	var report struct {
		Append, LiveRead, CatchupRead struct{ Records uint64 }
	}
	text := strings.NewReplacer("live_read", "LiveRead", "catchup_read", "CatchupRead").
		Replace(run("", "bench", "demo-basin", "--duration", "500ms", "--target-mibps", "4", "--json"))
	if err := json.Unmarshal([]byte(text), &report); err != nil || report.Append.Records == 0 ||
		report.LiveRead != report.Append || report.CatchupRead != report.Append {
		t.Errorf("bench: %v, %s", err, text)
	}
	if err := stop(); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	c := command(t, home, url, "ls", "--timeout", "1s")
	if err := c.Run(); err == nil || c.ProcessState.ExitCode() != 3 {
		t.Errorf("without a broker: %v", err)
	}
}

// followUntil starts c, waits for the text before, does act, waits for the text after, and interrupts c.
func followUntil(t *testing.T, c *exec.Cmd, before string, act func(), after string) {
	t.Helper()
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var text string
	wait := func(want string) {
		buf := make([]byte, 4096)
		for len(text) < len(want) {
			n, err := out.Read(buf)
			text += string(buf[:n])
			if err != nil {
				break
			}
		}
		if text != want {
			t.Errorf("got %q, want %q", text, want)
		}
	}
	wait(before)
	act()
	wait(after)
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); c.ProcessState.ExitCode() != 130 {
		t.Errorf("interrupted: %v", err)
	}
}

// TestServeReloads: SIGHUP does not end the broker.
func TestServeReloads(t *testing.T) {
	home := t.TempDir()
	url, c, _ := startServe(t, home, "--memory", "--nats-listen", "127.0.0.1:0", "--lame-duck", "0")
	if err := c.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if out, err := command(t, home, url, "ls").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// TestServeRefusesToStart, A.24/442 among others: with one line that says why, and exit code 1.
func TestServeRefusesToStart(t *testing.T) {
	home, dir := t.TempDir(), t.TempDir()
	url, _, _ := startServe(t, home, "--store-dir", dir, "--nats-listen", "127.0.0.1:0", "--lame-duck", "0")
	addr := strings.TrimPrefix(url, "nats://")
	for name, args := range map[string][]string{
		"the directory is taken":   {"serve", "--store-dir", dir, "--http-listen", "none", "--nats-listen", "none"},
		"the init file is missing": {"serve", "--memory", "--http-listen", "none", "--nats-listen", "none", "--init-file", dir + "/none"},
		"the port is taken":        {"serve", "--memory", "--http-listen", "none", "--nats-listen", addr},
	} {
		c := command(t, home, "", args...)
		out, err := c.CombinedOutput()
		if c.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "weir: ") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
