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
}

// Kind is what an operation does.
type Kind uint8

// The kinds.
const (
	Append Kind = iota
	Tail
	Read // of the whole stream
)

// Answer is the answer of the service. Next, Current and Final belong to a refused append.
type Answer struct {
	Start, End uint64  // append
	Next       *uint64 // append: seq_num mismatch
	Current    *string // append: fencing token mismatch
	Final      *uint64 // append: the tail of a closed stream
	N, Chain   uint64  // tail: N; read: N records, chained
	Closed     bool    // tail
}

// Refused reports whether the answer is that of an append that stored nothing.
func (a Answer) Refused() bool { return a.Next != nil || a.Current != nil || a.Final != nil }

// State is a stream as far as the operations can show it: the number of its records, a hash over them in order,
// the fencing token, and whether it is closed.
type State struct {
	N, Chain uint64
	Token    string
	Closed   bool
}

// Push is the state with one more record.
func (s State) Push(body []byte) State {
	h := fnv.New64a()
	h.Write(binary.BigEndian.AppendUint64(nil, s.Chain))
	h.Write(body)
	return State{s.N + 1, h.Sum64(), s.Token, s.Closed}
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
	return protocol.AppendInput{Records: op.Records(), MatchSeqNum: op.Match, FencingToken: op.Token, Close: op.Close}
}

// Model is the sequential stream, of operations that are an [Op] and answers that are an [Answer].
var Model = porcupine.Model{
	Init: func() any { return State{} },
	Step: func(state, input, output any) (bool, any) {
		s, op, got := state.(State), input.(Op), output.(Answer)
		switch {
		case op.Kind == Tail:
			return got.N == s.N && got.Closed == s.Closed, s
		case op.Kind == Read:
			return got.N == s.N && got.Chain == s.Chain, s
		case s.Closed && (len(op.IDs) > 0 || op.Fence != nil):
			return got.Final != nil && *got.Final == s.N, s
		case op.Token != nil && *op.Token != s.Token:
			return got.Current != nil && *got.Current == s.Token, s
		case op.Match != nil && *op.Match != s.N:
			return got.Next != nil && *got.Next == s.N, s
		case got.Refused() || got.Start != s.N:
			return false, s
		}
		for _, rec := range op.Records() {
			s = s.Push(rec.Body)
		}
		if op.Fence != nil {
			s.Token = *op.Fence
		}
		s.Closed = s.Closed || op.Close
		return got.End == s.N, s
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}
