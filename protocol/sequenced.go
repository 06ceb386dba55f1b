package protocol

import (
	"encoding/binary"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of the s2.v1 messages (data plane section 9).
const (
	fieldBatchRecords protowire.Number = 1
	fieldBatchTail    protowire.Number = 2

	fieldSeqRecSeqNum    protowire.Number = 1
	fieldSeqRecTimestamp protowire.Number = 2
	fieldSeqRecHeaders   protowire.Number = 3
	fieldSeqRecBody      protowire.Number = 4

	fieldHeaderName  protowire.Number = 1
	fieldHeaderValue protowire.Number = 2
)

// AppendSequenced appends one record in wire form, a field-1 entry of a ReadBatch, to dst.
func AppendSequenced(dst []byte, seqNum, timestamp uint64, headers []Header, body []byte) []byte {
	dst = protowire.AppendTag(dst, fieldBatchRecords, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(sequencedSize(seqNum, timestamp, headers, body)))
	if seqNum != 0 {
		dst = protowire.AppendTag(dst, fieldSeqRecSeqNum, protowire.VarintType)
		dst = protowire.AppendVarint(dst, seqNum)
	}
	if timestamp != 0 {
		dst = protowire.AppendTag(dst, fieldSeqRecTimestamp, protowire.VarintType)
		dst = protowire.AppendVarint(dst, timestamp)
	}
	dst = appendHeaders(dst, fieldSeqRecHeaders, headers)
	if len(body) > 0 {
		dst = protowire.AppendTag(dst, fieldSeqRecBody, protowire.BytesType)
		dst = protowire.AppendBytes(dst, body)
	}
	return dst
}

// SequencedSize is the number of bytes that AppendSequenced adds.
func SequencedSize(seqNum, timestamp uint64, headers []Header, body []byte) int {
	return 1 + protowire.SizeBytes(sequencedSize(seqNum, timestamp, headers, body))
}

func sequencedSize(seqNum, timestamp uint64, headers []Header, body []byte) int {
	n := headersSize(headers)
	if seqNum != 0 {
		n += 1 + protowire.SizeVarint(seqNum)
	}
	if timestamp != 0 {
		n += 1 + protowire.SizeVarint(timestamp)
	}
	if len(body) > 0 {
		n += 1 + protowire.SizeBytes(len(body))
	}
	return n
}

// appendHeaders writes headers as repeated messages in the given field, whose number must be below 16.
func appendHeaders(dst []byte, field protowire.Number, headers []Header) []byte {
	for i := range headers {
		h := &headers[i]
		dst = protowire.AppendTag(dst, field, protowire.BytesType)
		dst = protowire.AppendVarint(dst, uint64(headerSize(h)))
		if len(h.Name) > 0 {
			dst = protowire.AppendTag(dst, fieldHeaderName, protowire.BytesType)
			dst = protowire.AppendBytes(dst, h.Name)
		}
		if len(h.Value) > 0 {
			dst = protowire.AppendTag(dst, fieldHeaderValue, protowire.BytesType)
			dst = protowire.AppendBytes(dst, h.Value)
		}
	}
	return dst
}

func headersSize(headers []Header) int {
	n := 0
	for i := range headers {
		n += 1 + protowire.SizeBytes(headerSize(&headers[i]))
	}
	return n
}

func headerSize(h *Header) int {
	n := 0
	if len(h.Name) > 0 {
		n += 1 + protowire.SizeBytes(len(h.Name))
	}
	if len(h.Value) > 0 {
		n += 1 + protowire.SizeBytes(len(h.Value))
	}
	return n
}

// nextEntry returns the payload of the field-1 entry at the start of b and the entry's whole length; n <= 0 when b
// does not begin with one.
func nextEntry(b []byte) (entry []byte, n int) {
	if len(b) == 0 || b[0] != byte(fieldBatchRecords)<<3|byte(protowire.BytesType) {
		return nil, 0
	}
	size, k := binary.Uvarint(b[1:])
	if k <= 0 || size > uint64(len(b)-1-k) {
		return nil, 0
	}
	end := 1 + k + int(size)
	return b[1+k : end : end], end
}

// scanSequenced reads a record's position and metered size without collecting its headers.
func scanSequenced(b []byte) (pos Position, metered uint64, err error) {
	metered = 8
	var body int
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return pos, 0, errWire
		}
		b = b[n:]
		switch {
		case num == fieldSeqRecSeqNum && typ == protowire.VarintType:
			pos.SeqNum, n = protowire.ConsumeVarint(b)
		case num == fieldSeqRecTimestamp && typ == protowire.VarintType:
			pos.Timestamp, n = protowire.ConsumeVarint(b)
		case num == fieldSeqRecHeaders && typ == protowire.BytesType:
			var raw []byte
			if raw, n = protowire.ConsumeBytes(b); n >= 0 {
				h, err := decodeHeader(raw)
				if err != nil {
					return pos, 0, err
				}
				metered += 2 + uint64(len(h.Name)) + uint64(len(h.Value))
			}
		case num == fieldSeqRecBody && typ == protowire.BytesType:
			var raw []byte
			raw, n = protowire.ConsumeBytes(b)
			body = len(raw)
		case num <= fieldSeqRecBody:
			return pos, 0, errWire // a known field of the wrong wire type
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return pos, 0, errWire
		}
		b = b[n:]
	}
	return pos, metered + uint64(body), nil
}

func decodeSequenced(b []byte) (rec SequencedRecord, err error) {
	err = decodeSequencedInto(&rec, b)
	return rec, err
}

// decodeSequencedInto overwrites rec and reuses the memory of its header slice.
func decodeSequencedInto(rec *SequencedRecord, b []byte) error {
	*rec = SequencedRecord{Headers: rec.Headers[:0]}
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errWire
		}
		b = b[n:]
		switch {
		case num == fieldSeqRecSeqNum && typ == protowire.VarintType:
			rec.SeqNum, n = protowire.ConsumeVarint(b)
		case num == fieldSeqRecTimestamp && typ == protowire.VarintType:
			rec.Timestamp, n = protowire.ConsumeVarint(b)
		case num == fieldSeqRecHeaders && typ == protowire.BytesType:
			var raw []byte
			if raw, n = protowire.ConsumeBytes(b); n >= 0 {
				h, err := decodeHeader(raw)
				if err != nil {
					return err
				}
				rec.Headers = append(rec.Headers, h)
			}
		case num == fieldSeqRecBody && typ == protowire.BytesType:
			rec.Body, n = consumeBytes(b)
		case num <= fieldSeqRecBody:
			return errWire // a known field of the wrong wire type
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return errWire
		}
		b = b[n:]
	}
	return nil
}

func decodeHeader(b []byte) (h Header, err error) {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return h, errWire
		}
		b = b[n:]
		switch {
		case num == fieldHeaderName && typ == protowire.BytesType:
			h.Name, n = consumeBytes(b)
		case num == fieldHeaderValue && typ == protowire.BytesType:
			h.Value, n = consumeBytes(b)
		case num <= fieldHeaderValue:
			return h, errWire // a known field of the wrong wire type
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return h, errWire
		}
		b = b[n:]
	}
	return h, nil
}

// consumeBytes is [protowire.ConsumeBytes] without spare capacity: a caller that appends to a body must not write into
// the record behind it.
func consumeBytes(b []byte) ([]byte, int) {
	v, n := protowire.ConsumeBytes(b)
	return slices.Clip(v), n
}
