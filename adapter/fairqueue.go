package adapter

import (
	"hash/maphash"
	"slices"

	"github.com/weirstream/weir/protocol"
)

// Basins take turns, and within a basin its streams. Each constant below limits a turn in metered bytes. A request may exceed the
// limit; the excess is counted against the next turn. So neither a basin that appends as fast as it can, nor one with many streams or
// large batches, keeps the others waiting for more than a turn of each.
const (
	basinTurn  = 256 << 10
	streamTurn = 64 << 10
	// requestCost is the least cost of a request.
	requestCost = 512
)

// basinSlots is how many basins are distinguished when their shares are counted. Two basins with the same slot have one share.
const basinSlots = 256

var slotSeed = maphash.MakeSeed()

// slotOf is the slot of a basin. It differs from process to process.
func slotOf(name protocol.BasinName) uint8 { return uint8(maphash.String(slotSeed, string(name))) }

// undurableShare is what the basins of a slot have on the way to the disk.
type undurableShare struct{ bytes, requests int }

func (u *undurableShare) add(bytes, requests int) {
	u.bytes += bytes
	u.requests += requests
}

func (u *undurableShare) over() bool {
	return u.bytes >= basinUndurableBytes || u.requests >= basinUndurableRequests
}

// fairQueue holds the requests that a sequencer has not decided yet. It keeps the order of each stream's. The zero value is
// ready.
type fairQueue struct {
	basins map[protocol.BasinName]*basinQueue // those with requests
	turns  []*basinQueue                      // the same, in the order of their turns
	n      int
	spare  *basinQueue // to be used again
}

// basinQueue is a basin with requests.
type basinQueue struct {
	name   protocol.BasinName
	slot   uint8
	turns  []*stream // its streams with requests, in the order of their turns
	credit int       // of its turn
}

// streamQueue is the part of a stream that the queue owns.
type streamQueue struct {
	requests []*request // those from head on
	head     int
	credit   int
}

func (w *streamQueue) empty() bool { return w.head == len(w.requests) }

// pop drops the first request.
func (w *streamQueue) pop() {
	w.requests[w.head] = nil
	if w.head++; !w.empty() {
		return
	}
	w.requests, w.head = w.requests[:0], 0
	if cap(w.requests) > 256 {
		w.requests = nil
	}
}

// together is how many requests, records and metered bytes at the head of the queue may share a chunk of a turn: at most limit requests, and
// at least one with the given records and bytes. A chunk that is made for them need not grow step by step.
func (w *streamQueue) together(limit, records int, metered uint64) (requests, allRecords int, allMetered uint64) {
	n, m := 0, uint64(0)
	for _, r := range w.requests[w.head:] {
		if requests >= limit || r.kind != appendRequest || m >= streamTurn || n+len(r.in.Records) > protocol.MaxBatchRecords {
			break
		}
		requests++
		n += len(r.in.Records)
		m += uint64(r.cost)
	}
	return max(1, requests), max(records, n), max(metered, m)
}

func (q *fairQueue) len() int { return q.n }

// push adds a request behind those of its stream.
func (q *fairQueue) push(r *request) {
	st := r.st
	if st.waiting.empty() {
		q.enter(st)
	}
	st.waiting.requests = append(st.waiting.requests, r)
	q.n++
}

// pushFront puts requests before all others of their streams, in their order.
func (q *fairQueue) pushFront(requests []*request) {
	for _, request := range slices.Backward(requests) {
		st := request.st
		w := &st.waiting
		if w.empty() {
			q.enter(st)
		}
		w.requests, w.head = slices.Insert(w.requests[w.head:], 0, request), 0
		q.n++
	}
}

func (q *fairQueue) enter(st *stream) {
	b := q.basins[st.ref.Basin]
	if b == nil {
		if q.basins == nil {
			q.basins = map[protocol.BasinName]*basinQueue{}
		}
		if b = q.spare; b == nil {
			b = &basinQueue{}
		}
		q.spare = nil
		b.name, b.slot, b.credit = st.ref.Basin, st.slot, 0
		q.basins[b.name] = b
		q.turns = append(q.turns, b)
	}
	st.waiting.credit = 0
	b.turns = append(b.turns, st)
}

// serve takes requests in turn and hands them to take, which returns the cost of a request; wait says that the request must
// stay, and those behind it in its stream with it. Basins that are over their share are passed over, and come after the others the next time. It
// ends when take says that there is no room, or when all are taken or have to wait.
func (q *fairQueue) serve(over func(slot uint8) bool, take func(*request) (cost int, wait, full bool)) {
	var held []*stream       // that have to wait
	var passed []*basinQueue // that are over their share
	defer func() {
		if len(passed) > 0 {
			q.turns = append(q.turns, passed...)
		}
		for _, st := range held {
			q.enter(st)
		}
	}()
	for len(q.turns) > 0 {
		b := q.turns[0]
		if over(b.slot) {
			passed = append(passed, b)
			q.turns = shift(q.turns)
			continue
		}
		if b.credit <= 0 {
			b.credit += basinTurn
		}
		for b.credit > 0 && len(b.turns) > 0 && !over(b.slot) {
			st := b.turns[0]
			if st.waiting.credit <= 0 {
				st.waiting.credit += streamTurn
			}
			wait, full := q.serveStream(b, st, over, take)
			if full {
				return
			}
			switch {
			case wait:
				held = append(held, st)
				b.turns = shift(b.turns)
			case st.waiting.empty():
				b.turns = shift(b.turns)
			case st.waiting.credit <= 0:
				b.turns = append(shift(b.turns), st)
			}
		}
		if len(b.turns) == 0 {
			delete(q.basins, b.name)
			q.turns = shift(q.turns)
			q.spare = b
		} else {
			q.turns = append(shift(q.turns), b)
		}
	}
}

// serveStream is a stream's turn, as far as that of its basin goes.
func (q *fairQueue) serveStream(b *basinQueue, st *stream, over func(slot uint8) bool, take func(*request) (cost int, wait, full bool)) (wait, full bool) {
	w := &st.waiting
	for !w.empty() && w.credit > 0 && b.credit > 0 && !over(b.slot) {
		cost, wait, full := take(w.requests[w.head])
		if wait || full {
			return wait, full
		}
		w.pop()
		q.n--
		cost = max(cost, requestCost)
		w.credit -= cost
		b.credit -= cost
	}
	return false, false
}

// unshared is a limit of shares that no basin reaches.
func unshared(uint8) bool { return false }

// takeAll empties the queue.
func (q *fairQueue) takeAll() (all []*request) {
	q.serve(unshared, func(r *request) (int, bool, bool) {
		all = append(all, r)
		return 0, false, false
	})
	return all
}

// shift drops the first element, and lets its memory go.
func shift[T any](s []*T) []*T {
	s[0] = nil
	if len(s) == 1 {
		return s[:0]
	}
	return s[1:]
}
