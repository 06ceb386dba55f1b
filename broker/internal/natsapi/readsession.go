package natsapi

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/protocol"
)

// readSession sends a session's batches to its client's inbox, as fast as the client acknowledges them.
type readSession struct {
	door    *Door
	place   *door.Place
	id      string
	ref     protocol.StreamRef
	inbox   string
	subject string // of the session; acknowledgements go one token below
	enc     encoding
	src     protocol.ReadSession
	win     *window
	credit  *door.Credit
	room    int // of a frame

	ctx  context.Context //nolint:containedctx // the session's life; this object lives no longer
	stop context.CancelCauseFunc
}

// openReadSession opens the stream and leaves a goroutine behind that sends. A failure until then is answered like a
// failure of a unary read.
func openReadSession(ctx context.Context, c *call, ref protocol.StreamRef, req protocol.ReadRequest, opts []protocol.RecordOption) (reply, error) {
	d := c.door
	if c.inbox == "" {
		return reply{}, protocol.Errorf(protocol.CodeBadHeader, "a session needs a reply subject")
	}
	place, err := d.admit.Session(c.client)
	if err != nil {
		return reply{}, err
	}
	src, err := c.svc.OpenReadSession(ctx, ref, req, append(opts, protocol.WithLean(d.lean))...)
	if err != nil {
		place.Leave()
		return reply{}, err
	}
	s := &readSession{door: d, place: place, id: rand.Text(), ref: ref, inbox: c.inbox, enc: c.encoding(), src: src, room: c.room()}
	s.subject = d.subjects.Session(d.id, s.id)
	s.credit = d.opts.Unacked.Open(d.reader(c.client))
	s.ctx, s.stop = context.WithCancelCause(context.Background())
	s.win = newWindow(windowSize(c.ctl.window), func() { s.stop(errNoAcks()) })
	if !d.sessions.add(s.id, s) {
		s.drain()
	}
	go s.run()
	return reply{sent: true}, nil
}

func (s *readSession) drain()             { s.stop(door.ErrDraining()) }
func (s *readSession) leave()             { s.drain() }
func (s *readSession) cancel(cause error) { s.stop(cause) }

// message takes an acknowledgement, whose token is the frame's number, or a message with the frame header cancel. The NATS
// server itself replies to a frame when nobody subscribes to its inbox any more: that frame is lost for sure, so the session
// is over. A client that only lost its connection opens another.
func (s *readSession) message(token string, m *nats.Msg) {
	switch {
	case m.Header.Get(protocol.HeaderFrame) == protocol.FrameCancel:
		s.stop(errCancelled)
		return
	case len(m.Data) == 0 && m.Header.Get(statusHeader) == noResponders:
		s.stop(errVanished)
		return
	}
	if n, err := strconv.ParseUint(token, 10, 64); err == nil {
		s.credit.Adjust(-s.win.ack(n))
	}
}

// The header that the NATS server sends to the reply subject of a message without a receiver.
const (
	statusHeader = "Status"
	noResponders = "503"
)

// errVanished is the cause that ends a session whose inbox has no subscriber any more.
var errVanished = protocol.Errorf(protocol.CodeClientHangup, "no client listens on the session's inbox")

// errSlow is the cause that ends a session whose client acknowledges so slowly that others cannot read.
var errSlow = protocol.Errorf(protocol.CodeClientHangup, "the client acknowledged nothing for a while, and other readers needed the room")

// errCancelled is the cause that ends a session whose client asked for it.
var errCancelled = protocol.Errorf(protocol.CodeClientHangup, "the client cancelled the session")

func (s *readSession) run() {
	defer s.place.Leave()
	defer s.door.sessions.remove(s.id)
	defer s.credit.Close()
	defer s.win.close()
	defer s.stop(nil)
	err := s.send()
	if closeErr := s.src.Close(); closeErr != nil {
		s.door.log.Warn("closing a read session", "stream", s.ref, "session", s.id, "error", closeErr)
	}
	s.end(err)
}

