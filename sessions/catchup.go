package sessions

import (
	"context"
	"errors"
	"io"

	"github.com/weirstream/weir/protocol"
)

// catchUp delivers the next batch of stored records below the known tail (data plane 4.5, step 1). Whole runs are
// joined while they fit; the run that does not fit begins the next batch.
//
// Memory held: the runs of one batch and one run more.
func (r *Read) catchUp(ctx context.Context) (out protocol.ReadBatch, ok bool, err error) {
	end, err := r.collect(ctx)
	if r.builder.count > 0 {
		// The runs that were read are delivered first. A failure comes with the next call; the end of a context, which is no
		// failure of the session, is found anew by the next call.
		var tail *protocol.Position
		if end == collectPassed && r.tellTail {
			known := r.tail
			tail = &known
		}
		out = r.emit(r.builder.take(), tail)
		switch {
		case end == collectRefused:
			r.finish(io.EOF)
		case err != nil && ctx.Err() == nil && r.life.Err() == nil:
			r.finish(err)
		case end == collectPassed:
			r.passTail()
		case r.lean():
			r.closeCursor() // the next batch reads on from there
		}
		return out, true, nil
	}
	switch {
	case err != nil:
		return out, false, err
	case end == collectRefused:
		r.finish(io.EOF)
	default:
		// Everything that was left up to the tail is deleted.
		r.passTail()
	}
	return out, false, nil
}

// collectEnd says why collecting a batch stopped.
type collectEnd uint8

const (
	// collectFull: the batch is full or the next run does not fit; or an error was met.
	collectFull collectEnd = iota
	// collectPassed: nothing is left below the known tail.
	collectPassed
	// collectRefused: the limit refused a record.
	collectRefused
)

// collect adds runs to the joiner. On an error the cursor is closed, and the collected runs stay.
func (r *Read) collect(ctx context.Context) (collectEnd, error) {
	ctx, unbind := r.bind(ctx)
	defer unbind()
	limit, next := r.limit, r.next
	lean := r.lean()
	for !r.builder.full() && (!lean || r.builder.metered < leanBatchBytes) {
		run, err := r.nextRun(ctx)
		if errors.Is(err, io.EOF) {
			return collectPassed, nil
		}
		if err == nil {
			err = checkRun(run, next)
		}
		if err != nil {
			r.closeCursor()
			return collectFull, err
		}
		taken, cut := run.Take(limit)
		if !r.builder.fits(taken) {
			r.carry = run
			return collectFull, nil
		}
		r.builder.add(taken)
		if cut {
			return collectRefused, nil
		}
		limit = limit.Spend(taken.Len(), taken.MeteredSize())
		next = taken.Last().SeqNum + 1
		if next >= r.tail.SeqNum {
			return collectPassed, nil
		}
		if limit.Exhausted() {
			return collectFull, nil // emit ends the session
		}
	}
	return collectFull, nil
}

// checkRun holds a cursor to its contract: a run that is empty, too large or out of order would make the session
// spin, skip or repeat.
func checkRun(run protocol.Records, next uint64) error {
	var empty batchBuilder
	if run.Len() == 0 || run.First().SeqNum < next || !empty.fits(run) {
		return protocol.Errorf(protocol.CodeStorage, "reading from seq_num %d gave %d records (%d bytes) from %v",
			next, run.Len(), run.MeteredSize(), run.First())
	}
	return nil
}

// nextRun returns the run left over from the last batch, or the cursor's next.
func (r *Read) nextRun(ctx context.Context) (protocol.Records, error) {
	if run := r.carry; run.Len() > 0 {
		r.carry = protocol.Records{}
		return run, nil
	}
	if r.cursor == nil {
		r.cursor = r.stream.Scan(r.next, r.tail.SeqNum)
	}
	return r.cursor.Next(ctx)
}

// passTail leaves catching up: everything below the known tail was delivered or is deleted.
func (r *Read) passTail() {
	r.closeCursor()
	r.next = r.tail.SeqNum
}

func (r *Read) closeCursor() {
	r.carry = protocol.Records{}
	if r.cursor != nil {
		r.cursor.Close()
		r.cursor = nil
	}
}
