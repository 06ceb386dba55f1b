package adapter

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/adapter/internal/forward"
	"github.com/weirstream/weir/adapter/internal/lease"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// owner opens a broker that owns every log, with a stream in one of them that has a record.
func owner(t *testing.T) (h *harness, c *testClaims, s *Stream) {
	t.Helper()
	h = newHarness(t, func(o *Options) { o.Durability, o.Shared = protocol.DurabilityInterval, true })
	c = claimsFor(h)
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	h.mustAppend(ref, body("0"))
	s = h.handle(ref)
	t.Cleanup(s.Close)
	return h, c, s
}

// testLink hands requests to the owner of a log as another node does.
type testLink struct {
	t       *testing.T
	nc      *nats.Conn
	sub     *nats.Subscription
	subject string
	st      *stream
	frame   forward.Frame
	number  uint64 // of the last request
	answers uint64 // frames of answers received
}

func newTestLink(t *testing.T, h *harness, st *stream) *testLink {
	t.Helper()
	nc, err := h.opts.Connect("link")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	sub, err := nc.SubscribeSync(nats.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	return &testLink{t: t, nc: nc, sub: sub, subject: layout.Forward("s2", "n0", st.log.name), st: st, frame: forward.Frame{Link: nats.NewInbox(), Epoch: 1}}
}

// request is one of an appender; 0: it has none, and asks for the tail.
func (l *testLink) request(appender uint64, in protocol.AppendInput) forward.Request {
	l.number++
	q := forward.Request{Number: l.number, Kind: uint8(appendRequest), Stream: l.st.ref, ID: l.st.id, Appender: appender, Cost: in.MeteredSize(), Input: in}
	if appender == 0 {
		q.Kind = uint8(tailRequest)
	}
	return q
}

func (l *testLink) send(answered uint64, requests ...forward.Request) {
	l.t.Helper()
	l.frame.Number++
	l.frame.Answered, l.frame.Requests = answered, requests
	if err := l.nc.PublishRequest(l.subject, l.sub.Subject, l.frame.Encode(nil)); err != nil {
		l.t.Fatal(err)
	}
}

// next returns the next frame of answers.
func (l *testLink) next() forward.Answers {
	l.t.Helper()
	m, err := l.sub.NextMsg(time.Minute)
	if err != nil {
		l.t.Fatal(err)
	}
	a, err := forward.DecodeAnswers(m.Data)
	if err != nil {
		l.t.Fatal(err)
	}
	if a.Number > 0 {
		if l.answers++; a.Number != l.answers {
			l.t.Fatalf("frame %d of the answers has number %d", l.answers, a.Number)
		}
	}
	return a
}

// one returns the only answer of the next frame.
func (l *testLink) one() forward.Answer {
	l.t.Helper()
	a := l.next()
	if len(a.Answers) != 1 {
		l.t.Fatalf("%+v", a)
	}
	return a.Answers[0]
}

// What another node sent before it knew that an input of the same appender had failed is not stored, although nothing of the appender was
// unanswered any more. The owner knows of the appender until the other node has got the answer.
func TestInputBehindARefusedOneOfAnotherNode(t *testing.T) {
	h, _, s := owner(t)
	l := newTestLink(t, h, s.st)
	in, wrong := protocol.AppendInput{Records: []protocol.Record{body("x")}}, uint64(9)
	refused := in
	refused.MatchSeqNum = &wrong
	l.send(0, l.request(7, refused))
	if a := l.one(); a.Outcome != forward.Failed || a.Err.SeqNumMismatch == nil {
		t.Fatalf("the refused input: %+v", a)
	}
	l.send(0, l.request(7, in))
	if a := l.one(); a.Outcome != forward.Poisoned {
		t.Fatalf("the input behind it: %+v", a)
	}
	l.send(0, l.request(8, in))
	if a := l.one(); a.Outcome != forward.Done || a.Ack.Start.SeqNum != 1 {
		t.Fatalf("an input of another appender: %+v", a)
	}
	l.send(l.answers, l.request(8, in)) // the node has got all answers
	if a := l.one(); a.Outcome != forward.Done {
		t.Fatalf("another one: %+v", a)
	}
	l.send(l.answers, l.request(7, in)) // which no node does: the owner has forgotten the appender
	if a := l.one(); a.Outcome != forward.Done || a.Ack.Start.SeqNum != 3 {
		t.Fatalf("an input of an appender that was forgotten: %+v", a)
	}
	if n := len(h.read(s.st.ref, 0)); n != 4 {
		t.Errorf("%d records", n)
	}
}

// Any number of requests is answered in messages that are not too large.
func TestManyAnswersToAnotherNode(t *testing.T) {
	h, _, s := owner(t)
	l := newTestLink(t, h, s.st)
	const n = 3*answersPerFrame + 5
	var requests []forward.Request
	for range n {
		requests = append(requests, l.request(0, protocol.AppendInput{}))
	}
	l.send(0, requests...)
	for got := 0; got < n; {
		a := l.next()
		if len(a.Answers) > answersPerFrame || a.Received != 1 || a.Moved {
			t.Fatalf("%d answers, %d frames received, %v", len(a.Answers), a.Received, a.Moved)
		}
		for _, answer := range a.Answers {
			if got++; answer.Number != uint64(got) || answer.Outcome != forward.Done || answer.Newest == 0 {
				t.Fatalf("answer %d: %+v", got, answer)
			}
		}
	}
}

// The owner holds only so much for another node. What is over that has no effect.
func TestMoreThanALinkMayHold(t *testing.T) {
	h, c, s := owner(t)
	c.doubt(true)
	l := newTestLink(t, h, s.st)
	for range 3 {
		var requests []forward.Request
		for range maxLinkRequests {
			requests = append(requests, l.request(0, protocol.AppendInput{}))
		}
		l.send(0, requests...)
	}
	a := l.next()
	if len(a.Answers) > 0 || a.Received != 2 || !a.Moved {
		t.Fatalf("%d answers, %d frames received, moved: %v", len(a.Answers), a.Received, a.Moved)
	}
	if n := h.forwarded.held.Load(); n != 2*maxLinkRequests {
		t.Errorf("%d requests are held", n)
	}
	c.doubt(false)
	for got := 0; got < 2*maxLinkRequests; {
		got += len(l.next().Answers)
	}
	if n, bytes := h.forwarded.held.Load(), h.forwarded.bytes.Load(); n != 0 || bytes != 0 {
		t.Errorf("%d requests with %d bytes are held after all", n, bytes)
	}
}

// Requests that wait for the same stream to be opened may need different revisions of its configuration.
func TestRevisionsThatAnotherNodeKnows(t *testing.T) {
	h, _, s := owner(t)
	ref := h.stream(s.st.ref.Basin, "other", protocol.StreamConfig{})
	e, _, _ := h.catalog.View.Stream(ref)
	l := newTestLink(t, h, s.st)
	l.st = &stream{ref: ref, id: e.ID}
	in := protocol.AppendInput{Records: []protocol.Record{body("x")}}
	first, second := l.request(1, in), l.request(2, in)
	second.Revision = e.Revision + 1
	l.send(0, first, second)
	if a := l.one(); a.Number != first.Number || a.Outcome != forward.Done {
		t.Fatalf("the first: %+v", a)
	}
	if _, err := h.ReconfigureStream(t.Context(), ref, protocol.StreamReconfiguration{}); err != nil {
		t.Fatal(err)
	}
	if a := l.one(); a.Number != second.Number || a.Outcome != forward.Done || a.Ack.Start.SeqNum != 1 {
		t.Fatalf("the second: %+v", a)
	}
}

// playedOwner is another node, played by the test, that owns the log of a stream of the broker.
type playedOwner struct {
	t      *testing.T
	nc     *nats.Conn
	frames chan *nats.Msg
}

// ownedByAnother gives the log of the broker's stream to another node.
func ownedByAnother(t *testing.T) (o *playedOwner, s *Stream) {
	t.Helper()
	h, c, s := owner(t)
	nc, err := h.opts.Connect("owner")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	o = &playedOwner{t: t, nc: nc, frames: make(chan *nats.Msg, 64)}
	log := s.st.log.name
	if _, err := nc.ChanSubscribe(layout.Forward("s2", "other", log), o.frames); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.logs[log] = lease.Owner{Node: "other", Incarnation: "other", Epoch: 5}
	c.mu.Unlock()
	s.st.log.own.poke()
	eventually(t, "the broker does not own the log any more", func() bool { return s.st.log.turn.Load() == 0 })
	return o, s
}

// next is the next frame with requests, and where its answers go.
func (o *playedOwner) next() (forward.Frame, string) {
	o.t.Helper()
	for {
		m := <-o.frames
		f, err := forward.DecodeFrame(m.Data)
		if err != nil {
			o.t.Fatal(err)
		}
		if len(f.Requests) > 0 {
			return f, m.Reply
		}
	}
}

func (o *playedOwner) answer(reply string, a forward.Answers) {
	o.t.Helper()
	if err := o.nc.Publish(reply, a.Encode(nil)); err != nil {
		o.t.Fatal(err)
	}
}

// An input that the owner did not take, behind one that it refused, is not handed over again.
func TestInputIsNotHandedOverBehindARefusedOne(t *testing.T) {
	o, s := ownedByAnother(t)
	appender := s.Appender()
	in := protocol.AppendInput{Records: []protocol.Record{body("x")}}
	first := submit(t, appender, in)
	f, reply := o.next()
	second := submit(t, appender, in)
	o.next()
	o.answer(reply, forward.Answers{Number: 1, Received: 1, Answers: []forward.Answer{{Number: f.Requests[0].Number, Outcome: forward.Failed, Err: protocol.SeqNumMismatch(5)}}})
	o.answer(reply, forward.Answers{Received: 1, Moved: true})
	if got := <-first; protocol.AsError(got.err).SeqNumMismatch == nil {
		t.Errorf("the first: %+v", got)
	}
	select {
	case got := <-second:
		if !errors.Is(got.err, errPoisoned) {
			t.Errorf("the second: %+v", got)
		}
	case m := <-o.frames:
		t.Errorf("the second was handed over again: %q", m.Data)
	}
}

// When answers of the owner were lost, the inputs of an appender are answered in their order all the same: those of which nothing is known before one behind
// them that was stored.
func TestInputsBehindALostAnswer(t *testing.T) {
	o, s := ownedByAnother(t)
	type answered struct {
		input int
		outcome
	}
	answers := make(chan answered, 8)
	appender := s.Appender()
	var reply string
	var last uint64
	for i := range 4 {
		if err := appender.Submit(t.Context(), protocol.AppendInput{Records: []protocol.Record{body("x")}}, func(ack protocol.AppendAck, err error) {
			answers <- answered{i, outcome{ack, err}}
		}); err != nil {
			t.Fatal(err)
		}
		var f forward.Frame
		f, reply = o.next()
		if i == 2 {
			last = f.Requests[0].Number
		}
	}
	// The first frame of answers, with those to the first two inputs, is lost. The fourth input has no answer yet.
	o.answer(reply, forward.Answers{Number: 2, Received: 4, Answers: []forward.Answer{{Number: last, Ack: protocol.AppendAck{Start: protocol.Position{SeqNum: 3}, End: protocol.Position{SeqNum: 4}}}}})
	for i := range 4 {
		got := <-answers
		switch {
		case got.input != i:
			t.Errorf("the answer to input %d came as that of number %d", got.input, i)
		case i != 2 && !errors.Is(got.err, errUnknownOutcome):
			t.Errorf("input %d: %+v", i, got)
		case i == 2 && (got.err != nil || got.ack.Start.SeqNum != 3):
			t.Errorf("input %d: %+v", i, got)
		}
	}
}

// A tail that waits for a chunk was made while this node may have been the owner: it leaves only when that is sure.
func TestTailBehindAChunkIsNotToldInDoubt(t *testing.T) {
	h, c, s := owner(t)
	l := s.st.log
	if err := l.sub.Unsubscribe(); err != nil { // JetStream's answers do not come
		t.Fatal(err)
	}
	out := submit(t, s.Appender(), protocol.AppendInput{Records: []protocol.Record{body("1")}})
	eventually(t, "the chunk is stored", func() bool { return h.chunks(s.st.ref) == 2 })
	newest, err := l.getLast(t.Context(), s.st.subject)
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan error, 1)
	r := &request{ctx: t.Context(), st: s.st, kind: tailRequest, done: func(_ protocol.AppendAck, err error) { told <- err }}
	if err := s.st.post(r); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the request was taken", func() bool { return l.seq.in.waiting() == 0 })
	c.doubt(true)
	l.seq.in.postAck(pubAck{token: 1, seq: newest.seq})
	if got := <-out; got.err != nil {
		t.Fatal(got.err)
	}
	eventually(t, "the tail waits", func() bool { return l.seq.stats.queued.Load() == 1 })
	if len(told) > 0 {
		t.Error("the tail was told")
	}
	c.doubt(false)
	if err := <-told; err != nil || r.newest != newest.seq {
		t.Errorf("newest chunk %d, %v", r.newest, err)
	}
}

