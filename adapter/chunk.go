package adapter

import (
	"context"
	"time"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/internal/phases"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

// request is one append on its way through a sequencer.
type request struct {
	ctx      context.Context //nolint:containedctx // ends when the caller gives the append up; checked when it is sequenced
	st       *stream
	appender *Appender // nil for the sequencer's own requests
	in       protocol.AppendInput
	kind     requestKind
	next     uint64 // of a retireRequest: the seq_num that must still be the next one
	cost     int64  // metered bytes of an append: of the budget, given back with the answer
	done     func(protocol.AppendAck, error)
	producer *chunk.ProducerKey // of an append that names its producer
	// restored is the chunk of a restoreRequest.
	restored *restoredChunk
	// foreign is the chunk of an adoptRequest.
	foreign *storedChunk
	// unknown is why the stream's newest chunk could not be found out.
	unknown error
	// newest is, once a tailRequest is answered, where the stream's newest durable chunk stands.
	newest js.Seq
	// peer is the link by which another node has forwarded the request; nil: it is this node's.
	peer *peerLink
	// moves is how often the request was sent to a node that does not own the log.
	moves int
	// times are noted for the tracer of the append; nil: it is not traced.
	times *phases.Times
}

// restoredChunk is a chunk that is stored as it is.
type restoredChunk struct {
	restore string // id of the restore
	place   uint64 // how many chunks of the basin come before it in the log
	id      string
	subject string
	header  string
	payload []byte
}

type requestKind uint8

const (
	appendRequest   requestKind = iota
	terminalRequest             // ends the stream: a terminal trim record
	sealRequest                 // writes a state chunk, so that the chunks before it can be purged
	restoreRequest              // stores a chunk of a backup
	adoptRequest                // takes in a chunk that another server has stored
	tailRequest                 // answered when everything before it is durable
	retireRequest               // ends the stream as terminalRequest does if nothing was appended since it was looked at
	expireRequest               // the same, for a stream whose expiry has come
)

// reply is the answer to a request, held until the chunk that it hangs on is durable.
type reply struct {
	req *request
	ack protocol.AppendAck
	err error
	// stays says that the request stores nothing. Its answer was made from the state before the chunk, and leaves only while that is known
	// to be the newest.
	stays bool
	// wireEnd is where the request's records end in the chunk's payload; 0 when it has none there: a rejection, a seal, a
	// closing without records, or a repeated append.
	wireEnd int
}

// pending is a chunk between its first record and its durability.
type pending struct {
	st       *stream
	id       string
	arrived  uint64 // milliseconds
	settings *settings
	expiry   uint64
	// prevExpiry is when the record before the first one expires, as [chunk.Chunk] has it.
	prevExpiry uint64
	first      protocol.Position
	wire       []byte
	count      int
	metered    uint64
	after      state // the stream's state after the chunk
	replies    []reply

	header string
	turn   uint64 // the sequencer's admission in which it was begun
	size   int    // of wire, once it is published
	seq    js.Seq // where it is, or will be, stored
	acked  bool
	traced bool // one of the requests has times
	found  bool // it is where it should be stored
	purged bool // the message at seq was purged: whether this chunk was stored is not known
	// restored is the chunk itself if it comes from a backup; then the state after it and the records are not known here.
	restored *restoredChunk
}

// ended notes the end of a phase for those of the appends in the chunk that are traced.
func (p *pending) ended(phase phases.Phase) {
	if !p.traced {
		return
	}
	now := time.Now()
	for i := range p.replies {
		if t := p.replies[i].req.times; t != nil && p.replies[i].wireEnd > 0 {
			t.Ended(phase, now)
			if phase == phases.Publish {
				t.Placed(p.st.log.name, uint64(p.seq))
			}
		}
	}
}

// fits reports whether an append of n records and so many metered bytes can join the chunk.
func (p *pending) fits(n int, metered uint64) bool {
	return p.count+n <= protocol.MaxBatchRecords && p.metered+metered <= protocol.MaxBatchBytes && !p.after.terminal
}

// add encodes a record behind the ones that are there. p.after must be the state before the record. The caller counts its
// metered bytes, because an encrypted record has those that it had before.
func (p *pending) add(r *protocol.Record, ts uint64) {
	if p.count == 0 {
		p.first = protocol.Position{SeqNum: p.after.next, Timestamp: ts}
		p.prevExpiry = p.after.prevExpiry(p.expiry)
		p.after.lastExpiry = p.expiry
	}
	p.wire = protocol.AppendSequenced(p.wire, p.after.next, ts, r.Headers, r.Body)
	p.count++
	if p.expiry != 0 {
		p.after.kept = p.after.next + 1
	}
}

func (p *pending) records() protocol.Records {
	if p.count == 0 {
		return protocol.Records{}
	}
	last := protocol.Position{SeqNum: p.first.SeqNum + uint64(p.count) - 1, Timestamp: p.after.last}
	return protocol.MakeRecords(p.wire, p.count, p.metered, p.first, last)
}

// chunk is the stored form, written by the owner of an epoch.
func (p *pending) chunk(epoch uint64) chunk.Chunk {
	c := chunk.Chunk{ID: p.id, Records: p.records(), Next: p.after.next, Last: p.after.last, Total: p.after.total, Expiry: p.expiry,
		Trim: p.after.trim, Kept: p.after.kept, PrevExpiry: p.prevExpiry, Cipher: p.st.cipher, Epoch: epoch, Fence: p.after.fence, Closed: p.after.closed, Producers: p.after.producers, WriterSeq: p.after.writerSeq}
	if p.count == 0 {
		c.PrevExpiry = p.after.prevExpiry(p.expiry)
	}
	if p.count == 0 || p.settings.minAge > 0 {
		c.LastAppend = p.after.wrote
	}
	return c
}

// batches yields the records of each append in the chunk, for the live feed.
func (p *pending) batches(push func(protocol.Records)) {
	if len(p.replies) == 1 || p.count == 0 {
		if p.count > 0 {
			push(p.records())
		}
		return
	}
	start := 0
	for i := range p.replies {
		r := &p.replies[i]
		if r.wireEnd == 0 {
			continue // a rejection, or a request that stores nothing
		}
		n := int(r.ack.End.SeqNum - r.ack.Start.SeqNum)
		last := protocol.Position{SeqNum: r.ack.End.SeqNum - 1, Timestamp: r.ack.End.Timestamp}
		wire := p.wire[start:r.wireEnd:r.wireEnd]
		push(protocol.MakeRecords(wire, n, r.metered(), r.ack.Start, last))
		start = r.wireEnd
	}
}

func (r *reply) metered() uint64 {
	if r.req.kind == terminalRequest || r.req.kind == retireRequest || r.req.kind == expireRequest {
		return terminalRecord.MeteredSize()
	}
	return uint64(r.req.cost)
}

var terminalRecord = protocol.TrimRecord(protocol.TerminalTrimPoint)
