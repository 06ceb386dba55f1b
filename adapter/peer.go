package adapter

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/adapter/internal/catalog"
	"github.com/weirstream/weir/adapter/internal/forward"
	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

// peerLink is the owner's end of a [link]. The sequencer's goroutine owns it.
type peerLink struct {
	id        string
	reply     string // subject of the answers
	received  uint64 // frames, in order
	waiting   int    // requests that are not answered
	bytes     int64  // metered, of those
	appenders map[uint64]*peerAppender
	dead      []deadAppender // those that are kept although nothing of them is unanswered
	answers   forward.Answers
	due       bool // an answer is to be sent, even an empty one
	over      bool // a frame was lost, or the log is not this node's any more: no frame is taken
	used      time.Time
	restoring *stream // for the chunks of the basin that was restored last
}

// peerAppender is an appender of another node, while something of it is unanswered, and, if an input of it has failed, until the other node knows that:
// inputs that it sent before must fail too.
type peerAppender struct {
	Appender
	waiting int
	listed  bool // in peerLink.dead, or was
	known   bool // to the other node
}

// deadAppender is an appender of which an input has failed.
type deadAppender struct {
	id     uint64
	answer uint64 // number of the frame that says so; 0: it was not sent yet
}

// heldRequest is a request of another node to a stream that is being opened.
type heldRequest struct {
	r        *request
	ref      protocol.StreamRef
	revision uint64 // of the stream's entry in the catalog that it needs at least
}

// peerStream is a stream that was opened for requests of other nodes.
type peerStream struct {
	id    [16]byte
	epoch uint64
	st    *stream
	err   error
}

// peerIdle is after which time without a frame a link is forgotten.
const peerIdle = time.Minute

// serveForwarded takes the requests that other nodes hand to this one.
func (l *log) serveForwarded(incarnation string) (*nats.Subscription, error) {
	sub, err := l.pub.Subscribe(layout.Forward(l.a.opts.Prefix, incarnation, l.name), func(m *nats.Msg) {
		f, err := forward.DecodeFrame(m.Data)
		if err != nil {
			l.logger.Error("a frame of another node cannot be read", slog.Any("error", err))
			return
		}
		if len(f.Requests) == 0 {
			m.Respond(nil) //nolint:errcheck // a sign of life
		}
		l.seq.in.postPeer(func(p *peerArrivals) { p.frames = append(p.frames, peerFrame{f, m.Reply}) })
	})
	if err != nil {
		return nil, err
	}
	return sub, sub.SetPendingLimits(-1, -1) // bounded by the links
}

// takeFrames takes in the requests of other nodes, or refuses them.
func (s *sequencer) takeFrames(frames []peerFrame) {
	for i := range frames {
		f := &frames[i]
		p := s.links[f.Link]
		switch {
		case s.epoch == 0 || f.Epoch != s.epoch || s.wanted != nil && p == nil || s.in.isShut():
			s.refuseFrame(f)
			if f.Epoch > s.epoch && s.own != nil {
				s.own.mistaken()
			}
			continue
		case p == nil && f.Number != 1:
			s.refuseFrame(f)
			continue
		case p == nil:
			p = &peerLink{id: f.Link, appenders: map[uint64]*peerAppender{}}
			if s.links == nil {
				s.links = map[string]*peerLink{}
			}
			s.forgetLinks()
			s.links[f.Link] = p
		}
		p.reply, p.used, p.due = f.reply, time.Now(), true
		if p.over || f.Number != p.received+1 || s.wanted != nil {
			p.over = true
			continue
		}
		if p.waiting+len(f.Requests) > 2*maxLinkRequests || p.bytes > 2*maxLinkBytes { // the other node holds itself to less
			s.log.logger.Error("another node hands over more than it may", slog.Int("requests", p.waiting), slog.Int64("bytes", p.bytes))
			p.over = true
			continue
		}
		p.received = f.Number
		p.due = len(f.Requests) == 0
		p.forgetDead(f.Answered)
		for k := range f.Requests {
			s.takeForwarded(p, &f.Requests[k])
		}
	}
}

// forgetDead drops the appenders of which the other node knows that they have failed, as it has got so many frames of answers: it sends no more of them.
func (p *peerLink) forgetDead(answered uint64) {
	n := 0
	for ; n < len(p.dead) && p.dead[n].answer != 0 && p.dead[n].answer <= answered; n++ {
		id := p.dead[n].id
		if a := p.appenders[id]; a.waiting == 0 {
			delete(p.appenders, id)
		} else {
			a.known = true
		}
	}
	p.dead = slices.Delete(p.dead, 0, n)
}

