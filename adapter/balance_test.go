package adapter

import (
	"testing"
	"testing/synctest"
	"time"
)

// A node that cannot give a log away at once when it is asked to balance tries again.
func TestBalanceTriesAgain(t *testing.T) {
	leasedBubble(t, "two nodes", 2, 1, func(t *testing.T, m *team) {
		_, logs := m.inALog()
		name := logs[0].name
		m.until("the log has an owner", func() bool { return logs[0].mine() || logs[1].mine() })
		has, other := 0, 1 // the node that should own the log is the other one
		if m.hs[0].registry.Desired(name) == m.hs[0].Adapter.opts.Node {
			has, other = 1, 0
		}
		if logs[other].mine() {
			if _, err := m.hs[other].registry.Release(t.Context(), name, logs[other].epoch.Load(), m.hs[has].Adapter.opts.Node); err != nil {
				t.Fatal(err)
			}
		}
		m.until("the log is where it should not be", logs[has].mine)

		own := logs[has].own
		own.mu.Lock()
		sealed := own.sealedBy
		own.sealedBy = 0 // as while it is sealed
		own.mu.Unlock()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			m.hs[has].balance()
		}()
		time.Sleep(balanceTime / 2)
		synctest.Wait()
		if !logs[has].mine() {
			t.Fatal("the log has gone, although it could not be given away")
		}
		own.mu.Lock()
		own.sealedBy = sealed
		own.mu.Unlock()
		m.until("the log is where it should be", logs[other].mine)
		<-ended
	})
}
