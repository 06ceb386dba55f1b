package dsapi

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/protocol"
)

// Call is one request of the protocol.
type Call struct {
	// Service is the caller's.
	Service protocol.Service
	Ref     protocol.StreamRef
	// NoBasin says that paths are the names of streams, without [Path] and a basin.
	NoBasin bool
	W       http.ResponseWriter
	R       *http.Request
	// Unary returns the context of a request that waits so long at most.
	Unary func(wait time.Duration) (context.Context, context.CancelFunc)
	// Lasting ends when the client is gone.
	Lasting func() context.Context
	// Read reads a batch of a stream, which the request holds until the next one. A read that waits waits so long at most.
	Read func(ctx context.Context, of protocol.StreamRef, req protocol.ReadRequest, wait time.Duration) (protocol.ReadBatch, error)
	// Open makes the request a session among the door's and opens a read session, and Follow delivers its batches until its end. nil
	// stands for a clean one.
	Open   func(ctx context.Context, req protocol.ReadRequest) (protocol.ReadSession, error)
	Follow func(src protocol.ReadSession, deliver func(protocol.ReadBatch) error) error
	// Encoded returns the batch that was read or delivered last, which holds records, in a style. encode appends it, at most size
	// bytes. The result is shared: it is never written to.
	Encoded func(ctx context.Context, style door.Style, size func() int, encode func(dst []byte) []byte) ([]byte, error)
	// Body reads the request's body, within the door's bounds; free gives its memory back.
	Body func() (data []byte, free func(), err error)
	// Begin writes the head of a session's answer.
	Begin func(contentType string) error
	// Respond writes an answer whose headers are set, and Write and Flush pieces of one that goes on.
	Respond func(status int, body []byte)
	Write   func(pieces ...[]byte) error
	Flush   func() error
}

// Headers of the protocol.
const (
	headNext      = "Stream-Next-Offset"
	headUpToDate  = "Stream-Up-To-Date"
	headCursor    = "Stream-Cursor"
	headClosed    = "Stream-Closed"
	headTTL       = "Stream-Ttl"
	headExpiresAt = "Stream-Expires-At"
	headSeq       = "Stream-Seq"
	headFork      = "Stream-Forked-From"
	headForkAt    = "Stream-Fork-Offset"
	headForkSub   = "Stream-Fork-Sub-Offset"
	headEncoding  = "Stream-Sse-Data-Encoding"

	headProducer = "Producer-Id"
	headEpoch    = "Producer-Epoch"
	headProdSeq  = "Producer-Seq"
	headExpected = "Producer-Expected-Seq"
	headReceived = "Producer-Received-Seq"
)

// ExposedHeaders are those that pages of other origins may read.
const ExposedHeaders = "Stream-Next-Offset, Stream-Up-To-Date, Stream-Cursor, Stream-Closed, Stream-TTL, Stream-Expires-At, " +
	"Stream-SSE-Data-Encoding, Producer-Epoch, Producer-Seq, Producer-Expected-Seq, Producer-Received-Seq, ETag, Location"

// Serve answers the request. An error has not been answered yet; its status is [Status].
func (c *Call) Serve() error {
	head := c.W.Header()
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if reserved(c.R.URL.Path) {
		return protocol.Errorf(protocol.CodeNotImplemented, "subscriptions are not served")
	}
	switch c.R.Method {
	case http.MethodPut:
		return c.create()
	case http.MethodPost:
		return c.append()
	case http.MethodGet:
		return c.read()
	case http.MethodHead:
		return c.describe()
	case http.MethodDelete:
		return c.delete()
	}
	head.Set("Allow", "GET, HEAD, PUT, POST, DELETE")
	return errMethod
}

var (
	errMethod = protocol.Errorf(protocol.CodeBadPath, "a stream takes GET, HEAD, PUT, POST and DELETE")
	errGone   = protocol.Errorf(protocol.CodeBadQuery, "offset lies before the first message that the stream still has: begin with offset=-1")
)

// reserved reports whether a path belongs to the subscription APIs that the protocol reserves.
func reserved(path string) bool {
	return strings.Contains(path, "/__ds/") || strings.HasSuffix(path, "/__ds")
}

