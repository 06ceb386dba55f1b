package httpclient

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/weirstream/weir/protocol"
)

const (
	basinsPath  = "/v1/basins"
	streamsPath = "/v1/streams"
	basinHeader = "S2-Basin"
)

func basinPath(basin protocol.BasinName) string {
	return basinsPath + "/" + url.PathEscape(string(basin))
}

// streamPath is the path of a stream: one segment, slashes escaped.
func streamPath(stream protocol.StreamName) string {
	return streamsPath + "/" + url.PathEscape(string(stream))
}

func inBasin(basin protocol.BasinName) http.Header { return http.Header{basinHeader: {string(basin)}} }

// ask performs a call whose success is status 200 and a T in JSON.
func ask[T any](ctx context.Context, c *Client, k call, in any) (out T, err error) {
	k.statuses, k.media = []int{http.StatusOK}, protocol.MediaJSON
	if k, err = k.carrying(in); err != nil {
		return out, err
	}
	_, _, body, err := c.do(ctx, k)
	if err != nil {
		return out, err
	}
	return decode[T](body)
}

// carrying adds a body in JSON; nil means none.
func (k call) carrying(in any) (call, error) {
	if in == nil {
		return k, nil
	}
	body, err := json.Marshal(in)
	if err != nil {
		return k, protocol.AsError(err)
	}
	k.body, k.head = body, k.with(protocol.HeaderContentType, protocol.MediaJSON)
	return k, nil
}

func (k call) with(name, value string) http.Header {
	head := k.head.Clone()
	if head == nil {
		head = http.Header{}
	}
	head.Set(name, value)
	return head
}

func decode[T any](body []byte) (T, error) {
	out, err := protocol.DecodeJSON[T](body)
	if err != nil {
		return out, wrong("an answer cannot be decoded: %v in %.200q", err, body)
	}
	return out, nil
}

// provision performs a create or an ensure. The status goes with the result: 201 for a created resource and for any
// successful POST, 200 for the rest (control plane 3.2, 3.4).
func provision[T any](ctx context.Context, c *Client, k call, token *string, in any) (out T, result protocol.ProvisionResult, err error) {
	k.statuses, k.media = []int{http.StatusOK, http.StatusCreated}, protocol.MediaJSON
	if k, err = k.carrying(in); err != nil {
		return out, "", err
	}
	if token != nil {
		k.head = k.with(protocol.HeaderRequestToken, *token)
	}
	status, head, body, err := c.do(ctx, k)
	if err != nil {
		return out, "", err
	}
	result = protocol.ProvisionResult(head.Get(protocol.HeaderProvisionResult))
	want := http.StatusOK
	if k.method == http.MethodPost || result == protocol.ProvisionCreated {
		want = http.StatusCreated
	}
	known := result == protocol.ProvisionCreated || result == protocol.ProvisionNoop ||
		result == protocol.ProvisionUpdated && k.method == http.MethodPut
	if !known || status != want {
		return out, "", wrong("%s was answered with status %d and provision result %q", k.method, status, result)
	}
	out, err = decode[T](body)
	return out, result, err
}

// remove performs a deletion: 202 and no body.
func (c *Client) remove(ctx context.Context, path string, head http.Header) error {
	_, _, _, err := c.do(ctx, call{method: http.MethodDelete, path: path, head: head, statuses: []int{http.StatusAccepted}})
	return err
}

// pageQuery is the query of a listing. Like the Rust SDK it sends prefix and start_after even when they are empty.
func pageQuery(req protocol.ListRequest) string {
	q := url.Values{"prefix": {req.Prefix}, "start_after": {req.StartAfter}}
	if req.Limit != 0 {
		q.Set("limit", strconv.Itoa(req.Limit))
	}
	return "?" + q.Encode()
}

// ListBasins implements [protocol.BasinService].
func (c *Client) ListBasins(ctx context.Context, req protocol.ListRequest) (protocol.BasinPage, error) {
	return ask[protocol.BasinPage](ctx, c, call{method: http.MethodGet, path: basinsPath + pageQuery(req)}, nil)
}

