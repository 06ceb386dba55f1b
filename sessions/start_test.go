package sessions_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/sessions"
)

func fromSeq(n uint64) protocol.ReadRequest {
	return protocol.ReadRequest{Start: protocol.FromSeqNum(n)}
}

func fromTimestamp(ts uint64) protocol.ReadRequest {
	return protocol.ReadRequest{Start: protocol.FromTimestamp(ts)}
}

func fromTail(n uint64) protocol.ReadRequest {
	return protocol.ReadRequest{Start: protocol.FromTail(n)}
}

func clamped(req protocol.ReadRequest) protocol.ReadRequest { req.Clamp = true; return req }

func withCount(req protocol.ReadRequest, n uint64) protocol.ReadRequest { req.Count = &n; return req }
func withBytes(req protocol.ReadRequest, n uint64) protocol.ReadRequest { req.Bytes = &n; return req }
func withUntil(req protocol.ReadRequest, n uint64) protocol.ReadRequest { req.Until = &n; return req }

// Appendix A.8: where a unary read starts.
func TestUnaryStart(t *testing.T) {
	testUnary(t, []readCase{
		{row: "131", name: "from the beginning", given: many(5), req: fromSeq(0), want: "[0 1 2 3 4]"},
		{row: "132", name: "empty stream", req: fromSeq(0), want: "unwritten {0, 0}"},
		{row: "133", name: "beyond the tail", given: at(7), req: fromSeq(10), want: "unwritten {1, 7}"},
		{row: "135", name: "clamped to the tail and may not follow", given: at(7), req: clamped(fromSeq(10)), want: "unwritten {1, 7}"},
		{row: "136", name: "clamped to the tail and waits", given: at(7), req: waiting(clamped(fromSeq(10)), time.Second), want: "[]", took: time.Second},
		{row: "139", name: "tail offset 0", given: at(7), req: withCount(fromTail(0), 10), want: "unwritten {1, 7}"},
		{row: "140", name: "at the tail, wait 0", given: at(7), req: waiting(withCount(fromSeq(1), 10), 0), want: "unwritten {1, 7}"},
		{row: "141", name: "timestamp beyond the tail", given: at(7), req: withUntil(fromTimestamp(8), math.MaxUint64), want: "unwritten {1, 7}"},
		{row: "142", name: "clamped timestamp beyond the tail", given: at(7), req: withCount(clamped(fromTimestamp(8)), 10), want: "unwritten {1, 7}"},
		{row: "143", name: "tail offset 2 of 5", given: many(5), req: fromTail(2), want: "[3 4]"},
		{row: "144", name: "tail offset 3 of 5", given: many(5), req: fromTail(3), want: "[2 3 4]"},
		{row: "145", name: "tail offset 999 of 5", given: many(5), req: fromTail(999), want: "[0 1 2 3 4]"},
		{row: "145", name: "tail offset max of 3", given: many(3), req: fromTail(math.MaxUint64), want: "[0 1 2]"},
		{row: "146", name: "the first of equal timestamps", given: at(900, 1000, 1000, 1000), req: fromTimestamp(1000), want: "[1 2 3]"},
		{row: "147", name: "timestamp in the middle", given: at(50, 51, 52, 53), req: fromTimestamp(51), want: "[1 2 3]"},
		{row: "148", name: "timestamp 0", given: at(50, 51), req: withCount(fromTimestamp(0), 1), want: "[0]"},
		{row: "149", name: "timestamp beyond the last record", given: at(50, 51), req: fromTimestamp(150), want: "unwritten {2, 51}"},
		{row: "150", name: "timestamp of the tail", given: at(50, 51, 51), req: fromTimestamp(51), want: "[1 2]"},
		{row: "151", name: "timestamp 0 on an empty stream", req: fromTimestamp(0), want: "unwritten {0, 0}"},
		{row: "152", name: "timestamp 1 on an empty stream", req: fromTimestamp(1), want: "unwritten {0, 0}"},
		{row: "153", name: "timestamp with everything trimmed", given: at(50, 51), trimmed: 2, req: fromTimestamp(51), want: "unwritten {2, 51}"},
		{row: "157", name: "timestamp equal to until", given: at(50), req: withUntil(fromTimestamp(50), 50), want: "invalid"},
		{row: "157", name: "timestamp above until", given: at(50), req: withUntil(fromTimestamp(51), 50), want: "invalid"},
		{row: "159", name: "no start is the tail", given: at(50), want: "unwritten {1, 50}"},
		{row: "246", name: "below the first surviving record", given: many(5), trimmed: 3, req: fromSeq(0), want: "[3 4]"},
		{row: "247", name: "start below the tail with everything gone", given: many(5), trimmed: 5, req: withCount(fromSeq(0), 10), want: "[]"},
		{row: "-", name: "timestamp between a trimmed and a surviving record", given: at(10, 20, 30), trimmed: 2, req: fromTimestamp(15), want: "[2]"},
		{row: "-", name: "unknown start", req: protocol.ReadRequest{Start: protocol.Start{Kind: 9}}, want: "invalid"},
	})
}

// Appendix A.8: where a session starts.
func TestSessionStart(t *testing.T) {
	testSession(t, []readCase{
		{row: "134", name: "beyond the tail though unbounded", given: at(7), req: fromSeq(100), want: "refused: unwritten {1, 7}"},
		{row: "137", name: "clamped, unbounded, wait 0", given: at(7), req: waiting(clamped(fromSeq(100)), 0), want: "end"},
		{row: "140", name: "at the tail, bounded, wait 0", given: at(7), req: waiting(withCount(fromSeq(1), 10), 0), want: "refused: unwritten {1, 7}"},
		{row: "151", name: "timestamp 0 on an empty stream, bounded", req: withCount(fromTimestamp(0), 10), want: "refused: unwritten {0, 0}"},
		{row: "153", name: "timestamp with everything trimmed", given: at(50, 51), trimmed: 2, req: withCount(fromTimestamp(51), 1), want: "refused: unwritten {2, 51}"},
	})

	inBubble(t, "138 clamped and unbounded stays open", func(t *testing.T) {
		s := openRead(t, newMem(at(7)...), clamped(fromSeq(10)), steady)
		s.expect(t, "0s beat {1, 7}", "10s beat {1, 7}", "20s beat {1, 7}")
	})

	inBubble(t, "154 a clamped timestamp does not filter", func(t *testing.T) {
		m := newMem(at(7)...)
		s := openRead(t, m, clamped(fromTimestamp(1000)), steady)
		s.expect(t, "0s beat {1, 7}")
		m.put(at(8)...)
		s.expect(t, "0s [1] tail {2, 8}")
	})
}

// Row 158, as far as sessions know of it: the message is contractual, and the stream is not touched.
func TestContradictionIsFoundBeforeTheStream(t *testing.T) {
	m := newMem()
	m.stop(errGone)
	for name, open := range map[string]func() error{
		"unary": func() error {
			_, err := readUnary(t, m, withUntil(fromTimestamp(5), 5))
			return err
		},
		"session": func() error {
			_, err := sessions.OpenRead(t.Context(), nil, withUntil(fromTimestamp(5), 5), sessions.ReadOptions{})
			return err
		},
	} {
		err := open()
		if protocol.CodeOf(err) != protocol.CodeInvalid || !strings.Contains(err.Error(), "start `timestamp` exceeds or equal to `until`") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
