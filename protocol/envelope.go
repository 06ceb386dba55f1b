package protocol

import "google.golang.org/protobuf/encoding/protowire"

// An envelope is the part of a record in wire form that does not depend on where it stands: the headers and the body, as
// the fields 3 and 4 of a SequencedRecord. Encryption covers it, so that decryption puts a record's bytes in their place.

// EnvelopeSize is the number of bytes that [AppendEnvelope] adds.
func EnvelopeSize(headers []Header, body []byte) int { return sequencedSize(0, 0, headers, body) }

// AppendEnvelope appends a record's envelope to dst.
func AppendEnvelope(dst []byte, headers []Header, body []byte) []byte {
	dst = appendHeaders(dst, fieldSeqRecHeaders, headers)
	if len(body) > 0 {
		dst = protowire.AppendTag(dst, fieldSeqRecBody, protowire.BytesType)
		dst = protowire.AppendBytes(dst, body)
	}
	return dst
}

// AppendSequencedHead appends the beginning of a record in wire form, behind which an envelope of size bytes must follow;
// together they are the output of [AppendSequenced].
func AppendSequencedHead(dst []byte, pos Position, size int) []byte {
	size += sequencedSize(pos.SeqNum, pos.Timestamp, nil, nil)
	dst = protowire.AppendTag(dst, fieldBatchRecords, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(size))
	if pos.SeqNum != 0 {
		dst = protowire.AppendTag(dst, fieldSeqRecSeqNum, protowire.VarintType)
		dst = protowire.AppendVarint(dst, pos.SeqNum)
	}
	if pos.Timestamp != 0 {
		dst = protowire.AppendTag(dst, fieldSeqRecTimestamp, protowire.VarintType)
		dst = protowire.AppendVarint(dst, pos.Timestamp)
	}
	return dst
}

// MeasureEnvelope returns the metered size of the record that has the envelope, and an error if it is none: it holds headers
// with names, then at most one body.
func MeasureEnvelope(b []byte) (metered uint64, err error) {
	metered = 8
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 || typ != protowire.BytesType {
			return 0, errWire
		}
		value, m := protowire.ConsumeBytes(b[n:])
		if m < 0 {
			return 0, errWire
		}
		b = b[n+m:]
		switch num {
		case fieldSeqRecHeaders:
			h, err := decodeHeader(value)
			if err != nil || len(h.Name) == 0 {
				return 0, errWire
			}
			metered += 2 + uint64(len(h.Name)) + uint64(len(h.Value))
		case fieldSeqRecBody:
			if len(b) > 0 {
				return 0, errWire
			}
			metered += uint64(len(value))
		default:
			return 0, errWire
		}
	}
	return metered, nil
}
