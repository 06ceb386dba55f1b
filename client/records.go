package client

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
)

// CheckTail implements [protocol.RecordService].
func (c *Client) CheckTail(ctx context.Context, ref protocol.StreamRef) (protocol.StreamTail, error) {
	ctx, cancel := c.bound(ctx, 0)
	defer cancel()
	m, err := c.ask(ctx, c.subjects.Records("tail", ref), nil, nil)
	if err != nil {
		return protocol.StreamTail{}, err
	}
	tail, err := protocol.DecodeTailJSON(m.Data)
	if err != nil {
		return protocol.StreamTail{}, badAnswer("tail", err)
	}
	return tail, nil
}

// Append implements [protocol.RecordService]. An append that names its producer is made again while its outcome is unknown or
// no server answers, until ctx ends, or for [Options.ResumeFor] if ctx has no deadline.
func (c *Client) Append(ctx context.Context, ref protocol.StreamRef, in protocol.AppendInput, opts ...protocol.RecordOption) (protocol.AppendAck, error) {
	if in.Producer == nil {
		ctx, cancel := c.bound(ctx, 0)
		defer cancel()
		return c.appendOnce(ctx, ref, in, opts)
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.opts.ResumeFor)
		defer cancel()
	}
	for wait := resumeBackoffMin; ; wait = min(2*wait, resumeBackoffMax) {
		once, cancel := context.WithTimeout(ctx, c.opts.Timeout)
		ack, err := c.appendOnce(once, ref, in, opts)
		cancel()
		if err == nil || ctx.Err() != nil || c.nc.IsClosed() || !protocol.AsError(err).Retryable() {
			return ack, err
		}
		if pause(ctx, wait) != nil {
			return ack, err
		}
	}
}

// appendOnce sends an append. ctx must have a deadline.
func (c *Client) appendOnce(ctx context.Context, ref protocol.StreamRef, in protocol.AppendInput, opts []protocol.RecordOption) (protocol.AppendAck, error) {
	head := protobufHeaders()
	head[protocol.HeaderContentType] = []string{protocol.MediaProtobuf}
	addOptions(head, protocol.MakeRecordOptions(opts...))
	m, err := c.request(ctx, c.subjects.Records("append", ref), head, protocol.MarshalAppendInput(&in))
	if err != nil {
		return protocol.AppendAck{}, err
	}
	ack, err := protocol.UnmarshalAppendAck(m.Data)
	if err != nil {
		return protocol.AppendAck{}, badAnswer("ack", err)
	}
	return ack, nil
}

// Read implements [protocol.RecordService]. Where the NATS server's max_payload is small it may return fewer records
// than were asked for.
func (c *Client) Read(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts ...protocol.RecordOption) (protocol.ReadBatch, error) {
	var wait time.Duration
	if req.Wait != nil {
		wait = min(max(*req.Wait, 0), protocol.MaxUnaryWait)
	}
	ctx, cancel := c.bound(ctx, wait)
	defer cancel()
	head := protobufHeaders()
	addOptions(head, protocol.MakeRecordOptions(opts...))
	m, err := c.ask(ctx, c.subjects.Records("read", ref), head, protocol.EncodeReadRequestJSON(&req))
	if err != nil {
		return protocol.ReadBatch{}, err
	}
	batch, err := protocol.UnmarshalReadBatch(m.Data)
	if err != nil {
		return protocol.ReadBatch{}, badAnswer("batch", err)
	}
	return batch, nil
}

// addOptions adds the headers of the options that are set.
func addOptions(head nats.Header, o protocol.RecordOptions) {
	if !o.EncryptionKey.IsZero() {
		head[protocol.HeaderEncryptionKey] = []string{o.EncryptionKey.Reveal()}
	}
	if !o.NewStream.Equal(protocol.StreamConfig{}) {
		config, _ := o.NewStream.MarshalJSON() // never fails
		head[protocol.HeaderStreamConfig] = []string{string(config)}
	}
}

func protobufHeaders() nats.Header {
	return nats.Header{protocol.HeaderAccept: {protocol.MediaProtobuf}}
}
