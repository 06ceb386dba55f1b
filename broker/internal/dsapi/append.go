package dsapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/weirstream/weir/protocol"
)

// maxSafe is the largest number that JavaScript keeps exactly.
const maxSafe = 1<<53 - 1

// append answers POST.
func (c *Call) append() error {
	ctx, cancel := c.Unary(0)
	defer cancel()
	in := protocol.AppendInput{Close: c.wantsClosed()}
	var err error
	if in.Producer, err = c.producer(); err != nil {
		return err
	}
	body, free, err := c.Body()
	if err != nil {
		return err
	}
	defer func() {
		if ctx.Err() == nil { // an append whose outcome is not known may still read the body
			free()
		}
	}()
	config, err := c.Service.GetStreamConfig(ctx, c.Ref)
	if err != nil {
		return err
	}
	if len(body) > 0 || !in.Close {
		media, asked := mediaOf(&config), c.R.Header.Get("Content-Type")
		switch {
		case len(body) == 0:
			return protocol.Errorf(protocol.CodeInvalid, "the body is empty")
		case asked == "":
			return protocol.Errorf(protocol.CodeBadHeader, "Content-Type is missing")
		case config.Closed && in.Producer == nil: // before the content type: it will never fit
			tail, err := c.Service.CheckTail(ctx, c.Ref)
			if err != nil {
				return err
			}
			c.tellEnd(tail)
			return protocol.StreamClosed(tail.Position)
		case mediaType(asked) != mediaType(media):
			return protocol.Errorf(protocol.CodeConditionFailed, "Content-Type is %q, that of the stream is %q", protocol.Clip(asked), media)
		}
		if in.Records, err = recordsOf(media, body, false); err != nil {
			return err
		}
	}
	if seq, ok := c.R.Header[headSeq]; ok {
		in.WriterSeq = &seq[0]
	}
	ack, err := c.Service.Append(ctx, c.Ref, in)
	if err != nil {
		return c.refused(err, &in)
	}
	c.tellEnd(protocol.StreamTail{Position: ack.Tail, Closed: in.Close || ack.Repeated && config.Closed})
	status := http.StatusNoContent
	if p := in.Producer; p != nil {
		c.W.Header().Set(headEpoch, strconv.FormatUint(p.Epoch, 10))
		c.W.Header().Set(headProdSeq, strconv.FormatUint(max(p.Seq, ack.LastSeq), 10))
		if !ack.Repeated && len(in.Records) > 0 {
			status = http.StatusOK
		}
	}
	c.Respond(status, nil)
	return nil
}

// refused tells in headers what an append met, and answers what counts as done in this protocol.
func (c *Call) refused(err error, in *protocol.AppendInput) error {
	e := protocol.AsError(err)
	head := c.W.Header()
	if e.Code == protocol.CodeStreamClosed && e.Tail != nil {
		c.tellEnd(protocol.StreamTail{Position: *e.Tail, Closed: true})
	}
	m := e.Producer
	if m == nil {
		return err
	}
	switch e.Code {
	case protocol.CodeProducerFenced:
		head.Set(headEpoch, strconv.FormatUint(*m.Epoch, 10))
	case protocol.CodeProducerGap:
		if m.Epoch != nil && *m.Epoch < in.Producer.Epoch {
			return protocol.Errorf(protocol.CodeInvalid, "a new epoch begins with Producer-Seq 0")
		}
		head.Set(headExpected, strconv.FormatUint(m.Expected, 10))
		head.Set(headReceived, strconv.FormatUint(m.Received, 10))
	case protocol.CodeProducerRepeated: // it is there, which is all that this protocol asks
		head.Set(headEpoch, strconv.FormatUint(in.Producer.Epoch, 10))
		head.Set(headProdSeq, strconv.FormatUint(m.Expected-1, 10))
		c.Respond(http.StatusNoContent, nil)
		return nil
	}
	return err
}

// producer reads the three headers of a producer, which go together.
func (c *Call) producer() (*protocol.Producer, error) {
	id, hasID := c.R.Header[headProducer]
	epoch, hasEpoch := c.R.Header[headEpoch]
	seq, hasSeq := c.R.Header[headProdSeq]
	switch {
	case !hasID && !hasEpoch && !hasSeq:
		return nil, nil //nolint:nilnil // there is none
	case !hasID || !hasEpoch || !hasSeq:
		return nil, protocol.Errorf(protocol.CodeBadHeader, "Producer-Id, Producer-Epoch and Producer-Seq go together")
	}
	p := &protocol.Producer{ID: id[0]}
	for _, h := range []struct {
		name, text string
		into       *uint64
	}{{headEpoch, epoch[0], &p.Epoch}, {headProdSeq, seq[0], &p.Seq}} {
		n, err := strconv.ParseUint(h.text, 10, 64)
		if err != nil || n > maxSafe || h.text != strconv.FormatUint(n, 10) {
			return nil, protocol.Errorf(protocol.CodeBadHeader, "%s is %q, it must be a whole number up to 2^53-1", h.name, protocol.Clip(h.text))
		}
		*h.into = n
	}
	return p, p.Validate()
}

// recordsOf makes records of a body: in JSON mode one for each element of an array, and otherwise one, or more if it is larger
// than a record can be. empty allows a body that makes none.
func recordsOf(media string, body []byte, empty bool) ([]protocol.Record, error) {
	if len(body) == 0 && empty {
		return nil, nil
	}
	var parts [][]byte
	if isJSON(media) {
		var err error
		if parts, err = elements(body); err != nil {
			return nil, err
		}
		if len(parts) == 0 && !empty {
			return nil, protocol.Errorf(protocol.CodeInvalid, "the array is empty")
		}
	} else {
		parts = [][]byte{body}
	}
	recs := make([]protocol.Record, len(parts))
	for i, part := range parts {
		recs[i].Body = part
	}
	return recs, fits(recs)
}

// fits reports whether one append takes the records.
func fits(recs []protocol.Record) error {
	size := uint64(0)
	for i := range recs {
		size += recs[i].MeteredSize()
	}
	if len(recs) > protocol.MaxBatchRecords || size > protocol.MaxBatchBytes {
		return protocol.Errorf(protocol.CodeBadFrame, "an append takes at most %d messages and %d bytes, 8 more counted for each message",
			protocol.MaxBatchRecords, protocol.MaxBatchBytes)
	}
	return nil
}

// jsonSpace is what JSON takes for white space.
const jsonSpace = " \t\r\n"

// elements returns the elements of an array, or the one value that the text is. White space around them is dropped.
func elements(body []byte) ([][]byte, error) {
	bad := func(err error) error {
		return protocol.Wrap(protocol.CodeBadJSON, err, "the body is not JSON")
	}
	trimmed := bytes.Trim(body, jsonSpace)
	if len(trimmed) == 0 || trimmed[0] != '[' {
		if !json.Valid(trimmed) {
			return nil, bad(errors.New("invalid"))
		}
		return [][]byte{trimmed}, nil
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(trimmed), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if _, err := d.ReadToken(); err != nil {
		return nil, bad(err)
	}
	var out [][]byte
	for d.PeekKind() != ']' {
		value, err := d.ReadValue()
		if err != nil {
			return nil, bad(err)
		}
		end := int(d.InputOffset())
		out = append(out, trimmed[end-len(value):end:end]) // value itself is good until the next read
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, bad(err)
	}
	if int(d.InputOffset()) != len(trimmed) {
		return nil, bad(errors.New("data after the value"))
	}
	return out, nil
}
