package httpclient

import (
	"bytes"
	"context"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"

	"github.com/weirstream/weir/protocol"
)

// maxAnswerBytes is more than any unary answer can have: 1000 records in JSON and Base64, or 1000 streams with names
// of 512 bytes.
const maxAnswerBytes = 16 << 20

// Client is the service behind one HTTP endpoint. Make one with [New]; all methods may be called at once.
type Client struct {
	base     string
	hc       *http.Client
	json     bool
	encoding string
	token    string
}

var _ protocol.Service = (*Client)(nil)

// Option changes how a client speaks.
type Option func(*Client)

// JSON makes unary appends and reads use JSON with Base64 instead of protobuf.
func JSON(c *Client) { c.json = true }

// AcceptEncoding sets the accept-encoding header of sessions, by which the server chooses how to compress its frames.
func AcceptEncoding(value string) Option { return func(c *Client) { c.encoding = value } }

// Token sets the access token that goes with every request.
func Token(secret string) Option { return func(c *Client) { c.token = secret } }

// authorize adds the access token, if there is one, to a request.
func (c *Client) authorize(req *http.Request) {
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
}

// New makes a client of the API at base, such as "http://127.0.0.1:8080". hc must have no Timeout, which would end
// sessions; whether it speaks HTTP/1.1 or HTTP/2 is up to its transport.
func New(base string, hc *http.Client, opts ...Option) *Client {
	c := &Client{base: base, hc: hc}
	for _, opt := range opts {
		opt(c)
	}
	return c
}

// call is one request and the requirements on its answer.
type call struct {
	method, path string
	head         http.Header
	body         []byte
	statuses     []int  // of a success
	media        string // of a success's body; "" means that it has none
}

// do performs a unary call. The error is an [*protocol.Error].
func (c *Client) do(ctx context.Context, k call) (status int, head http.Header, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, k.method, c.base+k.path, bytes.NewReader(k.body))
	if err != nil {
		return 0, nil, nil, protocol.AsError(err)
	}
	maps.Copy(req.Header, k.head)
	c.authorize(req)
	resp, err := c.hc.Do(req)
	if err != nil {
		return 0, nil, nil, broken(err)
	}
	defer resp.Body.Close()
	if !slices.Contains(k.statuses, resp.StatusCode) {
		return 0, nil, nil, refusal(resp)
	}
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil {
		return 0, nil, nil, broken(err)
	}
	if err := checkMedia(resp, k.media, len(body)); err != nil {
		return 0, nil, nil, err
	}
	return resp.StatusCode, resp.Header, body, nil
}

// broken says that an exchange did not come to its end.
func broken(err error) error {
	if e := protocol.AsError(err); e.Code != protocol.CodeOther {
		return e
	}
	return protocol.Wrap(protocol.CodeOther, err, "the HTTP exchange broke off")
}

// wrong says that the server does not keep to the specification.
func wrong(format string, args ...any) error {
	return protocol.Errorf(protocol.CodeOther, "the server breaks the specification: "+format, args...)
}

// refusal reads the error that an answer is. Every error has a body in JSON.
func refusal(resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil {
		return broken(err)
	}
	if resp.StatusCode < 400 {
		return wrong("%s %s was answered with status %d", resp.Request.Method, resp.Request.URL.Path, resp.StatusCode)
	}
	if err := checkMedia(resp, protocol.MediaJSON, len(body)); err != nil {
		return err
	}
	return protocol.ParseError(resp.StatusCode, body)
}

func checkMedia(resp *http.Response, want string, size int) error {
	if want == "" {
		if size > 0 {
			return wrong("status %d came with a body of %d bytes", resp.StatusCode, size)
		}
		return nil
	}
	got, _, err := mime.ParseMediaType(resp.Header.Get(protocol.HeaderContentType))
	if err != nil || got != want {
		return wrong("status %d has content type %q, want %q", resp.StatusCode, resp.Header.Get(protocol.HeaderContentType), want)
	}
	return nil
}

// number spells a number of a query.
func number(n uint64) string { return strconv.FormatUint(n, 10) }
