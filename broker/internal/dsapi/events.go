package dsapi

import (
	"bytes"
	"encoding/base64"
	"time"

	"github.com/weirstream/weir/protocol"
)

// eventsFor is how long a connection of server-sent events lasts before its client has to come again.
const eventsFor = 60 * time.Second

// events answers a read with server-sent events: the messages of each batch, and behind them where the reader stands.
func (c *Call) events(q readQuery) error {
	ctx, cancel := c.Lasting()
	defer cancel()
	s, err := c.stream(ctx)
	if err != nil {
		return err
	}
	if q.now {
		q.from = s.tail.SeqNum
	}
	session, err := c.Service.OpenReadSession(ctx, c.Ref, protocol.ReadRequest{Start: protocol.FromSeqNum(q.from), Clamp: true})
	if err != nil {
		return err
	}
	defer session.Close()
	if err := c.Session(); err != nil {
		return err
	}
	encoded := !isJSON(s.media) && !isText(s.media)
	if encoded {
		c.W.Header().Set(headEncoding, "base64")
	}
	if err := c.Begin("text/event-stream"); err != nil {
		return err
	}
	e := eventStream{c: c, media: s.media, encoded: encoded, cursor: q.cursor, next: q.from}
	until := time.AfterFunc(eventsFor, cancel)
	defer until.Stop()
	for {
		batch, err := session.Next(ctx)
		switch {
		case over(err):
			return e.control(true, true)
		case err != nil && ctx.Err() != nil:
			return nil // the time is up, or the client is gone
		case err != nil:
			return err
		}
		p := page{next: e.next}
		p.add(batch.Records)
		e.next = p.next
		upToDate := batch.Tail != nil && p.next >= batch.Tail.SeqNum
		if len(p.bodies) > 0 {
			if err := e.data(p.bodies); err != nil {
				return err
			}
		} else if !upToDate || e.told == offsetOf(e.next) {
			continue // a heartbeat, or commands alone
		}
		closed := false
		if upToDate {
			if tail, err := c.Service.CheckTail(ctx, c.Ref); err == nil {
				closed = tail.Closed && tail.SeqNum == e.next
			}
		}
		if err := e.control(upToDate, closed); err != nil || closed {
			return err
		}
	}
}

type eventStream struct {
	c       *Call
	media   string
	encoded bool
	cursor  string
	next    uint64
	told    string // the offset of the last control event
	ended   bool
	buf     []byte
}

// data writes an event with messages.
func (e *eventStream) data(bodies [][]byte) error {
	body := joined(e.media, bodies)
	e.buf = append(e.buf[:0], "event: data\n"...)
	if e.encoded {
		e.buf = append(e.buf, "data:"...)
		e.buf = base64.StdEncoding.AppendEncode(e.buf, body)
		e.buf = append(e.buf, '\n')
	} else {
		for line := range lines(body) {
			e.buf = append(e.buf, "data:"...)
			if len(line) > 0 && line[0] == ' ' { // a reader drops one
				e.buf = append(e.buf, ' ')
			}
			e.buf = append(append(e.buf, line...), '\n')
		}
	}
	e.buf = append(e.buf, '\n')
	return e.c.Write(e.buf)
}

// lines yields the lines of a text whatever ends them, so that none of it can be taken for a field of an event.
func lines(body []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for {
			i := bytes.IndexAny(body, "\r\n")
			if i < 0 {
				yield(body)
				return
			}
			if !yield(body[:i]) {
				return
			}
			if body[i] == '\r' && i+1 < len(body) && body[i+1] == '\n' {
				i++
			}
			body = body[i+1:]
		}
	}
}

// control writes where the reader stands.
func (e *eventStream) control(upToDate, closed bool) error {
	if e.ended {
		return nil
	}
	e.told, e.ended = offsetOf(e.next), closed
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
