package protocol

import (
	"errors"
	"iter"
	"slices"
)

// errWire is the error for a malformed protobuf encoding; doors turn it into bad_proto or bad_frame.
var errWire = errors.New("malformed protobuf")

// Records is a run of sequenced records of one stream, kept in the form in which they are stored and sent: the
// concatenated field-1 entries of a ReadBatch message. A part that only forwards records never decodes them.
//
// The zero value holds no record. A Records value is immutable; slicing and iterating share its memory.
type Records struct {
	wire    []byte
	count   int
	metered uint64
	first   Position
	last    Position
	// joined says that the spare capacity of wire belongs to this value, because Join allocated it.
	joined bool
}

// MakeRecords wraps wire without looking inside. The caller vouches that it holds count records with the given
// metered size and first and last positions (a chunk whose checksum was verified). Use [ParseRecords] for foreign
// bytes.
func MakeRecords(wire []byte, count int, metered uint64, first, last Position) Records {
	return Records{wire: wire, count: count, metered: metered, first: first, last: last}
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

// Join returns r followed by next, which must follow r in the stream. It shares memory with r or next when the other is
// empty. Otherwise it copies, with room to spare: joining a run piece by piece costs linear time if the result takes the
// place of r each time. r stays valid, but must not be joined a second time.
func (r Records) Join(next Records) Records {
	switch {
	case r.count == 0:
		next.joined = false
		return next
	case next.count == 0:
		return r
	}
	if !r.joined {
		// The bytes behind r may be anyone's, such as the next chunk's: append must copy.
		r.wire = slices.Clip(r.wire)
	}
	r.wire = append(r.wire, next.wire...)
	r.joined = true
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
			r.wire, r.first, r.joined = rest, pos, false
			return r
		}
		r.count--
		r.metered -= metered
		rest = rest[n:]
	}
	return Records{}
}

// Limit bounds the part of a run of records that may be taken; see [Records.Take]. [NoLimit] never cuts a run.
type Limit struct {
	Count uint64 // records
	Bytes uint64 // metered bytes
	Until uint64 // records with a timestamp of at least Until are refused, when HasUntil
	// HasUntil reports whether Until counts.
	HasUntil bool
}

// NoLimit never refuses a record.
var NoLimit = Limit{Count: ^uint64(0), Bytes: ^uint64(0)}

// Exhausted reports whether no record at all can pass any more.
func (l Limit) Exhausted() bool { return l.Count == 0 || l.Bytes == 0 }

// Spend lowers the limit by the given count and size, not below 0.
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
	return Records{wire: r.wire[:used:used], count: count, metered: bytes, first: r.first, last: last}, true
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
