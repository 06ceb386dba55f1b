package natsapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker/internal/natsapi"
	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/protocol"
)

// reader reads a session by hand.
type reader struct {
	t     *testing.T
	e     *env
	sub   *nats.Subscription
	inbox string
}

func (e *env) reader(t *testing.T, options string, head ...string) *reader {
	t.Helper()
	r := &reader{t: t, e: e, inbox: e.nc.NewInbox()}
	r.sub = must[*nats.Subscription](t)(e.nc.SubscribeSync(r.inbox))
	m := &nats.Msg{Subject: "s2.v1.read.demo-basin.greetings", Reply: r.inbox, Data: []byte(options), Header: nats.Header{"S2-Session": {"read"}}}
	for i := 0; i < len(head); i += 2 {
		m.Header.Set(head[i], head[i+1])
	}
	if err := e.nc.PublishMsg(m); err != nil {
		t.Fatal(err)
	}
	return r
}

// next returns the next frame within a minute.
func (r *reader) next() *nats.Msg {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	return must[*nats.Msg](r.t)(r.sub.NextMsgWithContext(ctx))
}

// expect reads a frame of a kind and number.
func (r *reader) expect(kind string, seq int) *nats.Msg {
	r.t.Helper()
	m := r.next()
	if m.Header.Get("S2-Frame") != kind || m.Header.Get("S2-Seq") != strconv.Itoa(seq) {
		r.t.Fatalf("got frame %s %s, want %s %d: %s", m.Header.Get("S2-Frame"), m.Header.Get("S2-Seq"), kind, seq, m.Data)
	}
	return m
}

func (e *env) fill(n, size int) {
	for i := range n {
		in := body(strings.Repeat("x", size))
		in.Records[0].Timestamp = ptr(uint64(i))
		must[protocol.AppendAck](e.t)(e.svc.Append(e.t.Context(), greetings, in))
	}
}

func TestReadSessionByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, natsapi.Options{})
		e.fill(3, 1)
		r := e.reader(t, `{"seq_num":1,"count":2}`)
		r.expect("open", 0)
		m := r.expect("batch", 1)
		equal(t, "batch", string(m.Data), `{"records":[{"seq_num":1,"timestamp":1,"body":"x"},{"seq_num":2,"timestamp":2,"body":"x"}],"tail":{"seq_num":3,"timestamp":2}}`)
		m = r.expect("end", 2)
		equal(t, "clean", failure(m).Code, "")

		r = e.reader(t, ``)
		r.expect("open", 0)
		m = r.expect("heartbeat", 1)
		equal(t, "heartbeat", string(m.Data), `{"records":[],"tail":{"seq_num":3,"timestamp":2}}`)
		e.request("s2.v1.append.demo-basin.greetings", "live")
		m = r.expect("batch", 2)
		equal(t, "live", string(m.Data), `{"records":[{"seq_num":3,"timestamp":2,"body":"live"}],"tail":{"seq_num":4,"timestamp":2}}`)
		cancel := &nats.Msg{Subject: m.Reply, Header: nats.Header{"S2-Frame": {"cancel"}}}
		if err := e.nc.PublishMsg(cancel); err != nil {
			t.Fatal(err)
		}
		m = r.expect("end", 3)
		equal(t, "cancelled", string(failure(m).Code), "client_hangup")

		r = e.reader(t, `{"seq_num":9}`)
		m = r.next()
		equal(t, "beyond the tail", string(m.Data), `{"tail":{"seq_num":4,"timestamp":2}}`)
		equal(t, "no frame", m.Header.Get("S2-Frame"), "")
	})
}

func TestReaderThatNeverAcknowledges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, natsapi.Options{})
		e.fill(100, 100<<10)
		began := time.Now()
		r := e.reader(t, `{"seq_num":0}`)
		r.expect("open", 0)
		bytes := 0
		for n := 1; ; n++ {
			m := r.next()
			if m.Header.Get("S2-Frame") == "end" {
				equal(t, "code", failure(m).Code, protocol.CodeClientHangup)
				break
			}
			bytes += len(m.Data)
		}
		if bytes > 2<<20 {
			t.Errorf("%d bytes unacknowledged", bytes)
		}
		equal(t, "lasted", time.Since(began), 30*time.Second)
	})
}

func TestAcknowledgementsOpenTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, natsapi.Options{})
		e.fill(100, 100<<10)
		r := e.reader(t, `{"seq_num":0,"count":100}`, "S2-Window", "1")
		r.expect("open", 0)
		frames := 0
		for {
			m := r.next()
			if m.Header.Get("S2-Frame") == "end" {
				equal(t, "code", failure(m).Code, "")
				break
			}
			frames++
			synctest.Wait()
			if pending, _, _ := r.sub.Pending(); pending > 0 && m.Header.Get("S2-Frame") == "batch" && frames < 10 {
				t.Fatalf("a frame beyond the window after frame %s", m.Header.Get("S2-Seq"))
			}
			time.Sleep(20 * time.Second) // slow, but alive
			for _, garbage := range []string{".x", ".99999", ".0", ".-1"} {
				_ = e.nc.Publish(m.Reply[:strings.LastIndexByte(m.Reply, '.')]+garbage, []byte("garbage"))
			}
			if err := e.nc.Publish(m.Reply, nil); err != nil {
				t.Fatal(err)
			}
		}
		equal(t, "frames", frames, 10)
	})
}

func TestVanishedFollowerIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, natsapi.Options{MaxSessions: 1})
		r := e.reader(t, "")
		r.expect("open", 0)
		r.expect("heartbeat", 1) // and never a word
		_, err := e.client().OpenReadSession(t.Context(), greetings, protocol.ReadRequest{})
		equal(t, "while it is there", codeOf(t, err), protocol.CodeRateLimited)
		time.Sleep(30*time.Second + 1)
		r = e.reader(t, "")
		r.expect("open", 0)
		if err := r.sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Second) // by then a heartbeat bounced
		for range 2 {
			s := must[protocol.ReadSession](t)(e.client().OpenReadSession(t.Context(), greetings, protocol.ReadRequest{}))
			s.Close()
			synctest.Wait()
		}
	})
}

func TestClientReadSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, natsapi.Options{})
		e.fill(10, 1<<10)
		s := must[protocol.ReadSession](t)(e.client().OpenReadSession(t.Context(), greetings,
			protocol.ReadRequest{Start: protocol.FromTail(4), Wait: ptr(30 * time.Second)}))
		defer s.Close()
		batch := must[protocol.ReadBatch](t)(s.Next(t.Context()))
		equal(t, "first", batch.Records.First().SeqNum, 6)
		equal(t, "count", batch.Records.Len(), 4)
		batch = must[protocol.ReadBatch](t)(s.Next(t.Context()))
		equal(t, "heartbeat", batch.Heartbeat(), true)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err := s.Next(ctx)
		cancel()
		equal(t, "impatient", codeOf(t, err), protocol.CodeRequestTimeout)
		e.fill(1, 1)
		batch = must[protocol.ReadBatch](t)(s.Next(t.Context()))
		equal(t, "live tail", *batch.Tail, protocol.Position{SeqNum: 11, Timestamp: 9})
		began := time.Now()
		for err = nil; err == nil; {
			_, err = s.Next(t.Context())
		}
		equal(t, "end", err, io.EOF)
		equal(t, "waited", time.Since(began), 30*time.Second)
		_, err = s.Next(t.Context())
		equal(t, "after the end", err, io.EOF)
	})
}

func TestCloseInterruptsNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, natsapi.Options{})
		s := must[protocol.ReadSession](t)(e.client().OpenReadSession(t.Context(), greetings, protocol.ReadRequest{}))
		must[protocol.ReadBatch](t)(s.Next(t.Context()))
		time.AfterFunc(time.Second, func() { s.Close() })
		_, err := s.Next(t.Context())
		equal(t, "closed", codeOf(t, err), protocol.CodeClientHangup)
	})
}

// A reader that does nothing for a while is cut off by the server and goes on as if nothing had happened.
func TestDawdlerResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, natsapi.Options{})
		e.fill(200, 100<<10)
		var next uint64
		for rec, err := range e.client().Records(t.Context(), greetings, protocol.ReadRequest{Start: protocol.FromSeqNum(0), Count: ptr(uint64(200))}) {
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "seq_num", rec.SeqNum, next)
			if next++; next%70 == 1 {
				time.Sleep(10 * time.Minute)
			}
		}
		equal(t, "records", next, 200)
	})
}

