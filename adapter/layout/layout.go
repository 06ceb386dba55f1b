// Package layout names where things are stored: JetStream streams and subjects, for a prefix that is "s2" by default. It is
// the one place that makes and parses these names (docs/chunk-format.md, docs/adr/0015).
//
//	S2_LOG_express_0                             a log that the basins of the account share
//	s2.log.express.0.<basin>.<bucket>.<id>       subject of a stream in it
//	S2_LOG_express_0_<basin>                     a log of one basin
//	s2.log.express.own0.<basin>.<bucket>.<id>    subject of a stream in it
//	KV_S2_CATALOG                                the catalog
//	KV_S2_CLUSTER                                nodes and owners of logs, in a cluster
package layout

import (
	"strconv"
	"strings"

	"github.com/weirstream/weir/protocol"
)

// Version is the version of the layout, which the catalog carries. A broker opens no store of another one.
const Version = "2"

// MaxLogs is how many logs a storage class can have, and how many a basin can have of its own in a class.
const MaxLogs = 64

// classes are the storage classes in the order of their logs' numbers.
var classes = [...]protocol.StorageClass{protocol.StorageExpress, protocol.StorageStandard}

// Log names a log.
type Log struct {
	Class protocol.StorageClass
	// Index is from 0, below [MaxLogs].
	Index int
	// Owner is the basin that has the log for itself; "" for a log that all basins share.
	Owner protocol.BasinName
}

// Number distinguishes the logs of a basin; it stands in the catalog and in backups. Those that basins share come first, class by
// class, and then those of the basin's own.
func (l Log) Number() int {
	n := l.Index
	for i, c := range classes {
		if c == l.Class {
			n += i * MaxLogs
		}
	}
	if l.Owner != "" {
		n += len(classes) * MaxLogs
	}
	return n
}

// LogOf is the inverse of [Log.Number], for a log of a basin; false when there is no such log.
func LogOf(basin protocol.BasinName, number int) (Log, bool) {
	if number < 0 || number >= 2*len(classes)*MaxLogs {
		return Log{}, false
	}
	l := Log{Index: number % MaxLogs, Class: classes[number/MaxLogs%len(classes)]}
	if number >= len(classes)*MaxLogs {
		l.Owner = basin
	}
	return l, true
}

// Stream is the name of the JetStream stream behind the log.
func (l Log) Stream(prefix string) string {
	name := logPrefix(prefix) + string(l.Class) + "_" + strconv.Itoa(l.Index)
	if l.Owner != "" {
		name += "_" + string(l.Owner)
	}
	return name
}

// ParseLog is the inverse of [Log.Stream]; false when the name is not that of a log.
func ParseLog(prefix, stream string) (Log, bool) {
	rest, ok := strings.CutPrefix(stream, logPrefix(prefix))
	if !ok {
		return Log{}, false
	}
	class, rest, _ := strings.Cut(rest, "_")
	index, owner, owned := strings.Cut(rest, "_")
	n, err := strconv.Atoi(index)
	if err != nil || n < 0 || n >= MaxLogs || strconv.Itoa(n) != index {
		return Log{}, false
	}
	l := Log{Class: protocol.StorageClass(class), Index: n, Owner: protocol.BasinName(owner)}
	if owned {
		if _, err := protocol.ParseBasinName(owner); err != nil {
			return Log{}, false
		}
	}
	for _, c := range classes {
		if c == l.Class {
			return l, true
		}
	}
	return Log{}, false
}

func logPrefix(prefix string) string { return strings.ToUpper(prefix) + "_LOG_" }

// root is how the subjects of the log begin, with a dot at the end.
func (l Log) root(prefix string) string {
	own := ""
	if l.Owner != "" {
		own = "own"
	}
	return prefix + ".log." + string(l.Class) + "." + own + strconv.Itoa(l.Index) + "."
}

// Filter matches every subject of the log.
func (l Log) Filter(prefix string) string {
	if l.Owner != "" {
		return l.root(prefix) + string(l.Owner) + ".>"
	}
	return l.root(prefix) + ">"
}

