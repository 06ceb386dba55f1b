package crash

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// A machine is a store directory and the brokers that run on it one after the other.
type machine struct {
	t   *testing.T
	dir string
	// acceptLoss is what the operator says of lost records.
	acceptLoss string
	logPath    string // of all brokers' standard error
	proc       *process
	addr       atomic.Pointer[string] // host:port of the running broker
	took       time.Duration          // of the last start
}

// process is one broker.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string // the first line of standard output, then closed
	gone  chan struct{}
	err   error // read after gone
}

func newMachine(t *testing.T, dir string) *machine {
	m := &machine{t: t, dir: dir, logPath: filepath.Join(t.TempDir(), "broker.log"), took: 100 * time.Millisecond}
	t.Cleanup(func() {
		m.kill()
		if t.Failed() {
			t.Logf("the brokers' last words:\n%s", m.lastWords())
		}
	})
	return m
}

// exec begins to start a broker and does not wait for it to serve.
func (m *machine) exec() *process {
	m.t.Helper()
	self, err := os.Executable()
	if err != nil {
		m.t.Fatal(err)
	}
	log, err := os.OpenFile(m.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		m.t.Fatal(err)
	}
	defer log.Close()
	p := &process{cmd: exec.Command(self), lines: make(chan string, 1), gone: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), childEnv+"="+m.dir, acceptLossEnv+"="+m.acceptLoss)
	p.cmd.Stderr = log
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		m.t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	go func() {
		r := bufio.NewReader(out)
		if line, err := r.ReadString('\n'); err == nil {
			p.lines <- strings.TrimSpace(line)
		}
		close(p.lines)
		_, _ = io.Copy(io.Discard, r)
		p.err = p.cmd.Wait()
		close(p.gone)
	}()
	m.proc = p
	return p
}

const startLimit = 2 * time.Minute

// tryStart starts a broker and returns once it serves, or its failure to.
func (m *machine) tryStart() error {
	m.t.Helper()
	began := time.Now()
	p := m.exec()
	select {
	case url, ok := <-p.lines:
		if !ok {
			<-p.gone
			m.proc = nil
			return fmt.Errorf("the broker did not start: %w", p.err)
		}
		addr := strings.TrimPrefix(url, "nats://")
		m.addr.Store(&addr)
		m.took = time.Since(began)
		return nil
	case <-time.After(startLimit):
		m.kill()
		return errors.New("the broker did not start in time")
	}
}

func (m *machine) start() {
	m.t.Helper()
	if err := m.tryStart(); err != nil {
		m.t.Fatal(err)
	}
}

// killAtStart starts a broker and kills it after d, whether it serves by then or not.
func (m *machine) killAtStart(d time.Duration) {
	m.t.Helper()
	p := m.exec()
	select {
	case <-p.gone:
		m.t.Fatalf("the broker stopped unexpectedly while it started: %v", p.err)
	case <-time.After(d):
	}
	m.kill()
}

// kill ends the broker as a crash does. It returns when the process is gone.
func (m *machine) kill() {
	if p := m.proc; p != nil {
		m.addr.Store(nil)
		_ = p.cmd.Process.Kill()
		<-p.gone
		m.proc = nil
	}
}

// stop ends the broker in order.
func (m *machine) stop() {
	m.t.Helper()
	p := m.proc
	m.addr.Store(nil)
	p.stdin.Close()
	select {
	case <-p.gone:
	case <-time.After(startLimit):
		m.kill()
		m.t.Fatal("the broker did not stop in time")
	}
	m.proc = nil
	if p.err != nil {
		m.t.Fatalf("the broker did not stop cleanly: %v", p.err)
	}
}

// Dial connects to the broker that runs now, so that a client's address holds for all brokers of the machine.
func (m *machine) Dial(network, _ string) (net.Conn, error) {
	addr := m.addr.Load()
	if addr == nil {
		return nil, errors.New("no broker runs")
	}
	var d net.Dialer
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return d.DialContext(ctx, network, *addr)
}

// connect opens a connection that ends with the broker or, if it is to follow, survives it.
func (m *machine) connect(follow bool) *nats.Conn {
	m.t.Helper()
	opts := []nats.Option{nats.SetCustomDialer(m), nats.IgnoreDiscoveredServers(), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})}
	if follow {
		opts = append(opts, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.ReconnectJitter(0, 0))
	} else {
		opts = append(opts, nats.NoReconnect())
	}
	nc, err := nats.Connect("nats://127.0.0.1:4222", opts...)
	if err != nil {
		m.t.Fatalf("connect to the broker: %v", err)
	}
	return nc
}

// lastWords is the end of what the brokers logged.
func (m *machine) lastWords() string {
	b, err := os.ReadFile(m.logPath)
	if err != nil {
		return err.Error()
	}
	const most = 8 << 10
	if len(b) > most {
		b = b[len(b)-most:]
	}
	return string(b)
}
