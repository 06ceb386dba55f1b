package conf

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// field is one setting: where it lives and how it is written. Exactly one kind of pointer comes from ptr: *string,
// *Durability, *bool, *int, *int64 (a size in bytes) or *time.Duration.
type field struct {
	key  string
	help string
	ptr  func(*Config) any
	// redact hides the secret part of the value; nil if there is none.
	redact func(string) string
	// noFlag keeps the setting off the command line, which every user of the machine can read.
	noFlag bool
}

// fields is every setting there is. Files, the environment, flags and printing all follow it.
var fields = []field{
	{key: "store_dir", ptr: func(c *Config) any { return &c.StoreDir },
		help: "directory for all data, created if missing"},
	{key: "memory", ptr: func(c *Config) any { return &c.Memory },
		help: "keep everything in memory and nothing on disk, for tests"},
	{key: "durability", ptr: func(c *Config) any { return &c.Durability },
		help: "the promise of an ack: group, always, interval or auto"},
	{key: "sync_interval", ptr: func(c *Config) any { return &c.SyncInterval },
		help: "time between JetStream's background syncs, 1s to 1h"},
	{key: "subject_prefix", ptr: func(c *Config) any { return &c.SubjectPrefix },
		help: "first token of every NATS subject of weir"},
	{key: "logs", ptr: func(c *Config) any { return &c.Logs },
		help: "logs of each storage class, which all basins share, 1 to 64"},
	{key: "inflight_bytes", ptr: func(c *Config) any { return &c.InflightBytes },
		help: "bytes of appends that may wait for their answer, 1MiB to 64GiB"},
	{key: "memory_limit", ptr: func(c *Config) any { return &c.MemoryLimit },
		help: "memory of the process that it keeps below, at least 64MiB; 0: of GOMEMLIMIT, the control group or the machine"},
	{key: "max_payload", ptr: func(c *Config) any { return &c.MaxPayload },
		help: "largest NATS message, 2MiB to 64MiB"},
	{key: "replicas", ptr: func(c *Config) any { return &c.Replicas },
		help: "copies of everything in a cluster: 1, 3 or 5; a cluster has 3 where this is not set"},
	{key: "locations", ptr: func(c *Config) any { return &c.Locations },
		help: "names of the locations of basins, with commas; the first is the default"},
	{key: "init_file", ptr: func(c *Config) any { return &c.InitFile },
		help: "resource spec that is applied at the start, before any door opens"},
	{key: "accept_loss", ptr: func(c *Config) any { return &c.AcceptLoss },
		help: "code of the lost records that a refused start has named, to go on without them"},
	{key: "lame_duck", ptr: func(c *Config) any { return &c.LameDuck },
		help: "time that clients get to move elsewhere when the broker stops, 0 to 10m"},
	{key: "root_token", ptr: func(c *Config) any { return &c.RootToken }, redact: redactAll, noFlag: true,
		help: "the access token that may do everything; without one nothing is checked"},
	{key: "root_token_file", ptr: func(c *Config) any { return &c.RootTokenFile },
		help: "file that holds the access token that may do everything; without one nothing is checked"},
	{key: "log.level", ptr: func(c *Config) any { return &c.Log.Level },
		help: "least level that is logged: debug, info, warn or error"},
	{key: "log.format", ptr: func(c *Config) any { return &c.Log.Format },
		help: "form of the log: text or json"},
	{key: "nats.listen", ptr: func(c *Config) any { return &c.NATS.Listen },
		help: "host:port for NATS clients, or none"},
	{key: "nats.config_file", ptr: func(c *Config) any { return &c.NATS.ConfigFile },
		help: "nats-server configuration file for what weir leaves to NATS (TLS, accounts, ...)"},
	{key: "nats.server_name", ptr: func(c *Config) any { return &c.NATS.ServerName },
		help: "name that the embedded NATS server shows"},
	{key: "cluster.name", ptr: func(c *Config) any { return &c.Cluster.Name },
		help: "name of the cluster that this broker is a node of; none: no cluster"},
	{key: "cluster.listen", ptr: func(c *Config) any { return &c.Cluster.Listen },
		help: "host:port on which the other nodes connect"},
	{key: "cluster.peers", ptr: func(c *Config) any { return &c.Cluster.Peers },
		help: "host:port of all nodes of the cluster, with commas"},
	{key: "cluster.advertise", ptr: func(c *Config) any { return &c.Cluster.Advertise },
		help: "host:port at which the other nodes reach this one, if that is not cluster.listen"},
	{key: "cluster.secret", ptr: func(c *Config) any { return &c.Cluster.Secret }, redact: redactAll, noFlag: true,
		help: "the secret by which the nodes of the cluster recognize each other"},
	{key: "cluster.secret_file", ptr: func(c *Config) any { return &c.Cluster.SecretFile },
		help: "file that holds the secret by which the nodes of the cluster recognize each other"},
	{key: "cluster.tls_cert", ptr: func(c *Config) any { return &c.Cluster.TLSCert },
		help: "certificate file (PEM) that this node shows the other nodes"},
	{key: "cluster.tls_key", ptr: func(c *Config) any { return &c.Cluster.TLSKey },
		help: "key file (PEM) of cluster.tls_cert"},
	{key: "cluster.tls_ca", ptr: func(c *Config) any { return &c.Cluster.TLSCA },
		help: "file (PEM) of the authorities that have signed the nodes' certificates"},
	{key: "cluster.failover", ptr: func(c *Config) any { return &c.Cluster.Failover },
		help: "how soon others take over from a lost node: fast (1 to 2 s) or stock (4 to 9 s)"},
	{key: "http.listen", ptr: func(c *Config) any { return &c.HTTP.Listen },
		help: "host:port of the HTTP API, or none"},
	{key: "http.tls_cert", ptr: func(c *Config) any { return &c.HTTP.TLSCert },
		help: "certificate file (PEM) of the HTTP API"},
	{key: "http.tls_key", ptr: func(c *Config) any { return &c.HTTP.TLSKey },
		help: "key file (PEM) of http.tls_cert"},
	{key: "http.tls_self", ptr: func(c *Config) any { return &c.HTTP.TLSSelf },
		help: "serve the HTTP API with a self-signed certificate for localhost"},
	{key: "http.cors", ptr: func(c *Config) any { return &c.HTTP.CORS },
		help: "let web pages of other origins use the HTTP API"},
	{key: "http.cors_origins", ptr: func(c *Config) any { return &c.HTTP.CORSOrigins },
		help: "origins of those pages, with commas; none: any, or without a root token those of this machine"},
	{key: "http.dashboard", ptr: func(c *Config) any { return &c.HTTP.Dashboard },
		help: "serve the console for browsers at /dashboard"},
	{key: "durable_streams.listen", ptr: func(c *Config) any { return &c.DurableStreams.Listen },
		help: "host:port for the Durable Streams protocol alone, or none"},
	{key: "durable_streams.basin", ptr: func(c *Config) any { return &c.DurableStreams.Basin },
		help: "basin of the streams on durable_streams.listen"},
	{key: "prices.stored", ptr: func(c *Config) any { return &c.Prices.Stored },
		help: "US dollars for a GiB stored for 30 days, for estimated-billable-usage; 0: nothing"},
	{key: "prices.written", ptr: func(c *Config) any { return &c.Prices.Written },
		help: "US dollars for a GiB appended; 0: nothing"},
	{key: "prices.read", ptr: func(c *Config) any { return &c.Prices.Read },
		help: "US dollars for a GiB delivered; 0: nothing"},
	{key: "prices.operations", ptr: func(c *Config) any { return &c.Prices.Operations },
		help: "US dollars for a million operations; 0: nothing"},
	{key: "storage_standard.replicas", ptr: func(c *Config) any { return &c.StorageStandard.Replicas },
		help: "copies of streams of class standard: 1, 3 or 5; 0: as replicas"},
	{key: "storage_standard.compression", ptr: func(c *Config) any { return &c.StorageStandard.Compression },
		help: "compression of streams of class standard: none or s2"},
	{key: "storage_standard.durability", ptr: func(c *Config) any { return &c.StorageStandard.Durability },
		help: "durability of streams of class standard: group or interval"},
	{key: "storage_standard.logs", ptr: func(c *Config) any { return &c.StorageStandard.Logs },
		help: "logs for streams of class standard, 1 to 64; 0: as logs"},
	{key: "storage_express.replicas", ptr: func(c *Config) any { return &c.StorageExpress.Replicas },
		help: "copies of streams of class express: 1, 3 or 5; 0: as replicas"},
	{key: "storage_express.compression", ptr: func(c *Config) any { return &c.StorageExpress.Compression },
		help: "compression of streams of class express: none or s2"},
	{key: "storage_express.durability", ptr: func(c *Config) any { return &c.StorageExpress.Durability },
		help: "durability of streams of class express: group or interval"},
	{key: "storage_express.logs", ptr: func(c *Config) any { return &c.StorageExpress.Logs },
		help: "logs for streams of class express, 1 to 64; 0: as logs"},
	{key: "external.url", ptr: func(c *Config) any { return &c.External.URL }, redact: redactURLs,
		help: "use the NATS at these addresses in place of an embedded one"},
	{key: "external.creds", ptr: func(c *Config) any { return &c.External.Creds },
		help: "NATS credentials file for the external NATS"},
	{key: "external.context", ptr: func(c *Config) any { return &c.External.Context },
		help: "use the NATS that this NATS context names in place of an embedded one"},
}

