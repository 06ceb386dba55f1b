package conformance

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// slack is how much later than due something may happen on the fake clock: a door may batch or poll. Nothing may
// happen early.
const slack = 100 * time.Millisecond

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// must ends the case if err is not nil.
func (e *Env) must(err error, what string) {
	e.t.Helper()
	if err != nil {
		e.t.Fatalf("%s: %v", what, err)
	}
}

// fails checks that err is an [*protocol.Error] with one of the codes, and returns it.
func (e *Env) fails(err error, codes ...protocol.Code) *protocol.Error {
	e.t.Helper()
	var failure *protocol.Error
	if !errors.As(err, &failure) {
		e.t.Fatalf("got %v, want a failure with code %v", err, codes)
	}
	if slices.Contains(codes, failure.Code) {
		return failure
	}
	e.t.Fatalf("got %v, want code %v", err, codes)
	return nil
}

// mismatchedSeqNum checks that err names the next seq_num.
func (e *Env) mismatchedSeqNum(err error, next uint64) {
	e.t.Helper()
	f := e.fails(err, protocol.CodeConditionFailed)
	if f.SeqNumMismatch == nil || f.FencingTokenMismatch != nil {
		e.t.Fatalf("got %+v, want a seq_num mismatch and no other detail", f)
	}
	equal(e.t, "seq_num_mismatch", *f.SeqNumMismatch, next)
}

// mismatchedToken checks that err names the current fencing token.
func (e *Env) mismatchedToken(err error, current string) {
	e.t.Helper()
	f := e.fails(err, protocol.CodeConditionFailed)
	if f.FencingTokenMismatch == nil || f.SeqNumMismatch != nil {
		e.t.Fatalf("got %+v, want a fencing token mismatch and no other detail", f)
	}
	equal(e.t, "fencing_token_mismatch", *f.FencingTokenMismatch, current)
}

// unwritten checks that err says that the start is not written yet, and where the tail is.
func (e *Env) unwritten(err error, tail protocol.Position) {
	e.t.Helper()
	f := e.fails(err, protocol.CodeUnwritten)
	if f.Tail == nil {
		e.t.Fatalf("got %+v, want the tail among the details", f)
	}
	equal(e.t, "tail", *f.Tail, tail)
}

// took checks that exactly d has passed since start, on the fake clock.
func (e *Env) took(start time.Time, d time.Duration) {
	e.t.Helper()
	if got := time.Since(start); got < d || got > d+slack {
		e.t.Fatalf("it took %v, want %v", got, d)
	}
}

// eventually waits until ok holds. Use it only for the broker's background work.
func (e *Env) eventually(what string, ok func() bool) {
	e.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-e.ctx.Done():
			e.t.Fatalf("%s: it never came true", what)
		}
	}
}

// position makes a position.
func position(seq, ts uint64) protocol.Position { return protocol.Position{SeqNum: seq, Timestamp: ts} }

// now is the clock in milliseconds.
func now() uint64 { return uint64(time.Now().UnixMilli()) }
