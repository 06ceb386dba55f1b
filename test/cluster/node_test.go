//go:build linux

package cluster

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
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

// cluster is three nodes.
type cluster struct {
	t      testing.TB
	prefix string
	dir    string // of everything that the nodes have
	setting
	nodes [nodes]*node
	added int // how many nodes were added and removed again
	http  *http.Client
	load  *load // of the round
}

// node is one machine: a namespace, a directory, and the programs that run there.
type node struct {
	t      testing.TB
	number int
	name   string // "": after its address
	space  string
	dir    string
	server *process // a stock nats-server; nil where the broker has its own
	broker *process
}

// newCluster starts three nodes and waits until they are well.
func newCluster(t testing.TB, s setting) *cluster {
	t.Helper()
	if absent != "" {
		t.Skip(absent)
	}
	c := &cluster{t: t, prefix: os.Getenv(insideEnv), setting: s,
		http: &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}}
	c.mend()
	dir := t.TempDir()
	for file, text := range map[string]string{"root.token": rootToken, "cluster.secret": secret} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.dir = dir
	for i := range c.nodes {
		c.nodes[i] = c.newNode(i)
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

// newNode makes a node that does not run.
func (c *cluster) newNode(number int) *node {
	program := func(name string) *process {
		return &process{t: c.t, name: fmt.Sprintf("%s of node %d", name, number+1), logs: filepath.Join(c.dir, fmt.Sprintf("%s%d.log", name, number+1)),
			clock: filepath.Join(c.dir, fmt.Sprintf("clock%d", number+1))}
	}
	n := &node{t: c.t, number: number, space: nodeSpace(c.prefix, number), dir: c.dir, broker: program("weir")}
	if c.setting == external {
		n.server = program("nats-server")
	}
	return n
}

func (n *node) store() string { return filepath.Join(n.dir, fmt.Sprintf("store%d", n.number+1)) }

// start starts what does not run of the node, and does not wait for the broker to serve.
func (n *node) start() {
	n.t.Helper()
	at := address(n.number)
	args := []string{"serve", "--logs", "2", "--http-listen", at + ":8080", "--lame-duck", "10s", "--root-token-file", filepath.Join(n.dir, "root.token"), "--log-level", "debug"}
	if n.server == nil {
		args = append(args, "--store-dir", n.store(), "--nats-listen", at+":4222", "--cluster-name", "suite", "--cluster-listen", at+":6222",
			"--cluster-peers", strings.Join(n.peers(), ","), "--cluster-secret-file", filepath.Join(n.dir, "cluster.secret"))
		if n.name != "" {
			args = append(args, "--nats-server-name", n.name)
		}
	} else {
		if !n.server.running() {
			n.server.start(n.space, os.Getenv(natsEnv), "--config", n.natsConfig())
		}
		n.awaitServer()
		urls := []string{"nats://" + at + ":4222"}
		for i := range nodes {
			if i != n.number {
				urls = append(urls, "nats://"+address(i)+":4222")
			}
		}
		args = append(args, "--external-url", strings.Join(urls, ","), "--replicas", "3", "--durability", "always")
	}
	if !n.broker.running() {
		n.broker.start(n.space, os.Getenv(binaryEnv), args...)
	}
}

// peers are the addresses in the configuration of a node: that of a node that is added has its own as well.
func (n *node) peers() []string {
	all := peers("")
	if n.number == spare {
		all = append(all, address(spare)+":"+clusterPort)
	}
	return all
}

// peers are the addresses of the nodes for each other.
func peers(prefix string) (all []string) {
	for i := range nodes {
		all = append(all, prefix+address(i)+":"+clusterPort)
	}
	return all
}

// serverName is the name of a node's NATS server in both settings.
func serverName(node int) string { return address(node) + "-" + clusterPort }

// natsConfig writes the configuration of the node's nats-server, as its documentation gives it, and returns the file's name.
func (n *node) natsConfig() string {
	n.t.Helper()
	name := filepath.Join(n.dir, fmt.Sprintf("nats%d.conf", n.number+1))
	text := fmt.Sprintf("server_name: %q\nlisten: %q\nmax_payload: 8MB\njetstream { store_dir: %q, sync_interval: always }\ncluster { name: suite, listen: %q, ping_interval: \"2s\", ping_max: 2, routes: [%s] }\n",
		serverName(n.number), address(n.number)+":4222", n.store(), address(n.number)+":"+clusterPort, strings.Join(peers("nats-route://"), ", "))
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
	return name
}

// awaitServer waits until the node's nats-server takes connections: a broker that starts without one ends.
func (n *node) awaitServer() {
	n.t.Helper()
	for deadline := time.Now().Add(recovery); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp4", address(n.number)+":4222", time.Second)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("the nats-server of node %d takes no connections: %v\n%s", n.number+1, err, n.server.lastWords())
		}
	}
}

func (n *node) programs() []*process {
	if n.server == nil {
		return []*process{n.broker}
	}
	return []*process{n.server, n.broker}
}

// running reports whether all programs of the node run.
func (n *node) running() bool { return n.broker.running() && (n.server == nil || n.server.running()) }

// kill ends the programs as a crash of the machine does.
func (n *node) kill() {
	var wg sync.WaitGroup
	for _, p := range n.programs() {
		wg.Go(p.kill)
	}
	wg.Wait()
}

// stop ends the programs in order.
func (n *node) stop() {
	n.t.Helper()
	n.broker.stop()
	if n.server != nil {
		n.server.stop()
	}
}

// pause stops the threads of the programs, and resume lets them go on.
func (n *node) pause() { n.signal(syscall.SIGSTOP) }

func (n *node) resume() { n.signal(syscall.SIGCONT) }

func (n *node) signal(s syscall.Signal) {
	for _, p := range n.programs() {
		p.signal(s)
	}
}

// wipe empties the disk of a node whose programs are gone.
func (n *node) wipe() {
	n.t.Helper()
	if err := os.RemoveAll(n.store()); err != nil {
		n.t.Fatal(err)
	}
}

// keepLogs copies the logs to a place that outlives the test.
func (c *cluster) keepLogs() {
	dir, err := os.MkdirTemp("/tmp", "weir-cluster-logs-")
	if err != nil {
		return
	}
	logs, _ := filepath.Glob(filepath.Join(c.dir, "*.log"))
	for _, name := range logs {
		if text, err := os.ReadFile(name); err == nil {
			_ = os.WriteFile(filepath.Join(dir, filepath.Base(name)), text, 0o600)
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
				c.t.Fatalf("node %d is not healthy within %v\n%s", node+1, recovery, c.nodes[node].broker.lastWords())
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}
