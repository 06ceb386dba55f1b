package adapter

import (
	"slices"
	"sync"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/protocol/chunk"
)

// mark remembers where a chunk is: its JetStream sequence, the seq_nums [first, next) of its records, and the
// timestamps of the first and last one. In a state chunk first equals next.
type mark struct {
	seq     js.Seq
	first   uint64
	next    uint64
	firstTS uint64
	lastTS  uint64
}

func markOf(seq js.Seq, c *chunk.Chunk) mark {
	return mark{seq, c.FirstSeqNum(), c.Next, c.Records.First().Timestamp, c.Last}
}

// indexMarks bounds a stream's index: about 10 KB when full.
const indexMarks = 256

// index is a sparse map of a stream's chunks, filled as they go by, so that a seek begins close to its goal. When it is
// full every second mark is dropped, which keeps it spread over what was touched. It is never wrong: chunks do not
// move, and a mark of a purged chunk still divides what is before from what is after.
type index struct {
	mu    sync.Mutex
	marks []mark // ascending
}

func (x *index) add(m mark) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := len(x.marks)
	if n > 0 && x.marks[n-1].seq >= m.seq {
		i, found := slices.BinarySearchFunc(x.marks, m.seq, func(m mark, s js.Seq) int { return int(int64(m.seq) - int64(s)) })
		if !found {
			x.marks = slices.Insert(x.marks, i, m)
		}
	} else {
		x.marks = append(x.marks, m)
	}
	if len(x.marks) > indexMarks {
		// Keep the newest mark: it is the upper bound of every seek.
		keep := x.marks[:0]
		for i := (len(x.marks) - 1) % 2; i < len(x.marks); i += 2 {
			keep = append(keep, x.marks[i])
		}
		x.marks = keep
	}
}

// around returns the last mark whose key is below target and the first whose key is not. ok tells which exist.
func (x *index) around(target uint64, key func(mark) uint64) (below, above mark, haveBelow, haveAbove bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	i, _ := slices.BinarySearchFunc(x.marks, target, func(m mark, t uint64) int {
		if key(m) < t {
			return -1
		}
		return 1
	})
	if i > 0 {
		below, haveBelow = x.marks[i-1], true
	}
	if i < len(x.marks) {
		above, haveAbove = x.marks[i], true
	}
	return below, above, haveBelow, haveAbove
}

func (x *index) reset() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.marks = nil
}