// A log is given away by several at once, none of which waits for ever.
func TestLogIsGivenAwayTwice(t *testing.T) {
	h, _, s := owner(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { s.st.log.own.leave(t.Context()) })
	}
	wg.Wait()
	h.mustAppend(s.st.ref, body("1"))
}

// A chunk of a backup that comes again, by any node, is stored once, and none is stored before those that come before it.
func TestChunkOfABackupThatComesAgain(t *testing.T) {
	h, _, s := owner(t)
	log, basin := s.st.log, protocol.BasinName("restored-basin")
	newest, err := log.getLast(t.Context(), s.st.subject)
	if err != nil {
		t.Fatal(err)
	}
	id := layout.NewStreamID(0)
	links := []*testLink{newTestLink(t, h, s.st), newTestLink(t, h, s.st)}
	chunk := func(link int, restore string, place uint64) forward.Answer {
		l := links[link]
		q := l.request(place+100*l.number+1, protocol.AppendInput{})
		q.Kind, q.Stream, q.Cost = uint8(restoreRequest), protocol.StreamRef{Basin: basin}, 1
		q.Restored = &forward.Restored{Restore: restore, Place: place, ID: newest.ID, Subject: log.subject(basin, id), Header: newest.EncodeHeader(), Payload: newest.Records.Wire()}
		l.send(l.answers, q)
		return l.one()
	}
	for i, step := range []struct {
		link    int
		restore string
		place   uint64
		outcome forward.Outcome
		have    uint64
	}{
		{0, "r", 0, forward.Done, 1},
		{1, "r", 0, forward.Done, 1},
		{1, "r", 1, forward.Done, 2},
		{0, "r", 1, forward.Done, 2},
		{0, "r", 3, forward.Failed, 2},
		{0, "r", 2, forward.Done, 3},
		{1, "later", 2, forward.Done, 3},
		{1, "later", 3, forward.Done, 4},
	} {
		if a := chunk(step.link, step.restore, step.place); a.Outcome != step.outcome {
			t.Fatalf("step %d: %+v", i, a)
		}
		if n, err := log.count(t.Context(), basin); err != nil || n != step.have {
			t.Fatalf("after step %d the log has %d chunks, %v", i, n, err)
		}
	}
}
