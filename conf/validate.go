package conf

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/protocol"
)

// Error is one thing that is wrong with a configuration.
type Error struct {
	// Key is the setting's name as in a file, such as "nats.listen".
	Key string
	// Source says where the value came from: "weir.conf:3:1", "WEIR_NATS_LISTEN", "--nats-listen"; "" if unknown.
	Source string
	// Reason names the fault and the allowed values. It never repeats a secret.
	Reason string
}

func (e *Error) Error() string {
	switch {
	case e.Source == "" || e.Source == e.Key:
		return e.Key + ": " + e.Reason
	case strings.HasPrefix(e.Source, "--"), strings.HasPrefix(e.Source, "WEIR_"):
		// The names of flags and variables are those of the keys.
		return e.Source + ": " + e.Reason
	}
	return e.Source + ": " + e.Key + ": " + e.Reason
}

// Validate checks the whole configuration and reports everything that is wrong with it at once, each as an [*Error].
// It looks at values only: whether a directory is writable or a port free is found out by the start.
func (c Config) Validate() error { return c.validateOn(runtime.GOOS) }

func (c Config) validateOn(goos string) error {
	var v validation
	v.store(c)
	v.durability(c, goos)
	v.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	v.oneOf("log.format", c.Log.Format, LogText, LogJSON)
	v.duration("sync_interval", c.SyncInterval, time.Second, time.Hour)
	v.duration("lame_duck", c.LameDuck, 0, 10*time.Minute)
	v.integer("logs", int64(c.Logs), 1, 64)
	v.size("inflight_bytes", c.InflightBytes, 1<<20, 64<<30)
	if c.MemoryLimit != 0 {
		v.size("memory_limit", c.MemoryLimit, 64<<20, 1<<50)
	}
	for key, usd := range map[string]float64{"stored": c.Prices.Stored, "written": c.Prices.Written, "read": c.Prices.Read, "operations": c.Prices.Operations} {
		if !(usd >= 0 && usd <= 1e6) { // also refuses NaN
			v.add("prices."+key, "is %g; allowed is from 0 to 1000000", usd)
		}
	}
	v.size("max_payload", c.MaxPayload, 2<<20, 64<<20)
	if c.Replicas != 1 && c.Replicas != 3 && c.Replicas != 5 {
		v.add("replicas", "is %d; allowed are 1, 3 and 5", c.Replicas)
	}
	if err := checkPrefix(c.SubjectPrefix); err != "" {
		v.add("subject_prefix", "%s", err)
	}
	if c.NATS.Listens() {
		if err := checkListen(c.NATS.Listen); err != "" {
			v.add("nats.listen", "%s", err)
		}
	}
	if strings.ContainsAny(c.NATS.ServerName, " \t\r\n") {
		v.add("nats.server_name", "may not hold white space")
	}
	v.locations(c.LocationNames())
	v.http(c.HTTP)
	v.durableStreams(c.DurableStreams)
	v.external(c)
	v.cluster(c)
	v.access(c)
	v.storageClass("storage_standard", c.StorageStandard, c, goos)
	v.storageClass("storage_express", c.StorageExpress, c, goos)
	return errors.Join(v.errs...)
}

type validation struct{ errs []error }

func (v *validation) add(key, format string, args ...any) {
	v.errs = append(v.errs, &Error{Key: key, Reason: fmt.Sprintf(format, args...)})
}

func (v *validation) store(c Config) {
	switch {
	case c.Memory && c.StoreDir != "":
		v.add("memory", "keeps nothing on disk, but store_dir is set too: leave one out")
	case c.Memory && c.External.Enabled():
		v.add("memory", "needs the embedded server, but external is set: leave one out")
	case c.External.Enabled() && c.StoreDir != "":
		v.add("store_dir", "an external NATS server has a store of its own: leave store_dir or external out")
	case !c.Memory && c.StoreDir == "" && !c.External.Enabled():
		v.add("store_dir", "is required: name a directory for the data (--store-dir), or set memory (tests) or external.url (a NATS that runs already)")
	}
}

func (v *validation) durability(c Config, goos string) {
	switch c.Durability {
	case DurabilityAuto, DurabilityAlways, DurabilityInterval:
		return
	case DurabilityGroup:
	default:
		v.add("durability", "is %q; allowed are group, always, interval and auto", c.Durability)
		return
	}
	switch {
	case c.External.Enabled():
		v.add("durability", "group syncs the embedded server's files and cannot be used with external: use always (with sync_interval: always in that NATS) or interval")
	case c.Memory:
		v.add("durability", "group syncs files, but memory keeps none: leave durability out")
	case c.Copies() > 1:
		v.add("durability", "group syncs one server's files, but replicas is %d: use always or interval", c.Copies())
	case goos != "linux":
		v.add("durability", "group needs Linux (syncfs), this is %s: use always", goos)
	}
}

