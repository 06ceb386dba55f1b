package protocol

import (
	"strconv"
	"unicode/utf8"

	"github.com/weirstream/weir/internal/strictjson"
)

// DecodeAppendInputJSON decodes the JSON form of an append (data plane 8.5):
//
//	{"records": [{"timestamp": u64|null, "headers": [["name", "value"]], "body": "text"}],
//	 "match_seq_num": u64|null, "fencing_token": "text"|null, "close": bool|null,
//	 "producer": {"id": "text", "epoch": u64, "seq": u64}|null, "writer_seq": "text"|null}
//
// Only records is required, and not even that with close. The format f applies to header names, header values and bodies. Code bad_json: anything
// that is not JSON of this shape, and a fencing_token of more than 36 bytes. Code invalid: a string that is not Base64
// when f asks for it. Nothing else is validated; see [AppendInput.Validate]. Records after the 1001st are checked for
// their shape and dropped: the batch is refused for their number anyway. The result does not share data's memory.
func DecodeAppendInputJSON(data []byte, f RecordFormat) (AppendInput, error) {
	// A decoded string is never longer than its JSON form, so the arena does not grow.
	d := appendDecoder{format: f, arena: make([]byte, 0, len(data))}
	if err := readJSONText(data, d.input); err != nil {
		return AppendInput{}, err
	}
	return d.in, nil
}

// appendDecoder decodes record strings into one piece of memory.
type appendDecoder struct {
	format  RecordFormat
	in      AppendInput
	arena   []byte
	scratch []byte
}

func (d *appendDecoder) input(r *strictjson.Reader) error {
	found := false
	err := r.Object(func(name []byte) error {
		switch string(name) {
		case "records":
			found = true
			return r.Array(func(int) error { return d.record(r) })
		case "match_seq_num":
			return strictjson.IntoOptional(r, &d.in.MatchSeqNum, (*strictjson.Reader).Uint)
		case "fencing_token":
			return strictjson.IntoOptional(r, &d.in.FencingToken, readFencingToken)
		case "close":
			return strictjson.IntoUnlessNull(r, &d.in.Close, (*strictjson.Reader).Bool)
		case "producer":
			return strictjson.IntoOptional(r, &d.in.Producer, readProducer)
		case "writer_seq":
			return strictjson.IntoOptional(r, &d.in.WriterSeq, (*strictjson.Reader).Text)
		}
		return r.Skip()
	})
	if err == nil && !found && !d.in.Close {
		return Errorf(CodeBadJSON, "records: is required")
	}
	return err
}

// readProducer reads {"id", "epoch", "seq"}, of which all are required.
func readProducer(r *strictjson.Reader) (p Producer, err error) {
	var id, epoch, seq bool
	err = r.Object(func(name []byte) error {
		switch string(name) {
		case "id":
			id = true
			return strictjson.Into(r, &p.ID, (*strictjson.Reader).Text)
		case "epoch":
			epoch = true
			return strictjson.Into(r, &p.Epoch, (*strictjson.Reader).Uint)
		case "seq":
			seq = true
			return strictjson.Into(r, &p.Seq, (*strictjson.Reader).Uint)
		}
		return r.Skip()
	})
	if err == nil && !(id && epoch && seq) {
		err = r.Bad("id, epoch and seq are required")
	}
	return p, err
}

func readFencingToken(r *strictjson.Reader) (string, error) {
	s, err := r.Text()
	if err == nil && len(s) > MaxFencingTokenBytes {
		return "", r.Bad("has %d bytes, at most %d are allowed", len(s), MaxFencingTokenBytes)
	}
	return s, err
}