// Lost connections and moved servers leave neither gap nor duplicate.
func TestReaderSurvivesReconnectsAndDoors(t *testing.T) {
	e := newEnv(t, natsapi.Options{})
	rc := must[*nats.Conn](t)(nats.Connect("", nats.InProcessServer(e.srv), nats.ReconnectWait(time.Millisecond), nats.MaxReconnects(-1)))
	defer rc.Close()
	const records = 300
	ahead := make(chan struct{}, 5) // how far the appends are ahead of the reader: it is a follower all the way
	go func() {
		for i := range records {
			select {
			case ahead <- struct{}{}:
			case <-t.Context().Done():
				return
			}
			if _, err := e.svc.Append(context.Background(), greetings, body(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		}
	}()
	door := e.door
	var next uint64
	for rec, err := range client.New(rc, client.Options{}).Records(t.Context(), greetings, protocol.ReadRequest{
		Start: protocol.FromSeqNum(0), Count: ptr(uint64(records)), Wait: ptr(time.Minute),
	}) {
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "seq_num", rec.SeqNum, next)
		<-ahead
		switch next++; {
		case next == 50 || next == 51 || next == 150:
			if err := rc.ForceReconnect(); err != nil {
				t.Fatal(err)
			}
		case next == 100:
			another := must[*natsapi.Door](t)(natsapi.Serve(t.Context(), e.dnc, e.svc, natsapi.Options{}))
			defer another.Close(context.Background())
			if err := door.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	equal(t, "records", next, records)
}

func TestDrainEndsReadSessions(t *testing.T) {
	e := newEnv(t, natsapi.Options{})
	r := e.reader(t, "")
	r.expect("open", 0)
	r.expect("heartbeat", 1)
	if err := e.door.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := r.expect("end", 2)
	if !strings.Contains(string(m.Data), `"server_draining"`) {
		t.Errorf("end: %s", m.Data)
	}
}

// A door whose server stops serves what comes, says in each answer which server to leave, and ends what waits.
func TestLeave(t *testing.T) {
	e := newEnv(t, natsapi.Options{})
	r := e.reader(t, "")
	r.expect("open", 0)
	r.expect("heartbeat", 1)
	waited := make(chan *nats.Msg, 1)
	begun := make(chan struct{})
	e.svc.fail = func(string) error { close(begun); return nil }
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) // only a hang fails
		defer cancel()
		m, err := e.nc.RequestWithContext(ctx, "s2.v1.read.demo-basin.greetings", []byte(`{"seq_num":0,"wait":60}`))
		if err != nil {
			t.Error(err)
		}
		waited <- m
	}()
	<-begun
	e.svc.fail = nil
	e.door.Leave("server-1")
	m := r.expect("end", 2)
	equal(t, "end", failure(m).Code, protocol.CodeServerDraining)
	if m = <-waited; m != nil {
		equal(t, "a read that waits", failure(m).Code, protocol.CodeServerDraining)
		equal(t, "leave", m.Header.Get("S2-Leave"), "server-1")
	}
	m = e.request("s2.v1.append.demo-basin.greetings", `{"records":[{"body":"x"}]}`, "Content-Type", "application/json")
	equal(t, "append", failure(m).Code, "")
	equal(t, "leave", m.Header.Get("S2-Leave"), "server-1")
}

func TestDrainRefusesAndSettles(t *testing.T) {
	e := newEnv(t, natsapi.Options{})
	e.svc.gate = make(chan struct{})
	answer := make(chan error, 1)
	go func() {
		_, err := e.client().Append(context.Background(), greetings, body("x"))
		answer <- err
	}()
	e.svc.gate <- struct{}{} // the append has begun; it is answered while the door drains
	if err := e.door.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	equal(t, "append", codeOf(t, <-answer), "")
}

func TestDrainCancelsWhatDoesNotSettle(t *testing.T) {
	e := newEnv(t, natsapi.Options{})
	e.svc.gate = make(chan struct{})
	var opened = make(chan struct{})
	e.svc.fail = func(string) error { close(opened); return nil }
	answer := make(chan error, 1)
	go func() {
		_, err := e.client().Append(context.Background(), greetings, body("x"))
		answer <- err
	}()
	<-opened
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := e.door.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("close: %v", err)
	}
	equal(t, "append", codeOf(t, <-answer), protocol.CodeUnavailable)
}
