package sessions_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/sessions"
)

// input makes an append of records with these bodies.
func input(bodies ...string) protocol.AppendInput {
	var in protocol.AppendInput
	for _, body := range bodies {
		in.Records = append(in.Records, protocol.Record{Body: []byte(body)})
	}
	return in
}

func matching(in protocol.AppendInput, seqNum uint64) protocol.AppendInput {
	in.MatchSeqNum = &seqNum
	return in
}

func fenced(in protocol.AppendInput, token string) protocol.AppendInput {
	in.FencingToken = &token
	return in
}

// conversation is an append session under test.
type conversation struct{ *sessions.Append }

func openAppend(t *testing.T, m *memStream, opts sessions.AppendOptions) conversation {
	t.Helper()
	held := m.held()
	a := sessions.OpenAppend(m.open(), opts)
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		m.checkHeld(t, held)
	})
	return conversation{a}
}

func (c conversation) submit(t *testing.T, ins ...protocol.AppendInput) {
	t.Helper()
	for i, in := range ins {
		if err := c.Submit(t.Context(), in); err != nil {
			t.Fatalf("Submit %d: %v", i, err)
		}
	}
}

func (c conversation) closeSend(t *testing.T) {
	t.Helper()
	if err := c.CloseSend(); err != nil {
		t.Errorf("CloseSend: %v", err)
	}
}

// receive returns the next output: "[0,2)", "end", or the error's code and facts.
func (c conversation) receive(t *testing.T) string {
	t.Helper()
	ack, err := c.Recv(t.Context())
	if failure, ok := errors.AsType[*protocol.Error](err); ok {
		switch {
		case failure.SeqNumMismatch != nil:
			return fmt.Sprintf("seq_num_mismatch %d", *failure.SeqNumMismatch)
		case failure.FencingTokenMismatch != nil:
			return fmt.Sprintf("fencing_token_mismatch %q", *failure.FencingTokenMismatch)
		}
	}
	if err != nil {
		return tell(protocol.ReadBatch{}, err)
	}
	if ack.Tail.SeqNum < ack.End.SeqNum {
		t.Errorf("the tail %v is behind the end %v", ack.Tail, ack.End)
	}
	return fmt.Sprintf("[%d,%d)", ack.Start.SeqNum, ack.End.SeqNum)
}

// expect checks the next outputs; the last is repeated if it is final.
func (c conversation) expect(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := c.receive(t); got != w {
			t.Fatalf("got %s, want %s", got, w)
		}
	}
	if last := want[len(want)-1]; !strings.HasPrefix(last, "[") {
		if got := c.receive(t); got != last {
			t.Errorf("after the end got %s, want %s again", got, last)
		}
	}
}

func bodies(t *testing.T, m *memStream) string {
	t.Helper()
	batch, err := readUnary(t, m, fromSeq(0))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for rec := range batch.Records.All() {
		all = append(all, string(rec.Body))
	}
	return strings.Join(all, " ")
}