// sent notes that all answers so far were sent.
func (p *peerLink) sent() {
	for i := len(p.dead) - 1; i >= 0 && p.dead[i].answer == 0; i-- {
		p.dead[i].answer = p.answers.Number
	}
}

func (s *sequencer) forgetLinks() {
	for id, p := range s.links {
		if p.waiting == 0 && time.Since(p.used) > peerIdle {
			delete(s.links, id)
		}
	}
}

// refuseFrame answers a frame that has no effect, and none behind it will.
func (s *sequencer) refuseFrame(f *peerFrame) {
	a := forward.Answers{Received: f.Number - 1, Moved: true}
	s.log.pub.Publish(f.reply, a.Encode(nil)) //nolint:errcheck // found as a missing answer
}

// takeForwarded queues a request of another node, once its stream is open.
func (s *sequencer) takeForwarded(p *peerLink, q *forward.Request) {
	r := &request{ctx: context.Background(), in: q.Input, kind: requestKind(q.Kind), next: q.Next, cost: int64(q.Cost), peer: p}
	if q.Wait > 0 {
		r.ctx = deadlineContext{context.Background(), time.Now().Add(time.Duration(q.Wait) * time.Microsecond)}
	}
	var a *peerAppender
	if q.Appender != 0 {
		if a = p.appenders[q.Appender]; a == nil {
			a = &peerAppender{}
			p.appenders[q.Appender] = a
		}
		a.waiting++
		r.appender = &a.Appender
	}
	p.waiting++
	p.bytes += r.cost
	s.log.a.forwarded.took(r.cost)
	number := q.Number
	appender := q.Appender
	r.done = func(ack protocol.AppendAck, err error) {
		p.waiting--
		p.bytes -= r.cost
		s.log.a.forwarded.answered(r.cost)
		if a != nil {
			a.waiting--
			switch {
			case a.dead && !a.listed:
				a.listed = true
				p.dead = append(p.dead, deadAppender{id: appender})
			case (!a.dead || a.known) && a.waiting == 0:
				delete(p.appenders, appender)
			}
		}
		p.answer(number, r, ack, err)
	}
	if r.in.Producer != nil {
		key := chunk.KeyOfProducer(r.in.Producer.ID)
		r.producer = &key
	}
	if c := q.Restored; c != nil {
		r.restored = &restoredChunk{restore: c.Restore, place: c.Place, id: c.ID, subject: c.Subject, header: c.Header, payload: c.Payload}
		if r.st = p.restoring; r.st == nil || r.st.ref.Basin != q.Stream.Basin {
			r.st = s.log.restoring(q.Stream.Basin)
			p.restoring = r.st
		}
		r.st.acquire()
		s.queue.push(r)
		return
	}
	id := layout.StreamID(q.ID)
	if len(s.held[id]) == 0 {
		if st := s.log.ready(id); st != nil {
			if st.loadErr == nil && st.settings.Load().revision >= q.Revision {
				r.st = st
				s.queue.push(r)
				return
			}
			st.release()
		}
	}
	s.holdForwarded(id, heldRequest{r, q.Stream, q.Revision})
}

// holdForwarded keeps a request of another node until its stream is open.
func (s *sequencer) holdForwarded(id [16]byte, h heldRequest) {
	if s.held == nil {
		s.held = map[[16]byte][]heldRequest{}
	}
	s.held[id] = append(s.held[id], h)
	if len(s.held[id]) > 1 {
		return
	}
	epoch := s.epoch
	open := func() {
		ctx, cancel := context.WithTimeout(s.log.a.ctx, js.Timeout)
		defer cancel()
		st, err := s.log.openForwarded(ctx, h.ref, id, h.revision)
		s.in.postPeer(func(p *peerArrivals) { p.opened = append(p.opened, peerStream{id, epoch, st, err}) })
	}
	if !s.log.a.logs.spawn(open) {
		s.in.postPeer(func(p *peerArrivals) { p.opened = append(p.opened, peerStream{id, epoch, nil, errDraining}) })
	}
}

