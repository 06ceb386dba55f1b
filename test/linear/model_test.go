package linear

import (
	"encoding/binary"
	"testing"

	"github.com/anishathalye/porcupine"
)

// TestModelRefusesWrongHistories keeps the checker honest.
func TestModelRefusesWrongHistories(t *testing.T) {
	append1 := func(call, ret int64, start uint64) porcupine.Operation {
		return porcupine.Operation{Input: Op{Kind: Append, IDs: []uint64{start}},
			Output: Answer{Start: start, End: start + 1}, Call: call, Return: ret}
	}
	tail := func(call, ret int64, n uint64) porcupine.Operation {
		return porcupine.Operation{ClientId: 1, Input: Op{Kind: Tail}, Output: Answer{N: n}, Call: call, Return: ret}
	}
	read := func(call, ret int64, s State) porcupine.Operation {
		return porcupine.Operation{ClientId: 1, Input: Op{Kind: Read},
			Output: Answer{N: s.N, Chain: s.Chain}, Call: call, Return: ret}
	}
	fork := func(call, ret int64, s State) porcupine.Operation {
		op := read(call, ret, s)
		op.Input = Op{Kind: Fork}
		return op
	}
	closing := func(call, ret int64, at uint64) porcupine.Operation {
		return porcupine.Operation{Input: Op{Kind: Append, Close: true}, Output: Answer{Start: at, End: at}, Call: call, Return: ret}
	}
	closedTail := func(call, ret int64, n uint64) porcupine.Operation {
		op := tail(call, ret, n)
		op.Output = Answer{N: n, Closed: true}
		return op
	}
	produce := func(call, ret int64, epoch, seq, start uint64, repeated bool) porcupine.Operation {
		op := append1(call, ret, start)
		op.Input = Op{Kind: Append, IDs: []uint64{start}, Producer: &Producer{Slot: 1, Epoch: epoch, Seq: seq}}
		op.Output = Answer{Start: start, End: start + 1, Repeated: repeated}
		return op
	}
	refused := func(call, ret int64, epoch, seq uint64, a Answer) porcupine.Operation {
		op := produce(call, ret, epoch, seq, 0, false)
		op.Output = a
		return op
	}
	body := func(id uint64) []byte { return binary.BigEndian.AppendUint64(nil, id) }
	for _, c := range []struct {
		name    string
		history []porcupine.Operation
		ok      bool
	}{
		{"tail after the ack", []porcupine.Operation{append1(0, 1, 0), tail(2, 3, 1)}, true},
		{"tail beside the append", []porcupine.Operation{append1(0, 5, 0), tail(2, 3, 0)}, true},
		{"tail behind an ack", []porcupine.Operation{append1(0, 1, 0), tail(2, 3, 0)}, false},
		{"two appends at one seq_num", []porcupine.Operation{append1(0, 1, 0), append1(0, 1, 0)}, false},
		{"right read", []porcupine.Operation{append1(0, 1, 0), read(2, 3, State{}.Push(body(0)))}, true},
		{"another body", []porcupine.Operation{append1(0, 1, 0), read(2, 3, State{}.Push(body(9)))}, false},
		{"right fork", []porcupine.Operation{append1(0, 1, 0), fork(2, 3, State{}.Push(body(0)))}, true},
		{"fork that lacks an append", []porcupine.Operation{append1(0, 1, 0), fork(2, 3, State{})}, false},
		{"fork beside an append", []porcupine.Operation{append1(0, 5, 0), fork(2, 3, State{})}, true},
		{"tail of a closed stream", []porcupine.Operation{closing(0, 1, 0), closedTail(2, 3, 0)}, true},
		{"tail that forgets the end", []porcupine.Operation{closing(0, 1, 0), tail(2, 3, 0)}, false},
		{"append behind the end", []porcupine.Operation{closing(0, 1, 0), append1(2, 3, 0)}, false},
		{"the end taken back", []porcupine.Operation{closedTail(0, 1, 0), closing(2, 3, 0)}, false},
		{"a producer's repeat", []porcupine.Operation{produce(0, 1, 1, 0, 0, false), produce(2, 3, 1, 0, 0, true), tail(4, 5, 1)}, true},
		{"a repeat that is stored", []porcupine.Operation{produce(0, 1, 1, 0, 0, false), produce(2, 3, 1, 0, 1, false)}, false},
		{"a repeat at another place", []porcupine.Operation{produce(0, 1, 1, 0, 0, false), produce(2, 3, 1, 1, 1, false), produce(4, 5, 1, 0, 1, true)}, false},
		{"a stale epoch", []porcupine.Operation{produce(0, 1, 2, 0, 0, false), refused(2, 3, 1, 0, Answer{Fenced: new(uint64(2))})}, true},
		{"a stale epoch that is stored", []porcupine.Operation{produce(0, 1, 2, 0, 0, false), produce(2, 3, 1, 0, 1, false)}, false},
		{"a gap", []porcupine.Operation{produce(0, 1, 1, 0, 0, false), refused(2, 3, 1, 2, Answer{Expected: new(uint64(1))})}, true},
		{"a gap that is stored", []porcupine.Operation{produce(0, 1, 1, 0, 0, false), produce(2, 3, 1, 2, 1, false)}, false},
		{"a forgotten producer", []porcupine.Operation{produce(0, 1, 1, 0, 0, false), refused(2, 3, 1, 1, Answer{Expected: new(uint64(0))})}, false},
	} {
		if got := porcupine.CheckOperations(Model, c.history); got != c.ok {
			t.Errorf("%s: linearizable: %v, want %v", c.name, got, c.ok)
		}
	}
}