// Appendix A.6. Each case runs with appends that are durable at once, after a while, and long after all are queued.
func TestAppendSession(t *testing.T) {
	for _, c := range []struct {
		row, name string
		given     int // records in the stream
		inputs    []protocol.AppendInput
		want      []string
		bodies    string
	}{
		{row: "94", name: "three inputs", inputs: []protocol.AppendInput{input("a"), input("b"), input("c")},
			want: []string{"[0,1)", "[1,2)", "[2,3)", "end"}, bodies: "a b c"},
		{row: "97", name: "inputs of 2 and 3 records", inputs: []protocol.AppendInput{input("a", "b"), input("c", "d", "e")},
			want: []string{"[0,2)", "[2,5)", "end"}, bodies: "a b c d e"},
		{row: "98", name: "matching seq_nums", inputs: []protocol.AppendInput{matching(input("a"), 0), matching(input("b"), 1)},
			want: []string{"[0,1)", "[1,2)", "end"}, bodies: "a b"},
		{row: "99", name: "mismatch at once", given: 1, inputs: []protocol.AppendInput{matching(input("a"), 0)},
			want: []string{"seq_num_mismatch 1"}, bodies: "\x00\x00"},
		{row: "100", name: "poison", inputs: []protocol.AppendInput{matching(input("a"), 0), matching(input("b"), 0), matching(input("c"), 1)},
			want: []string{"[0,1)", "seq_num_mismatch 1"}, bodies: "a"},
		{row: "101", name: "the empty token", inputs: []protocol.AppendInput{fenced(input("a"), ""), fenced(input("b"), "")},
			want: []string{"[0,1)", "[1,2)", "end"}, bodies: "a b"},
		{row: "102", name: "another token", inputs: []protocol.AppendInput{{Records: []protocol.Record{protocol.FenceRecord("mine")}}, fenced(input("b"), "yours")},
			want: []string{"[0,1)", `fencing_token_mismatch "mine"`}, bodies: "mine"},
		{row: "106", name: "input closed at once", given: 2, inputs: []protocol.AppendInput{input("a"), input("b"), input("c")},
			want: []string{"[2,3)", "[3,4)", "[4,5)", "end"}, bodies: "\x00\x00 \x00\x00 a b c"},
		{row: "107", name: "nothing after a failure", inputs: []protocol.AppendInput{matching(input("a"), 9), input("b"), input("c")},
			want: []string{"seq_num_mismatch 0"}},
	} {
		for _, durable := range []string{"at once", "later", "in the end"} {
			inBubble(t, fmt.Sprintf("%s %s, durable %s", c.row, c.name, durable), func(t *testing.T) {
				m := newMem(many(c.given)...)
				switch durable {
				case "later":
					m.latency = 10 * ms
				case "in the end":
					m.manual = true
				}
				s := openAppend(t, m, sessions.AppendOptions{})
				for _, in := range c.inputs {
					if err := s.Submit(t.Context(), in); err != nil && durable != "at once" {
						t.Fatal(err)
					}
				}
				s.closeSend(t)
				if m.manual {
					m.commit(m.queued())
				}
				s.expect(t, c.want...)
				synctest.Wait()
				time.Sleep(20 * ms)
				if c.bodies == "" {
					if m.tail.SeqNum != 0 {
						t.Errorf("the tail is %v", m.tail)
					}
					return
				}
				if got := bodies(t, m); got != c.bodies {
					t.Errorf("stored %q, want %q", got, c.bodies)
				}
			})
		}
	}

	inBubble(t, "96 no input", func(t *testing.T) {
		m := newMem()
		s := openAppend(t, m, sessions.AppendOptions{})
		s.closeSend(t)
		s.expect(t, "end")
		if m.tail.SeqNum != 0 {
			t.Error(m.tail)
		}
	})

	inBubble(t, "103 more than the budget", func(t *testing.T) {
		m := newMem()
		m.latency, m.budget = ms, 10<<20
		s := openAppend(t, m, sessions.AppendOptions{MaxInflightBytes: 64 << 20})
		big := protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, 1_000_000)}}}
		go func() {
			for range 50 {
				if err := s.Submit(t.Context(), big); err != nil {
					t.Error(err)
				}
			}
			s.closeSend(t)
		}()
		for i := range 50 {
			s.expect(t, fmt.Sprintf("[%d,%d)", i, i+1))
		}
		s.expect(t, "end")
	})

	inBubble(t, "104 pipelined", func(t *testing.T) {
		m := newMem()
		m.latency = 10 * ms
		s := openAppend(t, m, sessions.AppendOptions{})
		var want []string
		for i := range 32 {
			body := fmt.Sprint("r", i)
			want = append(want, body)
			s.submit(t, input(body))
		}
		var tail uint64
		for i := range 32 {
			ack, err := s.Recv(t.Context())
			if err != nil || ack.Start.SeqNum != uint64(i) || ack.Tail.SeqNum < max(tail, ack.End.SeqNum) {
				t.Fatalf("ack %d: %+v, %v", i, ack, err)
			}
			tail = ack.Tail.SeqNum
		}
		if got := bodies(t, m); got != strings.Join(want, " ") {
			t.Error(got)
		}
	})

	inBubble(t, "105 a pause between inputs", func(t *testing.T) {
		m := newMem()
		s := openAppend(t, m, sessions.AppendOptions{})
		s.submit(t, input("a"))
		s.expect(t, "[0,1)")
		time.Sleep(61 * time.Second)
		if m.unloadIdle() {
			t.Error("unloaded under an open session")
		}
		s.submit(t, input("b"))
		s.expect(t, "[1,2)")
	})

	inBubble(t, "109 an invalid input ends the input", func(t *testing.T) {
		m := newMem()
		m.manual = true
		s := openAppend(t, m, sessions.AppendOptions{})
		s.submit(t, input("a"), input("b"))
		if err := s.Submit(t.Context(), input()); protocol.CodeOf(err) != protocol.CodeInvalid {
			t.Errorf("Submit of an empty batch: %v", err)
		}
		if err := s.Submit(t.Context(), input("c")); protocol.CodeOf(err) != protocol.CodeInvalid {
			t.Errorf("Submit after an invalid input: %v", err)
		}
		// The reason is told after the acks, even though it was known first.
		after(time.Second, func() { m.commit(2) })
		start := time.Now()
		s.expect(t, "[0,1)", "[1,2)", "invalid")
		if time.Since(start) != time.Second || bodies(t, m) != "a b" {
			t.Errorf("after %v: %q", time.Since(start), bodies(t, m))
		}
	})

	inBubble(t, "109 a failure before an invalid input is the one told", func(t *testing.T) {
		m := newMem()
		m.manual = true
		s := openAppend(t, m, sessions.AppendOptions{})
		s.submit(t, input("a"), matching(input("b"), 7))
		if err := s.Submit(t.Context(), input()); err == nil {
			t.Error("an empty batch was taken")
		}
		m.commit(2)
		s.expect(t, "[0,1)", "seq_num_mismatch 1")
	})

	inBubble(t, "118 deletion while the session is open", func(t *testing.T) {
		m := newMem()
		s := openAppend(t, m, sessions.AppendOptions{})
		s.submit(t, input("a"))
		m.deleting = true
		s.submit(t, input("b"))
		s.expect(t, "[0,1)", "stream_deletion_pending")

		m.stop(errGone)
		s = openAppend(t, m, sessions.AppendOptions{})
		if err := s.Submit(t.Context(), input("c")); protocol.CodeOf(err) != protocol.CodeUnavailable {
			t.Error(err)
		}
		s.expect(t, "unavailable")
	})

	inBubble(t, "3.8.7 poison stays in its session", func(t *testing.T) {
		m := newMem()
		bad, good := openAppend(t, m, sessions.AppendOptions{}), openAppend(t, m, sessions.AppendOptions{})
		bad.submit(t, matching(input("a"), 9))
		good.submit(t, input("b"))
		bad.expect(t, "seq_num_mismatch 0")
		good.expect(t, "[0,1)")
		h := m.open()
		defer h.Close()
		if ack, err := sessions.AppendUnary(t.Context(), h, input("c")); err != nil || ack.End.SeqNum != 2 {
			t.Errorf("unary: %+v, %v", ack, err)
		}
	})
}

