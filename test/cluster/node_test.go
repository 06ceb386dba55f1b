//go:build linux

package cluster

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	rootToken = "root-token-of-the-cluster-suite"
	secret    = "secret-of-the-cluster-suite"

	// recovery bounds what must work again after a fault. It is generous: the machine may be busy.
	recovery = 60 * time.Second
)

// cluster is three brokers.
type cluster struct {
	t      testing.TB
	prefix string
	nodes  [nodes]*node
	http   *http.Client
}

// node is one machine: a namespace, a directory, and the broker that runs there now.
type node struct {
	t         testing.TB
	number    int
	space     string
	dir, logs string
	cmd       *exec.Cmd
	gone      chan struct{}
	expected  atomic.Bool // the process is to end
	paused    bool
}

func newCluster(t testing.TB) *cluster {
	t.Helper()
	if absent != "" {
		t.Skip(absent)
	}
	c := &cluster{t: t, prefix: os.Getenv(insideEnv), http: &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}}
	c.mend()
	dir := t.TempDir()
	for file, text := range map[string]string{"root.token": rootToken, "cluster.secret": secret} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range c.nodes {
		c.nodes[i] = &node{t: t, number: i, space: nodeSpace(c.prefix, i), dir: dir, logs: filepath.Join(dir, fmt.Sprintf("node%d.log", i+1))}
	}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			n.kill()
		}
		c.mend()
		if t.Failed() {
			c.keepLogs()
		}
	})
	for _, n := range c.nodes {
		n.start()
	}
	c.awaitHealth()
	return c
}

func (n *node) store() string { return filepath.Join(n.dir, fmt.Sprintf("store%d", n.number+1)) }

// start starts the node's broker, and does not wait for it to serve.
func (n *node) start() {
	n.t.Helper()
	var peers []string
	for i := range nodes {
		peers = append(peers, address(i)+":6222")
	}
	at := address(n.number)
	log, err := os.OpenFile(n.logs, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		n.t.Fatal(err)
	}
	defer log.Close()
	n.cmd = inNamespace(n.space, os.Getenv(binaryEnv), "serve", "--store-dir", n.store(), "--logs", "2",
		"--nats-listen", at+":4222", "--http-listen", at+":8080", "--lame-duck", "10s",
		"--cluster-name", "suite", "--cluster-listen", at+":6222", "--cluster-peers", strings.Join(peers, ","),
		"--cluster-secret-file", filepath.Join(n.dir, "cluster.secret"), "--root-token-file", filepath.Join(n.dir, "root.token"),
		"--log-level", "debug")
	n.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "WEIR_") })
	n.cmd.Stderr = log
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is for the tests, which stop it then
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.expected.Store(false)
	n.gone = make(chan struct{})
	go func(cmd *exec.Cmd, gone chan struct{}) {
		err := cmd.Wait()
		if !n.expected.Load() {
			n.t.Errorf("node %d ended by itself: %v\n%s", n.number+1, err, n.lastWords())
		}
		close(gone)
	}(n.cmd, n.gone)
}

// running reports whether a broker runs at the node.
func (n *node) running() bool { return n.cmd != nil }

// kill ends the broker as a crash does.
func (n *node) kill() {
	if n.cmd == nil {
		return
	}
	n.expected.Store(true)
	_ = n.cmd.Process.Kill()
	<-n.gone
	n.cmd, n.paused = nil, false
}

// stop ends the broker in order.
func (n *node) stop() {
	n.t.Helper()
	n.expected.Store(true)
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-n.gone:
		if code := n.cmd.ProcessState.ExitCode(); code != 0 {
			n.t.Errorf("node %d stopped with status %d\n%s", n.number+1, code, n.lastWords())
		}
		n.cmd = nil
	case <-time.After(recovery):
		_ = n.cmd.Process.Signal(syscall.SIGQUIT) // its goroutines go to its log
		time.Sleep(time.Second)
		n.kill()
		n.t.Errorf("node %d did not stop within %v", n.number+1, recovery)
	}
}

// pause stops the broker's threads, and resume lets them go on.
func (n *node) pause() {
	n.paused = true
	_ = n.cmd.Process.Signal(syscall.SIGSTOP)
}

func (n *node) resume() {
	n.paused = false
	_ = n.cmd.Process.Signal(syscall.SIGCONT)
}

// wipe empties the disk of a node whose broker is gone.
func (n *node) wipe() {
	n.t.Helper()
	if err := os.RemoveAll(n.store()); err != nil {
		n.t.Fatal(err)
	}
}

// lastWords is the end of what the node's brokers logged, without debug lines.
func (n *node) lastWords() string {
	text, err := os.ReadFile(n.logs)
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

// keepLogs copies the logs to a place that outlives the test.
func (c *cluster) keepLogs() {
	dir, err := os.MkdirTemp("/tmp", "weir-cluster-logs-")
	if err != nil {
		return
	}
	for _, n := range c.nodes {
		if text, err := os.ReadFile(n.logs); err == nil {
			_ = os.WriteFile(filepath.Join(dir, filepath.Base(n.logs)), text, 0o600)
		}
	}
	c.t.Logf("the nodes' logs are in %s", dir)
}

// healthy reports whether a node says that it may be given requests.
func (c *cluster) healthy(node int) bool {
	resp, err := c.http.Get("http://" + address(node) + ":8080/health")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode == http.StatusOK
}

// awaitHealth waits until all nodes are well.
func (c *cluster) awaitHealth() {
	c.t.Helper()
	deadline := time.Now().Add(recovery)
	for node := range c.nodes {
		for !c.healthy(node) {
			if time.Now().After(deadline) {
				c.t.Fatalf("node %d is not healthy within %v\n%s", node+1, recovery, c.nodes[node].lastWords())
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

var (
	metaLeader   = regexp.MustCompile(`time=(\S+) .*Self is new JetStream cluster metadata leader`)
	streamLeader = regexp.MustCompile(`time=(\S+) .*JetStream cluster new stream leader for '[^']*_LOG_`)
)

// leader is the node that was the last to say in its log, by one of the lines above, that it leads.
func (c *cluster) leader(says *regexp.Regexp) int {
	latest, who := "", 0
	for i, n := range c.nodes {
		text, err := os.ReadFile(n.logs)
		if err != nil {
			continue
		}
		for _, found := range says.FindAllSubmatch(text, -1) {
			if at := string(found[1]); at > latest {
				latest, who = at, i
			}
		}
	}
	return who
}
