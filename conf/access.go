package conf

import (
	"fmt"
	"net"
	"strings"
)

// The length of a root token, in characters. The least is far from guessable for a random one, and keeps out "secret".
const (
	minRootToken = 16
	maxRootToken = 512
)

// Checked reports whether requests need an access token. If not, every client that reaches the broker may do everything.
func (c Config) Checked() bool { return c.RootToken != "" || c.RootTokenFile != "" }

// RootSecret is the root token, read from its file if it has one; "" if nothing is checked. The error is an [*Error]
// that never shows the secret.
func (c Config) RootSecret() (string, error) {
	if c.RootTokenFile == "" {
		return c.RootToken, nil
	}
	return readSecret("root_token_file", "token", c.RootTokenFile)
}

// checkSecret describes the fault of a root token or another secret, without showing it.
func checkSecret(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' }) {
		return "holds a space, a line break or another character that is not visible ASCII"
	}
	if n := len(s); n < minRootToken || n > maxRootToken {
		count := fmt.Sprintf("has %d characters", n)
		if n > maxRootToken {
			count = "is too long"
		}
		return fmt.Sprintf("%s; allowed is from %d to %d", count, minRootToken, maxRootToken)
	}
	return ""
}

// access checks the root token, and that a broker without one can be reached from its own machine only.
func (v *validation) access(c Config) {
	if c.RootToken != "" {
		if reason := checkSecret(c.RootToken); reason != "" {
			v.add("root_token", "%s", reason)
		}
		if c.RootTokenFile != "" {
			v.add("root_token_file", "names a root token, but root_token is set too: leave one out")
		}
	}
	if c.Checked() {
		return
	}
	if c.HTTP.Listens() && checkListen(c.HTTP.Listen) == "" && !Loopback(c.HTTP.Listen) {
		v.add("http.listen", "%q can be reached from other machines, and without a root token every client there may do everything: "+
			"set root_token_file, or listen on 127.0.0.1", c.HTTP.Listen)
	}
	if d := c.DurableStreams; d.Listens() && checkListen(d.Listen) == "" && !Loopback(d.Listen) {
		v.add("durable_streams.listen", "%q can be reached from other machines, and without a root token every client there may do everything: "+
			"set root_token_file, or listen on 127.0.0.1", d.Listen)
	}
	// A NATS configuration file may have users of its own; whether it does is found out by the start, which reads it.
	if !c.External.Enabled() && c.NATS.ConfigFile == "" && c.NATS.Listens() && checkListen(c.NATS.Listen) == "" && !Loopback(c.NATS.Listen) {
		v.add("nats.listen", "%q can be reached from other machines, and without a root token every client there may do everything: "+
			"set root_token_file, or users in nats.config_file, or listen on 127.0.0.1", c.NATS.Listen)
	}
}

// Loopback reports whether only this machine reaches a host:port: the host is localhost or a loopback address. A host
// that is left out means all interfaces.
func Loopback(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
