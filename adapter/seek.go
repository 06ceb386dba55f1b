package adapter

import (
	"context"
	"errors"
	"math/bits"
	"time"

	"github.com/weirstream/weir/adapter/internal/catalog"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/protocol"
)

// seekKey is the key that a seek compares. The goal is the first chunk whose end is at least the target; ends never fall from
// one chunk of a stream to the next.
type seekKey struct {
	end func(indexEntry) uint64
	// settles reports that the chunk, whose end is at least the target, is the first such, because it begins before.
	settles func(m indexEntry, target uint64) bool
}

var (
	bySeqNum = seekKey{
		end:     func(m indexEntry) uint64 { return max(m.next, 1) - 1 },
		settles: func(m indexEntry, target uint64) bool { return m.first < m.next && m.first <= target },
	}
	byTimestamp = seekKey{
		end: func(m indexEntry) uint64 { return m.lastTS },
		// The same timestamp may stand at the end of the chunk before.
		settles: func(m indexEntry, target uint64) bool { return m.first < m.next && m.firstTS < target },
	}
)

// nearby is a range of log sequences that is walked chunk by chunk rather than halved.
const nearby = 4

// seek finds the JetStream sequence at which the first chunk stands whose end is at least target, and the chunk itself
// if it was fetched on the way. It is 0 when no chunk is. It interpolates over the log's sequences with gets of the
// stream's next chunk, halves the range whenever that converges badly, and looks right behind the lower end when a
// guess finds nothing new.
func (st *stream) seek(ctx context.Context, target uint64, key seekKey) (at js.Seq, chunk *storedChunk, err error) {
	below, above, haveBelow, haveAbove := st.index.around(target, key.end)
	if !haveAbove {
		// The index holds the newest chunk, unless it was reset or the target is not durable.
		last, err := st.log.getLast(ctx, st.subject)
		if errors.Is(err, js.ErrNotFound) {
			return 0, nil, nil
		}
		if err != nil {
			return 0, nil, err
		}
		above = indexEntryOf(last.seq, &last.Chunk)
		st.index.add(above)
		if key.end(above) < target {
			return 0, nil, nil
		}
		chunk = &last
	}
	at = above.seq
	if key.settles(above, target) {
		return at, chunk, nil
	}
	lo, loKey := js.Seq(0), uint64(0)
	if haveBelow {
		lo, loKey = below.seq, key.end(below)
	}
	hi, hiKey := above.seq, key.end(above)
	for halve, same := false, false; hi-lo > 1; {
		var guess js.Seq
		switch {
		case same || hi-lo <= nearby:
			guess = lo + 1
		case halve:
			guess = lo + (hi-lo)/2
		default:
			guess = interpolate(lo, hi, loKey, hiKey, target)
		}
		c, err := st.log.getNext(ctx, st.subject, guess)
		if err != nil {
			if errors.Is(err, js.ErrNotFound) {
				return 0, nil, nil // the stream was deleted meanwhile
			}
			return 0, nil, err
		}
		m := indexEntryOf(c.seq, &c.Chunk)
		st.index.add(m)
		width := hi - lo
		if end := key.end(m); end < target {
			same = false
			lo, loKey = c.seq, end
		} else {
			same = c.seq == at
			at, chunk = c.seq, &c
			if guess == lo+1 || key.settles(m, target) {
				return at, chunk, nil
			}
			hi, hiKey = guess, end // between guess and c.seq the stream has nothing
		}
		halve = hi > lo && hi-lo > width/2
	}
	return at, chunk, nil
}

// interpolate guesses a sequence strictly between lo and hi where the key reaches target.
func interpolate(lo, hi js.Seq, loKey, hiKey, target uint64) js.Seq {
	span := uint64(hi - lo)
	if hiKey <= loKey || target <= loKey {
		return lo + 1
	}
	part, whole := min(target, hiKey)-loKey, hiKey-loKey
	high, low := bits.Mul64(span, part)
	step, _ := bits.Div64(high, low, whole) // high < whole, because part <= whole and span < 2^63
	return lo + js.Seq(min(max(step, 1), span-1))
}

// SeekTimestamp returns the seq_num of the first surviving record below tail with a timestamp of at least ts, and
// tail.SeqNum if there is none.
func (h *Stream) SeekTimestamp(ctx context.Context, ts uint64, tail protocol.Position) (uint64, error) {
	if seq, ok, err := h.seekShared(ctx, ts); ok || err != nil {
		return min(seq, tail.SeqNum), err
	}
	st := h.st
	at, chunk, err := st.seek(ctx, ts, byTimestamp)
	if err != nil || at == 0 {
		return tail.SeqNum, err
	}
	_, trim, _ := st.live.position()
	now := catalog.Millis(time.Now())
	for {
		if chunk == nil {
			c, err := st.log.getNext(ctx, st.subject, at)
			if errors.Is(err, js.ErrNotFound) {
				return tail.SeqNum, nil
			}
			if err != nil {
				return 0, err
			}
			chunk = &c
		}
		if chunk.FirstSeqNum() >= tail.SeqNum {
			return tail.SeqNum, nil
		}
		if r := chunk.visible(now).From(trim).FromTimestamp(ts); r.Len() > 0 {
			h.found.Store(chunk)
			return min(r.First().SeqNum, tail.SeqNum), nil
		}
		if chunk.Next >= tail.SeqNum {
			return tail.SeqNum, nil
		}
		at, chunk = chunk.seq+1, nil
	}
}