// Basin matches the subjects of all streams of a basin in the log.
func (l Log) Basin(prefix string, basin protocol.BasinName) string {
	return l.root(prefix) + string(basin) + ".*.*"
}

// Bucket matches every subject of a bucket of a basin in the log.
func (l Log) Bucket(prefix string, basin protocol.BasinName, bucket uint32) string {
	return l.bucket(prefix, basin, bucket) + "*"
}

func (l Log) bucket(prefix string, basin protocol.BasinName, bucket uint32) string {
	return l.root(prefix) + string(basin) + "." + strconv.FormatUint(uint64(bucket), 36) + "."
}

// Runs is the subject of the runs of messages that seal the log (docs/adr/0019). No stream has it.
func (l Log) Runs(prefix string) string {
	if l.Owner != "" {
		return l.root(prefix) + string(l.Owner) + "._runs"
	}
	return l.root(prefix) + "_runs"
}

// Forward is the subject of the requests for a log that are handed to a node of that incarnation.
func Forward(prefix, incarnation, log string) string {
	return prefix + "._node." + incarnation + "." + log
}

// Subject is the subject of a stream of a basin in the log.
func (l Log) Subject(prefix string, basin protocol.BasinName, id StreamID) string {
	return l.bucket(prefix, basin, id.Bucket()) + id.String()
}

// Place is where a subject puts a chunk.
type Place struct {
	Log   Log
	Basin protocol.BasinName
	ID    StreamID
}

// ParseSubject is the inverse of [Log.Subject]; false when the subject is not that of a stream.
func ParseSubject(prefix, subject string) (Place, bool) {
	rest, ok := strings.CutPrefix(subject, prefix+".log.")
	parts := strings.Split(rest, ".")
	if !ok || len(parts) != 5 {
		return Place{}, false
	}
	p := Place{Log: Log{Class: protocol.StorageClass(parts[0])}, Basin: protocol.BasinName(parts[2])}
	index, own := strings.CutPrefix(parts[1], "own")
	if own {
		p.Log.Owner = p.Basin
	}
	var err error
	if p.Log.Index, err = strconv.Atoi(index); err != nil {
		return Place{}, false
	}
	if p.ID, err = ParseStreamID(parts[4]); err != nil || p.Log.Subject(prefix, p.Basin, p.ID) != subject {
		return Place{}, false
	}
	_, ok = ParseLog(prefix, p.Log.Stream(prefix))
	return p, ok
}

// CatalogBucket is the name of the key-value bucket that holds the catalog.
func CatalogBucket(prefix string) string { return strings.ToUpper(prefix) + "_CATALOG" }

// Catalog is the name of the JetStream stream behind the catalog's bucket.
func Catalog(prefix string) string { return "KV_" + CatalogBucket(prefix) }

// CatalogSubjects is how the subjects of the catalog's keys begin, with a dot at the end.
func CatalogSubjects(prefix string) string { return "$KV." + CatalogBucket(prefix) + "." }

// ClusterBucket is the name of the key-value bucket that holds the nodes of a cluster and the owners of the logs.
func ClusterBucket(prefix string) string { return strings.ToUpper(prefix) + "_CLUSTER" }

// Cluster is the name of the JetStream stream behind that bucket.
func Cluster(prefix string) string { return "KV_" + ClusterBucket(prefix) }

// ClusterSubjects is how the subjects of that bucket's keys begin, with a dot at the end.
func ClusterSubjects(prefix string) string { return "$KV." + ClusterBucket(prefix) + "." }

// UsageSubjects is how the subjects of usage begin, with a dot at the end.
func UsageSubjects(prefix string) string { return prefix + ".usage." }

// LogSubjects matches the subjects of all logs.
func LogSubjects(prefix string) string { return prefix + ".log.>" }

// Subjects are the subjects that only weir may publish to: those of the logs, of the usage, of the catalog and of the cluster's bucket, and
// those between the nodes.
func Subjects(prefix string) []string {
	return []string{LogSubjects(prefix), UsageSubjects(prefix) + ">", CatalogSubjects(prefix) + ">", ClusterSubjects(prefix) + ">", prefix + "._node.>"}
}
