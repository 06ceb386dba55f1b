package protocol

import (
	"math"
	"strconv"
	"time"

	"github.com/weirstream/weir/internal/strictjson"
)

// readPosition reads {"seq_num": u64, "timestamp": u64}; both are required.
func readPosition(r *strictjson.Reader) (p Position, err error) {
	var hasSeq, hasTime bool
	err = r.Object(func(name []byte) error {
		switch string(name) {
		case "seq_num":
			hasSeq = true
			return strictjson.Into(r, &p.SeqNum, (*strictjson.Reader).Uint)
		case "timestamp":
			hasTime = true
			return strictjson.Into(r, &p.Timestamp, (*strictjson.Reader).Uint)
		}
		return r.Skip()
	})
	if err == nil && (!hasSeq || !hasTime) {
		err = r.Bad("seq_num and timestamp are required")
	}
	return p, err
}

func (p *Position) readJSON(r *strictjson.Reader) error { return strictjson.Into(r, p, readPosition) }

func (p Position) appendJSON(dst []byte) []byte {
	dst = strconv.AppendUint(append(dst, `{"seq_num":`...), p.SeqNum, 10)
	dst = strconv.AppendUint(append(dst, `,"timestamp":`...), p.Timestamp, 10)
	return append(dst, '}')
}

// MarshalJSON gives {"seq_num": u64, "timestamp": u64}.
func (p Position) MarshalJSON() ([]byte, error) { return p.appendJSON(nil), nil }

// UnmarshalJSON is the strict inverse of MarshalJSON. The error has code bad_json.
func (p *Position) UnmarshalJSON(b []byte) error { return readWhole(b, p) }

// EncodeTailJSON gives the answer of a check-tail, {"tail":{"seq_num":0,"timestamp":0}}, with "closed":true behind it if the
// stream is closed. A read at an unwritten position fails with the same body.
func EncodeTailJSON(t StreamTail) []byte {
	dst := t.Position.appendJSON([]byte(`{"tail":`))
	if t.Closed {
		dst = append(dst, `,"closed":true`...)
	}
	return append(dst, '}')
}

// DecodeTailJSON is the inverse of [EncodeTailJSON]. The error has code bad_json.
func DecodeTailJSON(data []byte) (t StreamTail, err error) {
	var tail *Position
	err = readJSONText(data, func(r *strictjson.Reader) error {
		return r.Object(func(name []byte) error {
			switch string(name) {
			case "tail":
				return strictjson.IntoOptional(r, &tail, readPosition)
			case "closed":
				return strictjson.IntoUnlessNull(r, &t.Closed, (*strictjson.Reader).Bool)
			}
			return r.Skip()
		})
	})
	switch {
	case err != nil:
		return StreamTail{}, err
	case tail == nil:
		return StreamTail{}, Errorf(CodeBadJSON, "tail: is required")
	}
	t.Position = *tail
	return t, nil
}

func (a *AppendAck) readJSON(r *strictjson.Reader) error {
	*a = AppendAck{}
	var start, end, tail bool
	err := r.Object(func(name []byte) error {
		switch string(name) {
		case "start":
			start = true
			return a.Start.readJSON(r)
		case "end":
			end = true
			return a.End.readJSON(r)
		case "tail":
			tail = true
			return a.Tail.readJSON(r)
		case "last_seq":
			return strictjson.IntoUnlessNull(r, &a.LastSeq, (*strictjson.Reader).Uint)
		case "repeated":
			return strictjson.IntoUnlessNull(r, &a.Repeated, (*strictjson.Reader).Bool)
		}
		return r.Skip()
	})
	if err == nil && !(start && end && tail) {
		err = r.Bad("start, end and tail are required")
	}
	return err
}

// MarshalJSON gives {"start":{...},"end":{...},"tail":{...}}, and "repeated":true and "last_seq" for a repeat.
func (a AppendAck) MarshalJSON() ([]byte, error) {
	dst := a.Start.appendJSON(append(make([]byte, 0, 192), `{"start":`...))
	dst = a.End.appendJSON(append(dst, `,"end":`...))
	dst = a.Tail.appendJSON(append(dst, `,"tail":`...))
	if a.Repeated {
		dst = append(dst, `,"repeated":true`...)
	}
	if a.LastSeq != 0 {
		dst = strconv.AppendUint(append(dst, `,"last_seq":`...), a.LastSeq, 10)
	}
	return append(dst, '}'), nil
}

// UnmarshalJSON is the strict inverse of MarshalJSON. The error has code bad_json.
func (a *AppendAck) UnmarshalJSON(b []byte) error { return readWhole(b, a) }

// DecodeReadRequestJSON decodes the options of a read:
//
//	{"seq_num"|"timestamp"|"tail_offset": u64, "clamp": bool, "count": u64, "bytes": u64, "until": u64,
//	 "wait": u32 seconds | "wait_ms": u64 milliseconds}
//
// All members may be left out or null; so may the whole text. More than one start has code invalid; everything else
// that is wrong, wait beside wait_ms included, has code bad_json. It does not call [ReadRequest.Validate].
func DecodeReadRequestJSON(data []byte) (ReadRequest, error) {
	var d readRequestDecoder
	if len(data) == 0 {
		return d.req, nil
	}
	if err := readJSONText(data, d.read); err != nil {
		return ReadRequest{}, err
	}
	return d.req, nil
}

type readRequestDecoder struct {
	req    ReadRequest
	starts int
	waits  int
}

