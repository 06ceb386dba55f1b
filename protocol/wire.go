package protocol

import (
	"encoding/binary"
	"errors"
	"iter"

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

// errWire is what a malformed protobuf encoding gives; doors turn it into bad_proto or bad_frame.
var errWire = errors.New("malformed protobuf")

// Records is a run of sequenced records of one stream, kept in the form in which they are stored and sent: the
// concatenated field-1 entries of a ReadBatch message. Whoever only forwards records never decodes them.
//
// The zero value holds no record. A Records value is immutable; slicing and iterating share its memory.
type Records struct {
	wire    []byte
	count   int
	metered uint64
	first   Position
	last    Position
}

// MakeRecords wraps wire without looking inside. The caller vouches that it holds count records with the given
// metered size and first and last positions (a chunk whose checksum was verified). Use [ParseRecords] for foreign
// bytes.
func MakeRecords(wire []byte, count int, metered uint64, first, last Position) Records {
	return Records{wire, count, metered, first, last}
}

// Len is the number of records.
func (r Records) Len() int { return r.count }

// MeteredSize is the sum of the records' metered sizes.
func (r Records) MeteredSize() uint64 { return r.metered }

// First is the position of the first record. It is zero when there is none.
func (r Records) First() Position { return r.first }

// Last is the position of the last record itself (not of the one after it). It is zero when there is none.
func (r Records) Last() Position { return r.last }

// Wire returns the records as concatenated field-1 entries of a ReadBatch message. Do not modify it.
func (r Records) Wire() []byte { return r.wire }

// All yields the records in order. Headers and bodies alias the batch's memory and may be kept as long as it.
func (r Records) All() iter.Seq[SequencedRecord] {
	return func(yield func(SequencedRecord) bool) {
		rest := r.wire
		for len(rest) > 0 {
			entry, n := nextEntry(rest)
			if n <= 0 {
				return
			}
			rec, err := decodeSequenced(entry)
			if err != nil || !yield(rec) {
				return
			}
			rest = rest[n:]
		}
	}
}

// Slice returns the records as a slice; see [Records.All].
func (r Records) Slice() []SequencedRecord {
	out := make([]SequencedRecord, 0, r.count)
	for rec := range r.All() {
		out = append(out, rec)
	}
	return out
}

// Join returns r followed by next. next must follow r in the stream. The result shares memory with r or next when
// the other is empty; otherwise it may write into the spare capacity of r's memory, so r must come from Join.
func (r Records) Join(next Records) Records {
	switch {
	case r.count == 0:
		// Full slice expression: a later Join must copy and not write behind next's bytes.
		next.wire = next.wire[:len(next.wire):len(next.wire)]
		return next
	case next.count == 0:
		return r
	}
	r.wire = append(r.wire, next.wire...)
	r.count += next.count
	r.metered += next.metered
	r.last = next.last
	return r
}

// From returns the records with a seq_num of at least seq.
func (r Records) From(seq uint64) Records {
	if r.count == 0 || seq <= r.first.SeqNum {
		return r
	}
	if seq > r.last.SeqNum {
		return Records{}
	}
	return r.skipWhile(func(p Position) bool { return p.SeqNum < seq })
}

// FromTimestamp returns the records from the first one with a timestamp of at least ts.
func (r Records) FromTimestamp(ts uint64) Records {
	if r.count == 0 || ts <= r.first.Timestamp {
		return r
	}
	if ts > r.last.Timestamp {
		return Records{}
	}
	return r.skipWhile(func(p Position) bool { return p.Timestamp < ts })
}

func (r Records) skipWhile(skip func(Position) bool) Records {
	rest := r.wire
	for len(rest) > 0 {
		entry, n := nextEntry(rest)
		if n <= 0 {
			break
		}
		pos, metered, err := scanSequenced(entry)
		if err != nil {
			break
		}
		if !skip(pos) {
			r.wire, r.first = rest, pos
			return r
		}
		r.count--
		r.metered -= metered
		rest = rest[n:]
	}
	return Records{}
}

// Limit tells how much of a run of records may be taken; see [Records.Take]. Use [NoLimit] for one that never bites.
type Limit struct {
	Count uint64 // records
	Bytes uint64 // metered bytes
	Until uint64 // records with a timestamp of at least Until are refused, when HasUntil
	// HasUntil tells whether Until counts.
	HasUntil bool
}

// NoLimit never refuses a record.
var NoLimit = Limit{Count: ^uint64(0), Bytes: ^uint64(0)}

// Exhausted reports whether no record at all can pass any more.
func (l Limit) Exhausted() bool { return l.Count == 0 || l.Bytes == 0 }

// Spend lowers the limit by what was taken, not below 0.
func (l Limit) Spend(count int, metered uint64) Limit {
	l.Count -= min(l.Count, uint64(count))
	l.Bytes -= min(l.Bytes, metered)
	return l
}

// Take returns the longest prefix of r that l admits, and whether it is shorter than r.
func (r Records) Take(l Limit) (taken Records, cut bool) {
	if uint64(r.count) <= l.Count && r.metered <= l.Bytes && (!l.HasUntil || r.count == 0 || r.last.Timestamp < l.Until) {
		return r, false
	}
	var count int
	var bytes uint64
	var last Position
	rest := r.wire
	for len(rest) > 0 {
		entry, n := nextEntry(rest)
		if n <= 0 {
			break
		}
		pos, metered, err := scanSequenced(entry)
		if err != nil || uint64(count)+1 > l.Count || metered > l.Bytes-bytes || l.HasUntil && pos.Timestamp >= l.Until {
			break
		}
		count++
		bytes += metered
		last = pos
		rest = rest[n:]
	}
	if count == 0 {
		return Records{}, true
	}
	used := len(r.wire) - len(rest)
	return Records{r.wire[:used:used], count, bytes, r.first, last}, true
}

// ParseRecords checks concatenated field-1 entries and measures them. Seq nums must rise and timestamps must not
// fall. The result shares wire's memory.
func ParseRecords(wire []byte) (Records, error) {
	r := Records{wire: wire}
	for rest := wire; len(rest) > 0; {
		entry, n := nextEntry(rest)
		if n <= 0 {
			return Records{}, errWire
		}
		pos, metered, err := scanSequenced(entry)
		if err != nil {
			return Records{}, err
		}
		if r.count == 0 {
			r.first = pos
		} else if pos.SeqNum <= r.last.SeqNum || pos.Timestamp < r.last.Timestamp {
			return Records{}, errWire
		}
		r.count++
		r.metered += metered
		r.last = pos
		rest = rest[n:]
	}
	return r, nil
}

// RecordsOf encodes records, which must be in stream order.
func RecordsOf(recs ...SequencedRecord) Records {
	var r Records
	for i := range recs {
		r.wire = AppendSequenced(r.wire, recs[i].SeqNum, recs[i].Timestamp, recs[i].Headers, recs[i].Body)
		r.metered += recs[i].MeteredSize()
		pos := Position{recs[i].SeqNum, recs[i].Timestamp}
		if i == 0 {
			r.first = pos
		}
		r.last = pos
	}
	r.count = len(recs)
	return r
}

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
			rec.Body, n = protowire.ConsumeBytes(b)
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
			h.Name, n = protowire.ConsumeBytes(b)
		case num == fieldHeaderValue && typ == protowire.BytesType:
			h.Value, n = protowire.ConsumeBytes(b)
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
