package natsapi

import (
	"context"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/protocol"
)

func checkTail(ctx context.Context, c *call) (reply, error) {
	ref, err := c.stream()
	if err != nil {
		return reply{}, err
	}
	tail, err := c.svc.CheckTail(ctx, ref)
	if err != nil {
		return reply{}, err
	}
	return reply{head: contentType(protocol.MediaJSON), body: protocol.EncodeTailJSON(tail)}, nil
}

// appendRecords stores one batch, or opens an append session.
func appendRecords(ctx context.Context, c *call) (reply, error) {
	ref, err := c.stream()
	if err != nil {
		return reply{}, err
	}
	opts, err := c.recordOptions()
	if err != nil {
		return reply{}, err
	}
	switch c.ctl.session {
	case protocol.SessionAppend:
		return openAppendSession(ctx, c, ref, opts)
	case protocol.SessionRead:
		return reply{}, protocol.Errorf(protocol.CodeBadHeader, "%s: a read session is opened on the read subject", protocol.HeaderSession)
	}
	in, err := decodeInput(&c.ctl, c.head, c.body)
	if err != nil {
		return reply{}, err
	}
	return c.append(ctx, ref, in, opts)
}

// closeStream closes a stream without records. The conditions stand in the body, as those of an append in JSON, or in headers.
func closeStream(ctx context.Context, c *call) (reply, error) {
	ref, err := c.stream()
	if err != nil {
		return reply{}, err
	}
	in, err := decodeBody(c, protocol.DecodeCloseRequestJSON)
	if err != nil {
		return reply{}, err
	}
	if c.ctl.matchSeqNum != nil {
		in.MatchSeqNum = c.ctl.matchSeqNum
	}
	if c.ctl.fencingToken != nil {
		in.FencingToken = c.ctl.fencingToken
	}
	if in.Producer, err = c.ctl.producer.producer(); err != nil {
		return reply{}, err
	}
	in.WriterSeq = c.ctl.writerSeq
	opts, err := c.recordOptions()
	if err != nil {
		return reply{}, err
	}
	return c.append(ctx, ref, in, opts)
}

// append makes an append and encodes its ack.
func (c *call) append(ctx context.Context, ref protocol.StreamRef, in protocol.AppendInput, opts []protocol.RecordOption) (reply, error) {
	ack, err := c.svc.Append(ctx, ref, in, opts...)
	if err != nil {
		return reply{}, err
	}
	enc := c.encoding()
	return reply{head: contentType(enc.contentType()), body: enc.ack(ack)}, nil
}

// recordOptions returns the options of a call that moves records. The code of the error is bad_header.
func (c *call) recordOptions() (opts []protocol.RecordOption, err error) {
	if text := c.ctl.encryptionKey; text != nil {
		key, err := protocol.ParseEncryptionKey(protocol.HeaderEncryptionKey, *text)
		if err != nil {
			return nil, err
		}
		opts = append(opts, protocol.WithEncryptionKey(key))
	}
	if text := c.ctl.streamConfig; strings.TrimSpace(text) != "" {
		config, err := protocol.ParseNewStreamConfig(protocol.HeaderStreamConfig, text)
		if err != nil {
			return nil, err
		}
		opts = append(opts, protocol.WithNewStream(config))
	}
	return opts, nil
}

func (e encoding) ack(ack protocol.AppendAck) []byte {
	if e.protobuf {
		return protocol.MarshalAppendAck(ack)
	}
	body, _ := ack.MarshalJSON() // never fails: it is six numbers
	return body
}

