package broker_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
)

// authority signs certificates for nodes.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string
	made int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, file: filepath.Join(t.TempDir(), "ca.pem")}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.key = newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	writePEM(t, a.file, "CERTIFICATE", der)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// issue writes a certificate for 127.0.0.1, and its key, where the settings of the node say. Its serial number is a new one.
func (a *authority) issue(c conf.Cluster, change func(*x509.Certificate)) (serial int64) {
	a.t.Helper()
	a.made++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(100 + a.made), Subject: pkix.Name{CommonName: "node of a test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if change != nil {
		change(template)
	}
	key := newKey(a.t)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	writePEM(a.t, c.TLSCert, "CERTIFICATE", der)
	writePEM(a.t, c.TLSKey, "PRIVATE KEY", secret)
	return template.SerialNumber.Int64()
}

// certify gives a node files of its own, with a certificate of the authority.
func (a *authority) certify(c *conf.Cluster) {
	dir := a.t.TempDir()
	c.TLSCert, c.TLSKey, c.TLSCA = filepath.Join(dir, "node.pem"), filepath.Join(dir, "node.key"), a.file
	a.issue(*c, nil)
}

// shown is the serial number of the certificate that a node shows to those who dial it with the certificate of another.
func shown(t *testing.T, node, other conf.Cluster) int64 {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(other.TLSCert, other.TLSKey)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := new(tls.Dialer{Config: &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true}}).DialContext(t.Context(), "tcp", node.Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// The nodes of a cluster without a secret speak TLS with each other, admit nobody whose certificate another authority has signed and nobody
// without one, and use renewed certificates after a reload.
func TestClusterWithTLS(t *testing.T) {
	ca := newAuthority(t)
	n := clusterOf(t, func(c *conf.Config) {
		c.Cluster.Secret = ""
		ca.certify(&c.Cluster)
	})
	n.start(0, 1, 2)
	ensureBasin(t, n.service(0))
	for node := range 3 {
		if ack := appendTo(t, n.service(node), "x"); ack.Start.SeqNum != uint64(node) {
			t.Fatalf("node %d acknowledged %v", node, ack.Start)
		}
	}

	serial := ca.issue(n.configs[0].Cluster, nil)
	if now := shown(t, n.configs[0].Cluster, n.configs[1].Cluster); now == serial {
		t.Error("the certificate changed without a reload")
	}
	if err := n.brokers[0].Reload(); err != nil {
		t.Fatal(err)
	}
	if now := shown(t, n.configs[0].Cluster, n.configs[1].Cluster); now != serial {
		t.Errorf("after a reload the certificate is %d, not %d", now, serial)
	}
	ca.issue(n.configs[0].Cluster, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	if err := n.brokers[0].Reload(); err == nil || !strings.Contains(err.Error(), "cluster.tls_cert") {
		t.Errorf("a reload with a certificate that has expired: %v", err)
	}
	if now := shown(t, n.configs[0].Cluster, n.configs[1].Cluster); now != serial {
		t.Errorf("after a refused reload the certificate is %d, not %d", now, serial)
	}
	appendTo(t, n.service(0), "after the reload")

	right := n.configs[2].Cluster
	n.stop(2)
	for who, change := range map[string]func(*conf.Cluster){
		"a node of another authority": newAuthority(t).certify,
		"a node that speaks no TLS":   func(c *conf.Cluster) { c.TLSCert, c.TLSKey, c.TLSCA, c.Secret = "", "", "", "0123456789abcdef" },
	} {
		n.configs[2].Cluster = right
		change(&n.configs[2].Cluster)
		n.keptOut(2, who)
		appendTo(t, n.service(0), "without "+who)
		appendTo(t, n.service(1), "without "+who)
	}
	n.configs[2].Cluster = right
	n.start(2)
	appendTo(t, n.service(2), "back")
}

// keptOut starts a node, which the others refuse: it is called off when its NATS server has complained of a connection to another.
func (n *nodes) keptOut(node int, who string) {
	n.t.Helper()
	ctx, cancel := context.WithCancel(n.t.Context())
	defer cancel()
	log := slog.NewTextHandler(lines(func(line string) {
		// The other end speaks TLS and closes; where this one does not, that comes as the end of an attempt to authenticate.
		if strings.Contains(line, "TLS route handshake error") || strings.Contains(line, "authentication error") {
			cancel()
		}
	}), nil)
	b, err := broker.Start(ctx, n.configs[node], broker.WithLogger(slog.New(log)))
	if err == nil {
		closeBroker(n.t, b)
		n.t.Errorf("%s became a node", who)
	} else if !errors.Is(err, context.Canceled) {
		n.t.Errorf("%s: %v", who, err)
	}
}

// lines calls a function with each line of a log.
type lines func(string)

func (l lines) Write(line []byte) (int, error) {
	l(string(line))
	return len(line), nil
}

// A certificate that the other nodes would refuse is refused at the start, with the setting and the reason.
func TestCertificatesOfNodes(t *testing.T) {
	ca := newAuthority(t)
	junk := filepath.Join(t.TempDir(), "junk.pem")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(*conf.Cluster)
		want   string
	}{
		"no such certificate": {func(c *conf.Cluster) { c.TLSCert = "nowhere.pem" }, "cluster.tls_cert: cannot be loaded with the key of cluster.tls_key: open nowhere.pem"},
		"a junk certificate":  {func(c *conf.Cluster) { c.TLSCert = junk }, "cluster.tls_cert: cannot be loaded"},
		"the key of another": {func(c *conf.Cluster) {
			cert := c.TLSCert
			ca.certify(c)
			c.TLSCert = cert
		}, "private key does not match"},
		"no such authority": {func(c *conf.Cluster) { c.TLSCA = "nowhere.pem" }, "cluster.tls_ca: cannot be read: open nowhere.pem"},
		"a junk authority":  {func(c *conf.Cluster) { c.TLSCA = junk }, "junk.pem holds no certificate in PEM"},
		"another authority": {func(c *conf.Cluster) { c.TLSCA = newAuthority(t).file }, "has signed it"},
		"expired": {func(c *conf.Cluster) {
			ca.issue(*c, func(x *x509.Certificate) { x.NotAfter = time.Now().Add(-time.Minute) })
		}, "expired"},
		"for servers alone": {func(c *conf.Cluster) {
			ca.issue(*c, func(x *x509.Certificate) { x.ExtKeyUsage = x.ExtKeyUsage[:1] })
		}, "needs both serverAuth and clientAuth"},
		"another name": {func(c *conf.Cluster) { c.Advertise = "node1.example.org:6222" }, "it is for none of the names of this node (node1.example.org)"},
	} {
		t.Run(name, func(t *testing.T) {
			c := onDisk(t.TempDir())
			c.NATS.Listen = "127.0.0.1:0"
			c.Cluster = conf.Cluster{Name: "test", Listen: "127.0.0.1:1", Peers: "127.0.0.1:2,127.0.0.1:3", Failover: conf.FailoverStock}
			ca.certify(&c.Cluster)
			tc.change(&c.Cluster)
			b, err := broker.Start(t.Context(), c)
			if err == nil {
				closeBroker(t, b)
				t.Fatal("the start succeeded")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