// CreateBasin implements [protocol.BasinService].
func (c *Client) CreateBasin(ctx context.Context, req protocol.CreateBasinRequest) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	return provision[protocol.BasinInfo](ctx, c, call{method: http.MethodPost, path: basinsPath}, req.RequestToken, req)
}

// EnsureBasin implements [protocol.BasinService].
func (c *Client) EnsureBasin(ctx context.Context, basin protocol.BasinName, req protocol.EnsureBasinRequest) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	return provision[protocol.BasinInfo](ctx, c, call{method: http.MethodPut, path: basinPath(basin)}, nil, req)
}

// GetBasinConfig implements [protocol.BasinService].
func (c *Client) GetBasinConfig(ctx context.Context, basin protocol.BasinName) (protocol.BasinConfig, error) {
	return ask[protocol.BasinConfig](ctx, c, call{method: http.MethodGet, path: basinPath(basin)}, nil)
}

// ReconfigureBasin implements [protocol.BasinService].
func (c *Client) ReconfigureBasin(ctx context.Context, basin protocol.BasinName, change protocol.BasinReconfiguration) (protocol.BasinConfig, error) {
	return ask[protocol.BasinConfig](ctx, c, call{method: http.MethodPatch, path: basinPath(basin)}, change)
}

// DeleteBasin implements [protocol.BasinService].
func (c *Client) DeleteBasin(ctx context.Context, basin protocol.BasinName) error {
	return c.remove(ctx, basinPath(basin), nil)
}

// ListStreams implements [protocol.StreamService].
func (c *Client) ListStreams(ctx context.Context, basin protocol.BasinName, req protocol.ListRequest) (protocol.StreamPage, error) {
	k := call{method: http.MethodGet, path: streamsPath + pageQuery(req), head: inBasin(basin)}
	return ask[protocol.StreamPage](ctx, c, k, nil)
}

// CreateStream implements [protocol.StreamService].
func (c *Client) CreateStream(ctx context.Context, basin protocol.BasinName, req protocol.CreateStreamRequest) (protocol.StreamInfo, protocol.ProvisionResult, error) {
	k := call{method: http.MethodPost, path: streamsPath, head: inBasin(basin)}
	return provision[protocol.StreamInfo](ctx, c, k, req.RequestToken, req)
}

// EnsureStream implements [protocol.StreamService].
func (c *Client) EnsureStream(ctx context.Context, ref protocol.StreamRef, config protocol.StreamConfig) (protocol.StreamInfo, protocol.ProvisionResult, error) {
	k := call{method: http.MethodPut, path: streamPath(ref.Stream), head: inBasin(ref.Basin)}
	return provision[protocol.StreamInfo](ctx, c, k, nil, config)
}

// GetStreamConfig implements [protocol.StreamService].
func (c *Client) GetStreamConfig(ctx context.Context, ref protocol.StreamRef) (protocol.ResolvedStreamConfig, error) {
	k := call{method: http.MethodGet, path: streamPath(ref.Stream), head: inBasin(ref.Basin)}
	return ask[protocol.ResolvedStreamConfig](ctx, c, k, nil)
}

// ReconfigureStream implements [protocol.StreamService].
func (c *Client) ReconfigureStream(ctx context.Context, ref protocol.StreamRef, change protocol.StreamReconfiguration) (protocol.ResolvedStreamConfig, error) {
	k := call{method: http.MethodPatch, path: streamPath(ref.Stream), head: inBasin(ref.Basin)}
	return ask[protocol.ResolvedStreamConfig](ctx, c, k, change)
}

// DeleteStream implements [protocol.StreamService].
func (c *Client) DeleteStream(ctx context.Context, ref protocol.StreamRef) error {
	return c.remove(ctx, streamPath(ref.Stream), inBasin(ref.Basin))
}
