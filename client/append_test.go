package client_test

import (
	"context"
	"io"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/protocol"
)

func input() protocol.AppendInput {
	return protocol.AppendInput{Records: []protocol.Record{{Body: []byte("x")}}}
}

// appending opens a session on a script and submits n inputs, of which the script has received all.
func appending(t *testing.T, n int) (s *script, session protocol.AppendSession, inbox string) {
	t.Helper()
	s = newScript(t, client.Options{})
	go s.serveAppend()
	session, err := s.OpenAppendSession(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	inbox = s.input("ping").Reply
	for i := range n {
		if err := session.Submit(t.Context(), input()); err != nil {
			t.Fatal(err)
		}
		m := s.input("")
		equal(t, "number", m.Header.Get("S2-Seq"), strconv.Itoa(i+1))
	}
	return s, session, inbox
}

// However an answer gets lost, the outcome of what it answered is unknown.
func TestUnknownOutcome(t *testing.T) {
	for _, c := range []struct {
		name  string
		lose  func(s *script, inbox string)
		after time.Duration
	}{
		{"a later ack shows that one was lost", func(s *script, inbox string) { s.ack(inbox, 3) }, 0},
		{"a pong shows that an ack was lost", func(s *script, inbox string) {
			s.send(&nats.Msg{Subject: inbox, Header: nats.Header{"S2-Frame": {"pong"}, "S2-Seq": {"2"}, "S2-Acked": {"2"}}})
		}, 0},
		{"the server knows the session no more", func(s *script, inbox string) {
			s.fail(inbox, "end", 0, protocol.Errorf(protocol.CodeUnavailable, "x"))
		}, 0},
		{"the server says nothing", func(*script, string) {}, 30 * time.Second},
		{"the server is gone", func(s *script, _ string) { s.nc.Close() }, 10 * time.Second},
		{"a clean end with unanswered inputs", func(s *script, inbox string) { s.frame(inbox, "end", 2, 0, 0, nil) }, 0},
		{"the connection is closed", func(s *script, _ string) { s.cnc.Close() }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, session, inbox := appending(t, 3)
				s.ack(inbox, 1)
				if _, err := session.Recv(t.Context()); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				c.lose(s, inbox)
				for range 2 {
					_, err := session.Recv(t.Context())
					equal(t, "code", codeOf(err), protocol.CodeOther)
				}
				if took := time.Since(began); took > c.after {
					t.Errorf("took %v", took)
				}
				if session.Submit(t.Context(), input()) == nil {
					t.Error("a lost session takes inputs")
				}
			})
		})
	}
}

func TestFailureIsToldForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, session, inbox := appending(t, 2)
		s.ack(inbox, 1)
		s.fail(inbox, "end", 2, protocol.SeqNumMismatch(7))
		if _, err := session.Recv(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			_, err := session.Recv(t.Context())
			equal(t, "code", codeOf(err), protocol.CodeConditionFailed)
		}
	})
}

// An input that NATS has lost ends the session at the server, which stores none of those behind it: they go out again in another one. If that gets no further, its
// failure is the error of the session.
func TestLostInputIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, session, inbox := appending(t, 3)
		lost := func(inbox string, seq int) {
			s.fail(inbox, "end", seq, protocol.Errorf(protocol.CodeBadFrame, "expected input 2, got 3"))
		}
		s.ack(inbox, 1)
		lost(inbox, 2)
		s.serveAppend()
		var m *nats.Msg
		for _, number := range []string{"1", "2"} {
			m = s.input("")
			equal(t, "numbers begin again", m.Header.Get("S2-Seq"), number)
		}
		s.ack(m.Reply, 1)
		for range 2 {
			if _, err := session.Recv(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		lost(m.Reply, 2)
		s.serveAppend()
		m = s.input("")
		lost(m.Reply, 1)
		_, err := session.Recv(t.Context())
		equal(t, "code", codeOf(err), protocol.CodeBadFrame)
	})
}

// With nothing unanswered a lost server is not the user's business.
func TestIdleSessionMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, session, inbox := appending(t, 1)
		s.ack(inbox, 1)
		s.fail(inbox, "end", 2, protocol.Errorf(protocol.CodeServerDraining, "x"))
		if _, err := session.Recv(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.nothing()
		go s.serveAppend()
		if err := session.Submit(t.Context(), input()); err != nil {
			t.Fatal(err)
		}
		m := s.input("")
		equal(t, "numbers begin again", m.Header.Get("S2-Seq"), "1")
		s.ack(m.Reply, 1)
		if _, err := session.Recv(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.fail(m.Reply, "end", 2, protocol.Errorf(protocol.CodeServerDraining, "x"))
		synctest.Wait()
		if err := session.CloseSend(); err != nil {
			t.Fatal(err)
		}
		_, err := session.Recv(t.Context())
		equal(t, "end", err, io.EOF)
	})
}

// A Submit beyond the window waits for acks, and gives up with its context.
func TestSubmitWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, session, inbox := appending(t, 0)
		big := protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, 700<<10)}}}
		if err := session.Submit(t.Context(), big); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		equal(t, "impatient", codeOf(session.Submit(ctx, big)), protocol.CodeRequestTimeout)
		s.input("")
		time.AfterFunc(time.Second, func() { s.ack(inbox, 1) })
		if err := session.Submit(t.Context(), big); err != nil {
			t.Fatal(err)
		}
		equal(t, "number", s.input("").Header.Get("S2-Seq"), "2")
	})
}

// An end that got lost is announced again with the next ping.
func TestEndIsAnnouncedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, session, inbox := appending(t, 1)
		s.ack(inbox, 1)
		if err := session.CloseSend(); err != nil {
			t.Fatal(err)
		}
		s.input("end")
		s.input("end")
		s.frame(inbox, "end", 2, 0, 0, nil)
		if _, err := session.Recv(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := session.Recv(t.Context())
		equal(t, "end", err, io.EOF)
	})
}
