package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/protocol"
)

func (c *call) checkTail() error {
	ref, err := c.stream()
	if err != nil {
		return err
	}
	ctx, cancel := c.unary(noWait)
	defer cancel()
	tail, err := c.svc.CheckTail(ctx, ref)
	if err != nil {
		return door.CauseOf(ctx, err)
	}
	c.respond(http.StatusOK, contentJSON, protocol.EncodeTailJSON(tail))
	return nil
}

// read answers with one batch, or opens a read session (data plane 8.3). The order of its checks is that of 8.14.
func (c *call) read() error {
	ref, err := c.stream()
	if err != nil {
		return err
	}
	query, err := parseReadQuery(c.r.URL.RawQuery)
	if err != nil {
		return err
	}
	opts, err := c.recordOptions()
	if err != nil {
		return err
	}
	if c.media("Content-Type") == protocol.KindS2S {
		req, err := query.request(nil)
		if err != nil {
			return err
		}
		return c.s2sRead(ref, req, opts)
	}
	format, err := c.recordFormat()
	if err != nil {
		return err
	}
	accept := c.media("Accept")
	if accept == protocol.KindEventStream {
		after, err := c.lastEventID()
		if err != nil {
			return err
		}
		req, err := query.request(after)
		if err != nil {
			return err
		}
		return c.sseRead(ref, req, format, after, opts)
	}
	req, err := query.request(nil)
	if err != nil {
		return err
	}
	return c.unaryRead(ref, req, accept, format, opts)
}

func (c *call) unaryRead(ref protocol.StreamRef, req protocol.ReadRequest, accept protocol.MediaKind, format protocol.RecordFormat, opts []protocol.RecordOption) error {
	var wait time.Duration
	if req.Wait != nil {
		wait = min(*req.Wait, protocol.MaxUnaryWait)
	}
	ctx, cancel := c.unary(wait)
	defer cancel()
	c.hold = c.h.outbox.Hold(c.client, c.writes.cut)
	defer c.hold.Drop()
	batch, err := c.readBatch(ctx, ref, req, wait, opts)
	if err != nil {
		return door.CauseOf(ctx, err)
	}
	if accept == protocol.KindProtobuf {
		// The records leave as they are stored.
		buf := getBuffer(0)
		defer putBuffer(buf)
		*buf = protocol.AppendReadBatch((*buf)[:0], &protocol.ReadBatch{Tail: batch.Tail})
		c.respond(http.StatusOK, contentProtobuf, batch.Records.Wire(), *buf)
		return nil
	}
	if batch.Records.Len() == 0 {
		c.respond(http.StatusOK, contentJSON, protocol.AppendReadBatchJSON(nil, &batch, format))
		return nil
	}
	body, err := c.hold.JSON(ctx, &batch, format, getRoom)
	if err != nil {
		return err
	}
	c.respond(http.StatusOK, contentJSON, body)
	return nil
}

// readBatch reads a batch, within the room for the memory of readers.
func (c *call) readBatch(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest, wait time.Duration, opts []protocol.RecordOption) (protocol.ReadBatch, error) {
	return c.hold.Read(ctx, wait > 0, func() (protocol.ReadBatch, error) { return c.svc.Read(ctx, ref, req, opts...) })
}

// append stores one batch, or opens an append session.
func (c *call) append() error {
	ref, err := c.stream()
	if err != nil {
		return err
	}
	opts, err := c.recordOptions()
	if err != nil {
		return err
	}
	switch kind := c.media("Content-Type"); kind {
	case protocol.KindS2S:
		return c.s2sAppend(ref, opts)
	case protocol.KindJSON:
		format, err := c.recordFormat()
		if err != nil {
			return err
		}
		return c.unaryAppend(ref, opts, protocol.CodeBadJSON, func(data []byte) (protocol.AppendInput, error) {
			return protocol.DecodeAppendInputJSON(data, format)
		})
	case protocol.KindProtobuf:
		return c.unaryAppend(ref, opts, protocol.CodeBadProto, protocol.UnmarshalAppendInput)
	}
	return protocol.Errorf(protocol.CodeBadJSON, "content-type: want %s, %s or %s",
		protocol.MediaJSON, protocol.MediaProtobuf, protocol.MediaS2S)
}

func (c *call) unaryAppend(ref protocol.StreamRef, opts []protocol.RecordOption, tooLarge protocol.Code, decode func([]byte) (protocol.AppendInput, error)) error {
	b, err := c.body(tooLarge)
	if err != nil {
		return err
	}
	ctx, cancel := c.unary(noWait)
	defer cancel()
	defer func() {
		// An append whose outcome is not known may still read the body.
		if ctx.Err() == nil {
			b.free()
		} else {
			b.forget()
		}
	}()
	in, err := decode(b.data)
	if err != nil {
		return err
	}
	ack, err := c.svc.Append(ctx, ref, in, opts...)
	if err != nil {
		return door.CauseOf(ctx, err)
	}
	if c.media("Accept") == protocol.KindProtobuf {
		c.respond(http.StatusOK, contentProtobuf, protocol.MarshalAppendAck(ack))
		return nil
	}
	return c.answerJSON(http.StatusOK, ack)
}
