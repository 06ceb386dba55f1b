package protocol

import "time"

// MetricSet is a set of usage metrics (control plane 6.2). The account, a basin and a stream have different sets.
type MetricSet string

// The metric sets: of the account, of a basin, and of a stream, which has MetricStorage only.
const (
	MetricActiveBasins     MetricSet = "active-basins"
	MetricAccountOps       MetricSet = "account-ops"
	MetricBillableUsage    MetricSet = "estimated-billable-usage"
	MetricStorage          MetricSet = "storage"
	MetricAppendOps        MetricSet = "append-ops"
	MetricReadOps          MetricSet = "read-ops"
	MetricReadThroughput   MetricSet = "read-throughput"
	MetricAppendThroughput MetricSet = "append-throughput"
	MetricBasinOps         MetricSet = "basin-ops"
)

// MetricInterval is the width of the buckets that values are added up in; "" asks for the set's default.
type MetricInterval string

// The intervals. Buckets begin at whole minutes, hours and days of UTC.
const (
	IntervalMinute MetricInterval = "minute"
	IntervalHour   MetricInterval = "hour"
	IntervalDay    MetricInterval = "day"
)

// MetricsQuery asks for a set of metrics over a time (control plane 6.1). Start (inclusive) and End (exclusive) are
// seconds since the epoch; nil, which is invalid for every set, is validated by the service.
type MetricsQuery struct {
	Set      MetricSet      // one of the sets of the account, basin or stream that is asked
	Start    *uint32        // inclusive, seconds since the epoch
	End      *uint32        // exclusive, seconds since the epoch
	Interval MetricInterval // "" for the set's default
}

// MetricKind is the kind of data in a [Metric].
type MetricKind uint8

// The kinds of metrics (control plane 6.4).
const (
	MetricLabel        MetricKind = iota + 1 // names
	MetricAccumulation                       // sums over buckets
	MetricGauge                              // values observed at instants
	MetricScalar                             // one value
)

// The units of metrics.
const (
	UnitOperations = "operations"
	UnitBytes      = "bytes"
	UnitUSD        = "usd"
)

// Metric is one metric of an answer. Labels is of a label, Unit of the three others, Interval of an accumulation,
// Points of an accumulation and a gauge, Value of a scalar.
type Metric struct {
	Kind     MetricKind     // says which of the other fields are set
	Name     string         // such as "active_basins"
	Labels   []string       // the values of a label, such as names of basins
	Unit     string         // [UnitOperations] or [UnitBytes]
	Interval MetricInterval // the width of the buckets
	Points   []MetricPoint  // ascending by time
	Value    float64        // of a scalar
}

// MetricPoint is a value at a time: the beginning of its bucket, or when it was observed; whole seconds.
type MetricPoint struct {
	At    time.Time // UTC, whole seconds
	Value float64   // in the metric's unit
}
