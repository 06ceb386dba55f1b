package adapter

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/weirstream/weir/adapter/internal/forward"
	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/internal/lease"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

const (
	// What a link may have unanswered: about the pipeline of the owner.
	maxLinkBytes    = 16 << 20
	maxLinkRequests = 16384
	// frameBytes is when a frame is sent before the turn is over.
	frameBytes = 256 << 10
	// A link over which nothing came for silentTicks ticks, while something was unanswered, is over; the owner is asked for a sign of life before.
	silentTicks = 25
	askAtTicks  = 5
	// overTicks is how long the answers of a link that is over are waited for while there are signs of life.
	overTicks = 60
)

// A link carries requests to the owner of a log, in one epoch, and the answers back. The sequencer's goroutine owns it.
//
// NATS delivers a message at most once. The frames are numbered, and the owner takes them without a gap: when one is lost, it and those behind
// it have no effect, for good, and are sent to the owner again by another link. Answers are numbered as well: when some are lost, what they
// answered is unknown.
type link struct {
	l        *log
	owner    lease.Owner
	id       string
	subject  string
	inbox    string
	sub      *nats.Subscription
	frames   uint64 // sent
	requests uint64 // sent
	answers  uint64 // frames of answers received
	out      map[uint64]*sentRequest
	bytes    int
	moved    []*sentRequest // had no effect, and have to be sent elsewhere
	over     bool           // no request is sent any more
	silent   int            // ticks since something came
	late     int            // ticks since the link is over
	frame    forward.Frame  // being filled
	size     int
	buf      []byte
}

type sentRequest struct {
	r      *request
	number uint64
	frame  uint64
}

func newLink(l *log, owner lease.Owner) *link {
	k := &link{l: l, owner: owner, id: nuid.Next(), subject: layout.Forward(l.a.opts.Prefix, owner.Incarnation, l.name), inbox: nats.NewInbox(),
		out: map[uint64]*sentRequest{}}
	var err error
	k.sub, err = l.pub.Subscribe(k.inbox+".*", func(m *nats.Msg) { l.seq.in.postPeer(func(p *peerArrivals) { p.answers = append(p.answers, m) }) })
	if err == nil {
		err = k.sub.SetPendingLimits(-1, -1) // bounded by what is unanswered
	}
	k.over = err != nil // the connection is closed
	return k
}

func (k *link) close() {
	if k.sub != nil {
		k.sub.Unsubscribe() //nolint:errcheck // the connection is closed then
	}
}

func (k *link) leadsTo(o lease.Owner) bool {
	return !k.over && k.owner.Incarnation == o.Incarnation && k.owner.Epoch == o.Epoch
}

// forwardAll hands the queued requests to the owner, as far as there is room.
func (s *sequencer) forwardAll() {
	k := s.peer
	s.queue.serve(unshared, func(r *request) (cost int, wait, full bool) {
		switch {
		case r.kind == adoptRequest:
			s.admitAdopt(r)
		case r.st.ended.Load() && r.kind == appendRequest:
			s.fail(r, errStreamDeleted)
		case r.appender != nil && r.appender.failed: // the owner knows of it only until this node does
			s.fail(r, errPoisoned)
		case r.appender != nil && r.appender.sent == 0 && r.ctx.Err() != nil:
			s.fail(r, r.ctx.Err())
		case k.over || k.bytes >= maxLinkBytes || len(k.out) >= maxLinkRequests:
			return 0, false, true
		default:
			k.add(r)
		}
		return int(r.cost), false, false
	})
	k.flush()
}

// add puts a request into the frame.
func (k *link) add(r *request) {
	k.requests++
	q := forward.Request{Number: k.requests, Kind: uint8(r.kind), Stream: r.st.ref, ID: r.st.id, Cost: uint64(r.cost), Next: r.next, Input: r.in}
	if set := r.st.settings.Load(); set != nil {
		q.Revision = set.revision
	}
	if deadline, ok := r.ctx.Deadline(); ok {
		q.Wait = uint64(max(1, time.Until(deadline).Microseconds()))
	}
	if r.ctx.Err() != nil {
		q.Wait = 1
	}
	if a := r.appender; a != nil {
		if a.id == 0 {
			a.id = k.l.a.appenders.Add(1)
		}
		a.sent++
		q.Appender = a.id
	}
	size := int(r.cost) + 128 + len(r.in.Records)*8
	if c := r.restored; c != nil {
		q.Restored = &forward.Restored{Restore: c.restore, Place: c.place, ID: c.id, Subject: c.subject, Header: c.header, Payload: c.payload}
		size += len(c.header)
	}
	if len(k.frame.Requests) > 0 && k.size+size > frameBytes {
		k.flush()
	}
	k.l.a.forwarded.handed.Add(1)
	k.out[q.Number] = &sentRequest{r, q.Number, k.frames + 1}
	k.bytes += int(r.cost)
	k.frame.Requests = append(k.frame.Requests, q)
	k.size += size
}

// flush sends the frame, unless it is empty.
func (k *link) flush() {
	if len(k.frame.Requests) > 0 {
		k.send()
	}
}

