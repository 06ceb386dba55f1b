package conf

import (
	"runtime"
	"strings"
	"time"

	"github.com/weirstream/weir/protocol"
)

// Durability names the failures that an acknowledged write survives (docs/durability.md).
type Durability = protocol.Durability

// The durability classes.
const (
	// DurabilityAuto is the safest class that the deployment can have: see [Config.DurabilityClass].
	DurabilityAuto     Durability = "auto"
	DurabilityGroup               = protocol.DurabilityGroup
	DurabilityAlways              = protocol.DurabilityAlways
	DurabilityInterval            = protocol.DurabilityInterval // the disk follows every SyncInterval
)

// The log formats.
const (
	LogText = "text"
	LogJSON = "json"
)

// ListenNone, like the empty string, means that no port is opened.
const ListenNone = "none"

// Config is everything that an operator decides about one broker. Make one with [Default] or [Load] and check it with
// Validate: the zero value is not valid. The key of each field in a file, its environment variable and its flag stand
// in docs/configuration.md.
type Config struct {
	// StoreDir is the directory that holds all data; it is created if missing. Default "": required unless Memory or
	// External is set.
	StoreDir string
	// Memory keeps everything in memory and touches no disk: for tests. Default false; excludes StoreDir and External.
	Memory bool
	// Durability is the promise of an acknowledgement. Default [DurabilityAuto].
	Durability Durability
	// SyncInterval is how often JetStream syncs files in the background. Default 2m, from 1s to 1h. It bounds the loss
	// in a power cut with [DurabilityInterval] only.
	SyncInterval time.Duration
	// SubjectPrefix is the first token of every NATS subject of weir. Default "s2"; one token of 1 to 32 letters,
	// digits, '-' and '_'.
	SubjectPrefix string
	// Logs is the number of logs (JetStream streams) of each storage class, which all basins share. Default 4; from 1 to 64. A
	// stream stays in the log that it was created in, so that more can be added later.
	Logs int
	// InflightBytes bounds the metered bytes of all appends that wait for their answer; more appends wait their turn.
	// Default 128 MiB, from 1 MiB to 64 GiB.
	InflightBytes int64
	// MemoryLimit is the size from which on the Go runtime collects garbage harder, in a process that is the broker's own (see
	// broker.WithOwnProcess). Default 0: GOMEMLIMIT if that is set, otherwise four fifths of the memory of the control group,
	// or of the machine. At least 64 MiB.
	MemoryLimit int64
	// MaxPayload is the largest NATS message that the embedded server takes, in bytes. Default 8 MiB, from 2 MiB (a full
	// batch with its overhead) to 64 MiB. For an external NATS it is checked, not set.
	MaxPayload int64
	// Replicas is the number of copies that JetStream keeps of everything. Default 1, and 3 with Cluster; 1, 3 or 5. More than 1
	// needs Cluster, or an external NATS that is a cluster.
	Replicas int
	// Locations are the names of the places where basins can be made, with commas. The first is the default until a client
	// sets another, and where basins live that were made before there were locations. All are this deployment: a location
	// is a label that a basin is made under and keeps. Default "local"; each 1 to 64 letters, digits, ':', '-' and '.'.
	Locations string
	// InitFile is the path of a resource spec (docs/declarative.md) that is applied at every start, before any door opens.
	// Default "": none.
	InitFile string
	// Prices is the price list for the metric set estimated-billable-usage. Default: none.
	Prices Prices
	// StorageStandard and StorageExpress set the storage classes apart. Default: they are stored alike.
	StorageStandard ClassSettings
	StorageExpress  ClassSettings // as StorageStandard
	// AcceptLoss is the code of the lost records that a start has complained of, to go on without them. Default "". It
	// accepts those only, and does nothing when there is no loss.
	AcceptLoss string
	// LameDuck is how long a stopping broker lets clients move elsewhere. Default 10s, from 0 to 10m; 0 stops at once.
	LameDuck time.Duration
	// RootToken is the secret of the access token that may do everything: 16 to 512 visible ASCII characters. Default "".
	// With it, or with RootTokenFile, every request needs an access token. Without either nothing is checked, and the
	// ports must be on the loopback address. It has no flag: command lines can be read by every user of a machine.
	RootToken string
	// RootTokenFile is the path of a file that holds RootToken; a newline at its end does not count. It is read at the
	// start. Default "": none. Excludes RootToken.
	RootTokenFile string

	Log     Log     // settings of the log
	NATS    NATS    // the embedded server
	Cluster Cluster // the cluster that the broker is a node of
	HTTP    HTTP    // S2's HTTP API and the console
	// DurableStreams is a port of the Durable Streams protocol alone.
	DurableStreams DurableStreams
	External       External // a NATS that runs by itself, in the place of the embedded server
}

// Log configures the broker's log, on standard error.
type Log struct {
	// Level is the least level that is written: "debug", "info", "warn" or "error". Default "info".
	Level string
	// Format is [LogText] or [LogJSON]. Default text.
	Format string
}

// NATS configures the embedded server. It excludes External.
type NATS struct {
	// Listen is the host:port for NATS clients; port 0 picks a free one. Default "127.0.0.1:4222". "" or "none": no
	// port is opened and only the program itself can connect.
	Listen string
	// ConfigFile is a nats-server configuration file for everything that NATS knows and weir does not: TLS, accounts,
	// websocket, leafnodes. Default "": none. The settings that weir depends on (JetStream's directory,
	// max_payload) come from this Config.
	ConfigFile string
	// ServerName is the name that the server shows. Default "": chosen by NATS.
	ServerName string
}