// env is the setting's environment variable.
func (f field) env() string { return "WEIR_" + strings.ToUpper(strings.ReplaceAll(f.key, ".", "_")) }

// flag is the setting's flag without its dashes.
func (f field) flag() string { return strings.NewReplacer(".", "-", "_", "-").Replace(f.key) }

// kind is the value's type, for usage texts.
func (f field) kind() string {
	switch f.ptr(new(Config)).(type) {
	case *bool:
		return "bool"
	case *int:
		return "int"
	case *int64:
		return "size"
	case *float64:
		return "number"
	case *time.Duration:
		return "duration"
	}
	return "string"
}

// setText sets the value from the text of a flag or an environment variable.
func (f field) setText(c *Config, s string) (err error) {
	switch p := f.ptr(c).(type) {
	case *string:
		*p = s
	case *Durability:
		*p = Durability(s)
	case *bool:
		if *p, err = strconv.ParseBool(s); err != nil {
			return fmt.Errorf("%q is not true or false", s)
		}
	case *int:
		if *p, err = strconv.Atoi(s); err != nil {
			return fmt.Errorf("%q is not a whole number", s)
		}
	case *int64:
		*p, err = ParseSize(s)
	case *float64:
		if *p, err = strconv.ParseFloat(s, 64); err != nil {
			return fmt.Errorf("%q is not a number", s)
		}
	case *time.Duration:
		*p, err = ParseDuration(s)
	}
	return err
}

