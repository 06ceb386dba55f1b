package faults

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/protocol"
)

// A synctest bubble begins in the year 2000. So a broker that runs in one, on a store that was written outside, finds that
// the clock has stepped back by a quarter of a century since; and one that opens the store afterwards finds a step ahead.

// TestFaultClockStepsBack: over a step of the clock timestamps do not fall, seeks by timestamp work, nothing is deleted
// early, and what is timed inside the broker keeps its time.
func TestFaultClockStepsBack(t *testing.T) {
	cfg := onDisk(t.TempDir())
	week := protocol.StreamConfig{RetentionPolicy: &protocol.RetentionPolicy{AgeSecs: 7 * 24 * 3600}}
	b := start(t, cfg)
	l := newLedger(t, b.Service(), "clock-basin", "s", week)
	for range 10 {
		l.mustAppend(t, b.Service(), 3, 50)
	}
	now := l.verify(t, b.Service())
	b.stop()

	synctest.Test(t, func(t *testing.T) {
		b := start(t, cfg)
		svc := b.Service()
		if at := uint64(time.Now().UnixMilli()); at >= now.Timestamp {
			t.Fatalf("the clock did not step back: %d, the tail is %v", at, now)
		}
		for range 10 {
			l.mustAppend(t, svc, 3, 50)
		}
		tail := l.verify(t, svc) // timestamps do not fall
		if tail.Timestamp != now.Timestamp {
			t.Errorf("the tail is %v, and the clock before was at %d", tail, now.Timestamp)
		}
		got, err := svc.Read(t.Context(), l.ref, protocol.ReadRequest{Start: protocol.FromTimestamp(now.Timestamp)})
		if err != nil || got.Records.Len() < 30 {
			t.Errorf("a read from the newest timestamp: %d records, %v", got.Records.Len(), err)
		}

		// The janitor passes by many times, in less than the retention time of the old clock and of the new.
		time.Sleep(24 * time.Hour)
		l.verify(t, svc)

		// Heartbeats and wait windows.
		follow, err := svc.OpenReadSession(t.Context(), l.ref, protocol.ReadRequest{})
		must(t, err)
		for i := range 5 {
			began := time.Now()
			batch, err := follow.Next(t.Context())
			gap := time.Since(began)
			if err != nil || !batch.Heartbeat() || i > 0 && (gap < protocol.MinHeartbeatGap || gap >= protocol.MaxHeartbeatGap) {
				t.Errorf("heartbeat %d after %v: %v", i, gap, err)
			}
		}
		must(t, follow.Close())
		wait := 20 * time.Second
		began := time.Now()
		got, err = svc.Read(t.Context(), l.ref, protocol.ReadRequest{Start: protocol.FromSeqNum(tail.SeqNum), Wait: &wait})
		if took := time.Since(began); err != nil || got.Records.Len() != 0 || took != wait {
			t.Errorf("a read that waits %v ended after %v: %v", wait, took, err)
		}
		b.stop()
	})

	// The clock is right again: what arrived before the step is not old.
	b = start(t, cfg)
	half, err := b.Service().Read(t.Context(), l.ref, protocol.ReadRequest{Start: protocol.FromSeqNum(0)})
	if err != nil || half.Records.Len() < 30 {
		t.Errorf("after the clock was set right, %d records of before the step: %v", half.Records.Len(), err)
	}
	fresh := newLedger(t, b.Service(), "clock-basin", "fresh", week)
	fresh.mustAppend(t, b.Service(), 3, 50)
	fresh.verify(t, b.Service())
}
