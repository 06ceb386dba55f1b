package adapter

import (
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/adapter/internal/lease"
	"github.com/weirstream/weir/protocol"
)

// NodeInfo describes a broker to those that share the store with it.
type NodeInfo = lease.Info

// Options says where and how the adapter stores. Connect is required; the zero value of the rest works.
type Options struct {
	// Connect opens a connection to the NATS account that holds the storage; name shows in monitoring. The adapter
	// closes the connections that it opened.
	Connect func(name string) (*nats.Conn, error)
	// Durability is when a write counts as done; default interval.
	Durability protocol.Durability
	// StoreDir is a directory on the file system that JetStream writes to; needed for protocol.DurabilityGroup.
	StoreDir string
	// Open says that nothing is checked: access tokens that are restored want to be confirmed.
	Open bool
	// Memory stores in memory, for tests.
	Memory bool
	// Replicas is the number of copies of everything; default 1.
	Replicas int
	// Logs is the number of logs that all basins share, for each storage class; default 1, at most layout.MaxLogs. A stream
	// stays in the log that it was created in, so that more can be added later.
	Logs int
	// Classes has the special settings of the logs of storage classes. A stream lives in a log of the class that it was
	// created with; to change its class later changes only the word in its configuration.
	Classes map[protocol.StorageClass]Class
	// Locations are the names of the places where basins can be made; the first is the default until another is set, and
	// where basins are taken to live that were made before there were locations. Default: the one called "local".
	Locations []protocol.LocationName
	// InflightBytes bounds the metered bytes of appends that are not answered yet, over all streams; default 128 MiB,
	// at least 1 MiB (data plane 3.9).
	InflightBytes int64
	// Prefix is the first token of every storage subject, the upper-cased first part of every JetStream name;
	// default "s2".
	Prefix string
	// Shared says that other brokers use the same store: the catalog is followed by a watch, and each log has one of them as its owner.
	Shared bool
	// Recovered says that JetStream has read its files after a crash: purged chunks may be there again, see removeReturned.
	Recovered bool
	// Node is the name of this broker among those that share the store; default: a new one at each start.
	Node string
	// NodeInfo is shown to the other brokers.
	NodeInfo NodeInfo
	// Check is called once when the catalog is loaded, before anything else is read or written; its failure fails Open.
	// needed reports whether the catalog knows a basin that is not being deleted behind a log, given as the name of its
	// JetStream stream.
	Check func(needed func(log string) bool) error
	// Blocks returns the files of a JetStream stream, from which the catalog is read at the start; nil if they are not at hand.
	Blocks func(stream string) ([]StoredBlock, error)
	// Failure returns why the store cannot be written any more, or nil. After one, nothing that is read back proves that a
	// write was made.
	Failure func() error
	// SyncInterval is how often the chunks of durability "interval" are synced; 0: never by the adapter.
	SyncInterval time.Duration
	// Made is called for each JetStream stream that was made or changed, before anything is written to it; its failure fails
	// the operation that needs the stream.
	Made func(stream string) error
	// AcceptLoss is the code of the lost records that Open has complained of, to go on without them (docs/durability.md).
	AcceptLoss string
	// Fatal is called once, from a goroutine of its own, when the store can no longer be trusted (a failed sync). All
	// writes fail from then on; the operator must check the disk and restart.
	Fatal func(error)
	// Tap, if set, is called once for each stream that is loaded and not encrypted. It returns a function to which the sequencer
	// passes the stream's durable records, chunk by chunk in order. The function must return at once, and says whether the
	// records' memory is kept.
	Tap func(protocol.StreamRef) func(protocol.Records) (kept bool)
	// Observer receives the events inside the adapter.
	Observer Observer
	// Logger gets the messages for the operator; default: discarded.
	Logger *slog.Logger
}
