package adapter

import (
	"slices"
	"time"
)

const (
	// Where several brokers share the store, an append of fewer than joinBytes waits while a turn with such appends is on its way, unless it is of turnBytes or
	// more: JetStream replicates up to 256 KiB at once.
	joinBytes = 32 << 10
	turnBytes = 256 << 10
	// gatherMost is the longest time that small appends wait for those of the clients that were just answered. A turn that took less than gatherLeast
	// makes none wait: timers are not that exact.
	gatherMost  = 5 * time.Millisecond
	gatherLeast = time.Millisecond
	// gatherEnough requests wait for no more.
	gatherEnough = 256
	// gatherPause is how many turns do not wait, at most, after turns that have waited in vain.
	gatherPause = 63
)

// sharing lets small appends of a log go out together, one turn at a time: each turn is synced by the server that leads the log and then by the others,
// however little is in it. Clients that wait for an answer before they append again would be divided in two halves, one of which is on its way while the other
// waits. So a turn waits for most of those that were answered by the turn before, for at most half as long as that turn took, and if this was in vain, not
// again for some turns. The sequencer's goroutine owns it.
type sharing struct {
	turn      uint64    // the sequencer's admission in which small appends went out last
	began     time.Time // when it was published
	ended     time.Time // when the last of its chunks so far became durable
	answered  int       // the appends that were answered then
	gathering bool      // the next turn waits for wanted requests, until then
	until     time.Time
	wanted    int
	skip      int // the number of turns that do not wait
	pause     int // the value that skip was set to last
}

// takes notes that a small append goes out in a turn.
func (h *sharing) takes(turn uint64, now time.Time) {
	if h.turn != turn {
		h.turn, h.began, h.answered = turn, now, 0
	}
}

// settled notes that chunks are durable, which are in the order of their turns.
func (h *sharing) settled(chunks []*pending, now time.Time) {
	for _, p := range chunks {
		if p.turn == h.turn {
			h.answered += len(p.replies)
			h.ended = now
		}
	}
}

// wait reports whether small appends wait, while chunks are on their way and queued requests are in the queue.
func (h *sharing) wait(flight []*pending, queued int, now time.Time) bool {
	if h.onItsWay(flight) {
		return true
	}
	if h.answered > 0 {
		h.begin(queued, now)
		h.answered = 0
	}
	switch {
	case !h.gathering:
	case queued >= h.wanted:
		h.gathering, h.pause = false, 0
	case !now.Before(h.until):
		h.gathering, h.pause = false, min(2*h.pause+1, gatherPause)
		h.skip = h.pause
	}
	return h.gathering
}

// begin lets the next turn wait, after one has ended.
func (h *sharing) begin(queued int, now time.Time) {
	took := h.ended.Sub(h.began)
	switch {
	case h.skip > 0:
		h.skip--
	case took >= gatherLeast:
		h.until = h.ended.Add(min(took/2, gatherMost))
		h.gathering = now.Before(h.until)
		h.wanted = min(queued+(3*h.answered+3)/4, gatherEnough)
	}
}

// onItsWay reports whether the newest turn is among the chunks that are on their way, and is of fewer than turnBytes.
func (h *sharing) onItsWay(flight []*pending) bool {
	size, there := 0, false
	for _, p := range slices.Backward(flight) {
		switch {
		case p.turn < h.turn:
			return there && size < turnBytes
		case p.turn == h.turn:
			there = true
			size += p.size
		}
	}
	return there && size < turnBytes
}

// shareable reports whether an append waits for others, and others for it.
func (r *request) shareable() bool { return r.kind == appendRequest && r.cost < joinBytes }
