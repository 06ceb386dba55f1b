package natsapi_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats-server/v2/server/ats"
	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker/internal/natsapi"
	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/protocol"
)

func TestMain(m *testing.M) {
	// The server's shared clock must start outside of every synctest bubble, or time in the bubble stands still.
	ats.Register()
	os.Exit(m.Run())
}

const basin = protocol.BasinName("demo-basin")

var greetings = protocol.StreamRef{Basin: basin, Stream: "greetings"}

// env is a NATS server with a door in front of a service in memory.
type env struct {
	t    testing.TB
	srv  *server.Server
	svc  *memory
	door *natsapi.Door
	nc   *nats.Conn // of the test
	dnc  *nats.Conn // of the door
}

// newEnv runs everything in process and works in a bubble.
func newEnv(t testing.TB, opts natsapi.Options, change ...func(*server.Options)) *env {
	t.Helper()
	so := &server.Options{DontListen: true, NoSigs: true, NoLog: true, MaxPayload: 8 << 20}
	for _, c := range change {
		c(so)
	}
	srv, err := server.NewServer(so)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(time.Minute) {
		t.Fatal("the server did not start")
	}
	e := &env{t: t, srv: srv, svc: newMemory()}
	e.dnc, e.nc = e.connect(), e.connect()
	if e.door, err = natsapi.Serve(t.Context(), e.dnc, e.svc, opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.close)
	return e
}

// close ends everything; the door's connection first, because Close of the door drains, which a bubble does not bear.
func (e *env) close() {
	e.nc.Close()
	e.dnc.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // only a hang fails
	defer cancel()
	if err := e.door.Close(ctx); err != nil {
		e.t.Errorf("closing the door: %v", err)
	}
	e.srv.Shutdown()
	e.srv.WaitForShutdown()
}

func (e *env) connect() *nats.Conn {
	e.t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(e.srv), nats.NoReconnect(), nats.PingInterval(time.Hour))
	if err != nil {
		e.t.Fatal(err)
	}
	return nc
}

func (e *env) client() *client.Client { return client.New(e.nc, client.Options{}) }

// request sends one request, headers given as pairs, and returns the answer.
func (e *env) request(subject, body string, head ...string) *nats.Msg {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), time.Minute)
	defer cancel()
	m := &nats.Msg{Subject: subject, Data: []byte(body), Header: nats.Header{}}
	for i := 0; i < len(head); i += 2 {
		m.Header[head[i]] = append(m.Header[head[i]], head[i+1])
	}
	answer, err := e.nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		e.t.Fatalf("%s %s: %v", subject, body, err)
	}
	return answer
}

// failure returns the failure that an answer tells; its code is "" when it tells none.
func failure(m *nats.Msg) *protocol.Error {
	switch m.Header.Get(protocol.HeaderServiceErrorCode) {
	case "":
		return &protocol.Error{}
	case "400":
		return protocol.ParseError(400, m.Data)
	case "404":
		return protocol.ParseError(404, m.Data)
	case "409":
		return protocol.ParseError(409, m.Data)
	case "412":
		return protocol.ParseError(412, m.Data)
	case "416":
		return protocol.ParseError(416, m.Data)
	case "422":
		return protocol.ParseError(422, m.Data)
	case "429":
		return protocol.ParseError(429, m.Data)
	}
	return protocol.ParseError(503, m.Data)
}

func codeOf(t testing.TB, err error) protocol.Code {
	t.Helper()
	var e *protocol.Error
	if err != nil && !errors.As(err, &e) {
		t.Fatalf("not a *protocol.Error: %v", err)
	}
	return protocol.CodeOf(err)
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func body(s string) protocol.AppendInput {
	return protocol.AppendInput{Records: []protocol.Record{{Body: []byte(s)}}}
}

func ptr[T any](v T) *T { return &v }
