package natsd

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	natsconf "github.com/nats-io/nats-server/v2/conf"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// minMaxPayload is the least max_payload that weir works with: a full batch, whose encoding may be twice its metered
// size when it consists of tiny headers, and NATS headers, which NATS bounds to 64 KiB.
const minMaxPayload = 2*protocol.MaxBatchBytes + 64<<10

// maxTokenSubs bounds the subscriptions of a connection where access tokens are checked, unless the NATS configuration
// does: a token must not fill the memory. It is twice the sessions that a token may have.
const maxTokenSubs = 2 * tokenMaxSessions

// natsOptions builds the options of the embedded server: the included NATS configuration file first, then the settings that
// weir decides. A setting of the file that weir must decide is an error if it says something else, because a start that
// silently ignored it would surprise. dir is the directory that JetStream stores below.
func natsOptions(cfg conf.Config, dir string) (*server.Options, error) {
	o := &server.Options{}
	if file := cfg.NATS.ConfigFile; file != "" {
		if err := o.ProcessConfigFile(file); err != nil {
			return nil, fmt.Errorf("the NATS configuration %q is not valid: %w", file, err)
		}
		if err := checkConflicts(cfg, o, dir); err != nil {
			return nil, err
		}
		if !cfg.Checked() && !hasUsers(o) && !saysOrigins(file) {
			o.Websocket.SameOrigin = true // any page that a browser on this machine shows could connect otherwise
		}
	}
	if err := setListen(o, cfg.NATS); err != nil {
		return nil, err
	}
	if cfg.NATS.ServerName != "" {
		o.ServerName = cfg.NATS.ServerName
	}
	if err := setCluster(o, cfg); err != nil {
		return nil, err
	}
	o.JetStream = true
	o.StoreDir = dir
	o.SyncAlways = cfg.DurabilityClass() == conf.DurabilityAlways
	o.SyncInterval = cfg.SyncInterval
	o.MaxPayload = int32(cfg.MaxPayload)
	// A connection may have this much waiting for it; room for eight messages keeps a slow reader of large ones alive.
	o.MaxPending = max(o.MaxPending, server.MAX_PENDING_SIZE, 8*cfg.MaxPayload)
	if cfg.Checked() && o.MaxSubs == 0 {
		o.MaxSubs = maxTokenSubs
	}
	o.LameDuckDuration, o.LameDuckGracePeriod = lameDuck(cfg.LameDuck)
	o.DisableJetStreamBanner = true
	// The process belongs to the program that embeds us: no signal handlers, and no logger but ours.
	o.NoSigs = true
	o.NoLog = true
	return o, nil
}

// lameDuck splits the time that clients get to move elsewhere: first a moment in which they get the notice, then their
// connections are closed one by one. The server wants the first to be shorter than the whole.
func lameDuck(d time.Duration) (whole, grace time.Duration) {
	if d <= 0 {
		return 2, 1 // Close does not go through lame duck then; these only have to be valid.
	}
	return d, min(d/10, time.Second)
}

