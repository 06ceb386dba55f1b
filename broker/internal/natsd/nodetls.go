package natsd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/weirstream/weir/conf"
)

// nodeTLS is the TLS of the connections between the nodes of a cluster; nil without TLS. A node is a server to some of the others
// and a client of the rest with the same certificate, and both ends check the other's. The errors are [*conf.Error]: a certificate
// that the other nodes would refuse is refused here, where the reason is known.
func nodeTLS(c conf.Cluster, now time.Time) (*tls.Config, error) {
	if !c.TLS() {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, &conf.Error{Key: "cluster.tls_cert", Reason: fmt.Sprintf("cannot be loaded with the key of cluster.tls_key: %v", err)}
	}
	authorities, err := readAuthorities(c.TLSCA)
	if err != nil {
		return nil, &conf.Error{Key: "cluster.tls_ca", Reason: err.Error()}
	}
	if err := checkNodeCertificate(c, pair, authorities, now); err != nil {
		return nil, &conf.Error{Key: "cluster.tls_cert", Reason: fmt.Sprintf("the other nodes would refuse the certificate in %s: %v", c.TLSCert, err)}
	}
	return &tls.Config{
		Certificates: []tls.Certificate{pair},
		RootCAs:      authorities,
		ClientCAs:    authorities,
		ClientAuth:   tls.RequireAndVerifyClientCert,
		MinVersion:   tls.VersionTLS13, // all nodes are weir
	}, nil
}

func readAuthorities(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return pool, nil
}

// checkNodeCertificate checks the certificate as the other nodes will: once as that of a server, which has the name that was dialed, and
// once as that of a client.
func checkNodeCertificate(c conf.Cluster, pair tls.Certificate, authorities *x509.CertPool, now time.Time) error {
	chain := x509.NewCertPool()
	for _, der := range pair.Certificate[1:] {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		chain.AddCert(cert)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		_, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: authorities, Intermediates: chain, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
		if unfit, ok := errors.AsType[x509.CertificateInvalidError](err); ok && unfit.Reason == x509.IncompatibleUsage {
			return errors.New("its extended key usage needs both serverAuth and clientAuth")
		}
		if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
			return fmt.Errorf("no authority in %s has signed it (%w)", c.TLSCA, err)
		}
		if err != nil {
			return err
		}
	}
	hosts := nodeHosts(c)
	if slices.ContainsFunc(hosts, func(host string) bool { return pair.Leaf.VerifyHostname(host) == nil }) {
		return nil
	}
	return fmt.Errorf("it is for none of the names of this node (%s); put the name that stands for the node in cluster.peers among its subject alternative names",
		strings.Join(hosts, ", "))
}

// nodeHosts are the hosts by which the others may dial this node: that of cluster.advertise, or, as the entry for this node in
// cluster.peers can be a name of the address that it listens on, those of cluster.listen and cluster.peers.
func nodeHosts(c conf.Cluster) (hosts []string) {
	if c.Advertise != "" {
		if host, _, err := net.SplitHostPort(c.Advertise); err == nil {
			return []string{host}
		}
	}
	for _, addr := range append([]string{c.Listen}, c.Nodes()...) {
		if host, _, err := net.SplitHostPort(addr); err == nil && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}
