package sessions_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/sessions"
)

func TestAppendSessionBackpressure(t *testing.T) {
	kib := protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, 1016)}}} // 1024 metered

	inBubble(t, "bytes in flight", func(t *testing.T) {
		m := newMem()
		m.manual = true
		s := openAppend(t, m, sessions.AppendOptions{MaxInflightBytes: 2048})
		s.submit(t, kib, kib)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Submit(ctx, kib); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a third KiB: %v", err)
		}
		after(time.Second, func() { m.commit(1) })
		start := time.Now()
		s.submit(t, kib)
		if time.Since(start) != time.Second {
			t.Errorf("waited %v", time.Since(start))
		}
		m.commit(2)
		s.closeSend(t)
		s.expect(t, "[0,1)", "[1,2)", "[2,3)", "end")
	})

	inBubble(t, "one input always passes", func(t *testing.T) {
		s := openAppend(t, newMem(), sessions.AppendOptions{MaxInflightBytes: 1})
		s.submit(t, kib, kib)
		s.expect(t, "[0,1)", "[1,2)")
	})

	inBubble(t, "acks that nobody receives", func(t *testing.T) {
		s := openAppend(t, newMem(), sessions.AppendOptions{MaxPending: 2})
		s.submit(t, kib, kib)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Submit(ctx, kib); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a third pending: %v", err)
		}
		s.expect(t, "[0,1)")
		s.submit(t, kib)
		s.expect(t, "[1,2)", "[2,3)")
	})

	inBubble(t, "waiting submitters keep their order", func(t *testing.T) {
		m := newMem()
		m.manual = true
		s := openAppend(t, m, sessions.AppendOptions{MaxInflightBytes: 1})
		var want []string
		for i := range 64 {
			body := fmt.Sprint(i)
			want = append(want, body)
			go func() {
				if err := s.Submit(t.Context(), input(body)); err != nil {
					t.Error(err)
				}
			}()
			synctest.Wait() // each is in line before the next comes
		}
		for range 64 {
			m.commit(1)
			synctest.Wait()
		}
		if got := bodies(t, m); got != strings.Join(want, " ") {
			t.Error(got)
		}
	})
}

func TestAppendSessionContexts(t *testing.T) {
	inBubble(t, "a context that ends after Submit does not drop the input", func(t *testing.T) {
		m := newMem()
		m.manual = true
		s := openAppend(t, m, sessions.AppendOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		if err := s.Submit(ctx, input("a")); err != nil {
			t.Fatal(err)
		}
		cancel()
		synctest.Wait()
		m.commit(1)
		s.expect(t, "[0,1)")
	})

	inBubble(t, "a context that ends in the stream's budget leaves the session open", func(t *testing.T) {
		m := newMem()
		m.manual, m.budget = true, 1
		s := openAppend(t, m, sessions.AppendOptions{})
		s.submit(t, input("a"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Submit(ctx, input("b")); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		m.commit(1)
		s.submit(t, input("c"))
		m.commit(1)
		s.closeSend(t)
		s.expect(t, "[0,1)", "[1,2)", "end")
	})

	inBubble(t, "a drop by the stream is told as its own failure", func(t *testing.T) {
		m := newMem()
		m.hook = func(ctx context.Context, op string) error {
			if op == "submit" {
				<-ctx.Done() // the input is queued at the moment its context ends
			}
			return nil
		}
		s := openAppend(t, m, sessions.AppendOptions{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Submit(ctx, input("a")); err != nil {
			t.Fatal(err)
		}
		s.expect(t, "client_hangup")
		if m.tail.SeqNum != 0 {
			t.Error(m.tail)
		}
	})

	inBubble(t, "Recv gives up and can be called again", func(t *testing.T) {
		m := newMem()
		m.manual = true
		s := openAppend(t, m, sessions.AppendOptions{})
		s.submit(t, input("a"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Recv(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		m.commit(1)
		s.expect(t, "[0,1)")
	})
}

func TestAppendSessionClose(t *testing.T) {
	inBubble(t, "Close interrupts Submit and Recv", func(t *testing.T) {
		m := newMem()
		m.manual, m.budget = true, 1
		s := openAppend(t, m, sessions.AppendOptions{})
		s.submit(t, input("a"))
		var errs []error
		failed := make(chan error)
		for range 2 { // one waits in the stream's budget, one behind it
			go func() { failed <- s.Submit(t.Context(), input("b")) }()
		}
		go func() {
			_, err := s.Recv(t.Context())
			failed <- err
		}()
		synctest.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		for range 3 {
			errs = append(errs, <-failed)
		}
		errs = append(errs, s.Submit(t.Context(), input("c")))
		if slices.ContainsFunc(errs, func(err error) bool { return protocol.CodeOf(err) != protocol.CodeClientHangup }) {
			t.Errorf("got %v", errs)
		}
		m.checkHeld(t, 0)
		// What was handed over goes on.
		m.commit(m.queued())
		if m.tail.SeqNum != 1 {
			t.Error(m.tail)
		}
	})

	inBubble(t, "CloseSend refuses a Submit that waits", func(t *testing.T) {
		m := newMem()
		m.manual = true
		s := openAppend(t, m, sessions.AppendOptions{MaxInflightBytes: 1})
		s.submit(t, input("a"))
		failed := make(chan error)
		go func() { failed <- s.Submit(t.Context(), input("b")) }()
		synctest.Wait()
		s.closeSend(t)
		if err := <-failed; protocol.CodeOf(err) != protocol.CodeInvalid {
			t.Error(err)
		}
		if err := s.Submit(t.Context(), input("c")); protocol.CodeOf(err) != protocol.CodeInvalid {
			t.Error(err)
		}
		m.commit(1)
		s.expect(t, "[0,1)", "end")
	})

	inBubble(t, "poison refuses a Submit that waits", func(t *testing.T) {
		m := newMem()
		m.manual = true
		s := openAppend(t, m, sessions.AppendOptions{MaxInflightBytes: 1})
		s.submit(t, matching(input("a"), 5))
		failed := make(chan error)
		go func() { failed <- s.Submit(t.Context(), input("b")) }()
		synctest.Wait()
		m.commit(1)
		if err := <-failed; protocol.CodeOf(err) != protocol.CodeInvalid {
			t.Error(err)
		}
		s.expect(t, "seq_num_mismatch 0")
	})
}
