package sessions_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/sessions"
)

// at makes records with these timestamps, each of 8 + 2 metered bytes.
func at(timestamps ...uint64) []protocol.SequencedRecord {
	return sized(10, timestamps...)
}

// sized makes records of a metered size with these timestamps.
func sized(metered int, timestamps ...uint64) []protocol.SequencedRecord {
	recs := make([]protocol.SequencedRecord, len(timestamps))
	for i, ts := range timestamps {
		recs[i] = protocol.SequencedRecord{Timestamp: ts, Body: make([]byte, metered-8)}
	}
	return recs
}

// many makes n small records.
func many(n int) []protocol.SequencedRecord {
	ts := make([]uint64, n)
	for i := range ts {
		ts[i] = uint64(i)
	}
	return at(ts...)
}

// waiting returns the request with a wait window.
func waiting(req protocol.ReadRequest, wait time.Duration) protocol.ReadRequest {
	req.Wait = &wait
	return req
}

func seqNums(recs protocol.Records) string {
	var b strings.Builder
	for rec := range recs.All() {
		fmt.Fprintf(&b, " %d", rec.SeqNum)
	}
	return "[" + strings.TrimPrefix(b.String(), " ") + "]"
}

// tell writes an output of a read in one line: "[3 4]", "[3 4] tail {5, 1000}", "beat {5, 1000}", "end" or the error's
// code, "unwritten {5, 1000}" with the tail.
func tell(batch protocol.ReadBatch, err error) string {
	var failure *protocol.Error
	switch {
	case errors.Is(err, io.EOF):
		return "end"
	case errors.As(err, &failure) && failure.Tail != nil:
		return fmt.Sprintf("%s %v", failure.Code, *failure.Tail)
	case errors.As(err, &failure):
		return string(failure.Code)
	case err != nil:
		return err.Error()
	case batch.Heartbeat():
		return fmt.Sprintf("beat %v", *batch.Tail)
	case batch.Tail != nil:
		return fmt.Sprintf("%s tail %v", seqNums(batch.Records), *batch.Tail)
	}
	return seqNums(batch.Records)
}

// inBubble runs a subtest with a fake clock.
func inBubble(t *testing.T, name string, f func(*testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Helper()
		synctest.Test(t, f)
	})
}

// after runs f when d has passed.
func after(d time.Duration, f func()) { time.AfterFunc(d, f) }

// session is a read session under test that keeps a journal of its outputs, each with the time since the start.
type session struct {
	*sessions.Read
	start time.Time
}

// steady gives a session heartbeats at a fixed gap, long enough to stay out of the way of short waits.
var steady = sessions.ReadOptions{HeartbeatGap: func() time.Duration { return 10 * time.Second }}

func openRead(t *testing.T, m *memStream, req protocol.ReadRequest, opts sessions.ReadOptions) *session {
	t.Helper()
	held := m.held()
	r, err := sessions.OpenRead(t.Context(), m.open(), req, opts)
	if err != nil {
		t.Fatalf("OpenRead: %v", err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		m.checkHeld(t, held)
	})
	return &session{r, time.Now()}
}

func (s *session) next(t *testing.T) string {
	t.Helper()
	batch, err := s.Next(t.Context())
	return fmt.Sprintf("%v %s", time.Since(s.start), tell(batch, err))
}

// expect checks the next outputs, written as "100ms [3 4] tail {5, 1000}".
func (s *session) expect(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := s.next(t); got != w {
			t.Fatalf("got  %s\nwant %s", got, w)
		}
	}
}

// play opens a session and checks all its outputs, the last of which must be final.
func play(t *testing.T, m *memStream, req protocol.ReadRequest, want ...string) {
	t.Helper()
	s := openRead(t, m, req, steady)
	s.expect(t, want...)
	last := want[len(want)-1]
	last = last[strings.Index(last, " ")+1:]
	if batch, err := s.Next(t.Context()); tell(batch, err) != last || err == nil {
		t.Errorf("after the end got %s, want %s again", tell(batch, err), last)
	}
}

// readUnary reads once and checks that the handle is not closed and everything else is.
func readUnary(t *testing.T, m *memStream, req protocol.ReadRequest) (protocol.ReadBatch, error) {
	t.Helper()
	held := m.held()
	h := m.open()
	batch, err := sessions.ReadUnary(t.Context(), h, req)
	h.Close()
	m.checkHeld(t, held)
	return batch, err
}

// readCase is a read of a stream at rest.
type readCase struct {
	row     string // of the specification's appendix A
	name    string
	given   []protocol.SequencedRecord // each its own append
	trimmed uint64                     // records below are gone
	req     protocol.ReadRequest
	want    string // see tell; for a session, the outputs joined by ", "
	took    time.Duration
}

func testUnary(t *testing.T, cases []readCase) {
	t.Helper()
	for _, c := range cases {
		inBubble(t, c.row+" "+c.name, func(t *testing.T) {
			m := newMem(slices.Clone(c.given)...)
			m.trim(c.trimmed)
			start := time.Now()
			if got := tell(readUnary(t, m, c.req)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if took := time.Since(start); took != c.took {
				t.Errorf("took %v, want %v", took, c.took)
			}
		})
	}
}

func testSession(t *testing.T, cases []readCase) {
	t.Helper()
	for _, c := range cases {
		inBubble(t, c.row+" "+c.name, func(t *testing.T) {
			m := newMem(slices.Clone(c.given)...)
			m.trim(c.trimmed)
			start := time.Now()
			if got := tellAll(t.Context(), m, c.req); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if took := time.Since(start); took != c.took {
				t.Errorf("took %v, want %v", took, c.took)
			}
			m.checkHeld(t, 0)
		})
	}
}

// tellAll runs a session to its end.
func tellAll(ctx context.Context, m *memStream, req protocol.ReadRequest) string {
	h := m.open()
	r, err := sessions.OpenRead(ctx, h, req, steady)
	if err != nil {
		h.Close()
		return "refused: " + tell(protocol.ReadBatch{}, err)
	}
	defer func() { _ = r.Close() }()
	var told []string
	for {
		batch, err := r.Next(ctx)
		told = append(told, tell(batch, err))
		if err != nil {
			return strings.Join(told, ", ")
		}
	}
}