func (d *appendDecoder) record(r *strictjson.Reader) error {
	var rec Record
	err := r.Object(func(name []byte) error {
		switch string(name) {
		case "timestamp":
			return strictjson.IntoOptional(r, &rec.Timestamp, (*strictjson.Reader).Uint)
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
	if err == nil && len(d.in.Records) <= MaxBatchRecords {
		d.in.Records = append(d.in.Records, rec)
	}
	return err
}

func (d *appendDecoder) header(r *strictjson.Reader) (Header, error) {
	var pair [2][]byte
	n := 0
	err := r.Array(func(i int) error {
		n++
		if i >= len(pair) {
			return r.Skip()
		}
		return strictjson.Into(r, &pair[i], d.text)
	})
	if err == nil && n != len(pair) {
		err = r.Bad("a header has exactly 2 strings, got %d", n)
	}
	return Header{pair[0], pair[1]}, err
}

// text reads a record string in the chosen format. The result lies in the arena.
func (d *appendDecoder) text(r *strictjson.Reader) (_ []byte, err error) {
	start := len(d.arena)
	if d.format == FormatRaw {
		d.arena, err = r.AppendString(d.arena)
	} else if d.scratch, err = r.AppendString(d.scratch[:0]); err == nil {
		var ok bool
		if d.arena, ok = decodeBase64(d.arena, d.scratch); !ok {
			r.Breaks("is not padded standard Base64")
		}
	}
	return d.arena[start:len(d.arena):len(d.arena)], err
}

// DecodeCloseRequestJSON decodes the body of a request to close a stream, which is an append without records:
// {"match_seq_num": u64|null, "fencing_token": "text"|null}. All members and the whole text may be left out. Code bad_json.
func DecodeCloseRequestJSON(data []byte) (AppendInput, error) {
	in := AppendInput{Close: true}
	if len(data) == 0 {
		return in, nil
	}
	err := readJSONText(data, func(r *strictjson.Reader) error {
		return r.Object(func(name []byte) error {
			switch string(name) {
			case "match_seq_num":
				return strictjson.IntoOptional(r, &in.MatchSeqNum, (*strictjson.Reader).Uint)
			case "fencing_token":
				return strictjson.IntoOptional(r, &in.FencingToken, readFencingToken)
			}
			return r.Skip()
		})
	})
	if err != nil {
		return AppendInput{}, err
	}
	return in, nil
}

// EncodeAppendInputJSON is the inverse of [DecodeAppendInputJSON]. With [FormatRaw] the error, of code invalid, says
// which string is not UTF-8 and would not survive; use [FormatBase64] for such records.
func EncodeAppendInputJSON(in *AppendInput, f RecordFormat) ([]byte, error) {
	if err := in.checkText(f); err != nil {
		return nil, err
	}
	dst := append(make([]byte, 0, 64+in.MeteredSize()*3/2), `{"records":[`...)
	for i := range in.Records {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = in.Records[i].appendJSON(dst, f)
	}
	dst = append(dst, ']')
	if in.MatchSeqNum != nil {
		dst = strconv.AppendUint(append(dst, `,"match_seq_num":`...), *in.MatchSeqNum, 10)
	}
	if in.FencingToken != nil {
		dst = appendJSONText(append(dst, `,"fencing_token":`...), *in.FencingToken)
	}
	if in.Close {
		dst = append(dst, `,"close":true`...)
	}
	if in.WriterSeq != nil {
		dst = appendJSONText(append(dst, `,"writer_seq":`...), *in.WriterSeq)
	}
	if p := in.Producer; p != nil {
		dst = appendJSONText(append(dst, `,"producer":{"id":`...), p.ID)
		dst = strconv.AppendUint(append(dst, `,"epoch":`...), p.Epoch, 10)
		dst = strconv.AppendUint(append(dst, `,"seq":`...), p.Seq, 10)
		dst = append(dst, '}')
	}
	return append(dst, '}'), nil
}

func (r *Record) appendJSON(dst []byte, f RecordFormat) []byte {
	dst = append(dst, '{')
	empty := len(dst)
	if r.Timestamp != nil {
		dst = strconv.AppendUint(append(dst, `"timestamp":`...), *r.Timestamp, 10)
	}
	if len(r.Headers) > 0 {
		if len(dst) > empty {
			dst = append(dst, ',')
		}
		dst = appendHeadersJSON(dst, r.Headers, f)
	}
	if len(r.Body) > 0 {
		if len(dst) > empty {
			dst = append(dst, ',')
		}
		dst = appendFormatted(append(dst, `"body":`...), r.Body, f)
	}
	return append(dst, '}')
}

func appendHeadersJSON(dst []byte, headers []Header, f RecordFormat) []byte {
	dst = append(dst, `"headers":[`...)
	for i := range headers {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendFormatted(append(dst, '['), headers[i].Name, f)
		dst = appendFormatted(append(dst, ','), headers[i].Value, f)
		dst = append(dst, ']')
	}
	return append(dst, ']')
}

// checkText reports the first string that JSON in the format f cannot carry.
func (in *AppendInput) checkText(f RecordFormat) error {
	if in.FencingToken != nil && !utf8.ValidString(*in.FencingToken) {
		return Errorf(CodeInvalid, "fencing_token is not valid UTF-8")
	}
	if in.WriterSeq != nil && !utf8.ValidString(*in.WriterSeq) {
		return Errorf(CodeInvalid, "writer_seq is not valid UTF-8")
	}
	if in.Producer != nil && !utf8.ValidString(in.Producer.ID) {
		return Errorf(CodeInvalid, "producer.id is not valid UTF-8")
	}
	if f == FormatBase64 {
		return nil
	}
	for i := range in.Records {
		rec := &in.Records[i]
		if !utf8.Valid(rec.Body) {
			return Errorf(CodeInvalid, "records[%d].body is not valid UTF-8: use the base64 format", i)
		}
		for j := range rec.Headers {
			if !utf8.Valid(rec.Headers[j].Name) || !utf8.Valid(rec.Headers[j].Value) {
				return Errorf(CodeInvalid, "records[%d].headers[%d] is not valid UTF-8: use the base64 format", i, j)
			}
		}
	}
	return nil
}
