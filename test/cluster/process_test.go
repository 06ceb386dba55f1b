//go:build linux

package cluster

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// process is a program of a node, which is started again and again.
type process struct {
	t        testing.TB
	name     string // of the program and the node
	logs     string // file with the standard error of all its runs
	clock    string // file with the step of its clock
	cmd      *exec.Cmd
	gone     chan struct{}
	expected atomic.Bool // it is to end
}

// start runs a command in a namespace, and does not wait for it to serve.
func (p *process) start(space, command string, args ...string) {
	p.t.Helper()
	log, err := os.OpenFile(p.logs, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	p.cmd = inNamespace(space, command, args...)
	p.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "WEIR_") })
	p.cmd.Env = append(p.cmd.Env, clockEnv+"="+p.clock)
	p.cmd.Stderr = log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is for the tests, which stop it then
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.expected.Store(false)
	p.gone = make(chan struct{})
	go func(cmd *exec.Cmd, gone chan struct{}) {
		err := cmd.Wait()
		if !p.expected.Load() {
			p.t.Errorf("%s ended by itself: %v\n%s", p.name, err, p.lastWords())
		}
		close(gone)
	}(p.cmd, p.gone)
}

func (p *process) running() bool { return p != nil && p.cmd != nil }

// kill ends the process as a crash does.
func (p *process) kill() {
	if !p.running() {
		return
	}
	p.expected.Store(true)
	_ = p.cmd.Process.Kill()
	<-p.gone
	p.cmd = nil
}

// stop ends the process in order.
func (p *process) stop() {
	p.t.Helper()
	if !p.running() {
		return
	}
	p.expected.Store(true)
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.gone:
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			p.t.Errorf("%s stopped with status %d\n%s", p.name, code, p.lastWords())
		}
		p.cmd = nil
	case <-time.After(recovery):
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // its goroutines go to its log
		time.Sleep(time.Second)
		p.kill()
		p.t.Errorf("%s did not stop within %v", p.name, recovery)
	}
}

func (p *process) signal(s syscall.Signal) {
	if p.running() {
		_ = p.cmd.Process.Signal(s)
	}
}

// lastWords is the end of what the process and those before it logged, without debug lines.
func (p *process) lastWords() string {
	text, err := os.ReadFile(p.logs)
	if err != nil {
		return err.Error()
	}
	var lines [][]byte
	for line := range bytes.Lines(text) {
		if !bytes.Contains(line, []byte("level=DEBUG")) {
			lines = append(lines, line)
		}
	}
	return string(bytes.Join(lines[max(0, len(lines)-40):], nil))
}