// checkConflicts compares the settings of the file in o with those that weir needs.
func checkConflicts(cfg conf.Config, o *server.Options, dir string) error {
	var errs []error
	conflict := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("the NATS configuration %q sets %s: %s", cfg.NATS.ConfigFile, key, fmt.Sprintf(format, args...)))
	}
	if o.StoreDir != "" && !samePath(o.StoreDir, dir) {
		conflict("jetstream store_dir", "weir keeps JetStream below its own store directory; remove store_dir there and set weir's store_dir")
	}
	switch {
	case o.MaxPayload == 0:
	case int64(o.MaxPayload) < minMaxPayload:
		conflict("max_payload", "%d bytes are less than the %d that a full batch needs; remove max_payload there, weir sets it to %d", o.MaxPayload, minMaxPayload, cfg.MaxPayload)
	case int64(o.MaxPayload) != cfg.MaxPayload:
		conflict("max_payload", "it says %d bytes and weir's max_payload says %d; remove it there, and set weir's max_payload", o.MaxPayload, cfg.MaxPayload)
	}
	if o.SyncAlways && cfg.DurabilityClass() != conf.DurabilityAlways {
		conflict("jetstream sync_interval", "it says always and weir's durability is %s; remove it there, or set weir's durability to always", cfg.DurabilityClass())
	} else if !o.SyncAlways && o.SyncInterval != 0 && o.SyncInterval != cfg.SyncInterval {
		conflict("jetstream sync_interval", "it says %s and weir's sync_interval says %s; remove it there", o.SyncInterval, cfg.SyncInterval)
	}
	if o.ServerName != "" && cfg.NATS.ServerName != "" && o.ServerName != cfg.NATS.ServerName {
		conflict("server_name", "it says %q and weir's nats.server_name says %q; remove one", o.ServerName, cfg.NATS.ServerName)
	}
	for key, set := range map[string]bool{"cluster": o.Cluster.Name != "" || o.Cluster.Port != 0 || o.Cluster.ListenStr != "", "gateway": o.Gateway.Name != "" || o.Gateway.Port != 0} {
		if set {
			conflict(key, "the embedded server would delete every stream that the others do not know; remove the block and set weir's cluster.name, "+
				"or run nats-servers with the block and weir with external.url")
		}
	}
	if len(o.TrustedOperators) > 0 || len(o.TrustedKeys) > 0 {
		conflict("operator", "in operator (JWT) mode weir cannot make its private account; run a nats-server with this configuration and weir with external.url and external.creds of an account for it")
	}
	for _, a := range o.Accounts {
		if a.Name == PrivateAccount || a.Name == clientsAccount {
			conflict("accounts", "weir creates the account %s for itself; rename the one in the file", a.Name)
		}
	}
	return errors.Join(errs...)
}

// setListen decides the client listener. The file's own listener replaces weir's default address; against an address
// that the operator gave to weir it is a conflict.
func setListen(o *server.Options, n conf.NATS) error {
	inFile := o.Host != "" || o.Port != 0
	if inFile && n.Listen == conf.Default().NATS.Listen {
		return nil
	}
	if inFile {
		return fmt.Errorf("the NATS configuration %q sets the client listener and weir's nats.listen is %q: remove one of them", n.ConfigFile, n.Listen)
	}
	if !n.Listens() {
		o.DontListen = true
		return nil
	}
	host, portText, err := net.SplitHostPort(n.Listen)
	if err != nil {
		return fmt.Errorf("nats.listen %q: %w", n.Listen, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return fmt.Errorf("nats.listen %q: the port is not a number from 0 to 65535", n.Listen)
	}
	if host == "" {
		host = server.DEFAULT_HOST // All interfaces, as a missing host means everywhere else in Go.
	}
	o.Host, o.Port = host, int(port)
	if port == 0 {
		o.Port = server.RANDOM_PORT
	}
	return nil
}

func samePath(a, b string) bool {
	a, errA := filepath.Abs(a)
	b, errB := filepath.Abs(b)
	return errA == nil && errB == nil && a == b
}

// saysOrigins reports whether the websocket block of the file says which pages may connect.
func saysOrigins(file string) bool {
	settings, err := natsconf.ParseFile(file)
	if err != nil {
		return false // the server's own parser has taken it
	}
	for key, block := range settings {
		if !strings.EqualFold(key, "websocket") && !strings.EqualFold(key, "ws") {
			continue
		}
		inner, _ := block.(map[string]any)
		for key := range inner {
			if strings.EqualFold(key, "same_origin") || strings.EqualFold(key, "allowed_origins") || strings.EqualFold(key, "allowed_origin") ||
				strings.EqualFold(key, "allow_origins") || strings.EqualFold(key, "allow_origin") || strings.EqualFold(key, "origins") || strings.EqualFold(key, "origin") {
				return true
			}
		}
	}
	return false
}
