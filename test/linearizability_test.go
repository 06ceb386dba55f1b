package test

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/conformance"
)

var seed = flag.Uint64("seed", 0, "seed of the random histories; 0 picks one")

// Every history stays below the 1000 records that one read returns, so that each read sees the whole stream.
const (
	histClients = 8
	histOps     = 60 // each client's
	histRounds  = 4
)

// TestLinearizability lets concurrent clients append under conditions, fence, check the tail and read one stream, and
// searches for one order of all operations that explains every answer.
func TestLinearizability(t *testing.T) {
	start := *seed
	if start == 0 {
		start = rand.Uint64()
	}
	for _, door := range doors {
		t.Run(door.Name, func(t *testing.T) {
			svc := door.Open(t, conformance.RealClock)
			for round := range uint64(histRounds) {
				t.Logf("round %d: repeat with -seed %d", round, start+round)
				history := record(t, svc, start+round, fmt.Sprintf("history-%d", round))
				result, _ := porcupine.CheckOperationsVerbose(streamModel, history, 30*time.Second)
				if result != porcupine.Ok {
					t.Fatalf("seed %d: %d operations are not linearizable: %s", start+round, len(history), result)
				}
			}
		})
	}
}

// streamOp is an operation on the stream.
type streamOp struct {
	kind  opKind
	ids   []uint64 // bodies to append
	match *uint64
	token *string // fencing token to hold
	fence *string // token to set with the last record
	close bool
}

type opKind uint8

const (
	opAppend opKind = iota
	opTail
	opRead
)

// streamAnswer is what the service said. failure is what a condition revealed.
type streamAnswer struct {
	start, end uint64  // append
	next       *uint64 // append: seq_num mismatch
	current    *string // append: fencing token mismatch
	n, chain   uint64  // tail: n; read: n records, chained
	closed     bool    // tail
	final      *uint64 // append: the tail of a closed stream
}

// streamState is a stream as far as the operations can tell: the number of its records, a hash over them in order,
// the fencing token, and whether it is closed.
type streamState struct {
	n, chain uint64
	token    string
	closed   bool
}

func (s streamState) push(body []byte) streamState {
	h := fnv.New64a()
	h.Write(binary.BigEndian.AppendUint64(nil, s.chain))
	h.Write(body)
	return streamState{s.n + 1, h.Sum64(), s.token, s.closed}
}

// records are the records that the operation appends.
func (op streamOp) records() []protocol.Record {
	var recs []protocol.Record
	for _, id := range op.ids {
		recs = append(recs, protocol.Record{Body: binary.BigEndian.AppendUint64(nil, id)})
	}
	if op.fence != nil {
		recs = append(recs, protocol.FenceRecord(*op.fence))
	}
	return recs
}

