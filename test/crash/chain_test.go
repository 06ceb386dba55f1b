package crash

import (
	"encoding/binary"
	"fmt"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

// chains checks that a chunk follows from the one before it: seq_nums without a gap, timestamps that do not fall, and the
// state that its own commands lead to. If nothing is before it, because that was purged, its state is taken as it is.
func chains(before, c *chunk.Chunk, follows bool) error {
	if c.FirstSeqNum() != before.Next {
		return fmt.Errorf("expected the first seq_num %d, found %d", before.Next, c.FirstSeqNum())
	}
	seq, ts, n := before.Next, before.Last, 0
	trim, fence := before.Trim, before.Fence
	if !follows {
		trim, fence = c.Trim, c.Fence
	}
	for r := range c.Records.All() {
		if r.SeqNum != seq {
			return fmt.Errorf("expected the record %d, found %d", seq, r.SeqNum)
		}
		if r.Timestamp < ts {
			return fmt.Errorf("record %d: expected a timestamp of at least %d, found %d", seq, ts, r.Timestamp)
		}
		switch r.Command() {
		case protocol.FenceCommand:
			fence = string(r.Body)
		case protocol.TrimCommand:
			point := binary.BigEndian.Uint64(r.Body)
			if point != protocol.TerminalTrimPoint || c.Trim != protocol.TerminalTrimPoint {
				point = min(point, seq+1)
			}
			trim = max(trim, point)
		}
		seq, ts, n = seq+1, r.Timestamp, n+1
	}
	switch {
	case n != c.Records.Len() || seq != c.Next:
		return fmt.Errorf("expected %d records up to %d, found %d up to %d", c.Records.Len(), c.Next, n, seq)
	case follows && ts != c.Last || ts > c.Last:
		return fmt.Errorf("expected the last timestamp %d, found %d", ts, c.Last)
	case c.Trim != trim:
		return fmt.Errorf("expected the trim point %d, found %d", trim, c.Trim)
	case c.Fence != fence:
		return fmt.Errorf("expected the fencing token %q, found %q", fence, c.Fence)
	}
	return nil
}

// checkChunks reads the store of a broker that is gone as it was left: all chunks decode and chain. Chunks of deleted streams may be
// there: JetStream brings some back when it recovers (docs/adr/0022). The shelf says which.
func (e *episode) checkChunks() *shelf {
	e.t.Helper()
	s, err := takeStock(e.t, e.machine.dir)
	if err != nil {
		e.failf("in the store that the broker left: %v", err)
	}
	return s
}

// compareChunks compares the newest chunk of every stream with what the broker said before it was killed at rest.
func (e *episode) compareChunks() {
	e.t.Helper()
	s := e.checkChunks()
	bySubject := map[protocol.StreamRef]chunk.Chunk{}
	for subject, c := range s.newest {
		_, id := subjectParts(subject)
		bySubject[s.refs[id]] = c
	}
	compare := func(m *model) {
		c, stored := bySubject[m.ref] // the zero chunk if nothing was ever appended
		if !stored && m.forked {
			return // all its records are those of others
		}
		want := m.base
		if found := (checkpoint{c.Tail(), c.Trim, c.Fence}); found != want {
			e.failf("%s: expected the newest chunk to say %+v, as the broker did, found %+v in %s", m.ref, want, found, c.EncodeHeader())
		}
	}
	for _, models := range e.models {
		for _, m := range models {
			compare(m)
		}
	}
	for _, n := range e.names {
		if n.life == alive {
			compare(n.m)
		}
	}
	for _, ns := range e.namespaces {
		for _, n := range ns.streams {
			if n.life == alive {
				compare(n.m)
			}
		}
	}
	e.t.Logf("%d chunks of %d streams decode and chain", s.count, len(s.newest))
}
