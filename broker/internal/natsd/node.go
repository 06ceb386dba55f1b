package natsd

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/weirstream/weir/conf"
)

const (
	// nodeUser is the user as which the nodes of a cluster connect to each other.
	nodeUser = "weir-node"
	// nodePingEvery and nodePingsUnanswered are after how long a connection between nodes is given up that is silent: TCP keeps one through an outage, and
	// sends again the more seldom the longer it lasts, so that the nodes would not hear of each other for as long again.
	nodePingEvery       = 2 * time.Second
	nodePingsUnanswered = 2
)

// setCluster makes the server a node of the cluster that cfg describes.
func setCluster(o *server.Options, cfg conf.Config) error {
	c := cfg.Cluster
	if !c.Enabled() {
		return nil
	}
	var user *url.Userinfo
	if c.HasSecret() {
		secret, err := c.SecretText()
		if err != nil {
			return err
		}
		user = url.UserPassword(nodeUser, secret)
	}
	tlsConfig, err := nodeTLS(c, time.Now())
	if err != nil {
		return err
	}
	host, portText, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("cluster.listen %q: %w", c.Listen, err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return fmt.Errorf("cluster.listen %q: the port is not a number", c.Listen)
	}
	if host == "" {
		host = server.DEFAULT_HOST
	}
	o.Cluster = server.ClusterOpts{Name: c.Name, Host: host, Port: port, Advertise: c.Advertise, AuthTimeout: 2, TLSConfig: tlsConfig,
		PingInterval: nodePingEvery, MaxPingsOut: nodePingsUnanswered}
	if tlsConfig != nil {
		o.Cluster.TLSTimeout, o.Cluster.AuthTimeout = 2, 3 // the handshake counts
	}
	if user != nil {
		o.Cluster.Username = user.Username()
		o.Cluster.Password, _ = user.Password()
	}
	for _, peer := range c.Nodes() {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", User: user, Host: peer})
	}
	o.ServerName = NodeName(cfg)
	return nil
}

// NodeName is the name of the node's server, by which the other nodes know its copies: it must stay the same for ever.
func NodeName(cfg conf.Config) string {
	if cfg.NATS.ServerName != "" {
		return cfg.NATS.ServerName
	}
	addr := cfg.Cluster.Advertise
	if addr == "" {
		addr = cfg.Cluster.Listen
	}
	return strings.NewReplacer(":", "-", "[", "", "]", "").Replace(addr)
}

// modeOf is the content of [modeFile] in a store directory with this configuration.
func modeOf(cfg conf.Config) string {
	if !cfg.Cluster.Enabled() {
		return modeSingle
	}
	return modeCluster + cfg.Cluster.Name + ", node " + NodeName(cfg)
}

// awaitCluster returns once JetStream has a leader and knows of as many nodes as there are to be copies: before, nothing can be
// made or read. A node that starts alone waits for others for as long as it takes; ctx ends the wait.
func (e *Embedded) awaitCluster(ctx context.Context) error {
	const poll, tell = 50 * time.Millisecond, 10 * time.Second
	t := time.NewTicker(poll)
	defer t.Stop()
	for waited := time.Duration(0); ; waited += poll {
		nodes, led := e.knownNodes()
		if led && nodes >= e.cfg.Copies() {
			return nil
		}
		if waited%tell == 0 && waited > 0 {
			e.log.Warn("waiting for the other nodes of the cluster", slog.String("cluster", e.cfg.Cluster.Name), slog.Int("in_contact", e.inContact()),
				slog.Int("known", nodes), slog.Int("needed", e.cfg.Copies()), slog.Bool("leader_elected", led))
		}
		select {
		case <-t.C:
		case <-e.slog.failed:
			return fmt.Errorf("the NATS server could not start: %s", e.slog.fatal)
		case <-ctx.Done():
			return fmt.Errorf("the start was called off while it waited for the other nodes of cluster %q (%d of %d are known): %w",
				e.cfg.Cluster.Name, nodes, e.cfg.Copies(), context.Cause(ctx))
		}
	}
}

// knownNodes is how many nodes have been in the cluster, and whether JetStream has a leader, as far as this node knows.
func (e *Embedded) knownNodes() (nodes int, led bool) {
	info, err := e.srv.Jsz(&server.JSzOptions{})
	if err != nil || info.Meta == nil {
		return 0, false
	}
	return info.Meta.Size, info.Meta.Leader != ""
}

// inContact is how many other nodes this one has a connection to.
func (e *Embedded) inContact() int {
	routes, err := e.srv.Routez(nil)
	if err != nil {
		return 0
	}
	names := map[string]bool{} // there are several connections to each
	for _, r := range routes.Routes {
		names[r.RemoteName] = true
	}
	return len(names)
}

// Quorum fails while the node is cut off from most others of its cluster, so that nothing can be stored or read through it.
func (e *Embedded) Quorum() error {
	if !e.cfg.Cluster.Enabled() {
		return nil
	}
	if _, led := e.knownNodes(); !led {
		return fmt.Errorf("the node has no contact with most others of cluster %q", e.cfg.Cluster.Name)
	}
	return nil
}

// Node is a node of the cluster.
type Node struct {
	Name string
	// This says that it is the node that was asked.
	This bool
	// Online says that the two are connected.
	Online bool
}

// Nodes are the nodes that have ever been in the cluster, by their names, as JetStream's group of all servers knows them.
func (e *Embedded) Nodes() []Node {
	if !e.cfg.Cluster.Enabled() {
		return nil
	}
	nodes := []Node{{Name: e.srv.Name(), This: true, Online: true}}
	info, err := e.srv.Jsz(&server.JSzOptions{})
	if err != nil || info.Meta == nil {
		return nodes
	}
	routes, err := e.srv.Routez(nil)
	if err != nil {
		return nodes
	}
	connected := map[string]bool{}
	for _, r := range routes.Routes {
		connected[r.RemoteName] = true
	}
	for _, peer := range info.Meta.Replicas {
		// JetStream calls a node offline after minutes only.
		nodes = append(nodes, Node{Name: peer.Name, Online: connected[peer.Name]})
	}
	slices.SortFunc(nodes, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	return nodes
}
