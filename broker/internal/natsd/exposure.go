package natsd

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/weirstream/weir/conf"
)

// checkExposure refuses a setting that would let others in than the configuration means to. It looks at the options of the
// file, before weir adds users of its own. Accounts without users do not distinguish clients.
//
// Without a root token and without users nothing is checked, so every port must be on the loopback address. With a root
// token and without users weir checks each client that connects, so nothing may go around that.
func checkExposure(cfg conf.Config, o *server.Options) error {
	switch {
	case !cfg.Checked() && !hasUsers(o):
		return checkLoopback(cfg, o)
	case cfg.Checked() && !hasUsers(o) && len(o.Accounts) == 0:
		return checkNoWayAround(cfg, o)
	}
	return nil
}

// checkLoopback goes through the ports.
func checkLoopback(cfg conf.Config, o *server.Options) error {
	var errs []error
	check := func(key, host string, port int) {
		if port == 0 {
			return
		}
		if host == "" {
			host = server.DEFAULT_HOST
		}
		at := net.JoinHostPort(host, strconv.Itoa(max(port, 0)))
		if !conf.Loopback(at) {
			errs = append(errs, fmt.Errorf("the NATS configuration %q opens a port for %s on %s, which can be reached from other machines, "+
				"and without a root token every client there may do everything: set root_token_file, or add users to that file, or let it listen on 127.0.0.1",
				cfg.NATS.ConfigFile, key, at))
		}
	}
	if !o.DontListen {
		check("clients", o.Host, o.Port)
	}
	check("monitoring", o.HTTPHost, o.HTTPPort)
	check("monitoring (https)", o.HTTPHost, o.HTTPSPort)
	check("websocket", o.Websocket.Host, o.Websocket.Port)
	check("mqtt", o.MQTT.Host, o.MQTT.Port)
	if !leafUsers(&o.LeafNode) && !verifies(o.LeafNode.TLSConfig) {
		check("leafnodes", o.LeafNode.Host, o.LeafNode.Port)
	}
	return errors.Join(errs...)
}

func leafUsers(o *server.LeafNodeOpts) bool {
	return o.Username != "" || o.Nkey != "" || len(o.Users) > 0
}

// verifies reports whether a client needs a certificate.
func verifies(t *tls.Config) bool { return t != nil && t.ClientAuth == tls.RequireAndVerifyClientCert }

// checkNoWayAround refuses the settings of the file that admit clients without an access token. A client that entered
// by them would be in the account of the storage.
func checkNoWayAround(cfg conf.Config, o *server.Options) error {
	var errs []error
	refuse := func(is bool, key string) {
		if is {
			errs = append(errs, fmt.Errorf("the NATS configuration %q sets %s, which lets others in than those with an access token: "+
				"remove it there, or define accounts and users with permissions in that file", cfg.NATS.ConfigFile, key))
		}
	}
	refuse(leafUsers(&o.LeafNode), "leafnodes authorization")
	refuse(len(o.LeafNode.Remotes) > 0, "leafnodes remotes")
	refuse(o.Websocket.Username != "" || o.Websocket.Token != "" || o.Websocket.NoAuthUser != "", "websocket users")
	refuse(o.MQTT.Username != "" || o.MQTT.Token != "" || o.MQTT.NoAuthUser != "", "mqtt users")
	return errors.Join(errs...)
}
