package httpclient

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/weirstream/weir/protocol"
)

// exchange is the HTTP exchange under a session.
type exchange struct {
	resp   *http.Response
	cancel context.CancelFunc
}

// openSession sends a session's request and waits for the head of the answer. ctx bounds only that.
func (c *Client) openSession(ctx context.Context, method, path string, ref protocol.StreamRef, opts []protocol.RecordOption, body io.Reader) (*exchange, error) {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	x, err := c.exchange(life, method, path, ref, opts, body)
	if !stop() && err == nil { // ctx ended at the last moment
		x.resp.Body.Close()
		err = ctx.Err()
	}
	if err != nil {
		cancel()
		if ctx.Err() != nil {
			err = protocol.AsError(ctx.Err())
		}
		return nil, err
	}
	x.cancel = cancel
	return x, nil
}

func (c *Client) exchange(life context.Context, method, path string, ref protocol.StreamRef, opts []protocol.RecordOption, body io.Reader) (*exchange, error) {
	req, err := http.NewRequestWithContext(life, method, c.base+path, body)
	if err != nil {
		return nil, protocol.AsError(err)
	}
	req.Header.Set(basinHeader, string(ref.Basin))
	req.Header.Set(protocol.HeaderContentType, MediaS2S)
	addOptions(req.Header, opts)
	// Without the header, Go's transport asks for gzip by itself.
	req.Header.Set("Accept-Encoding", "identity")
	if c.encoding != "" {
		req.Header.Set("Accept-Encoding", c.encoding)
	}
	c.authorize(req)
	resp, err := c.hc.Do(req)
	if err != nil {
		return nil, broken(err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, refusal(resp)
	}
	if err := checkSessionHead(resp); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return &exchange{resp: resp}, nil
}

// checkSessionHead checks the rules of data plane 8.9 for the head of a session.
func checkSessionHead(resp *http.Response) error {
	for name, want := range map[string]string{
		protocol.HeaderContentType: MediaS2S,
		"Cache-Control":            "no-cache, no-transform",
		"X-Accel-Buffering":        "no",
		"Content-Encoding":         "",
	} {
		if got := resp.Header.Get(name); got != want {
			return wrong("a session has %s: %q, want %q", name, got, want)
		}
	}
	return nil
}

// message reads the next message; after it the session is over if err is not nil. A clean end is io.EOF.
func (x *exchange) message(r io.Reader) ([]byte, error) {
	f, err := ReadFrame(r)
	if errors.Is(err, io.EOF) {
		return nil, err
	}
	if err != nil {
		return nil, cut(err)
	}
	if !f.Terminal() {
		return f.Message()
	}
	if _, err := io.ReadFull(r, make([]byte, 1)); err != io.EOF {
		return nil, wrong("a terminal frame is followed by more: %v", err)
	}
	return nil, f.Failure()
}

// cut says that an answer broke off. Records that a session delivered before stand, so the caller may open another.
func cut(err error) error {
	if e := protocol.AsError(err); e.Code != protocol.CodeOther || e.Message != "internal error" {
		return e
	}
	return protocol.Wrap(protocol.CodeUnavailable, err, "the session broke off")
}

// end frees the exchange's connection and context.
func (x *exchange) end() {
	x.cancel()
	x.resp.Body.Close()
}
