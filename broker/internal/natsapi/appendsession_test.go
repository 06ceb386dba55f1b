package natsapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker/internal/natsapi"
	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/protocol"
)

// appender writes a session by hand.
type appender struct {
	*reader
	subject string
}

func (e *env) appender(t *testing.T) *appender {
	t.Helper()
	var opened protocol.SessionOpened
	m := e.request("s2.v1.append.demo-basin.greetings", "", "S2-Session", "append")
	if err := json.Unmarshal(m.Data, &opened); err != nil {
		t.Fatal(err)
	}
	a := &appender{&reader{t: t, e: e, inbox: e.nc.NewInbox()}, opened.Subject}
	a.sub = must[*nats.Subscription](t)(e.nc.SubscribeSync(a.inbox))
	return a
}

func (a *appender) send(frame string, seq int, body string, head ...string) {
	a.t.Helper()
	m := &nats.Msg{Subject: a.subject, Reply: a.inbox, Data: []byte(body), Header: nats.Header{"S2-Seq": {strconv.Itoa(seq)}}}
	if frame != "" {
		m.Header.Set("S2-Frame", frame)
	}
	for i := 0; i < len(head); i += 2 {
		m.Header.Set(head[i], head[i+1])
	}
	if err := a.e.nc.PublishMsg(m); err != nil {
		a.t.Fatal(err)
	}
}

func (a *appender) expectEnd(seq int, code protocol.Code) {
	a.t.Helper()
	equal(a.t, "end", failure(a.expect("end", seq)).Code, code)
}

func TestAppendSessionByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, natsapi.Options{})
		a := e.appender(t)
		a.send("", 1, "one", "lang", "en")
		a.send("input", 2, `{"records":[{},{}]}`, "Content-Type", "application/json")
		equal(t, "ack", string(a.expect("ack", 1).Data),
			`{"start":{"seq_num":0,"timestamp":0},"end":{"seq_num":1,"timestamp":0},"tail":{"seq_num":1,"timestamp":0}}`)
		a.expect("ack", 2)
		a.send("ping", 2, "")
		equal(t, "answered", a.expect("pong", 2).Header.Get("S2-Acked"), "2")
		a.send("end", 2, "")
		a.expectEnd(3, "")
		synctest.Wait()
		a.send("ping", 2, "")
		equal(t, "over", string(failure(a.next()).Code), "unavailable")
		batch := must[protocol.ReadBatch](t)(e.svc.Read(t.Context(), greetings, protocol.ReadRequest{Start: protocol.FromSeqNum(0)}))
		equal(t, "records", batch.Records.Len(), 3)
		equal(t, "headers", len(batch.Records.Slice()[0].Headers), 1)
	})
}

