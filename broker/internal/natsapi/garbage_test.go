package natsapi_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker/internal/natsapi"
	"github.com/weirstream/weir/protocol"
)

// subjects are all that the door listens on.
var subjects = []string{
	"basin.list", "basin.create", "basin.create.", "basin.ensure.", "basin.get.", "basin.reconfigure.", "basin.delete.",
	"stream.list.", "stream.create.", "stream.ensure.", "stream.get.", "stream.reconfigure.", "stream.delete.",
	"append.", "read.", "tail.",
}

// FuzzDoor: every message that NATS delivers is answered, and the door lives on.
func FuzzDoor(f *testing.F) {
	f.Add(uint(13), "demo-basin.greetings", "S2-Session", "append", []byte("x"))
	f.Add(uint(14), "demo-basin.%", "S2-Window", "99999999999999999999", []byte(`{"count":-1}`))
	f.Add(uint(1), "demo-basin.x.y", "S2-Timeout", "18446744073709551615", []byte(`{"basin":null}`))
	f.Add(uint(5), "demo-basin", "S2-Timeout", "0", []byte(`{"stream_cipher":7}`))
	e := newEnv(f, natsapi.Options{})
	f.Fuzz(func(t *testing.T, n uint, target, name, value string, body []byte) {
		subject := "s2.v1." + subjects[n%uint(len(subjects))]
		if strings.HasSuffix(subject, ".") {
			subject += target
		}
		if strings.HasSuffix(subject, ".") || strings.Contains(subject, "..") || strings.ContainsAny(subject, " \t\r\n\x00*>\f\v") {
			t.Skip("no subject")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		m := &nats.Msg{Subject: subject, Data: body, Header: nats.Header{"S2-Timeout": {"1000"}}}
		m.Header[name] = append(m.Header[name], value)
		answer, err := e.nc.RequestMsgWithContext(ctx, m)
		if errors.Is(err, nats.ErrBadHeaderMsg) {
			t.Skip("no header") // nats.go does not send it
		}
		if err != nil {
			t.Fatalf("%q: %v", subject, err)
		}
		if code := answer.Header.Get(protocol.HeaderServiceErrorCode); code == "500" {
			t.Fatalf("%q: %s", subject, answer.Data)
		}
	})
}

// A flood of garbage into every subject and into the subjects of live sessions leaves others unharmed.
func TestGarbageFlood(t *testing.T) {
	e := newEnv(t, natsapi.Options{})
	victim := e.appender(t)
	r := e.reader(t, "")
	r.expect("open", 0)
	r.expect("heartbeat", 1)

	names := []string{"S2-Seq", "S2-Frame", "S2-Session", "S2-Window", "Content-Type", "S2-Format", "S2-Timeout", "S2-Match-Seq-Num", "x"}
	values := []string{"", "-1", "1", "18446744073709551616", "read", "append", "input", "end", "application/json", "application/protobuf", "base64", "\x01"}
	targets := []string{"demo-basin", "demo-basin.other", "demo-basin.a.%2F.%zz", "x", "%", "demo-basin.$x", strings.Repeat("a", 2000)}
	bodies := [][]byte{nil, {0}, []byte("{"), []byte(`{"records":[{"headers":[[]]}]}`), []byte(`{"seq_num":1e99}`), make([]byte, 3<<20)}
	nc := e.connect()
	defer nc.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	pick := func(from []string) string { return from[rng.IntN(len(from))] }
	sessionRoot := victim.subject[:strings.LastIndexByte(strings.TrimSuffix(victim.subject, ".in"), '.')]
	for i := range 5000 {
		m := &nats.Msg{Subject: "s2.v1." + pick(subjects), Reply: "garbage.answers", Header: nats.Header{pick(names): {pick(values)}}}
		if strings.HasSuffix(m.Subject, ".") {
			m.Subject += pick(targets)
		}
		if i%3 == 0 {
			m.Subject = sessionRoot + "." + pick([]string{"x.y", "0.0", "unknown.18446744073709551616"})
		}
		if i%97 == 0 {
			m.Data = bodies[rng.IntN(len(bodies))]
		} else {
			m.Data = bodies[rng.IntN(len(bodies)-1)]
		}
		if err := nc.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := nc.FlushWithContext(ctx); err != nil {
		t.Fatal(err)
	}
	victim.send("", 1, "unharmed")
	victim.expect("ack", 1)
	m := r.expect("batch", 2)
	if !strings.Contains(string(m.Data), "unharmed") {
		t.Errorf("batch: %s", m.Data)
	}
	tail := must[protocol.StreamTail](t)(e.client().CheckTail(t.Context(), greetings))
	equal(t, "tail", tail.SeqNum, 1)
}