// openForwarded opens a stream that another node knows, in at least that revision of its entry in the catalog.
func (l *log) openForwarded(ctx context.Context, ref protocol.StreamRef, id layout.StreamID, revision uint64) (*stream, error) {
	e, err := l.knownEntry(ctx, ref, id, revision)
	if err != nil {
		return nil, err
	}
	st, err := l.open(ctx, e)
	if err != nil {
		return nil, err
	}
	if !l.a.isThere(e) {
		st.release()
		return nil, errStreamDeleted
	}
	l.configure(e) // the load may have begun before the look-up
	return st, nil
}

// knownEntry is a stream's entry in the catalog, in at least that revision.
func (l *log) knownEntry(ctx context.Context, ref protocol.StreamRef, id layout.StreamID, revision uint64) (*catalog.Entry, error) {
	for looked := false; ; looked = true {
		e, _, _ := l.a.catalog.View.Stream(ref)
		found := e != nil && e.ID == id
		switch {
		case found && e.Revision >= revision:
			return e, nil
		case looked && !found:
			return nil, errStreamDeleted
		case looked: // the server that answered has not got the change yet
			if sleep(ctx, staleWait); ctx.Err() != nil {
				return nil, errCatalogBehind
			}
		}
		if err := l.a.catalog.LatestStream(ctx, ref); err != nil {
			return nil, err
		}
	}
}

var errCatalogBehind = protocol.Errorf(protocol.CodeUnavailable, "the node that owns the stream's log does not know the stream's newest configuration yet; nothing was stored")

// takeOpened queues the requests that waited for streams to be opened.
func (s *sequencer) takeOpened(opened []peerStream) {
	for _, o := range opened {
		if o.epoch == s.epoch { // or the requests that it was opened for were given back
			held := s.held[o.id]
			delete(s.held, o.id)
			for _, h := range held {
				switch {
				case o.err != nil:
					s.answerPeer(h.r, o.err)
				case o.st.settings.Load().revision < h.revision:
					s.holdForwarded(o.id, h) // it came after the stream was looked up
				default:
					o.st.acquire()
					h.r.st = o.st
					s.queue.push(h.r)
				}
			}
		}
		if o.st != nil {
			o.st.release()
		}
	}
}

// giveHeldBack gives the requests back whose streams are not open.
func (s *sequencer) giveHeldBack() {
	for _, held := range s.held {
		for _, h := range held {
			s.giveBack(h.r)
		}
	}
	clear(s.held)
}

// answerPeer answers a request of another node that has no stream.
func (s *sequencer) answerPeer(r *request, err error) {
	if r.appender != nil {
		r.appender.failed, r.appender.dead = true, true
	}
	r.done(protocol.AppendAck{}, err)
}

// giveBack answers a request of another node that had no effect and will have none here.
func (s *sequencer) giveBack(r *request) {
	r.done(protocol.AppendAck{}, errMoved)
	if r.st != nil {
		r.st.release()
	}
}

var errMoved = errors.New("the log belongs to another node")

// answer notes an answer.
func (p *peerLink) answer(number uint64, r *request, ack protocol.AppendAck, err error) {
	a := forward.Answer{Number: number, Newest: uint64(r.newest)}
	switch {
	case err == nil:
		a.Ack = ack
	case errors.Is(err, errMoved):
		a.Outcome = forward.Moved
		p.over = true
	case errors.Is(err, errPoisoned):
		a.Outcome = forward.Poisoned
	case errors.Is(err, errInUse):
		a.Outcome = forward.InUse
	default:
		a.Outcome = forward.Failed
		a.Err = protocol.AsError(err)
	}
	p.answers.Answers = append(p.answers.Answers, a)
}

// answerPeers sends the answers of the turn.
func (s *sequencer) answerPeers() {
	for _, p := range s.links {
		if len(p.answers.Answers) == 0 && !p.due {
			continue
		}
		p.due = false
		all := p.answers.Answers
		for rest := all; ; {
			n := min(len(rest), answersPerFrame)
			p.answers.Answers, rest = rest[:n], rest[n:]
			p.answers.Number++
			p.answers.Received, p.answers.Moved = p.received, p.over && len(rest) == 0
			s.log.pub.Publish(p.reply, p.answers.Encode(nil)) //nolint:errcheck // found as a missing answer
			if len(rest) == 0 {
				break
			}
		}
		p.sent()
		clear(all)
		p.answers.Answers = all[:0]
	}
}

// answersPerFrame keeps a frame of answers far below the least max_payload, whatever they say.
const answersPerFrame = 1024
