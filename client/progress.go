package client

import (
	"time"

	"github.com/weirstream/weir/protocol"
)

// progress is how far a read session got: it makes the request that reads on without gap or duplicate (data plane
// section 10).
type progress struct {
	req protocol.ReadRequest
	// deadline is when the wait window of the session closes, as its server counts it: armed when the reader first
	// reached the tail, and by every batch. Zero while it is not armed.
	deadline time.Time
	// pinned says that req.Start is a seq_num that follows from the batches received.
	pinned bool
}

// batch notes a batch that was received.
func (p *progress) batch(b *protocol.ReadBatch, now time.Time) {
	n := b.Records.Len()
	if n == 0 {
		if b.Tail != nil {
			p.pin(b.Tail.SeqNum)
			if p.req.Wait != nil && p.deadline.IsZero() {
				p.deadline = now.Add(*p.req.Wait)
			}
		}
		return
	}
	p.pin(b.Records.Last().SeqNum + 1)
	p.req.Spend(uint64(n), b.Records.MeteredSize())
	if p.req.Wait != nil {
		p.deadline = now.Add(*p.req.Wait)
	}
}

func (p *progress) pin(seq uint64) {
	p.req.Start = protocol.FromSeqNum(seq)
	p.pinned = true
}

// exhausted reports whether no record can follow.
func (p *progress) exhausted() bool {
	return p.req.Count != nil && *p.req.Count == 0 || p.req.Bytes != nil && *p.req.Bytes == 0
}

// next is the request that reads on at the time now.
func (p *progress) next(now time.Time) protocol.ReadRequest {
	req := p.req
	if req.Wait != nil && !p.deadline.IsZero() {
		left := max(p.deadline.Sub(now), 0)
		req.Wait = &left
	}
	return req
}

// endsAt reports whether a refusal to read at an unwritten position is the clean end of a session that has been open: it
// stands at the tail and may not wait there.
func (p *progress) endsAt(e *protocol.Error, now time.Time) bool {
	req := p.next(now)
	return e.Code == protocol.CodeUnwritten && e.Tail != nil && p.pinned && e.Tail.SeqNum == req.Start.Value && !req.MayFollow()
}