// HTTP configures S2's HTTP API.
type HTTP struct {
	// Listen is the host:port of the HTTP API; port 0 picks a free one. Default "127.0.0.1:8080". "" or "none": no port
	// is opened.
	Listen string
	// TLSCert and TLSKey are the paths of a certificate (with its chain) and its key, in PEM. Default "": no TLS. Each
	// needs the other.
	TLSCert string
	TLSKey  string // as TLSCert
	// TLSSelf serves TLS with a certificate for localhost, 127.0.0.1 and ::1 that the broker makes and signs itself at
	// every start. Default false; excludes TLSCert.
	TLSSelf bool
	// CORS lets web pages of other origins use the API. Default true.
	CORS bool
	// CORSOrigins are the origins whose pages may use the API, with commas, each scheme://host or scheme://host:port. Default
	// "": any origin, or without a root token those of the loopback address.
	CORSOrigins string
	// Dashboard serves the console at /dashboard. Default true.
	Dashboard bool
}

// DurableStreams configures a port that serves the Durable Streams protocol alone, for the streams of one basin: the path of a stream
// is its name. The protocol is at /ds/{basin}/{stream} of the HTTP API without it. The certificate and the origins are those of
// [HTTP].
type DurableStreams struct {
	// Listen is the host:port; port 0 picks a free one. Default "": no port is opened, as with "none".
	Listen string
	// Basin is the name of the basin. Default "": required with Listen. The basin may be created later.
	Basin string
}

// External makes the broker use a NATS that runs already instead of embedding one. It applies if URL or Context is set.
type External struct {
	// URL is one or more comma-separated nats://, tls://, ws:// or wss:// addresses. Default "". It may hold a password.
	URL string
	// Creds is the path of a NATS credentials file. Default "": none. Needs URL or Context.
	Creds string
	// Context is the name or the path of a NATS context, as made by `nats context add`. Default "": none.
	Context string
}

// Default is the configuration that applies where nothing is said. It lacks only a place to store: see
// [Config.WithStoreDir].
func Default() Config {
	return Config{
		Durability:    DurabilityAuto,
		SyncInterval:  2 * time.Minute,
		SubjectPrefix: "s2",
		Logs:          4,
		InflightBytes: 128 << 20,
		MaxPayload:    8 << 20,
		Replicas:      1,
		Locations:     "local",
		LameDuck:      10 * time.Second,
		Log:           Log{Level: "info", Format: LogText},
		NATS:          NATS{Listen: defaultListen},
		Cluster:       Cluster{Failover: FailoverFast},
		HTTP:          HTTP{Listen: "127.0.0.1:8080", CORS: true, Dashboard: true},
	}
}

const defaultListen = "127.0.0.1:4222"

// WithStoreDir returns c with its data in dir.
func (c Config) WithStoreDir(dir string) Config {
	c.StoreDir = dir
	c.Memory = false
	return c
}

// WithMemory returns c with everything in memory and no port open: for tests.
func (c Config) WithMemory() Config {
	c.StoreDir = ""
	c.Memory = true
	c.NATS.Listen = ""
	c.HTTP.Listen = ""
	c.DurableStreams.Listen = ""
	return c
}

// LocationNames are the names in Locations.
func (c Config) LocationNames() (names []string) {
	for name := range strings.SplitSeq(c.Locations, ",") {
		names = append(names, strings.TrimSpace(name))
	}
	return names
}

// Prices is a price list in US dollars, for estimates of the cost of usage. All 0 is none.
type Prices struct {
	// Stored is for a GiB of metered bytes that is stored for 30 days.
	Stored float64
	// Written is for a GiB of metered bytes appended.
	Written float64
	// Read is for a GiB of metered bytes delivered.
	Read float64
	// Operations is for a million operations.
	Operations float64
}

// Listens reports whether the embedded server opens a port for clients.
func (n NATS) Listens() bool { return n.Listen != "" && n.Listen != ListenNone }

// Listens reports whether the HTTP API has a port.
func (h HTTP) Listens() bool { return h.Listen != "" && h.Listen != ListenNone }

// Listens reports whether the Durable Streams protocol has a port of its own.
func (d DurableStreams) Listens() bool { return d.Listen != "" && d.Listen != ListenNone }

// Enabled reports whether the broker uses an external NATS.
func (e External) Enabled() bool { return e.URL != "" || e.Context != "" }

// DurabilityClass is Durability with [DurabilityAuto] decided: never auto. On an embedded server an acknowledged write
// is on disk (group on Linux with one replica, else always); an external NATS is configured by its operator, so the
// class is interval there, and in memory too, where there is nothing to sync.
func (c Config) DurabilityClass() Durability { return c.durabilityOn(runtime.GOOS) }

func (c Config) durabilityOn(goos string) Durability {
	switch {
	case c.Durability != DurabilityAuto && c.Durability != "":
		return c.Durability
	case c.External.Enabled() || c.Memory:
		return DurabilityInterval
	case goos == "linux" && c.Copies() <= 1:
		return DurabilityGroup
	}
	return DurabilityAlways
}

// Origins are the single origins of CORSOrigins.
func (h HTTP) Origins() (list []string) {
	for o := range strings.SplitSeq(h.CORSOrigins, ",") {
		if o = strings.TrimSpace(o); o != "" {
			list = append(list, o)
		}
	}
	return list
}
