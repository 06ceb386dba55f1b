//go:build linux

package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
)

const (
	roundsEnv = "CLUSTER_ROUNDS" // number of random faults; the suite runs where it is set
	seedEnv   = "CLUSTER_SEED"   // of all random choices
	rowsEnv   = "CLUSTER_ROWS"   // names of the rows to choose from, with commas

	settingsEnv = "CLUSTER_SETTINGS" // embedded, external, or both with a comma

	insideEnv = "CLUSTER_INSIDE" // prefix of the namespaces; set in the process that runs the tests
	binaryEnv = "CLUSTER_BINARY" // the weir to run
	natsEnv   = "CLUSTER_NATS"   // the nats-server to run
)

// absent is why the tests cannot run here.
var absent = "make test-cluster and make cluster-faults run it, as root"

// TestMain starts the test binary again in the namespace of the clients. This process makes the network before, and removes it
// however the tests end.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(insideEnv) != "":
		absent = ""
	case os.Getenv(roundsEnv) != "":
		code, err := outside()
		if err == nil {
			os.Exit(code)
		}
		if _, unable := errors.AsType[*unableError](err); !unable {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		absent = err.Error()
	}
	os.Exit(m.Run())
}

// outside makes the network, runs the tests inside and returns their exit code.
func outside() (code int, err error) {
	if err := able(); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "weir-cluster-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	weir, nats := filepath.Join(dir, "weir"), filepath.Join(dir, "nats-server")
	programs := map[string]string{"github.com/weirstream/weir/cmd/weir": weir}
	long := os.Getenv(roundsEnv) != "0"
	if long {
		programs["github.com/nats-io/nats-server/v2"] = nats
	}
	if long && stepsClocks(os.Getenv(rowsEnv)) {
		err = buildSteppable(dir, programs)
	} else {
		err = build(programs)
	}
	if err != nil {
		return 0, err
	}
	removeStale()
	prefix := networkPrefix + strconv.Itoa(os.Getpid())
	defer removeNetwork(prefix)
	if err := makeNetwork(prefix); err != nil {
		return 0, err
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	// The child must not outlive this process; the kernel watches the thread that started it.
	runtime.LockOSThread()
	cmd := inNamespace(clientSpace(prefix), self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"="+prefix, binaryEnv+"="+weir, natsEnv+"="+nats, "TMPDIR="+dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s)
		}
	}()
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(1, exit.ExitCode()), nil
	}
	return 0, err
}
