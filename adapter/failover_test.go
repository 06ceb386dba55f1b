package adapter

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// The server that leads a log goes away under load, and then the one that leads it next comes to its turn: every acknowledged
// append is there once, where it was acknowledged, and appends go on.
func TestAppendsGoOnWhenTheLeaderOfTheLogGoes(t *testing.T) {
	c := startCluster(t)
	h := c.broker(0, nil)
	b := h.basin("test-basin", protocol.BasinConfig{})
	ref := h.stream(b, "s", protocol.StreamConfig{})
	h.mustAppend(ref, body("first"))
	s := h.handle(ref)
	name := s.st.log.name
	s.Close()
	const writers, each = 4, 60
	var wg sync.WaitGroup
	var mu sync.Mutex
	acked := map[uint64]string{}
	var done atomic.Int32
	half := make(chan struct{})
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if done.Add(1) == writers*each/2 {
					close(half)
				}
				text := fmt.Sprintf("%d/%d", w, i)
				ack, err := h.append(ref, protocol.AppendInput{Records: []protocol.Record{body("%s", text)}})
				if err != nil {
					t.Errorf("%s: %v", text, err)
					return
				}
				mu.Lock()
				acked[ack.Start.SeqNum] = text
				mu.Unlock()
			}
		})
	}
	<-half
	var leader int
	eventually(t, "the log has a leader", func() bool {
		leader = c.leader(name)
		return leader >= 0
	})
	c.Server(leader).Shutdown()
	wg.Wait()
	recs := h.read(ref, 0)
	if len(recs) != 1+writers*each || len(acked) != writers*each {
		t.Fatalf("%d records, %d acknowledged", len(recs), len(acked))
	}
	for i, r := range recs[1:] {
		if r.SeqNum != uint64(i+1) || string(r.Body) != acked[r.SeqNum] {
			t.Fatalf("record %d is %q with seq_num %d, acknowledged as %q", i+1, r.Body, r.SeqNum, acked[r.SeqNum])
		}
	}
	if now := c.leader(name); now == leader {
		t.Errorf("server %d still leads", now)
	}
}
