package adapter

import (
	"context"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/protocol"
)

// Where several brokers share a store, calls of one restore may come to any of them, and one whose answer was lost is made again while its chunks may be on
// their way to the owner of the log. So the owner looks at their places: a chunk is stored if it is the next one, and counts as stored if it is there.

// restoring is what the owner of a log knows of a basin that is being restored into it. The sequencer's goroutine owns it.
type restoring struct {
	restore string   // id of the restore
	have    uint64   // chunks of the basin in the log, those in flight included
	known   bool     // have is right
	newest  *pending // the newest chunk in flight
}

// counted is the answer to a question for the number of a basin's chunks.
type counted struct {
	of  *restoring
	req *request // for which it was asked
	n   uint64
	err error
}

// mustCount reports whether a chunk of a backup has to wait until it is known how many the log holds of its basin.
func (s *sequencer) mustCount(r *request) bool {
	basin, restore := r.st.ref.Basin, r.restored.restore
	b := s.restores[basin]
	switch {
	case r.unknown != nil || b != nil && b.known && b.restore == restore:
		return false
	case b != nil && (b.restore == restore || b.newest != nil):
		return true // it is being counted, or what an earlier restore has in flight is settled first
	}
	b = &restoring{restore: restore}
	if s.restores == nil {
		s.restores = map[protocol.BasinName]*restoring{}
	}
	s.restores[basin] = b
	a := s.log.a
	count := func() {
		ctx, cancel := context.WithTimeout(a.ctx, js.Timeout)
		defer cancel()
		c := counted{of: b, req: r}
		c.n, c.err = s.log.count(ctx, basin)
		s.in.postPeer(func(p *peerArrivals) { p.counted = append(p.counted, c) })
	}
	if !a.logs.spawn(count) {
		s.in.postPeer(func(p *peerArrivals) { p.counted = append(p.counted, counted{of: b, req: r, err: errDraining}) })
	}
	return true
}

// takeCounted takes in how many chunks there are of basins that are being restored.
func (s *sequencer) takeCounted(all []counted) {
	for _, c := range all {
		basin := c.req.st.ref.Basin
		switch {
		case s.restores[basin] != c.of: // the log was sealed since, or is another node's
		case c.err != nil:
			delete(s.restores, basin)
			c.req.unknown = errNoStore(c.err)
		default:
			c.of.have, c.of.known = c.n, true
		}
	}
}

// placed reports whether a chunk of a backup is the next one of its basin. One that is not is answered.
func (s *sequencer) placed(r *request) bool {
	b := s.restores[r.st.ref.Basin]
	switch {
	case r.restored.place > b.have:
		s.reject(r, 0, errRestoreGap)
		return false
	case r.restored.place == b.have:
		return true
	case b.newest != nil:
		b.newest.replies = append(b.newest.replies, reply{req: r, stays: true})
	default:
		s.hold(r, 0, protocol.AppendAck{}, nil)
	}
	return false
}

var errRestoreGap = protocol.Errorf(protocol.CodeUnavailable, "chunks that come before were not stored; nothing was stored")
