package dsapi

import (
	"context"
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
	exact  bool // nothing may be missing from from on; otherwise begin with the first message that there is
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
		if q.from, q.exact = parseOffset(offset[0]); !q.exact {
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
	}
	if q.from >= s.tail.SeqNum && (wait == 0 || s.tail.Closed) {
		// It delivers nothing and waits for nothing, and is a use of the stream all the same.
		_, err := c.Read(ctx, c.Ref, protocol.ReadRequest{Start: protocol.FromTail(0)}, 0)
		if err != nil && protocol.CodeOf(err) != protocol.CodeUnwritten {
			return err
		}
	}
	if q.live != "" {
		c.W.Header().Set(headCursor, cursorAfter(q.cursor, time.Now()))
	}
	p, err := c.page(ctx, &s, q, wait)
	if err != nil {
		return err
	}
	return c.answerPage(ctx, &s, q, p)
}

// page is the content of one answer.
type page struct {
	records  protocol.Records
	messages bool   // among the records
	next     uint64 // offset after them
	tail     protocol.StreamTail
	last     uint64 // timestamp of the last record
}

func (p *page) upToDate() bool { return p.next >= p.tail.SeqNum }

// page reads messages from an offset, and waits for some at the tail.
func (c *Call) page(ctx context.Context, s *stream, q readQuery, wait time.Duration) (p page, err error) {
	p = page{next: q.from, tail: s.tail}
	for deadline := time.Now().Add(wait); ; {
		left := time.Until(deadline)
		if p.upToDate() && (p.tail.Closed || left <= 0) {
			return p, nil
		}
		req, waits := protocol.ReadRequest{Start: protocol.FromSeqNum(p.next)}, time.Duration(0)
		if p.upToDate() {
			req.Wait, waits = &left, left
		}
		batch, err := c.Read(ctx, c.Ref, req, waits)
		if protocol.CodeOf(err) == protocol.CodeUnwritten { // an offset beyond the tail
			return p, nil
		}
		if err != nil {
			return p, err
		}
		none := batch.Records.Len() == 0
		switch {
		case q.exact && (none && !p.upToDate() || !none && batch.Records.First().SeqNum > p.next):
			return p, errGone
		case none && !p.upToDate():
			p.next = p.tail.SeqNum // the records there are trimmed or have expired
		}
		p.add(batch.Records)
		if p.upToDate() && (!p.messages || p.next > p.tail.SeqNum) { // the tail has moved
			if p.tail, err = c.Service.CheckTail(ctx, c.Ref); err != nil {
				return p, err
			}
		}
		if p.messages {
			return p, nil
		}
	}
}

func (p *page) add(recs protocol.Records) {
	p.records, p.messages = recs, holdMessages(recs)
	if recs.Len() > 0 {
		p.next, p.last = recs.Last().SeqNum+1, recs.Last().Timestamp
	}
}

func (c *Call) answerPage(ctx context.Context, s *stream, q readQuery, p page) error {
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
	case q.live != "" && !p.messages:
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
	var body []byte
	switch {
	case p.messages:
		var err error
		if body, err = c.encoded(ctx, pageStyle(s.media), p.records); err != nil {
			return err
		}
	case isJSON(s.media):
		body = []byte("[]")
	}
	c.Respond(http.StatusOK, body)
	return nil
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
