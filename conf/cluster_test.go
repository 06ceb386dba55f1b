package conf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func nodeConfig() Config {
	c := Default().WithStoreDir("/d")
	c.Cluster = Cluster{Name: "blue", Listen: "10.0.0.1:6222", Peers: "10.0.0.1:6222, 10.0.0.2:6222,10.0.0.3:6222", Secret: "0123456789abcdef", Failover: FailoverFast}
	return c
}

func withTLS(c *Config) {
	c.Cluster.TLSCert, c.Cluster.TLSKey, c.Cluster.TLSCA = "node.pem", "node.key", "ca.pem"
}

func TestCluster(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Config)
		want   string // part of the error; "": valid
	}{
		{"three nodes", func(*Config) {}, ""},
		{"the others only", func(c *Config) { c.Cluster.Peers = "10.0.0.2:6222, 10.0.0.3:6222" }, ""},
		{"too few", func(c *Config) { c.Cluster.Peers = "10.0.0.2:6222" }, "cluster.peers: names 1 nodes; 3 copies need as many"},
		{"five copies on three", func(c *Config) { c.Replicas = 5 }, "5 copies need as many"},
		{"a peer twice", func(c *Config) { c.Cluster.Peers += ",10.0.0.2:6222" }, "names 10.0.0.2:6222 twice"},
		{"a peer without a port", func(c *Config) { c.Cluster.Peers += ",10.0.0.4" }, "cluster.peers:"},
		{"no address", func(c *Config) { c.Cluster.Listen = "" }, "cluster.listen: is required"},
		{"a free port", func(c *Config) { c.Cluster.Listen = "10.0.0.1:0" }, "port 0"},
		{"all addresses", func(c *Config) { c.Cluster.Listen = ":6222" }, "cluster.advertise: is required"},
		{"all addresses, one told", func(c *Config) { c.Cluster.Listen, c.Cluster.Advertise = "0.0.0.0:6222", "node1:6222" }, ""},
		{"no secret", func(c *Config) { c.Cluster.Secret = "" }, "cluster.secret_file: is required"},
		{"a short secret", func(c *Config) { c.Cluster.Secret = "short" }, "cluster.secret: has 5 characters"},
		{"two secrets", func(c *Config) { c.Cluster.SecretFile = "/f" }, "leave one out"},
		{"TLS without a secret", func(c *Config) { c.Cluster.Secret = ""; withTLS(c) }, ""},
		{"TLS and a secret", withTLS, ""},
		{"TLS without a key", func(c *Config) { withTLS(c); c.Cluster.TLSKey = "" }, "cluster.tls_key: is missing: cluster.tls_ca needs it"},
		{"TLS without a certificate", func(c *Config) { withTLS(c); c.Cluster.TLSCert = "" }, "cluster.tls_cert: is missing"},
		{"TLS without an authority", func(c *Config) { withTLS(c); c.Cluster.TLSCA = "" }, "cluster.tls_ca: is missing: cluster.tls_key needs it"},
		{"TLS without a name", func(c *Config) { withTLS(c); c.Cluster.Name = "" }, "cluster.tls_ca: needs cluster.name"},
		{"a bad name", func(c *Config) { c.Cluster.Name = "a b" }, "cluster.name: holds ' '"},
		{"no name", func(c *Config) { c.Cluster.Name = "" }, "needs cluster.name"},
		{"in memory", func(c *Config) { c.StoreDir, c.Memory = "", true }, "cluster.name: needs a store_dir"},
		{"external", func(c *Config) { c.StoreDir, c.External.URL = "", "nats://h:4222" }, "an external NATS has its own cluster"},
		{"durability group", func(c *Config) { c.Durability = DurabilityGroup }, "group syncs one server's files, but replicas is 3"},
		{"a class with group", func(c *Config) { c.StorageExpress.Durability = DurabilityGroup }, "storage_express.durability"},
		{"durability interval", func(c *Config) { c.Durability = DurabilityInterval }, ""},
		{"no port for clients", func(c *Config) { c.NATS.Listen = ListenNone }, "nats.listen"},
		{"no such failover", func(c *Config) { c.Cluster.Failover = "soon" }, "cluster.failover"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := nodeConfig()
			tc.change(&c)
			err := c.validateOn("linux")
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "0123456789abcdef") {
				t.Error("the error shows the secret")
			}
		})
	}
}

// A cluster has three copies and the durability of a majority unless something else is said.
func TestDefaultsOfACluster(t *testing.T) {
	c := nodeConfig()
	if n := c.Copies(); n != 3 {
		t.Errorf("%d copies", n)
	}
	if d := c.durabilityOn("linux"); d != DurabilityAlways {
		t.Errorf("durability %s", d)
	}
}

func TestSecretOfAClusterFromAFile(t *testing.T) {
	c := nodeConfig().Cluster
	c.Secret, c.SecretFile = "", filepath.Join(t.TempDir(), "secret")
	if _, err := c.SecretText(); err == nil {
		t.Error("a missing file was accepted")
	}
	if err := os.WriteFile(c.SecretFile, []byte("a secret of enough characters\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SecretText(); err == nil || !strings.Contains(err.Error(), "cluster.secret_file") || strings.Contains(err.Error(), "enough") {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(c.SecretFile, []byte("a-secret-of-enough-characters\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := c.SecretText(); err != nil || got != "a-secret-of-enough-characters" {
		t.Errorf("got %q, %v", got, err)
	}
}
