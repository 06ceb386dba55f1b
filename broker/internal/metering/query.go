package metering

import (
	"slices"
	"time"

	"github.com/weirstream/weir/protocol"
)

// set describes a set of metrics (control plane 6.2).
type set struct {
	name protocol.MetricSet
	// intervals are those allowed, the default first; none means that the interval is ignored.
	intervals []protocol.MetricInterval
	// unit and series are of sets of accumulations; operations are one each.
	unit       string
	series     []series
	operations []protocol.Operation
}

// series is one accumulation of a set.
type series struct {
	name    string
	counter counter
}

var (
	byMinute = []protocol.MetricInterval{protocol.IntervalMinute, protocol.IntervalHour, protocol.IntervalDay}
	byHour   = []protocol.MetricInterval{protocol.IntervalHour, protocol.IntervalMinute, protocol.IntervalDay}

	byClass = func(standard, express counter) []series {
		return []series{{"standard", standard}, {"express", express}}
	}
)

// The sets by the object of the query. Operations are of the account or of a basin as the table of control plane 5.5 names
// their object; append, read, fence and trim have sets of their own.
var (
	accountSets = []set{
		{name: protocol.MetricActiveBasins},
		{name: protocol.MetricBillableUsage, intervals: []protocol.MetricInterval{protocol.IntervalHour, protocol.IntervalDay}},
		{name: protocol.MetricAccountOps, intervals: byHour, unit: protocol.UnitOperations, operations: []protocol.Operation{
			protocol.OpListBasins, protocol.OpCreateBasin, protocol.OpDeleteBasin, protocol.OpReconfigureBasin,
			protocol.OpGetBasinConfig, protocol.OpIssueAccessToken, protocol.OpRevokeAccessToken, protocol.OpListAccessTokens,
			protocol.OpAccountMetrics, protocol.OpListLocations, protocol.OpGetDefaultLocation, protocol.OpSetDefaultLocation}},
	}
	basinSets = []set{
		{name: protocol.MetricStorage, intervals: []protocol.MetricInterval{protocol.IntervalHour}},
		{name: protocol.MetricAppendOps, intervals: byMinute, unit: protocol.UnitOperations,
			series: byClass(appendOpsStandard, appendOpsExpress)},
		{name: protocol.MetricReadOps, intervals: byMinute, unit: protocol.UnitOperations,
			series: []series{{"unary", readOpsUnary}, {"streaming", readOpsStreaming}}},
		{name: protocol.MetricReadThroughput, intervals: byMinute, unit: protocol.UnitBytes,
			series: []series{{"read_throughput", readBytes}}},
		{name: protocol.MetricAppendThroughput, intervals: byMinute, unit: protocol.UnitBytes,
			series: byClass(appendBytesStandard, appendBytesExpress)},
		{name: protocol.MetricBasinOps, intervals: byHour, unit: protocol.UnitOperations, operations: []protocol.Operation{
			protocol.OpListStreams, protocol.OpCreateStream, protocol.OpDeleteStream, protocol.OpGetStreamConfig,
			protocol.OpReconfigureStream, protocol.OpCheckTail}},
	}
	streamSets = []set{
		{name: protocol.MetricStorage, intervals: []protocol.MetricInterval{protocol.IntervalMinute}},
	}
)

const (
	maxRange  = 90 * daySeconds // control plane 6.3
	maxFuture = 60
)

// query is a query that was validated.
type query struct {
	set
	start, end uint32 // [start, end), seconds
	interval   protocol.MetricInterval
}

// validate applies control plane 6.3. Codes: bad_query for a set or an interval that does not exist, then invalid for
// parameters that do not go together.
func validate(sets []set, q protocol.MetricsQuery, now time.Time) (out query, err error) {
	i := slices.IndexFunc(sets, func(s set) bool { return s.name == q.Set })
	if i < 0 {
		return out, errInvalidSet(sets, q.Set)
	}
	out.set, out.interval = sets[i], q.Interval
	switch q.Interval {
	case "", protocol.IntervalMinute, protocol.IntervalHour, protocol.IntervalDay:
	default:
		return out, protocol.Errorf(protocol.CodeBadQuery, "interval: want minute, hour or day, got %q", protocol.Clip(string(q.Interval)))
	}
	if q.Start == nil || q.End == nil {
		return out, protocol.Errorf(protocol.CodeInvalid, "start and end params required")
	}
	out.start, out.end = *q.Start, *q.End
	switch {
	case out.start > out.end:
		return out, protocol.Errorf(protocol.CodeInvalid, "start: is %d, after the end, %d", out.start, out.end)
	case int64(out.end) > now.Unix()+maxFuture:
		return out, protocol.Errorf(protocol.CodeInvalid, "end: is more than %d seconds in the future", maxFuture)
	case out.end-out.start > maxRange:
		return out, protocol.Errorf(protocol.CodeInvalid, "start, end: are %d seconds apart, at most %d (90 days) are allowed",
			out.end-out.start, maxRange)
	case len(out.intervals) == 0:
	case q.Interval == "":
		out.interval = out.intervals[0]
	case !slices.Contains(out.intervals, q.Interval):
		return out, protocol.Errorf(protocol.CodeInvalid, "interval: %s has only %q", out.name, out.intervals)
	}
	return out, nil
}

func errInvalidSet(sets []set, got protocol.MetricSet) error {
	names := make([]protocol.MetricSet, len(sets))
	for i := range sets {
		names[i] = sets[i].name
	}
	if got == "" {
		return protocol.Errorf(protocol.CodeBadQuery, "set: is required, one of %q", names)
	}
	return protocol.Errorf(protocol.CodeBadQuery, "set: want one of %q, got %q", names, protocol.Clip(string(got)))
}

// width is the length of an interval in seconds.
func width(i protocol.MetricInterval) uint32 {
	//exhaustive:enforce
	switch i {
	case protocol.IntervalMinute:
		return 60
	case protocol.IntervalHour:
		return 3600
	case protocol.IntervalDay:
		return daySeconds
	}
	panic("usage: an interval that was not validated") //nolint:forbidigo // a broken invariant
}