// Status is the status of a failure in this protocol.
func Status(e *protocol.Error) int {
	switch e {
	case errMethod:
		return http.StatusMethodNotAllowed
	case errGone:
		return http.StatusGone
	}
	switch e.Code {
	case protocol.CodeBasinNotFound, protocol.CodeStreamNotFound, protocol.CodeStreamDeletionPending, protocol.CodeBasinDeletionPending:
		return http.StatusNotFound
	case protocol.CodeInvalid, protocol.CodeBadHeader, protocol.CodeBadQuery, protocol.CodeBadJSON:
		return http.StatusBadRequest
	case protocol.CodeConditionFailed:
		return http.StatusConflict
	case protocol.CodeBadFrame: // a body that is too large
		return http.StatusRequestEntityTooLarge
	case protocol.CodeUnavailable: // the stream was deleted while it was read
		if e.RemoteStatus == 0 {
			return http.StatusServiceUnavailable
		}
	}
	return e.Status()
}

// stream is a stream's configuration and end.
type stream struct {
	media  string // content type as it was created
	tail   protocol.StreamTail
	config protocol.ResolvedStreamConfig
}

const defaultMedia = "application/octet-stream"

// mediaOf is the content type of a stream.
func mediaOf(config *protocol.ResolvedStreamConfig) string {
	return cmp.Or(config.ContentType, defaultMedia)
}

func (c *Call) stream(ctx context.Context) (s stream, err error) {
	if s.config, err = c.Service.GetStreamConfig(ctx, c.Ref); err != nil {
		return s, err
	}
	s.media = mediaOf(&s.config)
	s.tail, err = c.Service.CheckTail(ctx, c.Ref)
	return s, err
}

// offsets are seq_nums, with leading zeros so that they sort as text.
func offsetOf(seq uint64) string {
	s := strconv.FormatUint(seq, 10)
	return "00000000000000000000"[len(s):] + s
}

func parseOffset(s string) (uint64, bool) {
	if len(s) != 20 {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

// mediaType is a content type without its parameters, in lower case.
func mediaType(s string) string {
	kind, _, _ := strings.Cut(s, ";")
	return strings.ToLower(strings.TrimSpace(kind))
}

func isJSON(media string) bool {
	kind := mediaType(media)
	return kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")
}

func isText(media string) bool { return strings.HasPrefix(mediaType(media), "text/") }

// wantsClosed reports whether the request closes the stream.
func (c *Call) wantsClosed() bool { return strings.EqualFold(c.R.Header.Get(headClosed), "true") }

// tellEnd sets the headers that tell where the stream stands.
func (c *Call) tellEnd(t protocol.StreamTail) {
	head := c.W.Header()
	head.Set(headNext, offsetOf(t.SeqNum))
	if t.Closed {
		head.Set(headClosed, "true")
	}
}

// describe answers HEAD.
func (c *Call) describe() error {
	ctx, cancel := c.Unary(0)
	defer cancel()
	s, err := c.stream(ctx)
	if err != nil {
		return err
	}
	c.tellEnd(s.tail)
	head := c.W.Header()
	head.Set("Content-Type", s.media)
	head.Set("Cache-Control", "no-store")
	c.tellExpiry(s.config.Expiry)
	c.Respond(http.StatusOK, nil)
	return nil
}

func (c *Call) tellExpiry(x protocol.Expiry) {
	if x.IdleSecs != 0 {
		c.W.Header().Set(headTTL, strconv.FormatUint(x.IdleSecs, 10))
	}
	if x.At != 0 {
		c.W.Header().Set(headExpiresAt, x.AtTime().Format(time.RFC3339Nano))
	}
}

func (c *Call) delete() error {
	ctx, cancel := c.Unary(0)
	defer cancel()
	if _, err := c.Service.GetStreamConfig(ctx, c.Ref); err != nil {
		return err // also of one that is being deleted
	}
	if err := c.Service.DeleteStream(ctx, c.Ref); err != nil {
		return err
	}
	c.Respond(http.StatusNoContent, nil)
	return nil
}
