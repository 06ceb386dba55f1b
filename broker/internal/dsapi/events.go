package dsapi

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/protocol"
)

// eventsFor is how long a connection of server-sent events lasts before its client has to come again.
const eventsFor = 60 * time.Second

// events answers a read with server-sent events: the messages of each batch, and behind them where the reader stands.
func (c *Call) events(q readQuery) error {
	s, session, err := c.openEvents(&q)
	if err != nil {
		return err
	}
	var over atomic.Bool // the client has to come again
	until := time.AfterFunc(eventsFor, func() {
		over.Store(true)
		_ = session.Close() // Follow returns its error, and closes it in any case
	})
	defer until.Stop()
	encode := eventStyle(s.media)
	if encode.style == door.StyleEventBytes {
		c.W.Header().Set(headEncoding, "base64")
	}
	if err := c.Begin("text/event-stream"); err != nil {
		return errors.Join(err, session.Close())
	}
	e := eventStream{c: c, encode: encode, cursor: q.cursor, next: q.from, exact: q.exact}
	switch err := c.Follow(session, e.deliver); {
	case over.Load(), errors.Is(err, errGone):
		return nil // a client that comes again for trimmed messages learns of it
	case err == nil: // the stream is closed
		return e.control(true, true)
	default:
		return err
	}
}

// openEvents opens the session, from the tail if the query says so.
func (c *Call) openEvents(q *readQuery) (s stream, session protocol.ReadSession, err error) {
	ctx, cancel := c.Unary(0)
	defer cancel()
	if s, err = c.stream(ctx); err != nil {
		return s, nil, err
	}
	switch {
	case q.now:
		q.from, q.exact = s.tail.SeqNum, true
	case q.exact && q.from < s.tail.SeqNum: // the status tells whether the first message is there
		batch, err := c.Read(ctx, c.Ref, protocol.ReadRequest{Start: protocol.FromSeqNum(q.from)}.WithCount(1), 0)
		if err != nil {
			return s, nil, err
		}
		if batch.Records.Len() == 0 || batch.Records.First().SeqNum > q.from {
			return s, nil, errGone
		}
	}
	session, err = c.Open(c.Lasting(), protocol.ReadRequest{Start: protocol.FromSeqNum(q.from), Clamp: true})
	return s, session, err
}

type eventStream struct {
	c      *Call
	encode encoder
	cursor string
	next   uint64
	exact  bool   // no message before next is missing
	told   string // the offset of the last control event
	buf    []byte
}

// deliver writes a batch, and where the reader stands behind it.
func (e *eventStream) deliver(batch protocol.ReadBatch) error {
	recs := batch.Records
	if recs.Len() > 0 {
		if e.exact && recs.First().SeqNum > e.next {
			return errGone
		}
		e.next, e.exact = recs.Last().SeqNum+1, true
	}
	upToDate := batch.Tail != nil && e.next >= batch.Tail.SeqNum
	switch {
	case holdMessages(recs):
		event, err := e.c.encoded(e.c.Lasting(), e.encode, recs)
		if err != nil {
			return err
		}
		if err := e.c.Write(event); err != nil {
			return err
		}
	case !upToDate || e.told == offsetOf(e.next):
		return nil // a heartbeat, or commands alone
	}
	return e.control(upToDate, false)
}

// control writes where the reader stands.
func (e *eventStream) control(upToDate, closed bool) error {
	e.told = offsetOf(e.next)
	e.buf = append(e.buf[:0], `event: control`+"\n"+`data:{"streamNextOffset":"`...)
	e.buf = append(append(e.buf, e.told...), '"')
	if closed {
		e.buf = append(e.buf, `,"upToDate":true,"streamClosed":true`...)
	} else {
		e.cursor = cursorAfter(e.cursor, time.Now())
		e.buf = append(append(append(e.buf, `,"streamCursor":"`...), e.cursor...), '"')
		if upToDate {
			e.buf = append(e.buf, `,"upToDate":true`...)
		}
	}
	e.buf = append(e.buf, "}\n\n"...)
	if err := e.c.Write(e.buf); err != nil {
		return err
	}
	return e.c.Flush()
}
