package protocol

import (
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of the messages of an append (data plane section 9).
const (
	fieldInputRecords      protowire.Number = 1
	fieldInputMatchSeqNum  protowire.Number = 2
	fieldInputFencingToken protowire.Number = 3
	// Fields of weir's own are far away from S2's.
	fieldInputClose     protowire.Number = 1001
	fieldInputProducer  protowire.Number = 1002
	fieldInputWriterSeq protowire.Number = 1003
	fieldAckRepeated    protowire.Number = 1001
	fieldAckLastSeq     protowire.Number = 1002

	fieldProducerID    protowire.Number = 1
	fieldProducerEpoch protowire.Number = 2
	fieldProducerSeq   protowire.Number = 3

	fieldRecordTimestamp protowire.Number = 1
	fieldRecordHeaders   protowire.Number = 2
	fieldRecordBody      protowire.Number = 3

	fieldAckStart protowire.Number = 1
	fieldAckEnd   protowire.Number = 2
	fieldAckTail  protowire.Number = 3

	fieldPositionSeqNum    protowire.Number = 1
	fieldPositionTimestamp protowire.Number = 2
)

// MarshalAppendInput encodes an AppendInput message.
func MarshalAppendInput(in *AppendInput) []byte {
	n := 0
	for i := range in.Records {
		n += 1 + protowire.SizeBytes(in.Records[i].protoSize())
	}
	dst := make([]byte, 0, n+16+MaxFencingTokenBytes)
	for i := range in.Records {
		dst = in.Records[i].appendProto(dst)
	}
	if in.MatchSeqNum != nil {
		dst = protowire.AppendTag(dst, fieldInputMatchSeqNum, protowire.VarintType)
		dst = protowire.AppendVarint(dst, *in.MatchSeqNum)
	}
	if in.FencingToken != nil {
		dst = protowire.AppendTag(dst, fieldInputFencingToken, protowire.BytesType)
		dst = protowire.AppendString(dst, *in.FencingToken)
	}
	if in.Close {
		dst = protowire.AppendTag(dst, fieldInputClose, protowire.VarintType)
		dst = protowire.AppendVarint(dst, 1)
	}
	if in.WriterSeq != nil {
		dst = protowire.AppendTag(dst, fieldInputWriterSeq, protowire.BytesType)
		dst = protowire.AppendString(dst, *in.WriterSeq)
	}
	if p := in.Producer; p != nil {
		dst = protowire.AppendTag(dst, fieldInputProducer, protowire.BytesType)
		dst = protowire.AppendBytes(dst, p.appendProto(nil))
	}
	return dst
}

func (p *Producer) appendProto(dst []byte) []byte {
	dst = protowire.AppendTag(dst, fieldProducerID, protowire.BytesType)
	dst = protowire.AppendString(dst, p.ID)
	dst = protowire.AppendTag(dst, fieldProducerEpoch, protowire.VarintType)
	dst = protowire.AppendVarint(dst, p.Epoch)
	dst = protowire.AppendTag(dst, fieldProducerSeq, protowire.VarintType)
	return protowire.AppendVarint(dst, p.Seq)
}

func (f protoField) producer() (*Producer, error) {
	b, err := f.bytes()
	if err != nil {
		return nil, err
	}
	p := new(Producer)
	err = eachField(b, func(f protoField) (err error) {
		switch f.num {
		case fieldProducerID:
			p.ID, err = f.text()
		case fieldProducerEpoch:
			p.Epoch, err = f.varint()
		case fieldProducerSeq:
			p.Seq, err = f.varint()
		}
		return err
	})
	return p, err
}

func (r *Record) protoSize() int {
	n := headersSize(r.Headers)
	if r.Timestamp != nil {
		n += 1 + protowire.SizeVarint(*r.Timestamp)
	}
	if len(r.Body) > 0 {
		n += 1 + protowire.SizeBytes(len(r.Body))
	}
	return n
}

func (r *Record) appendProto(dst []byte) []byte {
	dst = protowire.AppendTag(dst, fieldInputRecords, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(r.protoSize()))
	if r.Timestamp != nil {
		dst = protowire.AppendTag(dst, fieldRecordTimestamp, protowire.VarintType)
		dst = protowire.AppendVarint(dst, *r.Timestamp)
	}
	dst = appendHeaders(dst, fieldRecordHeaders, r.Headers)
	if len(r.Body) > 0 {
		dst = protowire.AppendTag(dst, fieldRecordBody, protowire.BytesType)
		dst = protowire.AppendBytes(dst, r.Body)
	}
	return dst
}

// UnmarshalAppendInput decodes an AppendInput message. Unknown fields are ignored; a known field of the wrong wire
// type is an error. It does not validate; see [AppendInput.Validate]. Records after the 1001st are checked for their
// form and dropped: the batch is refused for their number anyway. The result shares b's memory. The error has code
// bad_proto.
func UnmarshalAppendInput(b []byte) (AppendInput, error) {
	var in AppendInput
	err := eachField(b, func(f protoField) error {
		switch f.num {
		case fieldInputRecords:
			rec, err := f.record()
			if err == nil && len(in.Records) <= MaxBatchRecords {
				if in.Records == nil {
					in.Records = make([]Record, 0, countRecords(b))
				}
				in.Records = append(in.Records, rec)
			}
			return err
		case fieldInputMatchSeqNum:
			n, err := f.varint()
			in.MatchSeqNum = &n
			return err
		case fieldInputFencingToken:
			s, err := f.text()
			in.FencingToken = &s
			return err
		case fieldInputClose:
			n, err := f.varint()
			in.Close = n != 0
			return err
		case fieldInputWriterSeq:
			s, err := f.text()
			in.WriterSeq = &s
			return err
		case fieldInputProducer:
			p, err := f.producer()
			in.Producer = p
			return err
		}
		return nil
	})
	if err != nil {
		return AppendInput{}, Wrap(CodeBadProto, err, "invalid AppendInput message: "+err.Error())
	}
	return in, nil
}

// countRecords is the number of records at the start of an AppendInput, for the size of the slice: at most one more
// than a batch may have, so that a message of tiny records cannot claim much memory.
func countRecords(b []byte) int {
	n := 0
	for n <= MaxBatchRecords {
		_, size := nextEntry(b)
		if size <= 0 {
			break
		}
		b = b[size:]
		n++
	}
	return n
}

func (f protoField) record() (rec Record, err error) {
	b, err := f.bytes()
	if err != nil {
		return rec, err
	}
	err = eachField(b, func(f protoField) (err error) {
		switch f.num {
		case fieldRecordTimestamp:
			var ts uint64
			ts, err = f.varint()
			rec.Timestamp = &ts
		case fieldRecordHeaders:
			var raw []byte
			if raw, err = f.bytes(); err != nil {
				return err
			}
			var h Header
			if h, err = decodeHeader(raw); err == nil {
				rec.Headers = append(rec.Headers, h)
			}
		case fieldRecordBody:
			rec.Body, err = f.bytes()
		}
		return err
	})
	return rec, err
}

// MarshalAppendAck encodes an AppendAck message; start, end and tail are always there, even when zero.
func MarshalAppendAck(a AppendAck) []byte { return AppendAppendAck(make([]byte, 0, 72), a) }

// AppendAppendAck appends an AppendAck message to dst; see [MarshalAppendAck].
func AppendAppendAck(dst []byte, a AppendAck) []byte {
	dst = appendPosition(dst, fieldAckStart, a.Start)
	dst = appendPosition(dst, fieldAckEnd, a.End)
	dst = appendPosition(dst, fieldAckTail, a.Tail)
	if a.Repeated {
		dst = protowire.AppendTag(dst, fieldAckRepeated, protowire.VarintType)
		dst = protowire.AppendVarint(dst, 1)
	}
	if a.LastSeq != 0 {
		dst = protowire.AppendTag(dst, fieldAckLastSeq, protowire.VarintType)
		dst = protowire.AppendVarint(dst, a.LastSeq)
	}
	return dst
}

// UnmarshalAppendAck decodes an AppendAck message. A missing position is zero. The error has code bad_proto.
func UnmarshalAppendAck(b []byte) (AppendAck, error) {
	var a AppendAck
	err := eachField(b, func(f protoField) error {
		switch f.num {
		case fieldAckStart:
			return f.position(&a.Start)
		case fieldAckEnd:
			return f.position(&a.End)
		case fieldAckTail:
			return f.position(&a.Tail)
		case fieldAckRepeated:
			n, err := f.varint()
			a.Repeated = n != 0
			return err
		case fieldAckLastSeq:
			n, err := f.varint()
			a.LastSeq = n
			return err
		}
		return nil
	})
	if err != nil {
		return AppendAck{}, Wrap(CodeBadProto, err, "invalid AppendAck message: "+err.Error())
	}
	return a, nil
}

func appendPosition(dst []byte, field protowire.Number, p Position) []byte {
	dst = protowire.AppendTag(dst, field, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(sizePosition(p)))
	if p.SeqNum != 0 {
		dst = protowire.AppendTag(dst, fieldPositionSeqNum, protowire.VarintType)
		dst = protowire.AppendVarint(dst, p.SeqNum)
	}
	if p.Timestamp != 0 {
		dst = protowire.AppendTag(dst, fieldPositionTimestamp, protowire.VarintType)
		dst = protowire.AppendVarint(dst, p.Timestamp)
	}
	return dst
}

// position merges a StreamPosition into p: a field that occurs again replaces only the members that it holds, as proto3 wants.
func (f protoField) position(p *Position) error {
	b, err := f.bytes()
	if err != nil {
		return err
	}
	return eachField(b, func(f protoField) (err error) {
		switch f.num {
		case fieldPositionSeqNum:
			p.SeqNum, err = f.varint()
		case fieldPositionTimestamp:
			p.Timestamp, err = f.varint()
		}
		return err
	})
}

// protoField is one field of a message: its value is in n or in b by its wire type.
type protoField struct {
	num protowire.Number
	typ protowire.Type
	n   uint64
	b   []byte
}

// eachField calls visit for every field of the message b in order, groups and fixed-width ones included (no value).
// The error wraps errWire, or is visit's.
func eachField(b []byte, visit func(protoField) error) error {
	for len(b) > 0 {
		var f protoField
		var n int
		if f.num, f.typ, n = protowire.ConsumeTag(b); n < 0 {
			return errWire
		}
		b = b[n:]
		switch f.typ {
		case protowire.VarintType:
			f.n, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			f.b, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(f.num, f.typ, b)
		}
		if n < 0 {
			return errWire
		}
		if err := visit(f); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (f protoField) varint() (uint64, error) {
	if f.typ != protowire.VarintType {
		return 0, errWire
	}
	return f.n, nil
}

func (f protoField) bytes() ([]byte, error) {
	if f.typ != protowire.BytesType {
		return nil, errWire
	}
	return slices.Clip(f.b), nil
}

func (f protoField) text() (string, error) {
	if f.typ != protowire.BytesType || !utf8.Valid(f.b) {
		return "", errWire
	}
	return string(f.b), nil
}

// sizePosition is the length of a position's message.
func sizePosition(p Position) int {
	n := 0
	if p.SeqNum != 0 {
		n += 1 + protowire.SizeVarint(p.SeqNum)
	}
	if p.Timestamp != 0 {
		n += 1 + protowire.SizeVarint(p.Timestamp)
	}
	return n
}