// send sends until the session ends; nil stands for its clean end.
func (s *readSession) send() (err error) {
	defer door.Recover(s.door.log, &err)
	s.publish(protocol.FrameOpen, 0, nil)
	hold := s.door.opts.Outbox.Hold(s.door.reader(s.place.Client()), func() { s.stop(errSlow) })
	defer hold.Drop()
	stored := true // the next batch has to be fetched from the storage, as far as is known
	for {
		// A client that does not acknowledge has no batch waiting for it: it holds the batches that its window allows, on
		// their way.
		if err := s.waitForRoom(); err != nil {
			return err
		}
		taken := 0
		if stored {
			taken = protocol.MaxBatchBytes
			if err := s.reserve(taken, hold); err != nil {
				return err
			}
		}
		batch, err := s.src.Next(s.ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return door.CauseOf(s.ctx, err)
		}
		stored = batch.Tail == nil
		err = s.sendBatch(batch, taken, hold)
		hold.Drop()
		if err != nil {
			return err
		}
	}
}

// reserve waits until stored records of so many bytes may be fetched and sent.
func (s *readSession) reserve(bytes int, hold *door.Hold) error {
	s.door.stalled.Add(1)
	defer s.door.stalled.Add(-1)
	if err := s.credit.Take(s.ctx, bytes); err != nil {
		return err
	}
	return hold.Reserve(s.ctx)
}

// manyStalled is how many read sessions may wait for acknowledgements, or for room, before all hold as little as they can.
const manyStalled = 32

func (d *Door) lean() bool { return d.stalled.Load() > manyStalled }

// waitForRoom waits until the window has room.
func (s *readSession) waitForRoom() error {
	if !s.win.full() {
		return nil
	}
	s.door.stalled.Add(1)
	defer s.door.stalled.Add(-1)
	for s.win.full() {
		select {
		case <-s.win.room:
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
	}
	return nil
}

// sendBatch sends a batch in as many frames as it takes. The credit for the first one has been taken for so many bytes, or for 0.
// A batch that waits for acknowledgements between its frames is counted in hold.
func (s *readSession) sendBatch(batch protocol.ReadBatch, taken int, hold *door.Hold) error {
	kind := protocol.FrameBatch
	if batch.Heartbeat() {
		kind = protocol.FrameHeartbeat
	}
	for first := true; ; first = false {
		if err := s.waitForRoom(); err != nil {
			return err
		}
		if taken == 0 {
			taken = min(len(batch.Records.Wire()), s.room) + protocol.NATSFrameCost
			if err := s.credit.Take(s.ctx, taken); err != nil {
				return err
			}
		}
		body, rest, err := s.enc.fitBatch(batch, s.room)
		if err != nil {
			return err
		}
		s.credit.Adjust(len(body) + protocol.NATSFrameCost - taken)
		taken = 0
		s.publish(kind, s.win.next(len(body)), body)
		if rest.Len() == 0 {
			return nil
		}
		for first && !hold.Take(batch) { // a live batch, for which nothing was reserved
			if err := hold.Reserve(s.ctx); err != nil {
				return err
			}
		}
		hold.Progress()
		batch.Records = rest
	}
}

// publish sends a frame whose reply subject takes its acknowledgement.
func (s *readSession) publish(kind string, n uint64, body []byte) {
	num := strconv.FormatUint(n, 10)
	head := contentType(s.enc.contentType())
	head[protocol.HeaderFrame] = []string{kind}
	head[protocol.HeaderSeq] = []string{num}
	s.door.publish(&nats.Msg{Subject: s.inbox, Reply: s.subject + "." + num, Header: head, Data: body})
}

// end sends the client the reason for the session's end.
func (s *readSession) end(err error) {
	m := &nats.Msg{Subject: s.inbox, Header: nats.Header{}}
	if err != nil {
		m = errorMsg(s.inbox, door.ClientError(s.door.log, err, "stream", s.ref, "session", s.id))
	}
	m.Header[protocol.HeaderFrame] = []string{protocol.FrameEnd}
	m.Header[protocol.HeaderSeq] = []string{strconv.FormatUint(s.win.last()+1, 10)}
	s.door.publish(m)
}
