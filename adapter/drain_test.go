package adapter

import (
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// A node that drains and had to take a log for a moment, as when the others were silent, gives it away again.
func TestDrainingNodeGivesALogAwayAgain(t *testing.T) {
	leasedBubble(t, "two nodes", 2, 1, func(t *testing.T, m *team) {
		ref, logs := m.inALog()
		const drained, other = 0, 1
		node := m.hs[drained].Adapter.opts.Node
		drain := func(undo bool) {
			t.Helper()
			if err := m.hs[other].DrainNode(t.Context(), protocol.DrainNodeRequest{Node: node, Undo: undo}); err != nil {
				t.Fatal(err)
			}
			m.until("the node knows", func() bool { return m.hs[drained].registry.Status().Draining != undo })
		}
		takes := func() {
			t.Helper()
			if _, err := m.hs[other].registry.Release(t.Context(), logs[other].name, logs[other].epoch.Load(), node); err != nil {
				t.Fatal(err)
			}
			m.until("the draining node has the log", logs[drained].mine)
		}
		for range 2 {
			drain(false)
			m.until("the log is with the other node", logs[other].mine)
			for range 2 {
				time.Sleep(10 * drainPause) // fake time
				takes()
				m.until("the log is with the other node again", logs[other].mine)
			}
			m.hs[drained].mustAppend(ref, body("y"))
			drain(true)
		}
	})
}

// inALog makes a stream with a record, whose log is opened by every adapter; it returns that log of each.
func (m *team) inALog() (ref protocol.StreamRef, logs []*log) {
	m.t.Helper()
	ref = m.hs[0].stream(m.hs[0].basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	m.hs[0].mustAppend(ref, body("x"))
	e := m.hs[0].entry(ref)
	for _, h := range m.hs {
		m.until("the stream is known", func() bool { known, _, _ := h.catalog.View.Stream(ref); return known != nil })
		l, err := h.logOf(m.t.Context(), e.Basin(), e.Log())
		if err != nil {
			m.t.Fatal(err)
		}
		logs = append(logs, l)
	}
	return ref, logs
}
