package faults

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/subject"
)

// subjects of the service with its default prefix.
const subjects = subject.Prefix("")

// raw is a session over NATS without a client in between: what the door sends, as it comes.
type raw struct {
	nc    *nats.Conn
	inbox string
	msgs  chan *nats.Msg
	sub   *nats.Subscription
}

// openRaw opens a read session.
func openRaw(t testing.TB, nc *nats.Conn, ref protocol.StreamRef, body string, head nats.Header) *raw {
	t.Helper()
	r := &raw{nc: nc, inbox: nc.NewInbox(), msgs: make(chan *nats.Msg, 1<<16)}
	var err error
	r.sub, err = nc.ChanSubscribe(r.inbox, r.msgs)
	must(t, err)
	h := nats.Header{protocol.HeaderSession: {protocol.SessionRead}}
	maps.Copy(h, head)
	must(t, nc.PublishMsg(&nats.Msg{Subject: subjects.Records("read", ref), Reply: r.inbox, Header: h, Data: []byte(body)}))
	if m := r.next(t); m.Header.Get(protocol.HeaderFrame) != protocol.FrameOpen {
		t.Fatalf("the session began with %v: %s", m.Header, m.Data)
	}
	return r
}

// next returns the next frame.
func (r *raw) next(t testing.TB) *nats.Msg {
	t.Helper()
	select {
	case m := <-r.msgs:
		return m
	case <-time.After(patience):
		t.Fatal("the door fell silent")
		return nil
	}
}

// drainToEnd reads frames, acknowledging none, until the session's end, and returns the code that it gives.
func (r *raw) drainToEnd(t testing.TB) protocol.Code {
	t.Helper()
	for {
		if m := r.next(t); m.Header.Get(protocol.HeaderFrame) == protocol.FrameEnd {
			return codeOfAnswer(m)
		}
	}
}

// codeOfAnswer is the code of the failure that a message tells, "" for none.
func codeOfAnswer(m *nats.Msg) protocol.Code {
	if e := failureOf(m); e != nil {
		return e.Code
	}
	return ""
}

// failureOf is the failure that a message tells, or nil.
func failureOf(m *nats.Msg) *protocol.Error {
	var status int
	for _, c := range m.Header.Get(protocol.HeaderServiceErrorCode) {
		status = 10*status + int(c-'0')
	}
	if status == 0 {
		return nil
	}
	return protocol.ParseError(status, m.Data)
}

// ask sends a request and waits for one answer.
func ask(t testing.TB, nc *nats.Conn, m *nats.Msg) *nats.Msg {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	answer, err := nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		t.Fatalf("request to %.80s: %v", m.Subject, err)
	}
	return answer
}
