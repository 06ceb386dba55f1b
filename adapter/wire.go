package adapter

import (
	"sync"

	"github.com/weirstream/weir/protocol"
)

// Payload buffers of large chunks are used again, because a megabyte costs more to allocate and clear than to fill. All
// have room for the largest batch of ordinary records.
const (
	recordOverhead = 24 // tags, lengths and positions of a record without headers, beside its metered bytes
	pooledMin      = 128 << 10
	pooledCap      = protocol.MaxBatchBytes + (recordOverhead+encryptedOverhead)*protocol.MaxBatchRecords + 16
	// encryptedOverhead comes to that for an encrypted record: its size, format id, nonce and tag.
	encryptedOverhead = 3 + 1 + 32 + 16
)

var wires = sync.Pool{New: func() any { b := make([]byte, 0, pooledCap); return &b }}

// newWire returns an empty buffer for an append of so many records and metered bytes.
func newWire(records int, metered uint64) []byte {
	if metered < pooledMin {
		return make([]byte, 0, int(metered)+recordOverhead*records+16)
	}
	return *wires.Get().(*[]byte) //nolint:forcetypeassert // the pool holds nothing else
}

// freeWire gives a buffer back that is not read any more.
func freeWire(b []byte) {
	if cap(b) >= pooledCap && cap(b) <= 2*pooledCap {
		b = b[:0]
		wires.Put(&b)
	}
}