// streamModel is the sequential stream.
var streamModel = porcupine.Model{
	Init: func() any { return streamState{} },
	Step: func(state, input, output any) (bool, any) {
		s, op, got := state.(streamState), input.(streamOp), output.(streamAnswer)
		switch {
		case op.kind == opTail:
			return got.n == s.n && got.closed == s.closed, s
		case op.kind == opRead:
			return got.n == s.n && got.chain == s.chain, s
		case s.closed && (len(op.ids) > 0 || op.fence != nil):
			return got.final != nil && *got.final == s.n, s
		case op.token != nil && *op.token != s.token:
			return got.current != nil && *got.current == s.token, s
		case op.match != nil && *op.match != s.n:
			return got.next != nil && *got.next == s.n, s
		case got.current != nil || got.next != nil || got.final != nil || got.start != s.n:
			return false, s
		}
		for _, rec := range op.records() {
			s = s.push(rec.Body)
		}
		if op.fence != nil {
			s.token = *op.fence
		}
		s.closed = s.closed || op.close
		return got.end == s.n, s
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}

// record runs clients against a fresh stream and returns what they asked and were told, and when.
func record(t *testing.T, svc protocol.Service, seed uint64, name string) []porcupine.Operation {
	t.Helper()
	ref := protocol.StreamRef{
		Basin: protocol.BasinName(fmt.Sprintf("linear-%016x", seed)), Stream: protocol.StreamName(name)}
	if _, _, err := svc.CreateBasin(t.Context(), protocol.CreateBasinRequest{Basin: ref.Basin}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := svc.CreateStream(t.Context(), ref.Basin, protocol.CreateStreamRequest{Stream: ref.Stream}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	began := time.Now()
	histories := make([][]porcupine.Operation, histClients)
	var wg sync.WaitGroup
	for id := range histClients {
		wg.Go(func() {
			c := histClient{ctx: ctx, svc: svc, ref: ref, id: uint64(id), rng: rand.New(rand.NewPCG(seed, uint64(id)))}
			for i := range histOps {
				op := c.choose(uint64(i))
				call := time.Since(began)
				answer, err := c.do(op)
				if err != nil {
					t.Errorf("seed %d: client %d: %+v: %v", seed, id, op, err)
					return
				}
				histories[id] = append(histories[id], porcupine.Operation{ClientId: id, Input: op, Output: answer,
					Call: int64(call), Return: int64(time.Since(began))})
			}
		})
	}
	wg.Wait()
	var all []porcupine.Operation
	for _, h := range histories {
		all = append(all, h...)
	}
	return all
}

// histClient is one client. What it saw last guides its conditions, so that they hold often enough.
type histClient struct {
	ctx context.Context
	svc protocol.Service
	ref protocol.StreamRef
	id  uint64
	rng *rand.Rand

	n     uint64
	token string
}

func (c *histClient) choose(serial uint64) streamOp {
	switch c.rng.IntN(10) {
	case 0, 1:
		return streamOp{kind: opTail}
	case 2, 3:
		return streamOp{kind: opRead}
	}
	op := streamOp{kind: opAppend}
	for i := range 1 + c.rng.Uint64N(2) {
		op.ids = append(op.ids, c.id<<32|serial<<8|i)
	}
	if c.rng.IntN(2) == 0 {
		op.match = new(c.n)
	}
	if c.rng.IntN(3) == 0 {
		op.token = new(c.token)
	}
	if c.rng.IntN(6) == 0 {
		op.fence = new([]string{"", "a", "b", fmt.Sprintf("token-%d", c.id)}[c.rng.IntN(4)])
	}
	if serial > histOps*2/3 && c.rng.IntN(histOps) == 0 {
		op.close = true
		if c.rng.IntN(2) == 0 {
			op.ids, op.fence = nil, nil
		}
	}
	return op
}

// do performs the operation. An error is an answer that a healthy broker does not give.
func (c *histClient) do(op streamOp) (streamAnswer, error) {
	switch op.kind {
	case opTail:
		tail, err := c.svc.CheckTail(c.ctx, c.ref)
		c.n = tail.SeqNum
		return streamAnswer{n: tail.SeqNum, closed: tail.Closed}, err
	case opRead:
		return c.read()
	case opAppend:
	}
	ack, err := c.svc.Append(c.ctx, c.ref, protocol.AppendInput{
		Records: op.records(), MatchSeqNum: op.match, FencingToken: op.token, Close: op.close})
	var failure *protocol.Error
	switch {
	case err == nil:
		c.n = ack.End.SeqNum
		if op.fence != nil {
			c.token = *op.fence
		}
		return streamAnswer{start: ack.Start.SeqNum, end: ack.End.SeqNum}, nil
	case errors.As(err, &failure) && failure.Code == protocol.CodeStreamClosed:
		return streamAnswer{final: &failure.Tail.SeqNum}, nil
	case failure == nil || failure.Code != protocol.CodeConditionFailed:
		return streamAnswer{}, err
	case failure.SeqNumMismatch != nil:
		c.n = *failure.SeqNumMismatch
	case failure.FencingTokenMismatch != nil:
		c.token = *failure.FencingTokenMismatch
	}
	return streamAnswer{next: failure.SeqNumMismatch, current: failure.FencingTokenMismatch}, nil
}

func (c *histClient) read() (streamAnswer, error) {
	batch, err := c.svc.Read(c.ctx, c.ref, protocol.ReadRequest{Start: protocol.FromSeqNum(0)})
	if protocol.CodeOf(err) == protocol.CodeUnwritten {
		return streamAnswer{}, nil
	}
	if err != nil {
		return streamAnswer{}, err
	}
	var s streamState
	for rec := range batch.Records.All() {
		if rec.SeqNum != s.n {
			return streamAnswer{}, fmt.Errorf("record %d follows %d records", rec.SeqNum, s.n)
		}
		s = s.push(rec.Body)
	}
	c.n = s.n
	return streamAnswer{n: s.n, chain: s.chain}, nil
}

// TestModelRefusesWrongHistories keeps the checker honest.
func TestModelRefusesWrongHistories(t *testing.T) {
	append1 := func(call, ret int64, start uint64) porcupine.Operation {
		return porcupine.Operation{Input: streamOp{kind: opAppend, ids: []uint64{start}},
			Output: streamAnswer{start: start, end: start + 1}, Call: call, Return: ret}
	}
	tail := func(call, ret int64, n uint64) porcupine.Operation {
		return porcupine.Operation{ClientId: 1, Input: streamOp{kind: opTail}, Output: streamAnswer{n: n}, Call: call, Return: ret}
	}
	read := func(call, ret int64, s streamState) porcupine.Operation {
		return porcupine.Operation{ClientId: 1, Input: streamOp{kind: opRead},
			Output: streamAnswer{n: s.n, chain: s.chain}, Call: call, Return: ret}
	}
	closing := func(call, ret int64, at uint64) porcupine.Operation {
		return porcupine.Operation{Input: streamOp{kind: opAppend, close: true}, Output: streamAnswer{start: at, end: at}, Call: call, Return: ret}
	}
	closedTail := func(call, ret int64, n uint64) porcupine.Operation {
		op := tail(call, ret, n)
		op.Output = streamAnswer{n: n, closed: true}
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
		{"right read", []porcupine.Operation{append1(0, 1, 0), read(2, 3, streamState{}.push(body(0)))}, true},
		{"another body", []porcupine.Operation{append1(0, 1, 0), read(2, 3, streamState{}.push(body(9)))}, false},
		{"tail of a closed stream", []porcupine.Operation{closing(0, 1, 0), closedTail(2, 3, 0)}, true},
		{"tail that forgets the end", []porcupine.Operation{closing(0, 1, 0), tail(2, 3, 0)}, false},
		{"append behind the end", []porcupine.Operation{closing(0, 1, 0), append1(2, 3, 0)}, false},
		{"the end taken back", []porcupine.Operation{closedTail(0, 1, 0), closing(2, 3, 0)}, false},
	} {
		if got := porcupine.CheckOperations(streamModel, c.history); got != c.ok {
			t.Errorf("%s: linearizable: %v, want %v", c.name, got, c.ok)
		}
	}
}