func TestAppendSessionFailures(t *testing.T) {
	for _, c := range []struct {
		name string
		send func(a *appender)
		acks int
		want protocol.Code
	}{
		{"gap", func(a *appender) { a.send("", 1, "a"); a.send("", 3, "c"); a.send("", 2, "b") }, 1, protocol.CodeBadFrame},
		{"twice", func(a *appender) { a.send("", 1, "a"); a.send("", 1, "a") }, 1, protocol.CodeBadFrame},
		{"from 0", func(a *appender) { a.send("", 0, "a") }, 0, protocol.CodeBadFrame},
		{"ping shows a loss", func(a *appender) { a.send("", 1, "a"); a.send("ping", 2, "") }, 1, protocol.CodeBadFrame},
		{"end shows a loss", func(a *appender) { a.send("", 1, "a"); a.send("end", 2, "") }, 1, protocol.CodeBadFrame},
		{"unknown frame", func(a *appender) { a.send("", 1, "a"); a.send("ack", 2, "") }, 1, protocol.CodeBadFrame},
		{"negative number", func(a *appender) { a.send("", -1, "a") }, 0, protocol.CodeBadHeader},
		{"unknown header", func(a *appender) { a.send("", 1, "a", "S2-Nonsense", "x") }, 0, protocol.CodeBadHeader},
		{"garbage protobuf is bad_frame, 3.8 and 8.9", func(a *appender) {
			a.send("", 1, "a")
			a.send("", 2, "b")
			a.send("", 3, "\xff", "Content-Type", "application/protobuf")
			a.send("", 4, "d")
		}, 2, protocol.CodeBadFrame},
		{"invalid input after two good ones", func(a *appender) {
			a.send("", 1, "a")
			a.send("", 2, "b")
			a.send("", 3, `{"records":[]}`, "Content-Type", "application/json")
			a.send("", 4, "d")
		}, 2, protocol.CodeInvalid},
		{"failed condition poisons", func(a *appender) {
			a.send("", 1, "a")
			a.send("", 2, "b", "S2-Match-Seq-Num", "7")
			a.send("", 3, "c")
		}, 1, protocol.CodeConditionFailed},
		{"beyond the window", func(a *appender) {
			a.e.svc.streams[greetings].gate = make(chan struct{})
			for i := range 5 {
				a.send("", i+1, string(bytes.Repeat([]byte("x"), 1<<20-1<<10)))
			}
			synctest.Wait()
			close(a.e.svc.streams[greetings].gate)
		}, 4, protocol.CodeRateLimited},
		{"silence", func(a *appender) { a.send("", 1, "a"); time.Sleep(46 * time.Second) }, 1, protocol.CodeClientHangup},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnv(t, natsapi.Options{})
				a := e.appender(t)
				c.send(a)
				for i := range c.acks {
					a.expect("ack", i+1)
				}
				m := a.expect("end", c.acks+1)
				if c.want == protocol.CodeClientHangup {
					equal(t, "status", m.Header.Get("Nats-Service-Error-Code"), "499")
				} else {
					equal(t, "end", failure(m).Code, c.want)
				}
				tail := must[protocol.StreamTail](t)(e.svc.CheckTail(t.Context(), greetings))
				equal(t, "stored", tail.SeqNum, uint64(c.acks))
			})
		})
	}
}

// An appender that vanishes leaves what it sent, and its session ends by itself.
func TestVanishedAppender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, natsapi.Options{MaxSessions: 1})
		c := e.connect()
		s := must[protocol.AppendSession](t)(client.New(c, client.Options{}).OpenAppendSession(t.Context(), greetings))
		for range 3 {
			if err := s.Submit(t.Context(), body("x")); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		c.Close()
		_, err := e.client().OpenAppendSession(t.Context(), greetings)
		equal(t, "at once", codeOf(t, err), protocol.CodeRateLimited)
		time.Sleep(46 * time.Second)
		must[protocol.AppendSession](t)(e.client().OpenAppendSession(t.Context(), greetings)).Close()
		tail := must[protocol.StreamTail](t)(e.svc.CheckTail(t.Context(), greetings))
		equal(t, "stored", tail.SeqNum, 3)
	})
}

func TestClientAppendSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, natsapi.Options{})
		s := must[protocol.AppendSession](t)(e.client().OpenAppendSession(t.Context(), greetings))
		defer s.Close()
		const inputs = 50
		go func() { // 50 MB through a window of 4 MiB
			for i := range inputs {
				in := body(string(bytes.Repeat([]byte{'x'}, 1<<20-8)))
				in.MatchSeqNum = ptr(uint64(i))
				if err := s.Submit(t.Context(), in); err != nil {
					t.Error(err)
				}
			}
		}()
		for i := range inputs {
			ack := must[protocol.AppendAck](t)(s.Recv(t.Context()))
			equal(t, "start", ack.Start.SeqNum, uint64(i))
		}
		time.Sleep(10 * time.Minute) // pings keep it open
		in := body("late")
		if err := s.Submit(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		if err := s.CloseSend(); err != nil {
			t.Fatal(err)
		}
		equal(t, "late", must[protocol.AppendAck](t)(s.Recv(t.Context())).Start.SeqNum, inputs)
		for range 2 {
			_, err := s.Recv(t.Context())
			equal(t, "end", err, io.EOF)
		}
		if s.Submit(t.Context(), in) == nil {
			t.Error("submitted after CloseSend")
		}
	})
}

