package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/broker/internal/dsapi"
	"github.com/weirstream/weir/protocol"
)

// The Durable Streams protocol is served at /ds/{basin}/{stream...} by package dsapi. This door finds out who asks, admits the
// request and bounds what it holds, as for its own routes.
const durablePath = dsapi.Path

// durableRoute stands in logs and metrics for all requests of that protocol. It is in no table: the OpenAPI document is about S2's API.
var durableRoute = route{name: "durable_streams", pattern: "/ds/{basin}/{stream}", serve: (*call).durableStreams}

// isDurable reports whether a request is of the Durable Streams protocol.
func isDurable(r *http.Request) bool { return strings.HasPrefix(r.URL.EscapedPath(), durablePath) }

// DurableStreams returns a handler of the Durable Streams protocol alone, for the streams of one basin: the path of a stream is its
// name. It has its bounds and its end in common with h.
func (h *Handler) DurableStreams(basin protocol.BasinName) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, basin) })
}

// durableRef reads the names in the path, of which fixed replaces the basin's; a stream's name may hold slashes, written as they are.
func durableRef(path string, fixed protocol.BasinName) (ref protocol.StreamRef, err error) {
	basin, stream, ok := string(fixed), strings.TrimPrefix(path, "/"), true
	if fixed == "" {
		basin, stream, ok = strings.Cut(strings.TrimPrefix(path, durablePath), "/")
	}
	if !ok {
		return ref, protocol.Errorf(protocol.CodeBadPath, "want /ds/{basin}/{stream}")
	}
	name, err := url.PathUnescape(stream)
	if err != nil {
		return ref, protocol.Errorf(protocol.CodeBadPath, "the path is malformed")
	}
	if ref.Basin, err = protocol.ParseBasinName(basin); err != nil {
		return ref, protocol.Errorf(protocol.CodeBadPath, "%v", err)
	}
	if ref.Stream, err = protocol.ParseStreamName(name); err != nil {
		return ref, protocol.Errorf(protocol.CodeBadPath, "%v", err)
	}
	return ref, nil
}

func (c *call) durableStreams() error {
	ref, err := durableRef(c.r.URL.EscapedPath(), c.basin)
	if err != nil {
		return err
	}
	c.w.Header()["Access-Control-Expose-Headers"] = []string{dsapi.ExposedHeaders + ", " + exposedHeaders}
	d := dsapi.Call{Service: c.svc, Ref: ref, NoBasin: c.basin != "", W: c.w, R: c.r, Unary: c.unary, Flush: c.flush, Lasting: c.context,
		Open: func(ctx context.Context, req protocol.ReadRequest) (protocol.ReadSession, error) {
			c.release()
			return c.openRead(ctx, ref, req, nil)
		},
		Follow: func(src protocol.ReadSession, deliver func(protocol.ReadBatch) error) error {
			return c.readLoop(src, "durable_streams", deliver)
		},
		Read: func(ctx context.Context, of protocol.StreamRef, req protocol.ReadRequest, wait time.Duration) (protocol.ReadBatch, error) {
			c.release()
			c.hold = c.h.outbox.Hold(c.client, c.writes.cut)
			batch, err := c.readBatch(ctx, of, req, wait, nil)
			return batch, door.CauseOf(ctx, err)
		},
		Encoded: func(ctx context.Context, style door.Style, size func() int, encode func(dst []byte) []byte) ([]byte, error) {
			return c.hold.Encoded(ctx, style, door.Encoding{Size: size, Append: encode, Buffer: getRoom})
		},
		Body: func() ([]byte, func(), error) {
			b, err := c.body(protocol.CodeBadFrame)
			if err != nil {
				return nil, nil, err
			}
			return b.data, b.free, nil
		},
		Respond: func(status int, body []byte) {
			if status == http.StatusNoContent || status == http.StatusNotModified {
				c.takeSlotless()
				c.status = status
				c.w.WriteHeader(status)
				return
			}
			c.respond(status, nil, body)
		},
		Begin: func(contentType string) error { return c.openSession([]string{contentType}) },
		Write: c.write,
	}
	defer c.release()
	err = d.Serve()
	if err == nil || c.status != 0 {
		return nil
	}
	e := c.clientError(door.CauseOf(c.r.Context(), err))
	c.w.Header().Set("Cache-Control", "no-store")
	c.failStatus(dsapi.Status(e), e)
	return nil
}

// release gives back the memory of the batch that was read last.
func (c *call) release() {
	if c.hold != nil {
		c.hold.Drop()
		c.hold = nil
	}
}
