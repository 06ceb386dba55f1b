package sessions_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/sessions"
)

const ms = time.Millisecond

// Appendix A.10: following, the wait window and heartbeats. The expected outputs carry the time at which they come.
func TestFollow(t *testing.T) {
	inBubble(t, "199 unary waits on an empty stream", func(t *testing.T) {
		start := time.Now()
		batch, err := readUnary(t, newMem(), waiting(fromSeq(0), time.Second))
		if got := tell(batch, err); got != "[]" || batch.Tail != nil || time.Since(start) != time.Second {
			t.Errorf("got %s after %v", got, time.Since(start))
		}
	})

	inBubble(t, "200 only heartbeats, then the end of the wait", func(t *testing.T) {
		play(t, newMem(at(7)...), waiting(fromTail(0), 100*ms), "0s beat {1, 7}", "100ms end")
	})

	inBubble(t, "201 the first output is an immediate heartbeat", func(t *testing.T) {
		openRead(t, newMem(at(7)...), fromTail(0), steady).expect(t, "0s beat {1, 7}")
	})

	inBubble(t, "203 a batch restarts the wait", func(t *testing.T) {
		m := newMem(at(7)...)
		after(40*ms, func() { m.put(at(8)...) })
		play(t, m, waiting(fromTail(0), 100*ms), "0s beat {1, 7}", "40ms [1] tail {2, 8}", "140ms end")
	})

	inBubble(t, "205 one stored record, then two live", func(t *testing.T) {
		m := newMem(at(7)...)
		after(40*ms, func() { m.put(at(8)...) })
		after(80*ms, func() { m.put(at(9)...) })
		play(t, m, waiting(fromSeq(0), 100*ms),
			"0s [0] tail {1, 7}", "0s beat {1, 7}", "40ms [1] tail {2, 8}", "80ms [2] tail {3, 9}", "180ms end")
	})

	inBubble(t, "206 stored and live in order", func(t *testing.T) {
		m := newMem(at(1, 2, 3)...)
		s := openRead(t, m, fromSeq(0), steady)
		s.expect(t, "0s [0 1 2] tail {3, 3}", "0s beat {3, 3}")
		m.put(at(4)...)
		m.put(at(5)...)
		s.expect(t, "0s [3] tail {4, 4}", "0s [4] tail {5, 5}")
	})

	inBubble(t, "207 count cuts a live batch", func(t *testing.T) {
		m := newMem(at(1)...)
		after(10*ms, func() { m.put(at(2, 3, 4)...) })
		// Row 213: the tail is that of the whole append batch.
		play(t, m, waiting(withCount(fromSeq(0), 3), time.Second),
			"0s [0] tail {1, 1}", "0s beat {1, 1}", "10ms [1 2] tail {4, 4}", "10ms end")
	})

	inBubble(t, "208 count reached exactly by a live batch", func(t *testing.T) {
		m := newMem()
		after(10*ms, func() { m.put(at(2, 3)...) })
		play(t, m, waiting(withCount(fromSeq(0), 2), time.Minute), "0s beat {0, 0}", "10ms [0 1] tail {2, 3}", "10ms end")
	})

	inBubble(t, "209 a live append batch is one batch", func(t *testing.T) {
		m := newMem()
		s := openRead(t, m, fromTail(0), steady)
		s.expect(t, "0s beat {0, 0}")
		// Row 214: the tail equals the ack's.
		tail := m.put(at(1, 2, 3)...)
		s.expect(t, "0s [0 1 2] tail "+tail.String())
	})

	inBubble(t, "210 bytes cut a live batch", func(t *testing.T) {
		m := newMem(at(1)...)
		after(10*ms, func() { m.put(at(2, 3, 4)...) })
		play(t, m, waiting(withBytes(fromTail(0), 20), time.Second), "0s beat {1, 1}", "10ms [1 2] tail {4, 4}", "10ms end")
	})

	inBubble(t, "211 bytes below the next live record", func(t *testing.T) {
		m := newMem(at(1)...)
		after(10*ms, func() { m.put(at(2)...) })
		play(t, m, waiting(withBytes(fromTail(0), 9), time.Second), "0s beat {1, 1}", "10ms end")
	})

	inBubble(t, "212 until ends a follower", func(t *testing.T) {
		m := newMem(at(1000)...)
		after(10*ms, func() { m.put(at(2000)...) })
		after(20*ms, func() { m.put(at(3000)...) })
		play(t, m, waiting(withUntil(fromSeq(0), 2500), time.Second),
			"0s [0] tail {1, 1000}", "0s beat {1, 1000}", "10ms [1] tail {2, 2000}", "20ms end")
	})

	inBubble(t, "215 the catch-up batch that reaches the tail carries it", func(t *testing.T) {
		openRead(t, newMem(at(1, 2)...), fromSeq(0), steady).expect(t, "0s [0 1] tail {2, 2}", "0s beat {2, 2}")
	})

	inBubble(t, "217 a pause between outputs", func(t *testing.T) {
		m := newMem(at(1)...)
		s := openRead(t, m, fromSeq(0), steady)
		s.expect(t, "0s [0] tail {1, 1}")
		time.Sleep(61 * time.Second)
		s.expect(t, "1m1s beat {1, 1}")
		m.put(at(2)...)
		s.expect(t, "1m1s [1] tail {2, 2}")
	})

	inBubble(t, "220 unary returns the first live batch", func(t *testing.T) {
		m := newMem(at(1)...)
		after(time.Second, func() {
			m.put(at(2, 3)...)
			m.put(at(4)...)
		})
		start := time.Now()
		got := tell(readUnary(t, m, waiting(fromTail(0), 10*time.Second)))
		if got != "[1 2] tail {3, 3}" || time.Since(start) != time.Second {
			t.Errorf("got %s after %v", got, time.Since(start))
		}
	})

	inBubble(t, "221 unary cuts the live batch", func(t *testing.T) {
		m := newMem(at(1)...)
		after(time.Second, func() { m.put(at(2, 3)...) })
		if got := tell(readUnary(t, m, waiting(withCount(fromTail(0), 1), 10*time.Second))); got != "[1] tail {3, 3}" {
			t.Error(got)
		}
	})

	inBubble(t, "183 unary with count 0 ends at once", func(t *testing.T) {
		m := newMem(at(1)...)
		after(time.Second, func() { m.put(at(2)...) })
		start := time.Now()
		got := tell(readUnary(t, m, waiting(withCount(fromTail(0), 0), 10*time.Second)))
		if got != "[]" || time.Since(start) != 0 {
			t.Errorf("got %s after %v", got, time.Since(start))
		}
	})

	inBubble(t, "222 unary waits at most a minute", func(t *testing.T) {
		start := time.Now()
		got := tell(readUnary(t, newMem(), waiting(fromSeq(0), 600*time.Second)))
		if got != "[]" || time.Since(start) != time.Minute {
			t.Errorf("got %s after %v", got, time.Since(start))
		}
	})

	inBubble(t, "225 a bounded session does not see what comes later", func(t *testing.T) {
		m := newMem(at(1)...)
		s := openRead(t, m, withCount(fromSeq(0), 10), steady)
		m.put(at(2)...)
		s.expect(t, "0s [0] tail {1, 1}", "0s end")
	})

	inBubble(t, "226 appends during catch-up", func(t *testing.T) {
		m := newMem(at(1, 2)...)
		s := openRead(t, m, fromSeq(0), steady)
		m.put(at(3)...)
		s.expect(t, "0s [0 1] tail {2, 2}")
		m.put(at(4)...)
		s.expect(t, "0s [2 3] tail {4, 4}", "0s beat {4, 4}")
		m.put(at(5)...)
		s.expect(t, "0s [4] tail {5, 5}")
	})

	inBubble(t, "4.7 an item and the deadline together: the item goes first", func(t *testing.T) {
		m := newMem(at(1)...)
		s := openRead(t, m, waiting(fromTail(0), 100*ms), steady)
		s.expect(t, "0s beat {1, 1}")
		time.Sleep(200 * ms)
		m.put(at(2)...)
		s.expect(t, "200ms [1] tail {2, 2}", "300ms end")
	})

	inBubble(t, "4.7 the deadline is not looked at during catch-up", func(t *testing.T) {
		m := newMem(sized(1<<20, 1, 2)...)
		s := openRead(t, m, waiting(fromSeq(0), 100*ms), steady)
		time.Sleep(time.Second)
		s.expect(t, "1s [0]")
		time.Sleep(time.Second)
		s.expect(t, "2s [1] tail {2, 2}")
		time.Sleep(100 * ms)
		// Follow is entered with the deadline passed: no heartbeat.
		s.expect(t, "2.1s end")
	})

	inBubble(t, "252 deletion: the terminal trim, then unavailable", func(t *testing.T) {
		m := newMem(at(1)...)
		s := openRead(t, m, fromTail(0), steady)
		s.expect(t, "0s beat {1, 1}")
		trim := protocol.TrimRecord(protocol.TerminalTrimPoint)
		m.put(protocol.SequencedRecord{Timestamp: 1, Headers: trim.Headers, Body: trim.Body})
		m.stop(errGone)
		s.expect(t, "0s [1] tail {2, 1}", "0s unavailable", "0s unavailable")
	})

	inBubble(t, "4.13 catching up on a stream whose owner stopped", func(t *testing.T) {
		m := newMem(at(1)...)
		m.stop(errGone)
		play(t, m, fromSeq(0), "0s [0] tail {1, 1}", "0s unavailable")
		play(t, m, withCount(fromSeq(0), 5), "0s [0] tail {1, 1}", "0s end")
	})
}

