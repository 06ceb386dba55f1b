package sessions_test

import (
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/sessions"
)

// A read of a closed stream ends at its tail.
func TestClosedStream(t *testing.T) {
	closed := func() *memStream {
		m := newMem(at(1, 2)...)
		m.closeStream()
		return m
	}
	inBubble(t, "catching up, then the end", func(t *testing.T) {
		play(t, closed(), fromSeq(0), "0s [0 1] tail {2, 2}", "0s end")
	})
	inBubble(t, "at the tail, without a heartbeat", func(t *testing.T) {
		play(t, closed(), fromTail(0), "0s end")
		play(t, closed(), waiting(fromTail(0), time.Hour), "0s end")
	})
	inBubble(t, "beyond the tail", func(t *testing.T) {
		m := closed()
		s := m.open()
		defer s.Close()
		if _, err := sessions.OpenRead(t.Context(), s, fromSeq(3), steady); protocol.CodeOf(err) != protocol.CodeUnwritten {
			t.Error(err)
		}
	})
	inBubble(t, "closed while a session waits", func(t *testing.T) {
		m := newMem(at(1)...)
		after(50*ms, func() { m.put(at(2)...) })
		after(70*ms, m.closeStream)
		play(t, m, fromSeq(0), "0s [0] tail {1, 1}", "0s beat {1, 1}", "50ms [1] tail {2, 2}", "70ms end")
	})
	inBubble(t, "a live batch goes before the end", func(t *testing.T) {
		m := newMem(at(1)...)
		s := openRead(t, m, fromTail(0), steady)
		s.expect(t, "0s beat {1, 1}")
		m.put(at(2)...)
		m.closeStream()
		s.expect(t, "0s [1] tail {2, 2}", "0s end")
	})
	inBubble(t, "a session that lagged reads on, then ends", func(t *testing.T) {
		m := newMem(at(1)...)
		s := openRead(t, m, fromTail(0), steady)
		s.expect(t, "0s beat {1, 1}")
		for range ringSize + 1 {
			m.put(at(2)...)
		}
		m.closeStream()
		last := ""
		for range ringSize + 2 {
			if last = s.next(t); last == "0s end" {
				break
			}
		}
		if last != "0s end" {
			t.Error(last)
		}
	})
	inBubble(t, "a unary read that waits", func(t *testing.T) {
		m := newMem(at(1)...)
		after(50*ms, m.closeStream)
		start := time.Now()
		batch, err := readUnary(t, m, waiting(fromSeq(1), time.Minute))
		if got := tell(batch, err); got != "[]" || time.Since(start) != 50*ms {
			t.Errorf("got %s after %v", got, time.Since(start))
		}
	})
}
