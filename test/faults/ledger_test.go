package faults

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// ledger is the model of one stream: what became of every append to it. Its methods may be called at once.
type ledger struct {
	ref protocol.StreamRef

	mu      sync.Mutex
	entries []*entry
	trimmed uint64 // records below may be gone
}

// entry is one append. Its records' bodies are "<number of the entry> <index>/<count> ", padded.
type entry struct {
	number, count int
	outcome       outcome
	ack           protocol.AppendAck
	err           error
}

type outcome int

const (
	open    outcome = iota // it may have been stored
	acked                  // it is stored
	refused                // it is not stored and never will be
)

// newLedger creates a stream, and its basin if that is missing.
func newLedger(t testing.TB, svc protocol.Service, basin, stream string, config ...protocol.StreamConfig) *ledger {
	t.Helper()
	l := &ledger{ref: protocol.StreamRef{Basin: protocol.BasinName(basin), Stream: protocol.StreamName(stream)}}
	_, _, err := svc.CreateBasin(t.Context(), protocol.CreateBasinRequest{Basin: l.ref.Basin})
	if err != nil && protocol.CodeOf(err) != protocol.CodeResourceAlreadyExists {
		t.Fatal(err)
	}
	req := protocol.CreateStreamRequest{Stream: l.ref.Stream}
	if len(config) > 0 {
		req.Config = config[0]
	}
	_, _, err = svc.CreateStream(t.Context(), l.ref.Basin, req)
	must(t, err)
	return l
}

// begin enters an append of count records with bodies of at least size bytes.
func (l *ledger) begin(count, size int) (*entry, protocol.AppendInput) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &entry{number: len(l.entries), count: count}
	l.entries = append(l.entries, e)
	var in protocol.AppendInput
	for i := range count {
		body := fmt.Appendf(nil, "%d %d/%d ", e.number, i, count)
		if pad := size - len(body); pad > 0 {
			body = append(body, bytes.Repeat([]byte{'.'}, pad)...)
		}
		in.Records = append(in.Records, protocol.Record{Body: body})
	}
	return e, in
}

// end notes what became of an append.
func (l *ledger) end(e *entry, ack protocol.AppendAck, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.ack, e.err = ack, err
	switch code := protocol.CodeOf(err); {
	case err == nil:
		e.outcome = acked
	case code.Clean():
		e.outcome = refused
	}
}

// append makes one append and notes what became of it.
func (l *ledger) append(ctx context.Context, svc protocol.RecordService, count, size int) error {
	e, in := l.begin(count, size)
	ack, err := svc.Append(ctx, l.ref, in)
	l.end(e, ack, err)
	return err
}

// mustAppend makes one append that must succeed.
func (l *ledger) mustAppend(t testing.TB, svc protocol.RecordService, count, size int) {
	t.Helper()
	if err := l.append(t.Context(), svc, count, size); err != nil {
		t.Fatalf("append to %v: %v", l.ref, err)
	}
}

// noteTrim allows the records below point to be gone.
func (l *ledger) noteTrim(point uint64) { l.trimmed = point }

// verify reads the whole stream and compares. It returns the stream's tail.
func (l *ledger) verify(t testing.TB, svc protocol.RecordService) protocol.Position {
	t.Helper()
	tail, err := svc.CheckTail(t.Context(), l.ref)
	if err != nil {
		t.Fatalf("tail of %v: %v", l.ref, err)
	}
	l.check(t, readTo(t, svc, l.ref, l.trimmed, tail.SeqNum), tail.SeqNum)
	return tail.Position
}

// readTo reads the records of [from, to) with unary reads.
func readTo(t testing.TB, svc protocol.RecordService, ref protocol.StreamRef, from, to uint64) (recs []protocol.SequencedRecord) {
	t.Helper()
	for from < to {
		count := to - from
		b, err := svc.Read(t.Context(), ref, protocol.ReadRequest{Start: protocol.FromSeqNum(from), Count: &count})
		if err != nil {
			t.Fatalf("read %v from %d: %v", ref, from, err)
		}
		if b.Records.Len() == 0 {
			t.Fatalf("read %v from %d: nothing before the tail %d", ref, from, to)
		}
		recs = append(recs, b.Records.Slice()...)
		from = b.Records.Last().SeqNum + 1
	}
	return recs
}

