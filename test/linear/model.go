package linear

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"

	"github.com/anishathalye/porcupine"

	"github.com/weirstream/weir/protocol"
)

// Op is an operation on the stream.
type Op struct {
	Kind  Kind
	IDs   []uint64 // of the records to append, which are their bodies
	Match *uint64  // match_seq_num
	Token *string  // fencing token to hold
	Fence *string  // token to set with the last record
	Close bool     // close the stream
	// Producer numbers the append, as that of producer number Producer.Slot.
	Producer *Producer
}

// Producers is how many producers a stream can have in a history.
const Producers = 4

// Producer is a protocol.Producer by number.
type Producer struct {
	Slot       int // below Producers
	Epoch, Seq uint64
}

// Kind is what an operation does.
type Kind uint8

// The kinds.
const (
	Append Kind = iota
	Tail
	Read // of the whole stream
	Fork // of the whole stream, and a read of the fork
)

// Answer is the answer of the service. Next, Current and Final belong to a refused append.
type Answer struct {
	Start, End uint64  // append
	Next       *uint64 // append: seq_num mismatch
	Current    *string // append: fencing token mismatch
	Final      *uint64 // append: the tail of a closed stream
	Fenced     *uint64 // append: the producer's epoch
	Expected   *uint64 // append: the producer's next seq
	Repeated   bool    // append: nothing was stored, it had been before
	N, Chain   uint64  // tail: N; read and fork: N records, chained
	Closed     bool    // tail
}

// Refused reports whether the answer is that of an append that stored nothing.
func (a Answer) Refused() bool {
	return a.Next != nil || a.Current != nil || a.Final != nil || a.Fenced != nil || a.Expected != nil
}

// State is a stream as far as the operations can show it: the number of its records, a hash over them in order,
// the fencing token, whether it is closed, and what is remembered of its producers.
type State struct {
	N, Chain  uint64
	Token     string
	Closed    bool
	Producers [Producers]Remembered
}

// Remembered is a producer's epoch, the seq of its next append, and the positions of its last ones, by seq modulo their number. An
// epoch of 0 is that of a producer that has not appended.
type Remembered struct {
	Epoch, Next uint64
	Last        [protocol.ProducerWindow]struct{ Start, End uint64 }
}

// Push is the state with one more record.
func (s State) Push(body []byte) State {
	h := fnv.New64a()
	h.Write(binary.BigEndian.AppendUint64(nil, s.Chain))
	h.Write(body)
	s.N, s.Chain = s.N+1, h.Sum64()
	return s
}

// Records are the records that the operation appends.
func (op Op) Records() []protocol.Record {
	var recs []protocol.Record
	for _, id := range op.IDs {
		recs = append(recs, protocol.Record{Body: Body(id)})
	}
	if op.Fence != nil {
		recs = append(recs, protocol.FenceRecord(*op.Fence))
	}
	return recs
}

// Body is the body of the record with an id.
func Body(id uint64) []byte { return binary.BigEndian.AppendUint64(nil, id) }

// Input is the append that the operation makes.
func (op Op) Input() protocol.AppendInput {
	in := protocol.AppendInput{Records: op.Records(), MatchSeqNum: op.Match, FencingToken: op.Token, Close: op.Close}
	if p := op.Producer; p != nil {
		in.Producer = &protocol.Producer{ID: fmt.Sprintf("producer %d", p.Slot), Epoch: p.Epoch, Seq: p.Seq}
	}
	return in
}

// numbered is how a stream answers to the number of a producer's append. known says that the number decides the answer, whatever the
// append asks for, and right that this is the answer that was given.
func (s State) numbered(p *Producer, got Answer) (known, right bool) {
	if p == nil {
		return false, false
	}
	r := s.Producers[p.Slot]
	switch {
	case p.Epoch < r.Epoch:
		return true, got.Fenced != nil && *got.Fenced == r.Epoch
	case p.Epoch == r.Epoch && p.Seq < r.Next:
		last := r.Last[p.Seq%protocol.ProducerWindow]
		return true, got.Repeated && got.Start == last.Start && got.End == last.End
	}
	return false, false
}

// expected is the seq of the producer's next append in an epoch.
func (s State) expected(p *Producer) uint64 {
	if r := s.Producers[p.Slot]; r.Epoch == p.Epoch {
		return r.Next
	}
	return 0
}

// remember notes a producer's append that was stored.
func (s State) remember(p *Producer, got Answer) State {
	if p == nil {
		return s
	}
	r := &s.Producers[p.Slot]
	if r.Epoch != p.Epoch {
		*r = Remembered{Epoch: p.Epoch}
	}
	r.Next = p.Seq + 1
	r.Last[p.Seq%protocol.ProducerWindow] = struct{ Start, End uint64 }{got.Start, got.End}
	return s
}

// Model is the sequential stream, of operations that are an [Op] and answers that are an [Answer].
var Model = porcupine.Model{
	Init: func() any { return State{} },
	Step: func(state, input, output any) (bool, any) {
		s, op, got := state.(State), input.(Op), output.(Answer)
		known, right := s.numbered(op.Producer, got)
		adds := len(op.IDs) > 0 || op.Fence != nil
		switch {
		case known:
			return right, s
		case op.Kind == Tail:
			return got.N == s.N && got.Closed == s.Closed, s
		case op.Kind == Read, op.Kind == Fork: // a fork is what the stream held at one moment
			return got.N == s.N && got.Chain == s.Chain, s
		case s.Closed && adds:
			return got.Final != nil && *got.Final == s.N, s
		case !s.Closed && op.Producer != nil && op.Producer.Seq != s.expected(op.Producer):
			return got.Expected != nil && *got.Expected == s.expected(op.Producer), s
		case op.Token != nil && *op.Token != s.Token:
			return got.Current != nil && *got.Current == s.Token, s
		case op.Match != nil && *op.Match != s.N:
			return got.Next != nil && *got.Next == s.N, s
		case got.Refused() || got.Start != s.N || got.Repeated != s.Closed:
			return false, s
		case s.Closed:
			return got.End == s.N, s // it is closed already
		}
		for _, rec := range op.Records() {
			s = s.Push(rec.Body)
		}
		if op.Fence != nil {
			s.Token = *op.Fence
		}
		s.Closed = s.Closed || op.Close
		return got.End == s.N, s.remember(op.Producer, got)
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}
