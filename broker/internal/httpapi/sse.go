package httpapi

import (
	"math"
	"strconv"
	"time"

	"github.com/weirstream/weir/protocol"
)

// sseRead follows a stream as server-sent events (data plane 8.8).
func (c *call) sseRead(ref protocol.StreamRef, req protocol.ReadRequest, format protocol.RecordFormat, after *eventID, opts []protocol.RecordOption) error {
	src, err := c.openRead(c.context(), ref, req, opts)
	if after != nil && protocol.CodeOf(err) == protocol.CodeUnwritten && exhausted(req) {
		// The requested records were delivered before: there is nothing to wait for, and nothing wrong.
		if err := c.openSession(contentEventStream); err != nil {
			return nil //nolint:nilerr // the client has left
		}
		(&events{call: c}).end(nil)
		return nil
	}
	if err != nil {
		return err
	}
	if err := c.openSession(contentEventStream); err != nil {
		return src.Close()
	}
	e := &events{call: c, format: format}
	if after != nil {
		e.count, e.bytes = after.count, after.bytes
	}
	err = c.readLoop(src, "sse", e.deliver)
	e.end(err)
	return nil
}

// exhausted reports whether a read that resumes has nothing left of its limits.
func exhausted(req protocol.ReadRequest) bool { return req.Limit().Exhausted() }

// events writes the events of one response.
type events struct {
	call   *call
	format protocol.RecordFormat
	count  uint64 // records delivered by this response and by those that it resumes
	bytes  uint64 // their metered size
}

// deliver writes and flushes one batch or heartbeat.
func (e *events) deliver(batch protocol.ReadBatch) error {
	buf := getBuffer(0)
	defer putBuffer(buf)
	if batch.Heartbeat() {
		*buf = appendPing((*buf)[:0], time.Now(), *batch.Tail)
		return e.send(*buf)
	}
	e.count = addSaturating(e.count, uint64(batch.Records.Len()))
	e.bytes = addSaturating(e.bytes, batch.Records.MeteredSize())
	b := append((*buf)[:0], "event: batch\nid: "...) //nolint:gocritic // the buffer is put back below
	b = strconv.AppendUint(b, batch.Records.Last().SeqNum, 10)
	b = strconv.AppendUint(append(b, ','), e.count, 10)
	b = strconv.AppendUint(append(b, ','), e.bytes, 10)
	b = append(b, "\ndata: "...)
	*buf = b
	data, err := e.call.hold.JSON(e.call.context(), &batch, e.format, getRoom)
	if err != nil {
		return clientGone(err)
	}
	return e.send(*buf, data, endOfEvent)
}

// addSaturating adds to a counter that a client may have set to anything.
func addSaturating(a, b uint64) uint64 {
	if sum := a + b; sum >= a {
		return sum
	}
	return math.MaxUint64
}

func appendPing(dst []byte, now time.Time, tail protocol.Position) []byte {
	dst = append(dst, "event: ping\ndata: {\"timestamp\":"...)
	dst = strconv.AppendInt(dst, now.UnixMilli(), 10)
	dst = append(dst, ',')
	dst = append(dst, protocol.EncodeTailJSON(protocol.StreamTail{Position: tail})[1:]...) // "tail":{...}}
	return append(dst, "\n\n"...)
}

// end writes the last event: how the session ended.
func (e *events) end(err error) {
	if err == nil {
		_ = e.send([]byte("data: [DONE]\n\n"))
		return
	}
	failure := e.call.clientError(err)
	e.call.failed = failure.Code
	b := append([]byte("event: error\ndata: "), failure.Body()...)
	_ = e.send(append(b, "\n\n"...))
}

var endOfEvent = []byte("\n\n")

func (e *events) send(event ...[]byte) error {
	if err := e.call.write(event...); err != nil {
		return err
	}
	if err := e.call.flush(); err != nil {
		return clientGone(err)
	}
	return nil
}
