package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/freeport"
)

const (
	// clusterSize is the number of nodes.
	clusterSize = 3
	// clusterSecret is the secret of the nodes, and the root token: clients without tokens would share an account of all nodes, and
	// NATS would spread their requests over these.
	clusterSecret = "secret-of-the-benchmark"
)

// cluster is three processes of weir serve, or three NATS servers, on the loopback address.
type cluster struct {
	nodes    []*node
	profiled bool // each node writes its profile when it gets SIGTERM, and ends
}

type node struct {
	name       string
	dir        string
	nats, http string // addresses
	args       []string
	env        []string
	cmd        *exec.Cmd
	log        string
	ended      chan struct{}
}

// weirCluster starts three brokers, with durability always and that number of logs (0: the default), and returns once all are well. Where a profile is wanted, they
// are processes of this program.
func (e *env) weirCluster(ctx context.Context, logs int) (*cluster, error) {
	program, err := e.weirProgram(ctx)
	if err != nil {
		return nil, err
	}
	c, peers, err := e.newCluster("weir", program)
	if err != nil {
		return nil, err
	}
	secret := filepath.Join(e.dir, "secret")
	if err := os.WriteFile(secret, []byte(clusterSecret), 0o600); err != nil {
		return nil, err
	}
	for i, n := range c.nodes {
		n.args = []string{"serve", "--store-dir", n.dir, "--nats-listen", n.nats, "--http-listen", n.http, "--nats-server-name", n.name, "--durability", "always",
			"--cluster-name", "bench", "--cluster-listen", peers[i], "--cluster-peers", strings.Join(peers, ","), "--cluster-secret-file", secret,
			"--root-token-file", secret}
		if logs > 0 {
			n.args = append(n.args, "--logs", strconv.Itoa(logs))
		}
		n.env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "WEIR_") })
		if e.profile != "" {
			if n.env, err = childEnv(childOptions{Name: n.name, Dir: n.dir, Listen: n.nats, Route: peers[i], Peers: peers, Profile: e.childProfile(n.name),
				Broker: true, HTTP: n.http, Logs: logs}); err != nil {
				return nil, err
			}
			n.args = nil
		}
	}
	if err := c.start(); err != nil {
		return nil, err
	}
	if err := c.awaitHealth(ctx); err != nil {
		c.kill()
		return nil, err
	}
	return c, nil
}

// weirProgram builds the command, unless this program is to be profiled in its place.
func (e *env) weirProgram(ctx context.Context) (string, error) {
	if e.profile != "" {
		return os.Executable()
	}
	path := filepath.Join(filepath.Dir(e.dir), "weir-bench-command")
	if out, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, "github.com/weirstream/weir/cmd/weir").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build weir: %w\n%s", err, out)
	}
	return path, nil
}

// newCluster chooses addresses and directories; peers are the addresses of the nodes for each other.
func (e *env) newCluster(kind, program string) (c *cluster, peers []string, err error) {
	ports, err := freeport.Addresses(3 * clusterSize)
	if err != nil {
		return nil, nil, err
	}
	c = &cluster{profiled: e.profile != ""}
	for i := range clusterSize {
		n := &node{name: kind + "-" + strconv.Itoa(i+1), nats: ports[3*i], http: ports[3*i+1], cmd: &exec.Cmd{Path: program}}
		peers = append(peers, ports[3*i+2])
		if n.dir, err = e.newDir(n.name); err != nil {
			return nil, nil, err
		}
		n.log = n.dir + ".log"
		c.nodes = append(c.nodes, n)
	}
	return c, peers, nil
}

func (c *cluster) start() error {
	for _, n := range c.nodes {
		if err := n.start(); err != nil {
			c.kill()
			return err
		}
	}
	return nil
}

func (n *node) start() error {
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(n.cmd.Path, n.args...)
	cmd.Env, cmd.Stderr = n.env, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is for the benchmark, which ends it then
	if err := cmd.Start(); err != nil {
		return err
	}
	n.cmd, n.ended = cmd, make(chan struct{})
	go func(ended chan struct{}) {
		_ = cmd.Wait() // killed
		close(ended)
	}(n.ended)
	return nil
}

// end ends the process with a signal.
func (n *node) end(s syscall.Signal) {
	if n.ended == nil {
		return
	}
	_ = n.cmd.Process.Signal(s) // it may have ended
	<-n.ended
	n.ended = nil
}

func (c *cluster) kill() {
	end := syscall.SIGKILL
	if c.profiled {
		end = syscall.SIGTERM
	}
	for _, n := range c.nodes {
		n.end(end)
	}
}

// awaitHealth returns once all brokers are well.
func (c *cluster) awaitHealth(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, n := range c.nodes {
		for !n.healthy(ctx) {
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
				log, _ := os.ReadFile(n.log)
				return fmt.Errorf("%s is not well: %w\n%s", n.name, context.Cause(ctx), log)
			}
		}
	}
	return nil
}

func (n *node) healthy(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.http+"/health", nil)
	if err != nil {
		return false
	}
	resp, err := new(http.Client).Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode == http.StatusOK
}

// client is a client of one node, and close ends it.
func (n *node) client() (c *client.Client, stop func(), err error) {
	nc, err := nats.Connect("nats://"+n.nats, nats.Token(clusterSecret), nats.IgnoreDiscoveredServers())
	if err != nil {
		return nil, nil, err
	}
	return client.New(nc, client.Options{}), nc.Close, nil
}

