package sessions

import (
	"slices"

	"github.com/weirstream/weir/protocol"
)

// minRecordBytes is the metered size of a record without headers and body (data plane 2.4).
const minRecordBytes = 8

// batchBuilder joins runs of records into one batch within [protocol.MaxBatchRecords] and [protocol.MaxBatchBytes]. It
// collects the runs and copies them once, at the end, into memory of the right size; a lone run is not copied.
type batchBuilder struct {
	wires       [][]byte
	count       int
	metered     uint64
	first, last protocol.Position
}

// fits reports whether the whole run can join.
func (j *batchBuilder) fits(run protocol.Records) bool {
	return j.count+run.Len() <= protocol.MaxBatchRecords && j.metered+run.MeteredSize() <= protocol.MaxBatchBytes
}

// full reports whether no record at all can join.
func (j *batchBuilder) full() bool {
	return j.count >= protocol.MaxBatchRecords || j.metered+minRecordBytes > protocol.MaxBatchBytes
}

// add appends a run, which must follow the runs that were added before.
func (j *batchBuilder) add(run protocol.Records) {
	if run.Len() == 0 {
		return
	}
	if j.count == 0 {
		j.first = run.First()
	}
	j.wires = append(j.wires, run.Wire())
	j.count += run.Len()
	j.metered += run.MeteredSize()
	j.last = run.Last()
}

// take returns the added records and empties the builder, which does not keep the runs alive.
func (j *batchBuilder) take() protocol.Records {
	var wire []byte
	switch len(j.wires) {
	case 0:
		return protocol.Records{}
	case 1:
		wire = j.wires[0]
	default:
		wire = slices.Concat(j.wires...)
	}
	recs := protocol.MakeRecords(wire, j.count, j.metered, j.first, j.last)
	clear(j.wires)
	*j = batchBuilder{wires: j.wires[:0]}
	return recs
}