func (k *link) send() {
	k.frames++
	k.frame.Link, k.frame.Epoch, k.frame.Number, k.frame.Answered = k.id, k.owner.Epoch, k.frames, k.answers
	k.buf = k.frame.Encode(k.buf[:0])
	if len(k.out) == len(k.frame.Requests) {
		k.silent = 0
	}
	// A failure is found as a missing answer.
	k.l.pub.PublishMsg(&nats.Msg{Subject: k.subject, Reply: k.inbox + "." + strconv.FormatUint(k.frames, 10), Data: k.buf}) //nolint:errcheck // found as a missing answer
	clear(k.frame.Requests)
	k.frame.Requests, k.size = k.frame.Requests[:0], 0
	if cap(k.buf) > 2*frameBytes {
		k.buf = nil
	}
}

// takeAnswers handles the answers of the owner.
func (s *sequencer) takeAnswers(messages []*nats.Msg) {
	k := s.peer
	for _, m := range messages {
		if m.Sub != k.sub {
			continue // of a link before
		}
		if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
			k.refused(m.Subject)
			continue
		}
		if k.silent = 0; len(m.Data) == 0 {
			continue // a sign of life
		}
		a, err := forward.DecodeAnswers(m.Data)
		if err != nil {
			s.log.logger.Error("an answer of another node cannot be read", "error", err)
			k.over = true
			continue
		}
		missing := a.Number > 0 && a.Number != k.answers+1
		if a.Number > 0 {
			k.answers = a.Number
		}
		if !missing {
			for i := range a.Answers {
				s.settleSent(k, &a.Answers[i])
			}
		}
		if a.Moved {
			k.over = true
			k.move(a.Received + 1)
		}
		if missing {
			k.over = true
			s.loseSent(a.Answers)
		}
	}
}

// refused handles a frame without a receiver: it and the frames behind it have no effect.
func (k *link) refused(subject string) {
	frame, err := strconv.ParseUint(subject[len(k.inbox)+1:], 10, 64)
	if err != nil {
		return
	}
	k.over = true
	k.move(frame)
}

// move notes that the requests of the frames from one on had no effect.
func (k *link) move(from uint64) {
	for number, sent := range k.out {
		if sent.frame >= from {
			k.take(number)
			k.moved = append(k.moved, sent)
		}
	}
}

// take removes a request from those that are unanswered.
func (k *link) take(number uint64) *sentRequest {
	sent := k.out[number]
	if sent == nil {
		return nil
	}
	delete(k.out, number)
	k.bytes -= int(sent.r.cost)
	if a := sent.r.appender; a != nil {
		a.sent--
	}
	return sent
}

func (s *sequencer) settleSent(k *link, a *forward.Answer) {
	sent := k.take(a.Number)
	if sent == nil {
		return
	}
	r := sent.r
	switch a.Outcome {
	case forward.Done:
		r.newest = js.Seq(a.Newest)
		s.answer(r, a.Ack, nil)
	case forward.Failed:
		s.fail(r, a.Err)
	case forward.Moved:
		k.moved = append(k.moved, sent)
		k.over = true
	case forward.Poisoned:
		s.fail(r, errPoisoned)
	case forward.InUse:
		s.fail(r, errInUse)
	}
}

// loseSent fails all requests that were sent and are not answered, but for those that have one of these answers. The outcome of appends is unknown. It goes through
// them in the order in which they were sent: an appender's inputs have to be answered so, and those behind a lost answer may have been answered.
func (s *sequencer) loseSent(answers []forward.Answer) {
	k := s.peer
	answered := make(map[uint64]*forward.Answer, len(answers))
	for i := range answers {
		answered[answers[i].Number] = &answers[i]
	}
	for _, number := range slices.Sorted(maps.Keys(k.out)) {
		if a := answered[number]; a != nil {
			s.settleSent(k, a)
			continue
		}
		r := k.take(number).r
		if r.kind == appendRequest || r.kind == restoreRequest {
			s.fail(r, errUnknownOutcome)
		} else {
			s.fail(r, errOwnerLost)
		}
	}
}

var errOwnerLost = protocol.Errorf(protocol.CodeUnavailable, "the node that owns the stream's log did not answer")

// watchPeer is called every tick: it asks an owner that is silent for a sign of life, and gives it up after some time.
func (s *sequencer) watchPeer() {
	k := s.peer
	if len(k.out) == 0 {
		k.silent = 0
		return
	}
	k.silent++
	if k.over {
		k.late++
	}
	switch {
	case k.silent >= silentTicks, k.late >= overTicks:
		k.over = true
		s.loseSent(nil)
	case k.silent%askAtTicks == 0:
		k.send() // an empty frame has no effect, also when the link is over
	}
}

// deadlineContext ends at a time, and has no channel that says so: a sequencer looks.
type deadlineContext struct {
	context.Context //nolint:containedctx // without values, and never done
	at              time.Time
}

func (c deadlineContext) Deadline() (time.Time, bool) { return c.at, true }

func (c deadlineContext) Err() error {
	if time.Now().Before(c.at) {
		return nil
	}
	return context.DeadlineExceeded
}