func (v *validation) locations(names []string) {
	seen := map[string]bool{}
	for _, name := range names {
		if _, err := protocol.ParseLocationName(name); err != nil {
			v.add("locations", "%q: %s", name, err)
		} else if seen[name] {
			v.add("locations", "%q is named twice", name)
		}
		seen[name] = true
	}
}

func (v *validation) http(h HTTP) {
	if h.Listens() {
		if err := checkListen(h.Listen); err != "" {
			v.add("http.listen", "%s", err)
		}
	}
	for _, o := range h.Origins() {
		u, err := url.Parse(o)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || o != u.Scheme+"://"+u.Host {
			v.add("http.cors_origins", "%q is no origin: want http://host or https://host, with a port where it is another", o)
		}
	}
	switch {
	case h.TLSSelf && (h.TLSCert != "" || h.TLSKey != ""):
		v.add("http.tls_self", "makes a certificate, but http.tls_cert or http.tls_key names one: leave one out")
	case h.TLSCert != "" && h.TLSKey == "":
		v.add("http.tls_key", "is missing: http.tls_cert needs it")
	case h.TLSCert == "" && h.TLSKey != "":
		v.add("http.tls_cert", "is missing: http.tls_key needs it")
	}
}

func (v *validation) durableStreams(d DurableStreams) {
	if d.Basin != "" {
		if _, err := protocol.ParseBasinName(d.Basin); err != nil {
			v.add("durable_streams.basin", "%q: %s", d.Basin, err)
		}
	}
	if !d.Listens() {
		return
	}
	if err := checkListen(d.Listen); err != "" {
		v.add("durable_streams.listen", "%s", err)
	}
	if d.Basin == "" {
		v.add("durable_streams.basin", "is missing: durable_streams.listen serves the streams of one basin")
	}
}

func (v *validation) external(c Config) {
	e := c.External
	if e.Creds != "" && !e.Enabled() {
		v.add("external.creds", "needs external.url or external.context")
	}
	if !e.Enabled() {
		return
	}
	if e.URL != "" && e.Context != "" {
		v.add("external.context", "names a server already, but external.url is set too: leave one out")
	}
	for u := range strings.SplitSeq(e.URL, ",") {
		if err := checkURL(strings.TrimSpace(u)); e.URL != "" && err != "" {
			v.add("external.url", "%s", err)
		}
	}
	n := c.NATS
	for _, s := range []struct{ key, value string }{
		{"nats.config_file", n.ConfigFile}, {"nats.server_name", n.ServerName},
	} {
		if s.value != "" {
			v.add(s.key, "configures the embedded server, but external is set: leave one out")
		}
	}
	// The default address comes from Default, not from an operator.
	if n.Listens() && n.Listen != defaultListen {
		v.add("nats.listen", "opens a port of the embedded server, but external is set: leave one out")
	}
}

func (v *validation) oneOf(key, value string, allowed ...string) {
	if slices.Contains(allowed, value) {
		return
	}
	last := len(allowed) - 1
	v.add(key, "is %q; allowed are %s and %s", value, strings.Join(allowed[:last], ", "), allowed[last])
}

func (v *validation) duration(key string, d, lo, hi time.Duration) {
	if d < lo || d > hi {
		v.add(key, "is %s; allowed is from %s to %s", FormatDuration(d), FormatDuration(lo), FormatDuration(hi))
	}
}

func (v *validation) integer(key string, n, lo, hi int64) {
	if n < lo || n > hi {
		v.add(key, "is %d; allowed is from %d to %d", n, lo, hi)
	}
}

func (v *validation) size(key string, n, lo, hi int64) {
	if n < lo || n > hi {
		v.add(key, "is %s; allowed is from %s to %s", FormatSize(n), FormatSize(lo), FormatSize(hi))
	}
}

func checkPrefix(s string) string {
	if s == "" || len(s) > 32 {
		return fmt.Sprintf("has %d bytes; allowed is from 1 to 32", len(s))
	}
	for _, r := range s {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_':
		default:
			return fmt.Sprintf("holds %q; allowed are letters, digits, '-' and '_'", r)
		}
	}
	return ""
}

func checkListen(s string) string {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Sprintf("%q is not host:port (or none)", s)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Sprintf("port %q; allowed is from 0 to 65535", port)
	}
	return ""
}

// checkURL does not repeat the URL: it may hold a password.
func checkURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return "is not an address like nats://host:4222"
	}
	switch u.Scheme {
	case "nats", "tls", "ws", "wss":
		return ""
	}
	return fmt.Sprintf("has scheme %q; allowed are nats, tls, ws and wss", u.Scheme)
}