// decodeInput reads an append in any of its three forms; ctl are the controls of head. Codes: bad_header, bad_json, bad_proto, invalid.
func decodeInput(ctl *controls, head nats.Header, body []byte) (in protocol.AppendInput, err error) {
	if err := checkForeign(head); err != nil {
		return in, err
	}
	raw := ctl.contentType == mediaNone || ctl.contentType == mediaRaw
	if !raw {
		if name := ctl.rawOnly(); name != "" {
			return in, protocol.Errorf(protocol.CodeBadHeader, "%s goes with an append in raw form; put it in the body", name)
		}
	}
	if code := ctl.tooLargeCode(); len(body) > protocol.MaxRequestBytes {
		return in, protocol.Errorf(code, "the body has %d bytes, at most %d are allowed", len(body), protocol.MaxRequestBytes)
	}
	switch ctl.contentType {
	case mediaJSON:
		return protocol.DecodeAppendInputJSON(body, ctl.format)
	case mediaProtobuf:
		return protocol.UnmarshalAppendInput(body)
	}
	producer, err := ctl.producer.producer()
	if err != nil {
		return in, err
	}
	return protocol.AppendInput{
		Records:      []protocol.Record{{Timestamp: ctl.timestamp, Headers: recordHeaders(head), Body: body}},
		MatchSeqNum:  ctl.matchSeqNum,
		FencingToken: ctl.fencingToken,
		Close:        ctl.closes != nil && *ctl.closes,
		Producer:     producer,
		WriterSeq:    ctl.writerSeq,
	}, nil
}

// recordHeaders returns the headers of a record in raw form: all but the control headers, in the order of their names,
// because the order on the wire is lost, and with all values of each, in their order.
func recordHeaders(head nats.Header) []protocol.Header {
	var out []protocol.Header
	for _, name := range sortedNames(head) {
		if isControl(name) {
			continue
		}
		for _, value := range head[name] {
			out = append(out, protocol.Header{Name: []byte(name), Value: []byte(value)})
		}
	}
	return slices.Clip(out)
}

// rawOnly returns the name of a given header that speaks only with an append in raw form, or "".
func (c *controls) rawOnly() string {
	switch {
	case c.matchSeqNum != nil:
		return protocol.HeaderMatchSeqNum
	case c.fencingToken != nil:
		return protocol.HeaderFencingToken
	case c.timestamp != nil:
		return protocol.HeaderTimestamp
	case c.closes != nil:
		return protocol.HeaderClose
	case c.producer.given():
		return protocol.HeaderProducerID
	case c.writerSeq != nil:
		return protocol.HeaderWriterSeq
	}
	return ""
}

// tooLargeCode is the code for a body that is too large, by its form (data plane 8.11).
func (c *controls) tooLargeCode() protocol.Code {
	switch c.contentType {
	case mediaJSON:
		return protocol.CodeBadJSON
	case mediaProtobuf:
		return protocol.CodeBadProto
	}
	return protocol.CodeInvalid
}

// readRecords answers with one batch, or opens a read session. A batch that does not fit in a message is cut: a reader
// goes on behind the last record it got in any case.
func readRecords(ctx context.Context, c *call) (reply, error) {
	ref, err := c.stream()
	if err != nil {
		return reply{}, err
	}
	req, err := decodeBody(c, protocol.DecodeReadRequestJSON)
	if err != nil {
		return reply{}, err
	}
	opts, err := c.recordOptions()
	if err != nil {
		return reply{}, err
	}
	if err := req.Validate(); err != nil {
		return reply{}, err
	}
	switch c.ctl.session {
	case protocol.SessionRead:
		return openReadSession(ctx, c, ref, req, opts)
	case protocol.SessionAppend:
		return reply{}, protocol.Errorf(protocol.CodeBadHeader, "%s: an append session is opened on the append subject", protocol.HeaderSession)
	}
	hold := c.door.opts.Outbox.Hold(c.door.reader(c.client), func() {}) // until the answer is made: nothing is cut
	defer hold.Drop()
	waits := req.Wait != nil && *req.Wait > 0
	if waits {
		var end context.CancelFunc
		ctx, end = c.door.bindWait(ctx)
		defer end()
	}
	batch, err := hold.Read(ctx, waits, func() (protocol.ReadBatch, error) { return c.svc.Read(ctx, ref, req, opts...) })
	if err != nil {
		return reply{}, door.CauseOf(ctx, err)
	}
	enc := c.encoding()
	body, _, err := enc.fitBatch(batch, c.room())
	if err != nil {
		return reply{}, err
	}
	return reply{head: contentType(enc.contentType()), body: body}, nil
}

// bindWait returns a context that ends with ctx, and with the cause server_draining when the door begins to drain.
func (d *Door) bindWait(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(d.waits, func() { cancel(context.Cause(d.waits)) })
	return ctx, func() { unhook(); cancel(nil) }
}

func contentType(media string) nats.Header {
	return nats.Header{protocol.HeaderContentType: {media}}
}