func TestAppendUnary(t *testing.T) {
	inBubble(t, "an invalid input does not reach the stream", func(t *testing.T) {
		if _, err := sessions.AppendUnary(t.Context(), nil, input()); protocol.CodeOf(err) != protocol.CodeInvalid {
			t.Error(err)
		}
	})

	inBubble(t, "A.2/49 a caller that gives up while it waits for room leaves nothing behind", func(t *testing.T) {
		m := newMem()
		m.manual, m.budget = true, 1
		s := openAppend(t, m, sessions.AppendOptions{})
		s.submit(t, input("a"))
		h := m.open()
		ctx, cancel := context.WithTimeout(t.Context(), 100*ms)
		defer cancel()
		if _, err := sessions.AppendUnary(ctx, h, input("b")); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		h.Close()
		m.commit(1)
		if got := bodies(t, m); got != "a" {
			t.Errorf("stored %q", got)
		}
	})

	inBubble(t, "A.2/50 the append goes on when the caller gives up", func(t *testing.T) {
		m := newMem()
		m.latency = time.Second
		h := m.open()
		ctx, cancel := context.WithTimeout(t.Context(), 100*ms)
		defer cancel()
		if _, err := sessions.AppendUnary(ctx, h, input("a")); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		h.Close()
		time.Sleep(time.Second)
		if got := bodies(t, m); got != "a" {
			t.Errorf("stored %q", got)
		}
	})

	inBubble(t, "120 the budget makes appends wait", func(t *testing.T) {
		m := newMem()
		m.manual, m.budget = true, 1
		h := m.open()
		defer h.Close()
		acks := make(chan error)
		for range 3 {
			go func() {
				_, err := sessions.AppendUnary(t.Context(), h, input("a"))
				acks <- err
			}()
		}
		for range 3 {
			synctest.Wait()
			m.commit(1)
			if err := <-acks; err != nil {
				t.Error(err)
			}
		}
		m.checkTail(t, 3)
	})

	inBubble(t, "failures are passed on", func(t *testing.T) {
		m := newMem()
		h := m.open()
		defer h.Close()
		if _, err := sessions.AppendUnary(t.Context(), h, matching(input("a"), 1)); protocol.CodeOf(err) != protocol.CodeConditionFailed {
			t.Error(err)
		}
		m.stop(errGone)
		if _, err := sessions.AppendUnary(t.Context(), h, input("a")); protocol.CodeOf(err) != protocol.CodeUnavailable {
			t.Error(err)
		}
	})
}

func (m *memStream) checkTail(t *testing.T, seqNum uint64) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tail.SeqNum != seqNum {
		t.Errorf("the tail is %v, want seq_num %d", m.tail, seqNum)
	}
}