func (d *readRequestDecoder) read(r *strictjson.Reader) error {
	err := r.Object(func(name []byte) error {
		switch string(name) {
		case "seq_num":
			return d.start(r, StartSeqNum)
		case "timestamp":
			return d.start(r, StartTimestamp)
		case "tail_offset":
			return d.start(r, StartTailOffset)
		case "clamp":
			return strictjson.IntoUnlessNull(r, &d.req.Clamp, (*strictjson.Reader).Bool)
		case "count":
			return strictjson.IntoOptional(r, &d.req.Count, (*strictjson.Reader).Uint)
		case "bytes":
			return strictjson.IntoOptional(r, &d.req.Bytes, (*strictjson.Reader).Uint)
		case "until":
			return strictjson.IntoOptional(r, &d.req.Until, (*strictjson.Reader).Uint)
		case "wait":
			return d.wait(r, math.MaxUint32, time.Second)
		case "wait_ms":
			return d.wait(r, math.MaxUint64, time.Millisecond)
		}
		return r.Skip()
	})
	switch {
	case err != nil:
		return err
	case d.waits > 1:
		return Errorf(CodeBadJSON, "wait, wait_ms: at most one may be given")
	case d.starts > 1:
		r.BreaksAsWhole("seq_num, timestamp, tail_offset", "at most one may be given")
	}
	return nil
}

func (d *readRequestDecoder) start(r *strictjson.Reader, kind StartKind) error {
	n, err := strictjson.Optional(r, (*strictjson.Reader).Uint)
	if err != nil || n == nil {
		return err
	}
	d.starts++
	d.req.Start = Start{kind, *n}
	return nil
}

// wait reads a number of units; a time that a Duration cannot hold, 292 years, is lowered to the longest one.
func (d *readRequestDecoder) wait(r *strictjson.Reader, limit uint64, unit time.Duration) error {
	if r.Null() {
		return nil
	}
	n, err := r.UintMax(limit)
	if err != nil {
		return err
	}
	wait := time.Duration(math.MaxInt64)
	if n <= uint64(wait/unit) {
		wait = time.Duration(n) * unit
	}
	d.waits++
	d.req.Wait = &wait
	return nil
}

// EncodeReadRequestJSON is the inverse of [DecodeReadRequestJSON]. A wait that is not a number of seconds is sent as
// wait_ms, rounded up so that it does not vanish; a negative one as 0.
func EncodeReadRequestJSON(r *ReadRequest) []byte {
	dst := make([]byte, 0, 128)
	member := func(name string, n uint64) {
		dst = append(append(append(dst, ",\""...), name...), "\":"...)
		dst = strconv.AppendUint(dst, n, 10)
	}
	switch {
	case r.Start.Kind == StartSeqNum:
		member("seq_num", r.Start.Value)
	case r.Start.Kind == StartTimestamp:
		member("timestamp", r.Start.Value)
	case r.Start.Value > 0: // tail_offset 0 is the default start
		member("tail_offset", r.Start.Value)
	}
	if r.Clamp {
		dst = append(dst, `,"clamp":true`...)
	}
	if r.Count != nil {
		member("count", *r.Count)
	}
	if r.Bytes != nil {
		member("bytes", *r.Bytes)
	}
	if r.Until != nil {
		member("until", *r.Until)
	}
	if r.Wait != nil {
		wait := max(*r.Wait, 0)
		if s := uint64(wait / time.Second); wait%time.Second == 0 && s <= math.MaxUint32 {
			member("wait", s)
		} else {
			ms := uint64(wait / time.Millisecond)
			if wait%time.Millisecond != 0 {
				ms++
			}
			member("wait_ms", ms)
		}
	}
	if len(dst) == 0 {
		return []byte("{}")
	}
	dst[0] = '{'
	return append(dst, '}')
}

// DecodeListRequestJSON decodes {"prefix": "text", "start_after": "text", "limit": integer}. All may be left out or
// null; so may the whole text. The names are not checked here: the rules for them depend on the listing. The error has
// code bad_json.
func DecodeListRequestJSON(data []byte) (ListRequest, error) {
	var req ListRequest
	if len(data) == 0 {
		return req, nil
	}
	err := readJSONText(data, func(r *strictjson.Reader) error {
		return r.Object(func(name []byte) error {
			switch string(name) {
			case "prefix":
				return strictjson.IntoUnlessNull(r, &req.Prefix, (*strictjson.Reader).Text)
			case "start_after":
				return strictjson.IntoUnlessNull(r, &req.StartAfter, (*strictjson.Reader).Text)
			case "limit":
				return strictjson.IntoUnlessNull(r, &req.Limit, readListLimit)
			}
			return r.Skip()
		})
	})
	if err != nil {
		return ListRequest{}, err
	}
	return req, nil
}

func readListLimit(r *strictjson.Reader) (int, error) {
	n, err := r.Uint()
	return int(min(n, math.MaxInt)), err
}

// EncodeListRequestJSON is the inverse of [DecodeListRequestJSON].
func EncodeListRequestJSON(req ListRequest) []byte {
	dst := appendJSONText([]byte(`{"prefix":`), req.Prefix)
	dst = appendJSONText(append(dst, `,"start_after":`...), req.StartAfter)
	if req.Limit > 0 {
		dst = strconv.AppendInt(append(dst, `,"limit":`...), int64(req.Limit), 10)
	}
	return append(dst, '}')
}
