package client_test

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats-server/v2/server/ats"
	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/protocol"
)

func TestMain(m *testing.M) {
	// The server's shared clock must start outside of every synctest bubble, or time in the bubble stands still.
	ats.Register()
	os.Exit(m.Run())
}

var ref = protocol.StreamRef{Basin: "demo-basin", Stream: "a/b"}

// script is a door played by the test: it receives what the client sends and says what the test tells it to.
type script struct {
	t    *testing.T
	srv  *server.Server
	nc   *nats.Conn // of the door
	cnc  *nats.Conn // of the client
	reqs chan *nats.Msg
	acks chan *nats.Msg
	opts client.Options
	*client.Client
}

// newScript takes reads and appends, and the messages of sessions.
func newScript(t *testing.T, opts client.Options) *script {
	t.Helper()
	srv, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(time.Minute) {
		t.Fatal("the server did not start")
	}
	connect := func() *nats.Conn {
		nc, err := nats.Connect("", nats.InProcessServer(srv), nats.NoReconnect(), nats.PingInterval(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return nc
	}
	s := &script{t: t, srv: srv, nc: connect(), cnc: connect(), reqs: make(chan *nats.Msg, 100), acks: make(chan *nats.Msg, 1000), opts: opts}
	s.Client = client.New(s.cnc, opts)
	for subject, ch := range map[string]chan *nats.Msg{"s2.v1.read.>": s.reqs, "s2.v1.append.>": s.reqs, "session.>": s.acks} {
		if _, err := s.nc.ChanSubscribe(subject, ch); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.nc.FlushWithContext(s.soon()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.cnc.Close()
		s.nc.Close()
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	return s
}

// soon is a context for what should take no time.
func (s *script) soon() context.Context {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute) // only a hang fails
	s.t.Cleanup(cancel)
	return ctx
}

// request returns the next request and its options.
func (s *script) request() (*nats.Msg, string) {
	s.t.Helper()
	select {
	case m := <-s.reqs:
		return m, string(m.Data)
	case <-s.t.Context().Done():
		s.t.Fatal("no request")
		return nil, ""
	}
}

// nothing fails if there is another request.
func (s *script) nothing() {
	s.t.Helper()
	select {
	case m := <-s.reqs:
		s.t.Fatalf("an unexpected request: %s", m.Data)
	default:
	}
}

func (s *script) send(m *nats.Msg) {
	s.t.Helper()
	if err := s.nc.PublishMsg(m); err != nil {
		s.t.Error(err)
	}
}

// frame sends a frame of a read session with optional records, from seq_num first, and tail.
func (s *script) frame(inbox, kind string, seq int, records, first int, tail *protocol.Position) {
	s.t.Helper()
	var recs []protocol.SequencedRecord
	for i := range records {
		recs = append(recs, protocol.SequencedRecord{SeqNum: uint64(first + i), Body: []byte("xx")})
	}
	m := &nats.Msg{Subject: inbox, Reply: "session.x." + strconv.Itoa(seq), Header: nats.Header{
		"S2-Frame": {kind}, "S2-Seq": {strconv.Itoa(seq)},
	}}
	if kind == "batch" || kind == "heartbeat" {
		m.Data = protocol.MarshalReadBatch(&protocol.ReadBatch{Records: protocol.RecordsOf(recs...), Tail: tail})
	}
	s.send(m)
}

// fail sends a failure, within a session if kind is set.
func (s *script) fail(inbox, kind string, seq int, e *protocol.Error) {
	s.t.Helper()
	m := &nats.Msg{Subject: inbox, Data: e.Body(), Header: nats.Header{
		"Nats-Service-Error": {"x"}, "Nats-Service-Error-Code": {strconv.Itoa(e.Status())},
	}}
	if kind != "" {
		m.Header.Set("S2-Frame", kind)
		m.Header.Set("S2-Seq", strconv.Itoa(seq))
	}
	s.send(m)
}

// serveAppend opens an append session, once it is asked for. It runs beside the test.
func (s *script) serveAppend() {
	select {
	case m := <-s.reqs:
		data := []byte(`{"subject":"session.a","id":"a","window":1048576}`)
		s.send(&nats.Msg{Subject: m.Reply, Data: data, Header: nats.Header{"S2-Frame": {"open"}}})
	case <-s.t.Context().Done():
		s.t.Error("no request")
	}
}

// input returns the next message of a kind that the client sent into an append session.
func (s *script) input(kind string) *nats.Msg {
	s.t.Helper()
	for {
		select {
		case m := <-s.acks:
			if m.Header.Get("S2-Frame") == kind {
				return m
			}
		case <-s.t.Context().Done():
			s.t.Fatal("no input")
		}
	}
}

// ack answers an input.
func (s *script) ack(inbox string, seq int) {
	s.t.Helper()
	n := uint64(seq)
	s.send(&nats.Msg{Subject: inbox, Header: nats.Header{"S2-Frame": {"ack"}, "S2-Seq": {strconv.Itoa(seq)}},
		Data: protocol.MarshalAppendAck(protocol.AppendAck{Start: protocol.Position{SeqNum: n - 1}, End: protocol.Position{SeqNum: n}})})
}

func codeOf(err error) protocol.Code { return protocol.CodeOf(err) }

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func ptr[T any](v T) *T { return &v }
