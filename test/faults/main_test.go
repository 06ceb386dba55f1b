package faults

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server/ats"
	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
)

var long = flag.Bool("long", false, "run the fault suite at length")

// scratch lives as long as the test binary; everybody may enter it.
var scratch string

func TestMain(m *testing.M) {
	// The NATS server's shared clock must start outside of every synctest bubble, or time in the bubble stands still.
	ats.Register()
	if dir := os.Getenv(natsDirVar); dir != "" {
		serveNATS(dir, os.Getenv(natsListenVar))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "weir-faults-"); err == nil {
		err = os.Chmod(scratch, 0o755) // other users run the binary in it
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	return m.Run()
}

// patience is how long something may take that takes a moment on an idle machine: only a hang takes longer.
const patience = 3 * time.Minute

// scale is small in a plain run and big in a long one.
func scale[T any](small, big T) T {
	if *long {
		return big
	}
	return small
}

// weirBinary builds the command once.
var weirBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "weir")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/weirstream/weir/cmd/weir").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build weir: %w\n%s", err, out)
	}
	return path, nil
})

// onDisk is a broker that stores in dir, does not listen and stops at once.
func onDisk(dir string) conf.Config {
	cfg := conf.Default().WithStoreDir(dir)
	cfg.HTTP.Listen = conf.ListenNone
	cfg.NATS.Listen = conf.ListenNone
	cfg.LameDuck = 0
	return cfg
}

// inMemory is a broker for a bubble.
func inMemory() conf.Config {
	cfg := conf.Default().WithMemory()
	cfg.LameDuck = 0
	return cfg
}

// withNATS adds a NATS configuration file to cfg.
func withNATS(t testing.TB, cfg conf.Config, text string) conf.Config {
	t.Helper()
	cfg.NATS.ConfigFile = filepath.Join(t.TempDir(), "nats.conf")
	must(t, os.WriteFile(cfg.NATS.ConfigFile, []byte(text), 0o600))
	return cfg
}

// instance is a running broker that a test may close early.
type instance struct {
	*broker.Broker
	t      testing.TB
	closed bool
}

func start(t testing.TB, cfg conf.Config) *instance {
	t.Helper()
	level := slog.LevelError + 4 // The faults are the point; what the broker says of them is noise unless asked for.
	if testing.Verbose() {
		level = slog.LevelWarn
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	b, err := broker.Start(context.WithoutCancel(t.Context()), cfg, broker.WithLogger(log))
	if err != nil {
		t.Fatalf("start the broker: %v", err)
	}
	i := &instance{Broker: b, t: t}
	t.Cleanup(func() { _ = i.close() })
	return i
}

// close closes the broker once and returns what Close had to say.
func (i *instance) close() error {
	if i.closed {
		return nil
	}
	i.closed = true
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return i.Close(ctx)
}

// stop closes the broker, which must be able to settle everything.
func (i *instance) stop() {
	i.t.Helper()
	must(i.t, i.close())
}

// conn is a client's connection to the broker.
func (i *instance) conn() *nats.Conn {
	i.t.Helper()
	nc, err := i.Connect()
	must(i.t, err)
	i.t.Cleanup(nc.Close)
	return nc
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits for something that another goroutine or process brings about.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// weirCommand runs the command line in a clean environment.
func weirCommand(ctx context.Context, bin string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, bin, args...)
	c.Env = cleanEnv()
	return c
}

// cleanEnv is the environment without settings of weir: a test does not inherit those of whoever runs it, and weir refuses
// those that it does not know.
func cleanEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "WEIR_") })
}