func TestClientAppendSessionWithoutInput(t *testing.T) {
	e := newEnv(t, natsapi.Options{})
	s := must[protocol.AppendSession](t)(e.client().OpenAppendSession(t.Context(), greetings))
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	_, err := s.Recv(t.Context())
	equal(t, "end", err, io.EOF)
}

func TestClientAppendSessionPoisoned(t *testing.T) {
	e := newEnv(t, natsapi.Options{})
	s := must[protocol.AppendSession](t)(e.client().OpenAppendSession(t.Context(), greetings))
	defer s.Close()
	for _, match := range []uint64{0, 0, 1} {
		in := body("x")
		in.MatchSeqNum = &match
		_ = s.Submit(t.Context(), in) // the session may be over by the third
	}
	equal(t, "first", must[protocol.AppendAck](t)(s.Recv(t.Context())).End.SeqNum, 1)
	for range 2 {
		_, err := s.Recv(t.Context())
		var e *protocol.Error
		if !errors.As(err, &e) || e.SeqNumMismatch == nil || *e.SeqNumMismatch != 1 {
			t.Errorf("got %v", err)
		}
	}
	tail := must[protocol.StreamTail](t)(e.svc.CheckTail(t.Context(), greetings))
	equal(t, "stored", tail.SeqNum, 1)
}

func TestClientAppendSessionTooLarge(t *testing.T) {
	e := newEnv(t, natsapi.Options{})
	s := must[protocol.AppendSession](t)(e.client().OpenAppendSession(t.Context(), greetings))
	defer s.Close()
	for _, size := range []int{1, 9 << 20, 1} {
		_ = s.Submit(t.Context(), body(string(make([]byte, size))))
	}
	equal(t, "first", must[protocol.AppendAck](t)(s.Recv(t.Context())).End.SeqNum, 1)
	_, err := s.Recv(t.Context())
	equal(t, "second", codeOf(t, err), protocol.CodeInvalid)
}

// A session that is idle moves to another server; one with unanswered inputs ends, with an error that tells that their
// outcome is not known.
func TestClientAppendSessionLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, natsapi.Options{})
		s := must[protocol.AppendSession](t)(e.client().OpenAppendSession(t.Context(), greetings))
		defer s.Close()
		if err := s.Submit(t.Context(), body("one")); err != nil {
			t.Fatal(err)
		}
		must[protocol.AppendAck](t)(s.Recv(t.Context()))

		e.dnc.Close() // the server is gone, and another comes
		e.dnc = e.connect()
		e.door = must[*natsapi.Door](t)(natsapi.Serve(t.Context(), e.dnc, e.svc, natsapi.Options{}))
		time.Sleep(time.Minute)
		if err := s.Submit(t.Context(), body("two")); err != nil {
			t.Fatal(err)
		}
		equal(t, "moved", must[protocol.AppendAck](t)(s.Recv(t.Context())).Start.SeqNum, 1)

		e.svc.streams[greetings].gate = make(chan struct{})
		if err := s.Submit(t.Context(), body("three")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		e.dnc.Close()
		_, err := s.Recv(t.Context())
		equal(t, "unknown", codeOf(t, err), protocol.CodeOther)
		if err := s.Submit(t.Context(), body("four")); err == nil {
			t.Error("submitted after the session was lost")
		}
		close(e.svc.streams[greetings].gate)
	})
}

func TestDrainAnswersAcceptedInputs(t *testing.T) {
	e := newEnv(t, natsapi.Options{})
	a := e.appender(t)
	e.svc.streams[greetings].gate = make(chan struct{})
	a.send("", 1, "one")
	a.send("", 2, "two")
	a.send("ping", 2, "")
	a.expect("pong", 2)
	closed := make(chan error)
	go func() { closed <- e.door.Close(context.Background()) }()
	close(e.svc.streams[greetings].gate)
	a.expect("ack", 1)
	a.expect("ack", 2)
	a.expectEnd(3, protocol.CodeServerDraining)
	if err := <-closed; err != nil {
		t.Error(err)
	}
}
