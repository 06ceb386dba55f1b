//go:build linux

package cluster

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/linear"
)

// outcome is what a client knows of its operation.
type outcome uint8

const (
	open    outcome = iota // an append may or may not be stored
	done                   // answered, with an ack or a condition that does not hold
	refused                // failed with the promise that nothing is stored
)

// entry is one operation of one client.
type entry struct {
	client    int
	op        linear.Op
	call, ret time.Duration // since the beginning of the history
	outcome   outcome
	answer    linear.Answer
	err       error
}

func (e *entry) String() string {
	return fmt.Sprintf("%+v of client %d, %v to %v, answered %+v, %v", e.op, e.client, e.call, e.ret, e.answer, e.err)
}

// history is all that clients did to one stream.
type history struct {
	ref   protocol.StreamRef
	began time.Time

	mu      sync.Mutex
	entries []*entry
	lastAck time.Duration
	gap     time.Duration // longest time without an acknowledged append since the last call of watch
	before  time.Duration // longest before that call
	acks    int
	tail    uint64 // highest end of an ack
}

func newHistory(ref protocol.StreamRef) *history { return &history{ref: ref, began: time.Now()} }

// begin enters an operation before it is asked for.
func (h *history) begin(client int, op linear.Op) *entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := &entry{client: client, op: op, call: time.Since(h.began)}
	h.entries = append(h.entries, e)
	return e
}

// end notes the answer.
func (h *history) end(e *entry, answer linear.Answer, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e.ret, e.answer, e.err = time.Since(h.began), answer, err
	switch {
	case err == nil:
		e.outcome = done
	case protocol.CodeOf(err).Clean():
		e.outcome = refused
	}
	if e.stored() {
		h.acks++
		h.gap = max(h.gap, e.ret-h.lastAck)
		h.lastAck = e.ret
		h.tail = max(h.tail, answer.End)
	}
}

// stored reports whether the entry is an acknowledged append.
func (e *entry) stored() bool {
	return e.op.Kind == linear.Append && e.outcome == done && !e.answer.Refused()
}

// forget begins to measure gaps.
func (h *history) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gap, h.before = 0, 0
}

// watch begins a part of the round, whose longest gap figures gives.
func (h *history) watch() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gap, h.before = 0, max(h.gap, h.before)
}

// longest is the longest gap since forget.
func (h *history) longest() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return max(h.gap, h.before, time.Since(h.began)-h.lastAck)
}

// figures are the number of acks, the longest time without one, and the time of the last.
func (h *history) figures() (acks int, gap, last time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.acks, max(h.gap, time.Since(h.began)-h.lastAck), h.lastAck
}

// length is a tail that was acknowledged.
func (h *history) length() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tail
}

// check compares the stream's records with the history, and gives each open append that is there its answer. No client may be
// working.
func (h *history) check(recs []protocol.SequencedRecord) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	byID := map[uint64]*entry{}
	for _, e := range h.entries {
		for _, id := range e.op.IDs {
			byID[id] = e
		}
	}
	found := map[*entry]uint64{} // where an append begins
	var timestamp uint64
	for at := 0; at < len(recs); {
		first := &recs[at]
		if first.SeqNum != uint64(at) || len(first.Body) != 8 || first.IsCommand() {
			return fmt.Errorf("record %d is %+v where an append begins", at, first)
		}
		e := byID[binary.BigEndian.Uint64(first.Body)]
		if e == nil {
			return fmt.Errorf("record %d is %x, which nobody appended", at, first.Body)
		}
		if earlier, twice := found[e]; twice {
			return fmt.Errorf("an append is there twice, at %d and at %d: %v", earlier, at, e)
		}
		found[e] = uint64(at)
		for i, want := range e.op.Records() {
			if at == len(recs) {
				return fmt.Errorf("the stream ends after %d records of an append: %v", i, e)
			}
			got := &recs[at]
			switch {
			case got.SeqNum != uint64(at), string(got.Body) != string(want.Body), got.IsCommand() != (len(want.Headers) > 0):
				return fmt.Errorf("record %d is %+v inside an append at %d: %v", at, got, found[e], e)
			case got.Timestamp < timestamp:
				return fmt.Errorf("record %d has timestamp %d behind %d", at, got.Timestamp, timestamp)
			}
			timestamp = got.Timestamp
			at++
		}
	}
	for _, e := range h.entries {
		if e.op.Kind != linear.Append {
			continue
		}
		at, there := found[e]
		end := at + uint64(len(e.op.Records()))
		switch {
		case e.stored() && !there:
			return fmt.Errorf("an acknowledged append is gone: %v", e)
		case e.stored() && (e.answer.Start != at || e.answer.End != end):
			return fmt.Errorf("an acknowledged append is at %d: %v", at, e)
		case there && e.outcome != open && !e.stored():
			return fmt.Errorf("a refused append is there, at %d: %v", at, e)
		case there && e.op.Match != nil && *e.op.Match != at:
			return fmt.Errorf("an append is at %d in spite of its match_seq_num: %v", at, e)
		case there && e.outcome == open:
			e.answer = linear.Answer{Start: at, End: end}
		}
	}
	return nil
}

// linearizable asks Porcupine, after check. An append without an answer that is not there is left out: it could only come after
// all the others. One that is there may take its effect until the end of the history.
func (h *history) linearizable(patience time.Duration) (porcupine.CheckResult, int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	end := time.Since(h.began)
	var ops []porcupine.Operation
	for _, e := range h.entries {
		op := porcupine.Operation{ClientId: e.client, Input: e.op, Output: e.answer, Call: int64(e.call), Return: int64(e.ret)}
		switch {
		case e.outcome == refused, e.outcome == open && (e.op.Kind != linear.Append || e.answer.End == 0):
			continue
		case e.outcome == open:
			op.Return = int64(end)
		}
		ops = append(ops, op)
	}
	// A client that goes on after an append without an answer is, to the checker, another one.
	next := slices.MaxFunc(ops, func(a, b porcupine.Operation) int { return a.ClientId - b.ClientId }).ClientId + 1
	for i := range ops {
		if ops[i].Return == int64(end) {
			ops[i].ClientId, next = next, next+1
		}
	}
	result, _ := porcupine.CheckOperationsVerbose(linear.Model, ops, patience)
	return result, len(ops)
}

// counts adds the numbers of operations by answer: "ok", or the code of the failure.
func (h *history) counts(sum map[protocol.Code]int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.entries {
		code := protocol.CodeOf(e.err)
		switch {
		case e.outcome == done && e.answer.Refused():
			code = protocol.CodeConditionFailed
		case e.outcome == done:
			code = "ok"
		}
		sum[code]++
	}
}

// dump writes the history and the records down, for a person.
func (h *history) dump(t testing.TB, recs []protocol.SequencedRecord) {
	h.mu.Lock()
	defer h.mu.Unlock()
	file, err := os.CreateTemp("/tmp", "weir-cluster-history-")
	if err != nil {
		return
	}
	defer file.Close()
	fmt.Fprintln(file, h.ref, "began", h.began)
	for _, e := range h.entries {
		fmt.Fprintln(file, e)
	}
	for i := range recs {
		fmt.Fprintf(file, "%d at %d: %x\n", recs[i].SeqNum, recs[i].Timestamp, recs[i].Body)
	}
	t.Logf("the history is in %s", file.Name())
}