// Row 218: heartbeats come 5 to 15 s apart, at random gaps, each drawn anew; a batch restarts the gap.
func TestRow218HeartbeatGaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMem()
		s := openRead(t, m, fromTail(0), sessions.ReadOptions{})
		s.expect(t, "0s beat {0, 0}")
		gaps := map[time.Duration]bool{}
		for i := range 200 {
			last := time.Now()
			if i%2 == 1 {
				time.Sleep(4 * time.Second)
				m.put(at(0)...)
				if got := s.next(t); !strings.Contains(got, "tail") {
					t.Fatal(got)
				}
				last = time.Now()
			}
			batch, err := s.Next(t.Context())
			gap := time.Since(last)
			if err != nil || !batch.Heartbeat() || gap < 5*time.Second || gap >= 15*time.Second {
				t.Fatalf("%s after %v", tell(batch, err), gap)
			}
			gaps[gap] = true
		}
		if len(gaps) < 190 {
			t.Errorf("only %d different gaps of 200", len(gaps))
		}
	})
}

// Appendix A.11: a follower that lags catches up from storage.
func TestLag(t *testing.T) {
	// stall opens a follower at the tail of an empty stream, and appends 50 records while it does not read.
	stall := func(t *testing.T, req protocol.ReadRequest) (*memStream, *session) {
		t.Helper()
		m := newMem()
		s := openRead(t, m, waiting(req, 200*ms), steady)
		s.expect(t, "0s beat {0, 0}")
		time.Sleep(100 * ms)
		for i := range uint64(50) {
			m.put(at((i + 1) * 1000)...)
		}
		return m, s
	}

	inBubble(t, "227 one catch-up batch with everything missed", func(t *testing.T) {
		m, s := stall(t, fromSeq(0))
		batch, err := s.Next(t.Context())
		if err != nil || batch.Records.Len() != 50 || batch.Tail == nil || batch.Tail.SeqNum != 50 || m.lags != 1 {
			t.Fatalf("got %s after %d lags", tell(batch, err), m.lags)
		}
		checkBatch(t, batch, 0)
		s.expect(t, "100ms beat {50, 50000}", "300ms end")
	})

	inBubble(t, "228 with count", func(t *testing.T) {
		_, s := stall(t, withCount(fromSeq(0), 3))
		s.expect(t, "100ms [0 1 2]", "100ms end")
	})

	inBubble(t, "229 with bytes", func(t *testing.T) {
		_, s := stall(t, withBytes(fromSeq(0), 30))
		s.expect(t, "100ms [0 1 2]", "100ms end")
	})

	inBubble(t, "230 with until", func(t *testing.T) {
		_, s := stall(t, withUntil(fromSeq(0), 4000))
		s.expect(t, "100ms [0 1 2]", "100ms end")
	})

	inBubble(t, "231 live again after the catch-up", func(t *testing.T) {
		m, s := stall(t, fromTail(49))
		if got := s.next(t); !strings.HasSuffix(got, " 48 49] tail {50, 50000}") {
			t.Fatal(got)
		}
		s.expect(t, "100ms beat {50, 50000}")
		m.put(at(51000)...)
		s.expect(t, "100ms [50] tail {51, 51000}")
	})

	inBubble(t, "232 the missed records are gone and the wait is over", func(t *testing.T) {
		m, s := stall(t, fromSeq(0))
		m.trim(50)
		time.Sleep(100 * ms)
		s.expect(t, "200ms end")
	})

	inBubble(t, "4.10 some of the missed records are gone", func(t *testing.T) {
		m, s := stall(t, fromSeq(0))
		m.trim(48)
		s.expect(t, "100ms [48 49] tail {50, 50000}", "100ms beat {50, 50000}", "300ms end")
	})

	inBubble(t, "4.10 exactly the allowance is not a lag", func(t *testing.T) {
		m := newMem()
		s := openRead(t, m, fromTail(0), steady)
		s.expect(t, "0s beat {0, 0}")
		for range ringSize {
			m.put(at(1)...)
		}
		for i := range ringSize {
			s.expect(t, fmt.Sprintf("0s [%d] tail {%d, 1}", i, i+1))
		}
	})
}