// check compares the records [l.trimmed, tail) with the model. Commands are other people's business.
func (l *ledger) check(t testing.TB, recs []protocol.SequencedRecord, tail uint64) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if want := l.trimmed + uint64(len(recs)); tail != want {
		for i, r := range recs {
			if r.SeqNum != l.trimmed+uint64(i) {
				t.Errorf("%v: record %d comes where %d is due; %s", l.ref, r.SeqNum, l.trimmed+uint64(i), l.whoseLocked(l.trimmed+uint64(i)))
				break
			}
		}
		t.Fatalf("%v: %d records from %d on, but the tail is %d", l.ref, len(recs), l.trimmed, tail)
	}
	seen := map[int]uint64{} // where an entry begins
	var last uint64
	for i := 0; i < len(recs); {
		r := &recs[i]
		if r.SeqNum != l.trimmed+uint64(i) || r.Timestamp < last {
			t.Fatalf("%v: record %d has seq_num %d and timestamp %d after %d", l.ref, l.trimmed+uint64(i), r.SeqNum, r.Timestamp, last)
		}
		last = r.Timestamp
		if r.IsCommand() {
			i++
			continue
		}
		number, index, count := parseBody(t, r)
		if number >= len(l.entries) || l.entries[number].count != count {
			t.Fatalf("%v: record %d is %.40q, which nobody appended", l.ref, r.SeqNum, r.Body)
		}
		cut := uint64(i) == 0 && l.trimmed > 0 // the trim point may be inside a batch
		if index != 0 && !cut {
			t.Fatalf("%v: record %d is %.40q, without the records before it", l.ref, r.SeqNum, r.Body)
		}
		if at, twice := seen[number]; twice {
			t.Fatalf("%v: append %d is there twice, at %d and at %d", l.ref, number, at, r.SeqNum)
		}
		seen[number] = r.SeqNum - uint64(index)
		for ; index < count; index, i = index+1, i+1 {
			if i == len(recs) {
				t.Fatalf("%v: append %d ends after %d of %d records", l.ref, number, index, count)
			}
			n, k, _ := parseBody(t, &recs[i])
			if n != number || k != index {
				t.Fatalf("%v: record %d is %.40q inside append %d", l.ref, recs[i].SeqNum, recs[i].Body, number)
			}
		}
	}
	for _, e := range l.entries {
		at, found := seen[e.number]
		switch {
		case e.outcome == acked && e.ack.End.SeqNum <= l.trimmed:
		case e.outcome == acked && !found:
			t.Fatalf("%v: append %d was acknowledged as %v and is gone", l.ref, e.number, e.ack)
		case e.outcome == acked && (at != e.ack.Start.SeqNum || at+uint64(e.count) != e.ack.End.SeqNum):
			t.Fatalf("%v: append %d was acknowledged as %v and is at %d", l.ref, e.number, e.ack, at)
		case e.outcome == refused && found:
			t.Fatalf("%v: append %d was refused with %v and is there, at %d", l.ref, e.number, e.err, at)
		}
	}
}

// whoseLocked tells which acknowledged append a seq_num belongs to.
func (l *ledger) whoseLocked(seq uint64) string {
	for _, e := range l.entries {
		if e.outcome == acked && e.ack.Start.SeqNum <= seq && seq < e.ack.End.SeqNum {
			return fmt.Sprintf("append %d was acknowledged as %v", e.number, e.ack)
		}
	}
	return "no acknowledged append belongs there"
}

func parseBody(t testing.TB, r *protocol.SequencedRecord) (number, index, count int) {
	t.Helper()
	if _, err := fmt.Sscanf(string(r.Body), "%d %d/%d ", &number, &index, &count); err != nil {
		t.Fatalf("record %d is %.40q: %v", r.SeqNum, r.Body, err)
	}
	return number, index, count
}

// count returns how many appends had an outcome.
func (l *ledger) count(o outcome) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if e.outcome == o {
			n++
		}
	}
	return n
}
