package sessions_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/sessions"
)

// TestReference holds the cases of the reference implementation's read path under the names they have there.
func TestReference(t *testing.T) {
	// Row 155.
	inBubble(t, "resolve_timestamp_bounded_to_stream", func(t *testing.T) {
		m := newMem(at(1000, 2000)...)
		m.trim(2)
		// A search that goes astray, into what another stream holds, is brought back to the tail.
		for name, h := range map[string]sessions.Stream{"none": m.open(), "astray": strayStream{m.open()}} {
			r, err := sessions.OpenRead(t.Context(), h, waiting(fromTimestamp(1500), time.Second), steady)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			s := &session{r, time.Now()}
			tail := m.tail
			s.expect(t, "0s beat "+tail.String())
			after(10*ms, func() { m.put(at(2000)...) })
			batch, err := s.Next(t.Context())
			if err != nil || batch.Records.First().SeqNum != tail.SeqNum {
				t.Errorf("%s: got %s", name, tell(batch, err))
			}
			s.expect(t, "1.01s end")
			m.trim(m.tail.SeqNum)
		}
		if got := tell(readUnary(t, m, withCount(fromTimestamp(1500), 10))); got != "unwritten {4, 2000}" {
			t.Error(got)
		}
	})

	// Row 247.
	inBubble(t, "read_completes_when_all_records_deleted", func(t *testing.T) {
		m := newMem(at(1, 2, 3)...)
		m.trim(3)
		calls := 0
		m.hook = func(context.Context, string) error { calls++; return nil }
		play(t, m, withCount(fromSeq(0), 10), "0s end")
		if calls > 3 {
			t.Errorf("%d calls into the stream for an empty range", calls)
		}
	})

	// Row 202.
	inBubble(t, "read_wait_is_not_extended_by_heartbeats", func(t *testing.T) {
		s := openRead(t, newMem(at(1)...), waiting(fromTail(0), 30*ms), beating(8*ms))
		s.expect(t, "0s beat {1, 1}", "8ms beat {1, 1}", "16ms beat {1, 1}", "24ms beat {1, 1}", "30ms end")
	})

	// Row 204.
	inBubble(t, "read_wait_is_reset_by_delivered_follow_batch", func(t *testing.T) {
		m := newMem(at(1)...)
		s := openRead(t, m, waiting(fromSeq(0), 30*ms), steady)
		s.expect(t, "0s [0] tail {1, 1}", "0s beat {1, 1}")
		after(20*ms, func() { m.put(at(2)...) })
		s.expect(t, "20ms [1] tail {2, 2}")
		ended := make(chan string, 1)
		go func() { ended <- s.next(t) }()
		time.Sleep(30*ms - 1)
		synctest.Wait()
		select {
		case got := <-ended:
			t.Errorf("over before the wait was: %s", got)
		default:
		}
		if got := <-ended; got != "50ms end" {
			t.Error(got)
		}
	})

	// Row 232 and section 4.7.
	inBubble(t, "read_wait_is_not_reset_after_follow_lag_without_catchup_records", func(t *testing.T) {
		m := newMem(at(1)...)
		s := openRead(t, m, waiting(fromTail(0), 100*ms), steady)
		s.expect(t, "0s beat {1, 1}")
		time.Sleep(60 * ms)
		for range ringSize + 1 {
			m.put(at(2)...)
		}
		m.trim(1 + ringSize + 1)
		// A heartbeat on entering follow again, and the end at the original deadline.
		s.expect(t, "60ms beat {27, 2}", "100ms end")
		if m.lags != 1 || m.followed() != 2 {
			t.Errorf("%d lags, attached %d times", m.lags, m.followed())
		}
	})

	// Row 216.
	inBubble(t, "unbounded_follow_survives_streamer_dormancy", func(t *testing.T) {
		m := newMem(at(1)...)
		s := openRead(t, m, fromTail(0), beating(time.Hour))
		s.expect(t, "0s beat {1, 1}")
		after(61*time.Second, func() {
			if m.unloadIdle() {
				t.Error("the stream was unloaded under an open session")
			}
			m.put(at(2)...)
		})
		s.expect(t, "1m1s [1] tail {2, 2}")
	})
}

// beating makes heartbeats come at a fixed gap.
func beating(gap time.Duration) sessions.ReadOptions {
	return sessions.ReadOptions{HeartbeatGap: func() time.Duration { return gap }}
}

// strayStream finds timestamps beyond the tail.
type strayStream struct{ sessions.Stream }

func (s strayStream) SeekTimestamp(_ context.Context, _ uint64, tail protocol.Position) (uint64, error) {
	return tail.SeqNum + 500, nil
}
