package client_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/protocol"
)

// stage is a NATS server with a port, and a door played by the test.
type stage struct {
	t    *testing.T
	srv  *server.Server
	nc   *nats.Conn // of the door
	reqs chan *nats.Msg
	ins  chan *nats.Msg // of an append session
}

func newStage(t *testing.T) *stage {
	t.Helper()
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(time.Minute) {
		t.Fatal("the server did not start")
	}
	s := &stage{t: t, srv: srv, reqs: make(chan *nats.Msg, 100), ins: make(chan *nats.Msg, 100)}
	if s.nc, err = nats.Connect(srv.ClientURL(), nats.NoReconnect()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.nc.Close()
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	for subject, ch := range map[string]chan *nats.Msg{"s2.v1.append.>": s.reqs, "session.>": s.ins} {
		if _, err := s.nc.ChanSubscribe(subject, ch); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return s
}

// next returns the next message of a channel.
func (s *stage) next(ch chan *nats.Msg) *nats.Msg {
	s.t.Helper()
	select {
	case m := <-ch:
		return m
	case <-time.After(time.Minute): // only a hang fails
		s.t.Fatal("no request")
		return nil
	}
}

// answer answers, and with leave tells the client to leave the server.
func (s *stage) answer(to *nats.Msg, m *nats.Msg, leave bool) {
	s.t.Helper()
	m.Subject = to.Reply
	if leave {
		if m.Header == nil {
			m.Header = nats.Header{}
		}
		m.Header[protocol.HeaderLeave] = []string{s.srv.ID()}
	}
	if err := s.nc.PublishMsg(m); err != nil {
		s.t.Fatal(err)
	}
}

func ackOf(n uint64) *nats.Msg {
	return &nats.Msg{Data: protocol.MarshalAppendAck(protocol.AppendAck{Start: protocol.Position{SeqNum: n}, End: protocol.Position{SeqNum: n + 1}})}
}

func refusalOf(e *protocol.Error) *nats.Msg {
	return &nats.Msg{Data: e.Body(), Header: nats.Header{protocol.HeaderServiceError: {"x"}, protocol.HeaderServiceErrorCode: {"503"}}}
}

// clientOf knows two servers, and begins with the first.
func clientOf(t *testing.T, a, b *stage) *client.Client {
	t.Helper()
	nc, err := nats.Connect(a.srv.ClientURL()+","+b.srv.ClientURL(), nats.DontRandomize())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return client.New(nc, client.Options{Timeout: time.Minute})
}

func appendOne(c *client.Client) <-chan uint64 {
	seq := make(chan uint64, 1)
	go func() {
		ack, err := c.Append(context.Background(), ref, input())
		if err != nil {
			ack.Start.SeqNum = 999
		}
		seq <- ack.Start.SeqNum
	}()
	return seq
}

// A client that is told to leave its server waits for the answers that it is owed there, and sends what comes meanwhile to another server.
func TestLeaveLosesNoAnswer(t *testing.T) {
	a, b := newStage(t), newStage(t)
	c := clientOf(t, a, b)
	c.AwaitAnswers(time.Minute) // only a hang takes so long
	first, second := appendOne(c), appendOne(c)
	one, two := a.next(a.reqs), a.next(a.reqs)
	a.answer(one, ackOf(1), true)
	if x := <-either(first, second); x != 1 {
		t.Fatalf("the first answer is %d", x)
	}
	third := appendOne(c)
	time.Sleep(50 * time.Millisecond) // it must not come to a server meanwhile; that it does not is not a matter of time
	if len(a.reqs)+len(b.reqs) > 0 {
		t.Error("a request was sent while the client waits for an answer to leave")
	}
	a.answer(two, ackOf(2), true)
	if x := <-either(first, second); x != 2 {
		t.Errorf("the second answer is %d", x)
	}
	b.answer(b.next(b.reqs), ackOf(3), false)
	if x := <-third; x != 3 {
		t.Errorf("the third answer is %d", x)
	}
}

func either(a, b <-chan uint64) <-chan uint64 {
	one := make(chan uint64, 1)
	go func() {
		select {
		case x := <-a:
			one <- x
		case x := <-b:
			one <- x
		}
	}()
	return one
}

// A request that a server refused because it stops goes to another one.
func TestRefusedRequestGoesToAnotherServer(t *testing.T) {
	a, b := newStage(t), newStage(t)
	c := clientOf(t, a, b)
	done := appendOne(c)
	a.answer(a.next(a.reqs), refusalOf(protocol.Errorf(protocol.CodeServerDraining, "x")), true)
	b.answer(b.next(b.reqs), ackOf(7), false)
	if x := <-done; x != 7 {
		t.Errorf("the answer is %d", x)
	}
}

// An append session whose server stops sends the inputs that were not taken to another one, once and in order.
func TestSessionGoesToAnotherServer(t *testing.T) {
	a, b := newStage(t), newStage(t)
	c := clientOf(t, a, b)
	opened := &nats.Msg{Data: []byte(`{"subject":"session.a","id":"a","window":1048576}`), Header: nats.Header{"S2-Frame": {"open"}}}
	go func() { a.answer(a.next(a.reqs), opened, false) }()
	s, err := c.OpenAppendSession(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 3 {
		if err := s.Submit(t.Context(), input()); err != nil {
			t.Fatal(err)
		}
	}
	inputs := func(at *stage, n int) (last *nats.Msg) {
		t.Helper()
		for k := 1; k <= n; {
			if last = at.next(at.ins); last.Header.Get("S2-Frame") == "" {
				equal(t, "number", last.Header.Get("S2-Seq"), string('0'+rune(k)))
				k++
			}
		}
		return last
	}
	last := inputs(a, 3)
	ack := ackOf(0)
	ack.Header = nats.Header{"S2-Frame": {"ack"}, "S2-Seq": {"1"}}
	a.answer(last, ack, false)
	end := refusalOf(protocol.Errorf(protocol.CodeServerDraining, "x"))
	end.Header["S2-Frame"], end.Header["S2-Seq"] = []string{"end"}, []string{"2"}
	a.answer(last, end, true)
	b.answer(b.next(b.reqs), &nats.Msg{Data: opened.Data, Header: nats.Header{"S2-Frame": {"open"}}}, false)
	last = inputs(b, 2)
	for k := range 2 {
		ack := ackOf(uint64(1 + k))
		ack.Header = nats.Header{"S2-Frame": {"ack"}, "S2-Seq": {string('1' + rune(k))}}
		b.answer(last, ack, false)
	}
	for k := range uint64(3) {
		got, err := s.Recv(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "seq_num", got.Start.SeqNum, k)
	}
}