// setValue sets the value from the result of a file's parser: string, int64, float64, bool or something nested.
func (f field) setValue(c *Config, v any) error {
	switch p := f.ptr(c).(type) {
	case *bool:
		if b, ok := v.(bool); ok {
			*p = b
			return nil
		}
	case *int:
		if n, ok := v.(int64); ok {
			*p = int(n)
			return nil
		}
	case *int64:
		if n, ok := v.(int64); ok {
			*p = n
			return nil
		}
		if s, ok := v.(string); ok {
			return f.setText(c, s)
		}
	case *float64:
		switch n := v.(type) {
		case float64:
			*p = n
			return nil
		case int64:
			*p = float64(n)
			return nil
		}
	case *time.Duration:
		if s, ok := v.(string); ok {
			return f.setText(c, s)
		}
		if _, ok := v.(int64); ok {
			// The syntax takes 10m for ten million, so a bare number cannot be distinguished from a duration.
			return errors.New(`is a number; write the duration in quotes, like "10s" or "2m"`)
		}
	case *string, *Durability:
		if s, ok := v.(string); ok {
			return f.setText(c, s)
		}
	}
	return fmt.Errorf("is %s, but %s is needed", kindOf(v), wanted[f.kind()])
}

var wanted = map[string]string{
	"string": "a string", "bool": "true or false", "int": "a whole number", "size": "a size", "number": "a number", "duration": "a duration",
}

func kindOf(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case int64:
		return "a whole number"
	case float64:
		return "a fraction"
	case bool:
		return "true or false"
	case map[string]any:
		return "a block"
	case []any:
		return "a list"
	}
	return fmt.Sprintf("a %T", v)
}

// text writes the value so that setText reads it back, except that a secret is redacted.
func (f field) text(c *Config) string {
	switch p := f.ptr(c).(type) {
	case *string:
		if f.redact != nil {
			return f.redact(*p)
		}
		return *p
	case *Durability:
		return string(*p)
	case *bool:
		return strconv.FormatBool(*p)
	case *int:
		return strconv.Itoa(*p)
	case *int64:
		return FormatSize(*p)
	case *float64:
		return strconv.FormatFloat(*p, 'g', -1, 64)
	case *time.Duration:
		return FormatDuration(*p)
	}
	panic("conf: field of unknown kind: " + f.key) //nolint:forbidigo // a broken invariant
}

const redacted = "[redacted]"

// redactAll hides the value, and shows only whether there is one.
func redactAll(s string) string {
	if s == "" {
		return ""
	}
	return redacted
}

// redactURLs hides the possible secret in comma-separated addresses: the password, or the user if it stands alone,
// since it is a token then.
func redactURLs(s string) string {
	if s == "" {
		return ""
	}
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		u, err := url.Parse(strings.TrimSpace(part))
		if err != nil {
			out = append(out, redacted)
			continue
		}
		if u.User != nil {
			scheme, host, _ := strings.Cut(u.String(), "://")
			_, host, _ = strings.Cut(host, "@")
			user := redacted
			if _, has := u.User.Password(); has {
				user = u.User.Username() + ":" + redacted
			}
			out = append(out, scheme+"://"+user+"@"+host)
			continue
		}
		out = append(out, u.String())
	}
	return strings.Join(out, ",")
}
