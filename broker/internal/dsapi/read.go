package dsapi

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/weirstream/weir/protocol"
)

const (
	// pollWait is how long a long-poll waits for something new.
	pollWait = 20 * time.Second
	// cursorEvery is how long a cursor stays the same, so that a cache can serve one answer to many.
	cursorEvery = 20 * time.Second
	// maxJitter is by how many steps a cursor that has come again may go forward.
	maxJitter = 180
	// cacheable says how long an answer of what will not change may be kept; by the client alone, since it may be for it alone.
	cacheable = "private, max-age=60, stale-while-revalidate=300"
)

// readQuery is the query of a read.
type readQuery struct {
	from   uint64
	now    bool // begin at the tail
	live   string
	cursor string
}

func (c *Call) query() (q readQuery, err error) {
	values, err := url.ParseQuery(c.R.URL.RawQuery)
	if err != nil {
		return q, protocol.Errorf(protocol.CodeBadQuery, "the query is malformed")
	}
	offset, given := values["offset"]
	q.live, q.cursor = values.Get("live"), values.Get("cursor")
	switch {
	case len(offset) > 1:
		return q, protocol.Errorf(protocol.CodeBadQuery, "offset is given more than once")
	case q.live != "" && q.live != "long-poll" && q.live != "sse":
		return q, protocol.Errorf(protocol.CodeBadQuery, "live is %q, it may be long-poll or sse", protocol.Clip(q.live))
	case !given && q.live != "":
		return q, protocol.Errorf(protocol.CodeBadQuery, "offset is required with live=%s", q.live)
	case !given || offset[0] == "-1":
	case offset[0] == "now":
		q.now = true
	default:
		var ok bool
		if q.from, ok = parseOffset(offset[0]); !ok {
			return q, protocol.Errorf(protocol.CodeBadQuery, "offset %q is not one that this server gave", protocol.Clip(offset[0]))
		}
	}
	return q, nil
}

// read answers GET.
func (c *Call) read() error {
	q, err := c.query()
	if err != nil {
		return err
	}
	if q.live == "sse" {
		return c.events(q)
	}
	wait := time.Duration(0)
	if q.live == "long-poll" {
		wait = pollWait
	}
	ctx, cancel := c.Unary(wait)
	defer cancel()
	s, err := c.stream(ctx)
	if err != nil {
		return err
	}
	if q.now {
		q.from = s.tail.SeqNum
		if q.live == "" {
			// It delivers nothing, and is a use of the stream all the same.
			_, err := c.Service.Read(ctx, c.Ref, protocol.ReadRequest{Start: protocol.FromTail(0)})
			if err != nil && protocol.CodeOf(err) != protocol.CodeUnwritten {
				return err
			}
		}
	}
	if q.live != "" {
		c.W.Header().Set(headCursor, cursorAfter(q.cursor, time.Now()))
	}
	p, err := c.page(ctx, &s, q.from, wait)
	if err != nil {
		return err
	}
	return c.answerPage(&s, q, p)
}

// page is what one answer holds.
type page struct {
	bodies [][]byte
	next   uint64 // offset after it
	tail   protocol.StreamTail
	last   uint64 // timestamp of the last record
}

func (p *page) upToDate() bool { return p.next >= p.tail.SeqNum }

// page reads messages from an offset, and waits for some at the tail.
func (c *Call) page(ctx context.Context, s *stream, from uint64, wait time.Duration) (p page, err error) {
	p = page{next: from, tail: s.tail}
	for deadline := time.Now().Add(wait); ; {
		left := time.Until(deadline)
		if p.upToDate() && (p.tail.Closed || left <= 0) {
			return p, nil
		}
		req := protocol.ReadRequest{Start: protocol.FromSeqNum(p.next)}
		if p.upToDate() {
			req.Wait = &left
		}
		batch, err := c.Service.Read(ctx, c.Ref, req)
		if protocol.CodeOf(err) == protocol.CodeUnwritten { // an offset beyond the tail
			return p, nil
		}
		if err != nil {
			return p, err
		}
		p.add(batch.Records)
		if batch.Records.Len() == 0 && !p.upToDate() {
			p.next = p.tail.SeqNum // what was there is trimmed or has expired
		}
		if p.tail, err = c.Service.CheckTail(ctx, c.Ref); err != nil {
			return p, err
		}
		if len(p.bodies) > 0 {
			return p, nil
		}
	}
}

func (p *page) add(recs protocol.Records) {
	for rec := range recs.All() {
		if rec.Command() == protocol.NoCommand {
			p.bodies = append(p.bodies, rec.Body)
		}
		p.next, p.last = rec.SeqNum+1, rec.Timestamp
	}
}

func (c *Call) answerPage(s *stream, q readQuery, p page) error {
	head := c.W.Header()
	head.Set(headNext, offsetOf(p.next))
	end := ""
	if p.upToDate() {
		head.Set(headUpToDate, "true")
		if p.tail.Closed {
			head.Set(headClosed, "true")
			end = ":end"
		}
	}
	head.Set("Content-Type", s.media)
	switch {
	case q.now && q.live == "":
		head.Set("Cache-Control", "no-store")
	case q.live != "" && len(p.bodies) == 0:
		head.Set("Cache-Control", "no-store")
		head.Del("Content-Type")
		c.Respond(http.StatusNoContent, nil)
		return nil
	default:
		// The timestamp tells a stream from one that had its name before.
		tag := `"` + offsetOf(q.from) + ":" + offsetOf(p.next) + ":" + strconv.FormatUint(p.last, 36) + end + `"`
		head.Set("Etag", tag)
		head.Set("Cache-Control", cacheable)
		if c.R.Header.Get("If-None-Match") == tag {
			head.Del("Content-Type")
			c.Respond(http.StatusNotModified, nil)
			return nil
		}
	}
	c.Respond(http.StatusOK, joined(s.media, p.bodies))
	return nil
}

// joined is the body that holds the messages: in JSON mode an array of them.
func joined(media string, bodies [][]byte) []byte {
	n := 2
	for _, b := range bodies {
		n += len(b) + 1
	}
	out := make([]byte, 0, n)
	if !isJSON(media) {
		for _, b := range bodies {
			out = append(out, b...)
		}
		return out
	}
	out = append(out, '[')
	for i, b := range bodies {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, b...)
	}
	return append(out, ']')
}

// cursorAfter is the cursor of an answer: the number of the interval, and beyond the one that came, so that no cache gives the
// same answer for ever.
func cursorAfter(came string, now time.Time) string {
	n := uint64(now.UnixMilli()) / uint64(cursorEvery.Milliseconds())
	if old, err := strconv.ParseUint(came, 10, 62); err == nil && old >= n {
		n = old + 1 + rand.Uint64N(maxJitter)
	}
	return strconv.FormatUint(n, 10)
}

// over reports whether a session ended as it should.
func over(err error) bool { return errors.Is(err, io.EOF) }
