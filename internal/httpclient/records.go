package httpclient

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/weirstream/weir/protocol"
)

func recordsPath(ref protocol.StreamRef) string { return streamPath(ref.Stream) + "/records" }

// CheckTail implements [protocol.RecordService].
func (c *Client) CheckTail(ctx context.Context, ref protocol.StreamRef) (protocol.StreamTail, error) {
	_, _, body, err := c.do(ctx, call{method: http.MethodGet, path: recordsPath(ref) + "/tail", head: inBasin(ref.Basin),
		statuses: []int{http.StatusOK}, media: protocol.MediaJSON})
	if err != nil {
		return protocol.StreamTail{}, err
	}
	tail, err := protocol.DecodeTailJSON(body)
	if err != nil {
		return tail, wrong("a tail cannot be decoded: %v in %.200q", err, body)
	}
	return tail, nil
}

// media is the media type of unary appends and reads.
func (c *Client) media() string {
	if c.json {
		return protocol.MediaJSON
	}
	return protocol.MediaProtobuf
}

func (c *Client) unaryHead(ref protocol.StreamRef) http.Header {
	head := inBasin(ref.Basin)
	head.Set(protocol.HeaderAccept, c.media())
	if c.json {
		head.Set(protocol.HeaderFormat, protocol.FormatBase64.String())
	}
	return head
}

// Append implements [protocol.RecordService].
func (c *Client) Append(ctx context.Context, ref protocol.StreamRef, in protocol.AppendInput, opts ...protocol.RecordOption) (protocol.AppendAck, error) {
	if t := in.FencingToken; c.json && t != nil && len(*t) > protocol.MaxFencingTokenBytes {
		plain := *c // in JSON a token that is too long has a code of its own
		plain.json = false
		return plain.Append(ctx, ref, in, opts...)
	}
	k := call{method: http.MethodPost, path: recordsPath(ref), head: c.unaryHead(ref),
		statuses: []int{http.StatusOK}, media: c.media()}
	k.head.Set(protocol.HeaderContentType, c.media())
	addOptions(k.head, opts)
	var err error
	if k.body = protocol.MarshalAppendInput(&in); c.json {
		if k.body, err = protocol.EncodeAppendInputJSON(&in, protocol.FormatBase64); err != nil {
			return protocol.AppendAck{}, err
		}
	}
	_, _, body, err := c.do(ctx, k)
	if err != nil {
		return protocol.AppendAck{}, err
	}
	if c.json {
		return decode[protocol.AppendAck](body)
	}
	ack, err := protocol.UnmarshalAppendAck(body)
	if err != nil {
		return ack, wrong("an ack cannot be decoded: %v", err)
	}
	return ack, nil
}

// Read implements [protocol.RecordService].
func (c *Client) Read(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts ...protocol.RecordOption) (protocol.ReadBatch, error) {
	head := c.unaryHead(ref)
	addOptions(head, opts)
	_, _, body, err := c.do(ctx, call{method: http.MethodGet, path: recordsPath(ref) + readQuery(req),
		head: head, statuses: []int{http.StatusOK}, media: c.media()})
	if err != nil {
		return protocol.ReadBatch{}, err
	}
	var batch protocol.ReadBatch
	if c.json {
		batch, err = protocol.DecodeReadBatchJSON(body, protocol.FormatBase64)
	} else {
		batch, err = protocol.UnmarshalReadBatch(body)
	}
	if err != nil {
		return batch, wrong("a batch cannot be decoded: %v", err)
	}
	return batch, nil
}

// addOptions adds the headers of the options that are set.
func addOptions(head http.Header, opts []protocol.RecordOption) {
	o := protocol.MakeRecordOptions(opts...)
	if !o.EncryptionKey.IsZero() {
		head.Set(protocol.HeaderEncryptionKey, o.EncryptionKey.Reveal())
	}
	if !o.NewStream.Equal(protocol.StreamConfig{}) {
		config, _ := o.NewStream.MarshalJSON() // never fails
		head.Set(protocol.HeaderStreamConfig, string(config))
	}
}

// readQuery is the query of a read. A wait is in whole seconds on this wire; a fraction is rounded up.
func readQuery(req protocol.ReadRequest) string {
	q := url.Values{}
	switch n := number(req.Start.Value); req.Start.Kind {
	case protocol.StartSeqNum:
		q.Set("seq_num", n)
	case protocol.StartTimestamp:
		q.Set("timestamp", n)
	case protocol.StartTailOffset:
		if req.Start.Value > 0 { // without a start, a read begins at the tail
			q.Set("tail_offset", n)
		}
	}
	for name, value := range map[string]*uint64{"count": req.Count, "bytes": req.Bytes, "until": req.Until} {
		if value != nil {
			q.Set(name, number(*value))
		}
	}
	if req.Clamp {
		q.Set("clamp", "true")
	}
	if req.Wait != nil {
		secs := (max(*req.Wait, 0) + time.Second - 1) / time.Second
		q.Set("wait", strconv.FormatInt(int64(secs), 10))
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}
