package adapter

import (
	"slices"
	"sync"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/protocol/chunk"
)

// indexEntry remembers where a chunk is: its JetStream sequence, the seq_nums [first, next) of its records, and the
// timestamps of the first and last one. In a state chunk first equals next.
type indexEntry struct {
	seq     js.Seq
	first   uint64
	next    uint64
	firstTS uint64
	lastTS  uint64
}

func indexEntryOf(seq js.Seq, c *chunk.Chunk) indexEntry {
	return indexEntry{seq, c.FirstSeqNum(), c.Next, c.Records.First().Timestamp, c.Last}
}

// maxIndexEntries bounds a stream's index: about 10 KB when full.
const maxIndexEntries = 256

// index is a sparse map of a stream's chunks, filled as they go by, so that a seek begins close to its goal. When it is
// full every second entry is dropped, which keeps it spread over the touched chunks. It is never wrong: chunks do not
// move, and the entry of a purged chunk still divides the chunks before it from the chunks after it.
type index struct {
	mu      sync.Mutex
	entries []indexEntry // ascending
}

func (x *index) add(m indexEntry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := len(x.entries)
	if n > 0 && x.entries[n-1].seq >= m.seq {
		i, found := slices.BinarySearchFunc(x.entries, m.seq, func(m indexEntry, s js.Seq) int { return int(int64(m.seq) - int64(s)) })
		if !found {
			x.entries = slices.Insert(x.entries, i, m)
		}
	} else {
		x.entries = append(x.entries, m)
	}
	if len(x.entries) > maxIndexEntries {
		// Keep the newest entry: it is the upper bound of every seek.
		keep := x.entries[:0]
		for i := (len(x.entries) - 1) % 2; i < len(x.entries); i += 2 {
			keep = append(keep, x.entries[i])
		}
		x.entries = keep
	}
}

// around returns the last entry whose key is below target and the first whose key is not. The have results report which exist.
func (x *index) around(target uint64, key func(indexEntry) uint64) (below, above indexEntry, haveBelow, haveAbove bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	i, _ := slices.BinarySearchFunc(x.entries, target, func(m indexEntry, t uint64) int {
		if key(m) < t {
			return -1
		}
		return 1
	})
	if i > 0 {
		below, haveBelow = x.entries[i-1], true
	}
	if i < len(x.entries) {
		above, haveAbove = x.entries[i], true
	}
	return below, above, haveBelow, haveAbove
}

func (x *index) reset() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.entries = nil
}
