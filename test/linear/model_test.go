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
	closing := func(call, ret int64, at uint64) porcupine.Operation {
		return porcupine.Operation{Input: Op{Kind: Append, Close: true}, Output: Answer{Start: at, End: at}, Call: call, Return: ret}
	}
	closedTail := func(call, ret int64, n uint64) porcupine.Operation {
		op := tail(call, ret, n)
		op.Output = Answer{N: n, Closed: true}
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
		{"tail of a closed stream", []porcupine.Operation{closing(0, 1, 0), closedTail(2, 3, 0)}, true},
		{"tail that forgets the end", []porcupine.Operation{closing(0, 1, 0), tail(2, 3, 0)}, false},
		{"append behind the end", []porcupine.Operation{closing(0, 1, 0), append1(2, 3, 0)}, false},
		{"the end taken back", []porcupine.Operation{closedTail(0, 1, 0), closing(2, 3, 0)}, false},
	} {
		if got := porcupine.CheckOperations(Model, c.history); got != c.ok {
			t.Errorf("%s: linearizable: %v, want %v", c.name, got, c.ok)
		}
	}
}
