package crash

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/weirstream/weir/protocol"
)

// outcome is what a client knows of its append.
type outcome uint8

const (
	open    outcome = iota // no answer, or one that leaves it open
	acked                  // acknowledged: must be at start
	refused                // refused with a code that promises no effect
	found                  // open before, and found at start by a verification
	absent                 // open before, and not found by a verification: must never appear
)

func (o outcome) String() string {
	return [...]string{"open", "acknowledged", "refused", "found", "absent"}[o]
}

// A batch is one append. Its records are made anew from its id wherever they are needed: each data record names the batch
// and its own place in it, and so does a fence record by its token; a trim record, and a fence that clears the token, has a
// data record behind it that does.
type batch struct {
	id      uint64
	n       int
	pad     int // largest padding of a body
	fenceAt int // index of the fence record; -1: none
	clears  bool
	trimAt  int // index of the trim record; -1: none
	trimTo  uint64
	match   *uint64
	token   *string
	// producer numbers the append, so that it can be made again.
	producer *protocol.Producer

	outcome outcome
	start   uint64
	ack     protocol.AppendAck
	why     string // what the client was told, unless acknowledged
}

func (b *batch) end() uint64 { return b.start + uint64(b.n) }

// stands reports whether the batch is known to be in the stream, or to have been there until it was trimmed.
func (b *batch) stands() bool { return b.outcome == acked || b.outcome == found }

// trimmed is the trim point that the batch's trim record leads to.
func (b *batch) trimmed() uint64 { return min(b.trimTo, b.start+uint64(b.trimAt)+1) }

func (b *batch) String() string {
	s := fmt.Sprintf("batch %d of %d records, %s", b.id, b.n, b.outcome)
	switch b.outcome {
	case acked:
		s += fmt.Sprintf(" at %d", b.ack.Start.SeqNum)
	case found:
		s += fmt.Sprintf(" at %d", b.start)
	}
	if b.fenceAt >= 0 {
		s += fmt.Sprintf(", fences with %q", b.newToken())
	}
	if b.trimAt >= 0 {
		s += fmt.Sprintf(", trims to %d", b.trimTo)
	}
	if b.match != nil {
		s += fmt.Sprintf(", match_seq_num %d", *b.match)
	}
	if b.token != nil {
		s += fmt.Sprintf(", fencing_token %q", *b.token)
	}
	if b.producer != nil {
		s += fmt.Sprintf(", of %+v", *b.producer)
	}
	if b.why != "" {
		s += ", told " + b.why
	}
	return s
}

// newToken is the fencing token that the batch sets.
func (b *batch) newToken() string {
	if b.clears {
		return ""
	}
	return fmt.Sprintf("f%d.%d", b.id, b.fenceAt)
}

// record makes record i.
func (b *batch) record(i int) protocol.Record {
	switch i {
	case b.fenceAt:
		return protocol.FenceRecord(b.newToken())
	case b.trimAt:
		return protocol.TrimRecord(b.trimTo)
	}
	body := fmt.Appendf(make([]byte, 0, 32+b.pad), "%d.%d of %d|", b.id, i, b.n)
	r := rand.New(rand.NewPCG(b.id, uint64(i)))
	for range r.IntN(b.pad+1) / 8 {
		body = binary.LittleEndian.AppendUint64(body, r.Uint64())
	}
	rec := protocol.Record{Body: body}
	if r.IntN(4) == 0 {
		rec.Headers = []protocol.Header{{Name: []byte("Nats-Msg-Id"), Value: body[:4]}, {Name: []byte{0, 0xff}}}
	}
	return rec
}

func (b *batch) input() protocol.AppendInput {
	in := protocol.AppendInput{Records: make([]protocol.Record, b.n), MatchSeqNum: b.match, FencingToken: b.token, Producer: b.producer}
	for i := range in.Records {
		in.Records[i] = b.record(i)
	}
	return in
}

// identify tells which batch a stored record belongs to, and its place there; ok is false for a record that does not
// say.
func identify(r *protocol.SequencedRecord) (id uint64, i int, ok bool) {
	var n int
	switch {
	case r.Command() == protocol.FenceCommand:
		k, err := fmt.Sscanf(string(r.Body), "f%d.%d", &id, &i)
		return id, i, k == 2 && err == nil
	case r.IsCommand():
		return 0, 0, false
	}
	k, err := fmt.Sscanf(string(r.Body[:min(len(r.Body), 60)]), "%d.%d of %d|", &id, &i, &n)
	return id, i, k == 3 && err == nil
}

// newBatch makes a batch with a random shape.
func newBatch(id uint64, r *rand.Rand) *batch {
	b := &batch{id: id, n: 1, pad: 120, fenceAt: -1, trimAt: -1}
	switch r.IntN(20) {
	case 0:
		b.n = 1 + r.IntN(200)
	case 1:
		b.n, b.pad = 1+r.IntN(4), 100_000
	case 2, 3, 4, 5, 6, 7:
		b.n = 1 + r.IntN(12)
	}
	return b
}

// fencing makes the batch set a new token.
func (b *batch) fencing(r *rand.Rand) *batch {
	if b.n >= 3 && r.IntN(4) == 0 {
		b.clears, b.fenceAt = true, 1+r.IntN(b.n-2)
		return b
	}
	b.fenceAt = r.IntN(b.n)
	return b
}

// trimming makes the batch trim to somewhere near the tail, below or beyond.
func (b *batch) trimming(r *rand.Rand, tail uint64) *batch {
	b.n = max(b.n, 3)
	b.trimAt = 1 + r.IntN(b.n-2)
	switch r.IntN(6) {
	case 0:
		b.trimTo = ^uint64(0)
	case 1:
		b.trimTo = 0
	case 2:
		b.trimTo = tail + r.Uint64N(64)
	default:
		b.trimTo = tail - min(tail, r.Uint64N(500))
	}
	return b
}
