package adapter

import (
	"testing"
	"time"
)

// turnOf is a chunk of a turn with a number of appends and bytes.
func turnOf(turn uint64, appends, size int) *pending {
	return &pending{turn: turn, replies: make([]reply, appends), size: size}
}

// Small appends wait for a small turn on its way, and for nothing else.
func TestSmallAppendsShareTurns(t *testing.T) {
	for _, tc := range []struct {
		name   string
		flight []*pending
		waits  bool
	}{
		{"nothing on its way", nil, false},
		{"the turn before", []*pending{turnOf(7, 1, 200)}, true},
		{"a part of it", []*pending{turnOf(6, 1, 1<<20), turnOf(7, 1, 200), turnOf(8, 1, 1<<20)}, true},
		{"a turn without small appends", []*pending{turnOf(6, 1, 200), turnOf(8, 1, 200)}, false},
		{"a large turn", []*pending{turnOf(7, 1, turnBytes/2), turnOf(7, 1, turnBytes/2)}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var h sharing
			h.takes(7, time.Now())
			if got := h.wait(tc.flight, 1, time.Now()); got != tc.waits {
				t.Errorf("got %v", got)
			}
		})
	}
}

// sharingTest lets turns go out on a clock of its own.
type sharingTest struct {
	sharing
	now time.Time
	n   uint64
}

// end lets a turn go out with a number of appends, and end after some time.
func (h *sharingTest) end(appends int, took time.Duration) {
	h.n++
	h.takes(h.n, h.now)
	chunk := turnOf(h.n, appends, 200)
	if !h.wait([]*pending{chunk}, 0, h.now) {
		panic("the turn is on its way")
	}
	h.now = h.now.Add(took)
	h.settled([]*pending{chunk}, h.now)
}

func (h *sharingTest) waits(t *testing.T, queued int, want bool) {
	t.Helper()
	if got := h.wait(nil, queued, h.now); got != want {
		t.Errorf("with %d requests: %v, want %v", queued, got, want)
	}
}

// A turn waits until most of the clients have come back that were answered by the turn before.
func TestTurnWaitsForThoseThatWereAnswered(t *testing.T) {
	h := &sharingTest{now: time.Now()}
	h.end(40, 2*time.Millisecond)
	h.waits(t, 20, true)
	h.waits(t, 49, true)
	h.waits(t, 50, false)
	h.waits(t, 1, false) // nothing that comes after it waits, until it is on its way
	h.end(1, 2*time.Millisecond)
	h.waits(t, 0, true) // there is nothing to wait for yet
	h.waits(t, 1, false)
	h.end(1000, 2*time.Millisecond)
	h.waits(t, gatherEnough-1, true)
	h.waits(t, gatherEnough, false)
}

// No append waits for longer than half the time that a turn takes, nor for a turn that took no time.
func TestTurnWaitsForALimitedTime(t *testing.T) {
	h := &sharingTest{now: time.Now()}
	h.end(40, gatherLeast-1)
	h.waits(t, 1, false)
	for _, tc := range []struct{ took, limit time.Duration }{{2 * time.Millisecond, time.Millisecond}, {time.Second, gatherMost}} {
		h = &sharingTest{now: h.now}
		h.end(40, tc.took)
		h.waits(t, 1, true)
		h.now = h.now.Add(tc.limit - 1)
		h.waits(t, 30, true)
		h.now = h.now.Add(1)
		h.waits(t, 30, false)
	}
	h = &sharingTest{now: h.now}
	h.end(40, 2*time.Millisecond)
	h.now = h.now.Add(time.Hour)
	h.waits(t, 1, false)
	if h.skip > 0 {
		t.Error("the first append after an idle hour counts as waiting in vain")
	}
}

// Turns that wait in vain become rare, and come back once they have not.
func TestTurnsThatWaitInVainBecomeRare(t *testing.T) {
	h := &sharingTest{now: time.Now()}
	turn := func(comeBack bool) (waited bool) {
		h.end(40, 2*time.Millisecond)
		if waited = h.wait(nil, 1, h.now); !waited {
			return false
		}
		if comeBack {
			h.waits(t, 40, false)
			return true
		}
		h.now = h.now.Add(time.Millisecond)
		h.waits(t, 2, false)
		return true
	}
	waited := 0
	for range 1000 {
		if turn(false) {
			waited++
		}
	}
	if waited < 10 || waited > 25 {
		t.Errorf("%d of 1000 turns have waited in vain", waited)
	}
	for range 2 * gatherPause {
		turn(true)
	}
	for range 10 {
		if !turn(true) {
			t.Error("a turn does not wait although those before were right to")
		}
	}
}
