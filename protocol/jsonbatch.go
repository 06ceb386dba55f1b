package protocol

import (
	"strconv"

	"github.com/weirstream/weir/internal/strictjson"
)

// AppendReadBatchJSON appends the JSON form of a batch (data plane 8.5) to dst, on one line:
//
//	{"records":[{"seq_num":0,"timestamp":1,"headers":[["name","value"]],"body":"text"}],"tail":{"seq_num":1,"timestamp":1}}
//
// records is always there; headers, body and tail only when not empty or absent. With [FormatRaw] every maximal
// invalid subsequence of UTF-8 is replaced by one U+FFFD.
func AppendReadBatchJSON(dst []byte, b *ReadBatch, f RecordFormat) []byte {
	dst = append(dst, `{"records":[`...)
	var rec SequencedRecord // its header slice serves every record
	first := true
	for rest := b.Records.wire; len(rest) > 0; {
		entry, n := nextEntry(rest)
		if n <= 0 || decodeSequencedInto(&rec, entry) != nil {
			break
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = rec.appendJSON(dst, f)
		rest = rest[n:]
	}
	dst = append(dst, ']')
	if b.Tail != nil {
		dst = b.Tail.appendJSON(append(dst, `,"tail":`...))
	}
	return append(dst, '}')
}

func (r *SequencedRecord) appendJSON(dst []byte, f RecordFormat) []byte {
	dst = strconv.AppendUint(append(dst, `{"seq_num":`...), r.SeqNum, 10)
	dst = strconv.AppendUint(append(dst, `,"timestamp":`...), r.Timestamp, 10)
	if len(r.Headers) > 0 {
		dst = appendHeadersJSON(append(dst, ','), r.Headers, f)
	}
	if len(r.Body) > 0 {
		dst = appendFormatted(append(dst, `,"body":`...), r.Body, f)
	}
	return append(dst, '}')
}

// DecodeReadBatchJSON is the inverse of [AppendReadBatchJSON], for clients; bytes that a raw batch replaced stay replaced.
// Seq nums must rise and timestamps must not fall. Codes: bad_json; invalid for a string that is not Base64 when f asks
// for it.
func DecodeReadBatchJSON(data []byte, f RecordFormat) (ReadBatch, error) {
	var b ReadBatch
	d := appendDecoder{format: f}
	found := false
	err := readJSONText(data, func(r *strictjson.Reader) error {
		return r.Object(func(name []byte) error {
			switch string(name) {
			case "records":
				found = true
				return r.Array(func(int) error { return d.sequenced(r, &b.Records) })
			case "tail":
				return strictjson.IntoOptional(r, &b.Tail, readPosition)
			}
			return r.Skip()
		})
	})
	switch {
	case err != nil:
		return ReadBatch{}, err
	case !found:
		return ReadBatch{}, Errorf(CodeBadJSON, "records: is required")
	}
	return b, nil
}

// sequenced reads one record and appends its wire form to out.
func (d *appendDecoder) sequenced(r *strictjson.Reader, out *Records) error {
	var rec SequencedRecord
	var hasSeq, hasTime bool
	d.arena = d.arena[:0] // the last record's strings have been copied
	err := r.Object(func(name []byte) error {
		switch string(name) {
		case "seq_num":
			hasSeq = true
			return strictjson.Into(r, &rec.SeqNum, (*strictjson.Reader).Uint)
		case "timestamp":
			hasTime = true
			return strictjson.Into(r, &rec.Timestamp, (*strictjson.Reader).Uint)
		case "headers":
			return r.Array(func(int) (err error) {
				var h Header
				if h, err = d.header(r); err == nil {
					rec.Headers = append(rec.Headers, h)
				}
				return err
			})
		case "body":
			return strictjson.Into(r, &rec.Body, d.text)
		}
		return r.Skip()
	})
	pos := Position{rec.SeqNum, rec.Timestamp}
	switch {
	case err != nil:
		return err
	case !hasSeq || !hasTime:
		return r.Bad("seq_num and timestamp are required")
	case out.count > 0 && (pos.SeqNum <= out.last.SeqNum || pos.Timestamp < out.last.Timestamp):
		return r.Bad("position %v does not follow %v", pos, out.last)
	case out.count == 0:
		out.first = pos
	}
	out.wire = AppendSequenced(out.wire, rec.SeqNum, rec.Timestamp, rec.Headers, rec.Body)
	out.count++
	out.metered += rec.MeteredSize()
	out.last = pos
	return nil
}
