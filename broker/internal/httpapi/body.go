package httpapi

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/s2s"
)

// packedSlack is how much longer than [protocol.MaxRequestBytes] a compressed body may be: data that does not compress grows
// a little.
const packedSlack = 64 << 10

// received is a body that was read whole. One of free and forget must be called.
type received struct {
	data    []byte // nil if the body is empty
	place   *door.Place
	buf     *[]byte // nil if nothing was read
	claimed int     // of the room for bodies
}

// free gives the memory back: data may not be used any more.
func (b *received) free() {
	b.forget()
	if b.buf != nil {
		putBuffer(b.buf)
	}
}

// forget leaves the memory to the part that still uses it.
func (b *received) forget() { b.place.Shrink(b.claimed) }

// body reads the whole body of a unary request and decompresses it. tooLarge is the code of a body that is more than
// 2 MiB afterwards, or not compressed as it says. Other codes: rate_limited, request_timeout, client_hangup. On an error
// there is nothing to free.
func (c *call) body(tooLarge protocol.Code) (*received, error) {
	b := &received{place: c.place}
	if c.r.ContentLength == 0 {
		return b, nil
	}
	err := c.receive(b)
	if err == nil {
		return b, nil
	}
	b.free()
	var known *protocol.Error
	switch {
	case errors.Is(err, s2s.ErrDecompressedTooLarge):
		return nil, protocol.Errorf(tooLarge, "the body has more than %d bytes", protocol.MaxRequestBytes)
	case errors.Is(err, s2s.ErrWindowTooLarge):
		return nil, protocol.Errorf(tooLarge, "the body: %v", err)
	case errors.As(err, &known):
		return nil, err
	}
	return nil, protocol.Wrap(tooLarge, err, "the body does not decompress as its content-encoding says")
}

func (c *call) receive(b *received) (err error) {
	coding, _ := c.contentEncoding()
	limit := protocol.MaxRequestBytes
	if coding != s2s.NoCompression {
		limit += packedSlack
	}
	b.buf = getBuffer(int(min(max(c.r.ContentLength, 0), protocol.MaxRequestBytes)))
	*b.buf, err = c.readAll((*b.buf)[:0], limit, &b.claimed)
	if err != nil {
		return err
	}
	b.data, err = coding.Decode(*b.buf, protocol.MaxRequestBytes)
	return err
}

// readAll appends the body to buf, at most limit bytes. claimed is the room for bodies that it took.
func (c *call) readAll(buf []byte, limit int, claimed *int) ([]byte, error) {
	if c.r.ContentLength > int64(limit) {
		return buf, s2s.ErrDecompressedTooLarge
	}
	deadline := newReadDeadline(c.rc)
	defer deadline.clear()
	progress := c.h.opts.BodyTimeout
	end := time.Now().Add(4 * progress)
	deadline.set(time.Now().Add(progress))
	if n := int(c.r.ContentLength); n > 0 && n < cap(buf) {
		limit = n // the common case: it fits, and needs no more than one read to see its end
	}
	for {
		if len(buf) == cap(buf) {
			// Room comes with the bytes that have arrived: one byte cannot claim 2 MiB.
			bigger := make([]byte, len(buf), min(2*cap(buf), limit+1))
			copy(bigger, buf)
			buf = bigger
		}
		if grown := cap(buf) - *claimed; grown > 0 {
			if err := c.place.Grow(grown); err != nil {
				return buf, err
			}
			*claimed = cap(buf)
		}
		n, err := c.r.Body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > limit:
			return buf, s2s.ErrDecompressedTooLarge
		case errors.Is(err, io.EOF), int64(len(buf)) == c.r.ContentLength:
			return buf, nil
		case err != nil:
			return buf, bodyError(err)
		}
		now := time.Now()
		if now.After(end) {
			return buf, bodyError(os.ErrDeadlineExceeded)
		}
		deadline.set(now.Add(progress))
	}
}

// bodyError is the failure to read a body: the client was too slow, or has left.
func bodyError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return protocol.Wrap(protocol.CodeRequestTimeout, err, "the request's body did not arrive in time")
	}
	return protocol.Wrap(protocol.CodeClientHangup, err, "the request's body ended early")
}

// readDeadline bounds the reads of a request's body. All methods may be called at once. A server that knows no
// deadlines, such as a recorder in a test, ignores them.
type readDeadline struct {
	mu     sync.Mutex // guards the fields below, and orders the calls of rc
	rc     *http.ResponseController
	until  time.Time // the deadline that was set last
	passed bool      // a deadline that was set has passed
	kicked bool
}

func newReadDeadline(rc *http.ResponseController) *readDeadline { return &readDeadline{rc: rc} }

func (d *readDeadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.checkLocked()
	if !d.kicked {
		d.until = t
		_ = d.rc.SetReadDeadline(t)
	}
}

func (d *readDeadline) checkLocked() {
	d.passed = d.passed || !d.until.IsZero() && !time.Now().Before(d.until)
}

// ended reports whether a read may have failed because of the deadline, and not because the client has left. net/http ends
// the context of a request over HTTP/1.1 in either case.
func (d *readDeadline) ended() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.checkLocked()
	return d.kicked || d.passed
}

func (d *readDeadline) clear() { d.set(time.Time{}) }

// kick ends the read under way and all that follow. Only the first has an effect: one that a draining door sends may come
// when the session, which kicks at its end, is over, and net/http panics when the deadline of a call that is over is set.
func (d *readDeadline) kick() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kicked {
		return
	}
	d.kicked = true
	_ = d.rc.SetReadDeadline(time.Unix(1, 0))
}

// jsonBody reads and decodes a JSON body that must be there (control plane 2.9).
func jsonBody[T any](c *call, decode func([]byte) (T, error)) (v T, err error) {
	if c.media("Content-Type") != protocol.KindJSON {
		return v, protocol.Errorf(protocol.CodeBadJSON, "content-type: want %s", protocol.MediaJSON)
	}
	b, err := c.body(protocol.CodeBadJSON)
	if err != nil {
		return v, err
	}
	defer b.free()
	return decode(b.data)
}

// optionalBody is jsonBody for a PUT, whose body counts only with a Content-Type.
func optionalBody[T any](c *call, decode func([]byte) (T, error)) (v T, err error) {
	if len(c.r.Header["Content-Type"]) == 0 {
		return v, nil
	}
	return jsonBody(c, decode)
}
