package conf

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
)

// Cluster makes the broker one node of several that keep copies of everything and serve the same streams. It applies if Name is
// set. Every node has the same Name and Peers, and the nodes recognize each other by the same secret, by TLS certificates of the same
// authority, or by both.
type Cluster struct {
	// Name is the cluster's name: 1 to 32 letters, digits, '-' and '_'. Default "": no cluster.
	Name string
	// Listen is the host:port on which the other nodes connect. Required.
	Listen string
	// Peers are the host:port of all nodes, with commas, this one among them or not. At least 3 nodes, or as many as Replicas.
	Peers string
	// Advertise is the host:port at which the other nodes reach this one. Default "": as Listen.
	Advertise string
	// Secret is the shared secret by which the nodes know each other: 16 to 512 visible ASCII characters. It has no flag.
	Secret string
	// SecretFile is the path of a file that holds Secret; a newline at its end does not count. Excludes Secret.
	SecretFile string
	// TLSCert and TLSKey are the paths of this node's certificate (with its chain) and its key, in PEM. TLSCA is the path of the
	// certificates of the authorities, in PEM, one of which must have signed the certificate of every node. With them the traffic
	// between the nodes is encrypted, both ends of a connection check the other's certificate, and the secret may be left out.
	// Default "": no TLS. Each needs the other two.
	TLSCert string
	TLSKey  string // as TLSCert
	TLSCA   string // as TLSCert
	// Failover is [FailoverFast] or [FailoverStock]. Default fast.
	Failover string
}

// How soon the other nodes take over the leads of a lost one.
const (
	// FailoverFast elects after 1 to 2 s without a sign of life. A disk or a machine that stalls for longer loses its lead.
	FailoverFast = "fast"
	// FailoverStock is nats-server's own election time: 4 to 9 s.
	FailoverStock = "stock"
)

// Enabled reports whether the broker is a node of a cluster.
func (c Cluster) Enabled() bool { return c.Name != "" }

// TLS reports whether the nodes speak TLS with each other.
func (c Cluster) TLS() bool { return c.TLSCert != "" }

// HasSecret reports whether the nodes recognize each other by a secret.
func (c Cluster) HasSecret() bool { return c.Secret != "" || c.SecretFile != "" }

// Nodes are the addresses in Peers.
func (c Cluster) Nodes() (nodes []string) {
	for p := range strings.SplitSeq(c.Peers, ",") {
		if p = strings.TrimSpace(p); p != "" {
			nodes = append(nodes, p)
		}
	}
	return nodes
}

// SecretText is the secret, read from its file if it has one. The error is an [*Error] that never shows the secret.
func (c Cluster) SecretText() (string, error) {
	if c.SecretFile == "" {
		return c.Secret, nil
	}
	return readSecret("cluster.secret_file", "secret", c.SecretFile)
}

// readSecret reads a secret, a token for one, of 16 to 512 visible ASCII characters from a file, without the newline at its end.
func readSecret(key, what, path string) (string, error) {
	fail := func(reason string) (string, error) { return "", &Error{Key: key, Reason: reason} }
	f, err := os.Open(path)
	if err != nil {
		return fail("cannot be read: " + err.Error())
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxRootToken+3)) // One more than the longest secret with its newline.
	if err != nil {
		return fail("cannot be read: " + err.Error())
	}
	text = bytes.TrimSuffix(text, []byte("\n"))
	text = bytes.TrimSuffix(text, []byte("\r"))
	if reason := checkSecret(string(text)); reason != "" {
		return fail(fmt.Sprintf("the %s in %s %s", what, path, reason))
	}
	return string(text), nil
}

// Copies is the number of copies that JetStream keeps: Replicas, and 3 in a cluster where that is not set.
func (c Config) Copies() int {
	if c.Cluster.Enabled() && c.Replicas == 1 {
		return 3
	}
	return c.Replicas
}

func (v *validation) cluster(c Config) {
	k := c.Cluster
	if !k.Enabled() {
		for _, s := range []struct{ key, value string }{
			{"listen", k.Listen}, {"peers", k.Peers}, {"advertise", k.Advertise}, {"secret", k.Secret}, {"secret_file", k.SecretFile},
			{"tls_cert", k.TLSCert}, {"tls_key", k.TLSKey}, {"tls_ca", k.TLSCA},
		} {
			if s.value != "" {
				v.add("cluster."+s.key, "needs cluster.name")
			}
		}
		return
	}
	if reason := checkPrefix(k.Name); reason != "" {
		v.add("cluster.name", "%s", reason)
	}
	switch {
	case c.External.Enabled():
		v.add("cluster.name", "makes the embedded server a node, but external is set: an external NATS has its own cluster")
	case c.Memory:
		v.add("cluster.name", "needs a store_dir, but memory is set: leave one out")
	}
	if !c.NATS.Listens() {
		v.add("nats.listen", "is %q, but a node of a cluster has a port for NATS clients: give an address, such as 127.0.0.1:0", c.NATS.Listen)
	}
	v.oneOf("cluster.failover", k.Failover, FailoverFast, FailoverStock)
	v.peer("cluster.listen", k.Listen)
	if k.Advertise != "" {
		v.peer("cluster.advertise", k.Advertise)
	}
	if host, _, err := net.SplitHostPort(k.Listen); err == nil && k.Advertise == "" && (host == "" || net.ParseIP(host).IsUnspecified()) {
		v.add("cluster.advertise", "is required where cluster.listen is no single address: the host:port at which the others reach this node")
	}
	nodes := k.Nodes()
	for i, p := range nodes {
		v.peer("cluster.peers", p)
		if slices.Contains(nodes[:i], p) {
			v.add("cluster.peers", "names %s twice", p)
		}
	}
	if least := c.Copies() - 1; len(nodes) < least {
		v.add("cluster.peers", "names %d nodes; %d copies need as many nodes, this one counted", len(nodes), c.Copies())
	}
	v.clusterTLS(k)
	switch {
	case k.Secret != "" && k.SecretFile != "":
		v.add("cluster.secret_file", "holds a secret, but cluster.secret is set too: leave one out")
	case !k.HasSecret() && !k.TLS():
		v.add("cluster.secret_file", "is required: the nodes recognize each other by a secret of 16 characters or more; or set cluster.secret, or cluster.tls_cert, tls_key and tls_ca")
	case k.Secret != "":
		if reason := checkSecret(k.Secret); reason != "" {
			v.add("cluster.secret", "%s", reason)
		}
	}
}

// clusterTLS checks that the three settings of TLS are there, or none.
func (v *validation) clusterTLS(k Cluster) {
	files := []struct{ key, value string }{{"cluster.tls_cert", k.TLSCert}, {"cluster.tls_key", k.TLSKey}, {"cluster.tls_ca", k.TLSCA}}
	var set string
	for _, f := range files {
		if f.value != "" {
			set = f.key
		}
	}
	for _, f := range files {
		if set != "" && f.value == "" {
			v.add(f.key, "is missing: %s needs it", set)
		}
	}
}

// peer checks an address at which a node can be reached.
func (v *validation) peer(key, addr string) {
	if addr == "" {
		v.add(key, "is required: the host:port for the other nodes, such as 10.0.0.1:6222")
		return
	}
	if reason := checkListen(addr); reason != "" {
		v.add(key, "%s", reason)
	} else if _, port, _ := net.SplitHostPort(addr); port == "0" {
		v.add(key, "has port 0; the other nodes need to know the port")
	}
}
