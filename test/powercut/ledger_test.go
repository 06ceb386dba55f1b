//go:build linux

package powercut

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/weirstream/weir/protocol"
)

type outcome int

const (
	open    outcome = iota // nobody knows
	acked                  // at start
	refused                // for sure
)

// A batch is some records that were appended together. Each says whose it is and at which place.
type batch struct {
	id      int
	n       int
	trim    uint64 // the record in front is a trim to here, unless it is 0
	pad     int
	outcome outcome
	start   uint64
}

func (b *batch) input() protocol.AppendInput {
	in := protocol.AppendInput{}
	if b.trim > 0 {
		in.Records = append(in.Records, protocol.TrimRecord(b.trim))
	}
	for i := len(in.Records); i < b.n; i++ {
		in.Records = append(in.Records, protocol.Record{Body: b.body(i)})
	}
	return in
}

func (b *batch) body(i int) []byte {
	return fmt.Appendf(nil, "%d/%d %s", b.id, i, strings.Repeat("x", b.pad))
}

func identify(body []byte) (id, place int, ok bool) {
	n, err := fmt.Sscanf(string(body[:min(len(body), 40)]), "%d/%d ", &id, &place)
	return id, place, n == 2 && err == nil
}

// A ledger is what is known of one stream.
type ledger struct {
	ref       protocol.StreamRef
	dedicated int // logs of the basin's own

	mu      sync.Mutex
	batches map[int]*batch
	told    uint64 // a tail that somebody was told
	floor   uint64 // trim point that a verification has found
	made    bool   // its creation was acknowledged
}

func newLedger(basin, stream string) *ledger {
	return &ledger{ref: protocol.StreamRef{Basin: protocol.BasinName(basin), Stream: protocol.StreamName(stream)}, batches: map[int]*batch{}}
}

func (l *ledger) begin(n, pad int, trim uint64) *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := &batch{id: len(l.batches) + 1, n: n, pad: pad, trim: trim}
	l.batches[b.id] = b
	return b
}

// append appends a batch and notes how it went. It reports whether the client may go on.
func (l *ledger) append(ctx context.Context, svc protocol.Service, b *batch) bool {
	ack, err := svc.Append(ctx, l.ref, b.input())
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		b.outcome, b.start = acked, ack.Start.SeqNum
		l.told = max(l.told, ack.End.SeqNum)
	case protocol.CodeOf(err).Clean():
		b.outcome = refused
	}
	return err == nil
}

func (l *ledger) tell(tail uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = max(l.told, tail)
}

func (l *ledger) tail() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told
}

// found is what a broker says of a stream.
type found struct {
	tail    uint64
	records []protocol.SequencedRecord
}

func look(ctx context.Context, svc protocol.Service, ref protocol.StreamRef) (f found, err error) {
	tail, err := svc.CheckTail(ctx, ref)
	if err != nil {
		return f, fmt.Errorf("check-tail: %w", err)
	}
	f.tail = tail.SeqNum
	for next := uint64(0); next < f.tail; {
		page, err := svc.Read(ctx, ref, protocol.ReadRequest{Start: protocol.FromSeqNum(next)})
		if protocol.CodeOf(err) == protocol.CodeUnwritten {
			break // everything is trimmed
		}
		if err != nil {
			return f, fmt.Errorf("read from %d: %w", next, err)
		}
		if page.Records.Len() == 0 {
			break
		}
		f.records = append(f.records, page.Records.Slice()...)
		next = page.Records.Last().SeqNum + 1
	}
	return f, nil
}

// verify compares the stream with the ledger, and makes what was open definite. With mayLose the newest may be missing.
func (l *ledger) verify(ctx context.Context, svc protocol.Service, mayLose bool) (missing int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	f, err := look(ctx, svc, l.ref)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		if mayLose && protocol.CodeOf(err) == protocol.CodeStreamNotFound || !l.made {
			return 0, nil
		}
		return 0, fmt.Errorf("%v: %w", l.ref, err)
	}
	return l.compare(f, mayLose)
}

// compare does it with l.mu held.
func (l *ledger) compare(f found, mayLose bool) (missing int, err error) {
	var errs []error
	bad := func(format string, args ...any) {
		if len(errs) < 8 {
			errs = append(errs, fmt.Errorf("%v: %s (tail %d)", l.ref, fmt.Sprintf(format, args...), f.tail))
		}
	}
	if f.tail < l.told && !mayLose {
		bad("the tail goes back behind %d, which was told", l.told)
	}
	first := f.tail
	if len(f.records) > 0 {
		first = f.records[0].SeqNum
	}
	standing := map[int]uint64{} // where batches begin
	count := map[int]int{}
	want := first
	trimmed := uint64(0) // by the trims that stand
	for _, r := range f.records {
		if r.SeqNum != want {
			bad("record %d follows %d", r.SeqNum, want-1)
		}
		want = r.SeqNum + 1
		if r.IsCommand() {
			continue
		}
		id, place, ok := identify(r.Body)
		b := l.batches[id]
		if !ok || b == nil {
			bad("record %d is of nobody: %.30q", r.SeqNum, r.Body)
			continue
		}
		if string(r.Body) != string(b.body(place)) {
			bad("record %d does not read as it was written", r.SeqNum)
		}
		start := r.SeqNum - uint64(place)
		if at, ok := standing[id]; ok && at != start {
			bad("batch %d stands at %d and at %d", id, at, start)
		}
		standing[id] = start
		count[id]++
		if b.trim > 0 {
			trimmed = max(trimmed, min(b.trim, start+1))
		}
	}
	if want != f.tail {
		bad("the records end at %d", want)
	}
	for id, b := range l.batches {
		start, stands := standing[id]
		end := b.start + uint64(b.n)
		switch {
		case stands && b.outcome == refused:
			bad("batch %d was refused and stands at %d", id, start)
		case stands && b.outcome == acked && start != b.start:
			bad("batch %d was acknowledged at %d and stands at %d", id, b.start, start)
		case stands && start >= first && count[id] != b.n-min(1, int(b.trim)):
			bad("batch %d of %d records has %d", id, b.n, count[id])
		case stands && b.outcome == open:
			b.outcome, b.start = acked, start
		case !stands && b.outcome == acked && end > first:
			missing++
			if !mayLose {
				bad("batch %d of %d records, acknowledged at %d, is missing; readable from %d", id, b.n, b.start, first)
			}
			b.outcome = refused
		}
		if b.outcome == acked && b.trim > 0 {
			trimmed = max(trimmed, min(b.trim, b.start+1))
		}
	}
	if first < l.floor && !mayLose {
		bad("the first record is %d and was %d", first, l.floor)
	}
	if first != trimmed && first > trimmed && !mayLose && !l.openTrim(first) {
		bad("it begins at %d, and the trim point is %d", first, trimmed)
	}
	for _, b := range l.batches {
		if b.outcome == open {
			b.outcome = refused
		}
	}
	l.floor, l.told = first, f.tail
	return missing, errors.Join(errs...)
}

// openTrim reports whether a batch that was left open, and may stand below first, trims to first.
func (l *ledger) openTrim(first uint64) bool {
	for _, b := range l.batches {
		if b.outcome == open && b.trim >= first {
			return true
		}
	}
	return false
}
