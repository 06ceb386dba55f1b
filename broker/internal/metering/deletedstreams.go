package metering

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/weirstream/weir/protocol"
)

// span is a time in which a basin had a stream, in seconds: from since to until, both included.
type span struct{ since, until uint32 }

// deletedStreams remembers when deleted streams have existed, one span for each basin and day of deletion: the query for
// active basins asks the catalog for the streams that exist, and this for those that do not any more. Streams that one day's
// deletions leave a gap between count as one.
type deletedStreams struct {
	mu   sync.Mutex
	days map[goneDay]*goneSpan
}

type goneDay struct {
	basin protocol.BasinName
	day   uint32
}

type goneSpan struct {
	span
	dirty bool
}

func seconds(t time.Time) uint32 { return uint32(max(0, t.Unix())) } // good until 2106, as the API is

// StreamsGone records that streams of a basin were deleted, the oldest of which existed since then.
func (m *Meter) StreamsGone(basin protocol.BasinName, since, until time.Time) {
	g := &m.deleted
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.days == nil {
		g.days = map[goneDay]*goneSpan{}
	}
	key := goneDay{basin, seconds(until) / daySeconds}
	s := g.days[key]
	if s == nil {
		s = &goneSpan{span: span{seconds(since), 0}}
		g.days[key] = s
	}
	s.since, s.until, s.dirty = min(s.since, seconds(since)), max(s.until, seconds(until)), true
}

// flush writes the spans that have changed and forgets those of days that are over.
func (g *deletedStreams) flush(writer string, now time.Time, put func(Key, []byte) bool) {
	for key, s := range g.changed() {
		if put(Key{GoneKind, string(key.basin), key.day, writer}, s.encode()) {
			g.written(key, s, now)
		}
	}
}

func (g *deletedStreams) changed() map[goneDay]span {
	g.mu.Lock()
	defer g.mu.Unlock()
	changed := map[goneDay]span{}
	for key, s := range g.days {
		if s.dirty {
			changed[key] = s.span
		}
	}
	return changed
}

func (g *deletedStreams) written(key goneDay, is span, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.days[key]; s != nil && s.span == is {
		s.dirty = false
		if key.day < seconds(now)/daySeconds {
			delete(g.days, key)
		}
	}
}

// each yields the spans in memory.
func (g *deletedStreams) each(yield func(protocol.BasinName, span)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for key, s := range g.days {
		yield(key.basin, s.span)
	}
}

// encode gives since and until as unsigned varints.
func (s span) encode() []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, uint64(s.since)), uint64(s.until))
}

func decodeSpan(data []byte) (span, error) {
	u := uvarints{rest: data}
	s := span{uint32(u.next(1<<32 - 1)), uint32(u.next(1<<32 - 1))} // bounded
	if u.bad || len(u.rest) > 0 {
		return span{}, errBucket
	}
	return s, nil
}