// clients are a client of each node, and a basin that creates streams on append.
func (c *cluster) clients(ctx context.Context) (all []*client.Client, stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, f := range stops {
			f()
		}
	}
	for _, n := range c.nodes {
		cl, end, err := n.client()
		if err != nil {
			stop()
			return nil, nil, err
		}
		all, stops = append(all, cl), append(stops, end)
	}
	if _, _, err := all[0].EnsureBasin(ctx, basin, protocol.EnsureBasinRequest{Config: protocol.BasinConfig{CreateStreamOnAppend: true}}); err != nil {
		stop()
		return nil, nil, err
	}
	return all, stop, nil
}

// owner is the number of the node that owns the only log in use.
func (c *cluster) owner(ctx context.Context, cl *client.Client) (int, error) {
	info, err := cl.Cluster(ctx)
	if err != nil {
		return 0, err
	}
	for _, l := range info.Logs {
		if i := slices.IndexFunc(c.nodes, func(n *node) bool { return n.name == l.Owner }); i >= 0 {
			return i, nil
		}
	}
	return 0, errors.New("no log has an owner")
}

// brokersHere starts three brokers in this process that form a cluster, with durability always and a basin that creates streams on append.
func (e *env) brokersHere(ctx context.Context) (all []*broker.Broker, stop func(), err error) {
	addresses, err := freeport.Addresses(clusterSize)
	if err != nil {
		return nil, nil, err
	}
	all = make([]*broker.Broker, clusterSize)
	errs := make([]error, clusterSize)
	stop = func() {
		var wg sync.WaitGroup
		for _, b := range all {
			if b != nil {
				wg.Go(func() { b.Close(context.Background()) }) // the stores are thrown away
			}
		}
		wg.Wait()
	}
	var wg sync.WaitGroup
	for i := range all {
		dir, err := e.newDir("weir")
		if err != nil {
			return nil, nil, err
		}
		cfg := conf.Default().WithStoreDir(dir)
		cfg.HTTP.Listen, cfg.NATS.Listen, cfg.Logs, cfg.RootToken = conf.ListenNone, "127.0.0.1:0", 1, clusterSecret
		cfg.Cluster = conf.Cluster{Name: "bench", Listen: addresses[i], Peers: strings.Join(addresses, ","), Secret: clusterSecret, Failover: conf.FailoverFast}
		wg.Go(func() { all[i], errs[i] = broker.Start(ctx, cfg) })
	}
	wg.Wait()
	err = errors.Join(errs...)
	if err == nil {
		_, _, err = all[0].Service().EnsureBasin(ctx, basin, protocol.EnsureBasinRequest{Config: protocol.BasinConfig{CreateStreamOnAppend: true}})
	}
	if err != nil {
		stop()
		return nil, nil, err
	}
	return all, stop, nil
}

// serversHere starts three NATS servers in this process that form a cluster and sync every write, with a connection to each.
func (e *env) serversHere(ctx context.Context) (all []*nats.Conn, stop func(), err error) {
	addresses, err := freeport.Addresses(2 * clusterSize)
	if err != nil {
		return nil, nil, err
	}
	var stops []func()
	stop = func() {
		for _, f := range stops {
			f()
		}
	}
	for i := range clusterSize {
		nc, end, err := e.serverHere(childOptions{Name: "raw-" + strconv.Itoa(i), Listen: addresses[i], Route: addresses[clusterSize+i], Peers: addresses[clusterSize:]})
		if err != nil {
			stop()
			return nil, nil, err
		}
		all, stops = append(all, nc), append(stops, end)
	}
	return all, stop, nil
}

func (e *env) serverHere(o childOptions) (_ *nats.Conn, stop func(), err error) {
	if o.Dir, err = e.newDir(o.Name); err != nil {
		return nil, nil, err
	}
	srv, err := o.server()
	if err != nil {
		return nil, nil, err
	}
	srv.Start()
	shutdown := func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	}
	if !srv.ReadyForConnections(30 * time.Second) {
		shutdown()
		return nil, nil, errors.New("a raw server did not start")
	}
	nc, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		shutdown()
		return nil, nil, err
	}
	return nc, func() { nc.Close(); shutdown() }, nil
}

// natsCluster starts three NATS servers that sync every write.
func (e *env) natsCluster(ctx context.Context) (*cluster, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c, peers, err := e.newCluster("nats", self)
	if err != nil {
		return nil, err
	}
	for i, n := range c.nodes {
		if n.env, err = childEnv(childOptions{Name: n.name, Dir: n.dir, Listen: n.nats, Route: peers[i], Peers: peers, Profile: e.childProfile(n.name)}); err != nil {
			return nil, err
		}
	}
	return c, c.start()
}

// servingCluster starts three nodes with that number of logs (0: the default) once the disk is at rest, with a client of each; end stops them.
func (e *env) servingCluster(ctx context.Context, logs int) (c *cluster, all []*client.Client, end func(), err error) {
	if err := e.settle(); err != nil {
		return nil, nil, nil, err
	}
	if c, err = e.weirCluster(ctx, logs); err != nil {
		return nil, nil, nil, err
	}
	all, stop, err := c.clients(ctx)
	if err != nil {
		c.kill()
		return nil, nil, nil, err
	}
	return c, all, func() { stop(); c.kill() }, nil
}
