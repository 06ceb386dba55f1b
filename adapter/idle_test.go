package adapter

import (
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/weirstream/weir/protocol"
)

// TestIdleStreamsAreBounded: the most recently used of the unused streams stay loaded; those in use, and those with a
// last use to be noted, stay in any case.
func TestIdleStreamsAreBounded(t *testing.T) {
	bubble(t, "of one log", func(t *testing.T, h *harness) {
		b := h.basin("test-basin", protocol.BasinConfig{})
		refs := make([]protocol.StreamRef, 8)
		for i := range refs {
			refs[i] = h.stream(b, "s"+strconv.Itoa(i), protocol.StreamConfig{})
		}
		expiring := h.stream(b, "expiring", protocol.StreamConfig{Expiry: &protocol.Expiry{IdleSecs: 3600}})
		h.mustAppend(refs[0], body("x"))
		used := h.handle(refs[0])
		defer used.Close()
		l := used.st.log
		l.mu.Lock()
		l.maxIdle = 3
		l.mu.Unlock()
		h.mustAppend(expiring, body("x"))
		for _, ref := range refs[1:] {
			h.mustAppend(ref, body("x"))
		}
		loaded := func(want ...int) {
			t.Helper()
			synctest.Wait() // The use by an append ends after its answer.
			wanted := map[int]bool{}
			for _, i := range want {
				wanted[i] = true
			}
			for i, ref := range refs {
				if got := l.loaded(h.entry(ref).ID); got != wanted[i] {
					t.Errorf("stream %d: loaded %v", i, got)
				}
			}
			if !l.loaded(h.entry(expiring).ID) {
				t.Error("the stream with a use to be noted was unloaded")
			}
		}
		loaded(0, 5, 6, 7)
		h.handle(refs[5]).Close() // it is the last one used from now on
		if h.tail(refs[1]).SeqNum != 1 {
			t.Error("an unloaded stream has lost its tail")
		}
		h.mustAppend(refs[1], body("y"))
		loaded(0, 1, 5, 7)
		used.Close()
		loaded(0, 1, 5)
		l.mu.Lock()
		defer l.mu.Unlock()
		n := 0
		for st := l.idle.oldest; st != nil; st = st.uses.newer {
			n++
		}
		if n != 3 || l.idle.n != 3 {
			t.Errorf("%d streams in the list, counted as %d", n, l.idle.n)
		}
	})
}
