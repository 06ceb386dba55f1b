package protocol_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/weirstream/weir/protocol"
)

// typed fails unless err is nil or an Error with one of the codes, and a message that a client may get.
func typed(t *testing.T, err error, codes ...protocol.Code) {
	t.Helper()
	var e *protocol.Error
	if err == nil {
		return
	}
	if !errors.As(err, &e) || !slices.Contains(codes, e.Code) {
		t.Fatalf("error %v is not of code %v", err, codes)
	}
	if len(e.Message) > 2000 || !json.Valid(e.Body()) {
		t.Fatalf("message of %d bytes, body %.200q", len(e.Message), e.Body())
	}
}

func FuzzAppendInputJSON(f *testing.F) {
	for _, s := range []string{
		`{"records":[{"timestamp":1,"headers":[["a","b"]],"body":"x"}],"match_seq_num":0,"fencing_token":""}`,
		`{"records":[{"headers":[["","fence"]],"body":"\ud83d\ude00"},{}]}`, `{"records":[{"body":"/w=="}]}`, `{"records":[{"headers":[["","close"]]}],"close":true}`, `{"records":null}`, ``, `{"records":[[]]}`,
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, b64 bool) {
		format := protocol.FormatRaw
		if b64 {
			format = protocol.FormatBase64
		}
		in, err := protocol.DecodeAppendInputJSON(data, format)
		typed(t, err, protocol.CodeBadJSON, protocol.CodeInvalid)
		if err != nil {
			return
		}
		if !json.Valid(data) {
			t.Fatal("accepted what is not JSON")
		}
		typed(t, in.Validate(), protocol.CodeInvalid)
		text, err := protocol.EncodeAppendInputJSON(&in, format)
		if err != nil {
			t.Fatalf("what came from JSON does not go back: %v", err)
		}
		again, err := protocol.DecodeAppendInputJSON(text, format)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		sameInput(t, "JSON", again, in)
	})
}

func FuzzAppendInputProto(f *testing.F) {
	in := protocol.AppendInput{Records: []protocol.Record{{Timestamp: ptr(uint64(0)), Headers: hdr("a", "b", "", ""), Body: []byte("x")}, {}},
		MatchSeqNum: ptr(uint64(9)), FencingToken: ptr("tok"), Close: true, Producer: &protocol.Producer{ID: "p", Epoch: 2, Seq: 3}, WriterSeq: ptr("w")}
	f.Add(protocol.MarshalAppendInput(&in))
	f.Add([]byte{0x0A, 0x80, 0x00, 0x23, 0x24})
	f.Fuzz(func(t *testing.T, data []byte) {
		in, err := protocol.UnmarshalAppendInput(data)
		typed(t, err, protocol.CodeBadProto)
		if err != nil {
			return
		}
		typed(t, in.Validate(), protocol.CodeInvalid)
		onTheWire(t, in)
	})
}

func FuzzReadBatch(f *testing.F) {
	b := protocol.ReadBatch{Records: protocol.RecordsOf(seqRec(1, 2, "a\xff", "h", "v"), seqRec(3, 3, "")), Tail: &protocol.Position{SeqNum: 4, Timestamp: 3}}
	f.Add(protocol.MarshalReadBatch(&b))
	f.Add([]byte{0x12, 0x00, 0x8A, 0x00, 0x00})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := protocol.UnmarshalReadBatch(data)
		typed(t, err, protocol.CodeBadProto)
		if err != nil {
			return
		}
		checkRun(t, b.Records)
		message := protocol.MarshalReadBatch(&b)
		if n := protocol.SizeReadBatch(&b); n != len(message) {
			t.Fatalf("the size of a message of %d bytes: %d", len(message), n)
		}
		back, err := protocol.UnmarshalReadBatch(message)
		if err != nil || !bytes.Equal(back.Records.Wire(), b.Records.Wire()) || !samePtr(back.Tail, b.Tail) {
			t.Fatalf("protobuf round trip: %+v, %v", back, err)
		}
		text := protocol.AppendReadBatchJSON(nil, &b, protocol.FormatBase64)
		if n := protocol.SizeReadBatchJSON(&b, protocol.FormatBase64); n != len(text) {
			t.Fatalf("size of %s: %d, want %d", text, n, len(text))
		}
		if back, err = protocol.DecodeReadBatchJSON(text, protocol.FormatBase64); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		checkRun(t, back.Records)
		sameRecords(t, back.Records.Slice(), b.Records.Slice())
		raw := protocol.AppendReadBatchJSON(nil, &b, protocol.FormatRaw)
		if n := protocol.SizeReadBatchJSON(&b, protocol.FormatRaw); n != len(raw) {
			t.Fatalf("size of %s: %d, want %d", raw, n, len(raw))
		}
		if !json.Valid(raw) || !utf8.Valid(raw) || bytes.ContainsAny(raw, "\r\n") {
			t.Fatalf("raw JSON is not one line of JSON: %q", raw)
		}
		if _, err = protocol.DecodeReadBatchJSON(raw, protocol.FormatRaw); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
	})
}

func FuzzReadBatchJSON(f *testing.F) {
	f.Add([]byte(`{"records":[{"seq_num":1,"timestamp":2,"headers":[["a",""]],"body":"YQ=="}],"tail":{"seq_num":2,"timestamp":2}}`), true)
	f.Add([]byte(`{"records":[]}`), false)
	f.Fuzz(func(t *testing.T, data []byte, b64 bool) {
		format := protocol.FormatRaw
		if b64 {
			format = protocol.FormatBase64
		}
		b, err := protocol.DecodeReadBatchJSON(data, format)
		typed(t, err, protocol.CodeBadJSON, protocol.CodeInvalid)
		if err != nil {
			return
		}
		checkRun(t, b.Records)
		text := protocol.AppendReadBatchJSON(nil, &b, format)
		again, err := protocol.DecodeReadBatchJSON(text, format)
		if err != nil || !bytes.Equal(again.Records.Wire(), b.Records.Wire()) {
			t.Fatalf("%s: %v", text, err)
		}
	})
}

func sameRecords(t *testing.T, got, want []protocol.SequencedRecord) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range want {
		g, w := got[i], want[i]
		if g.SeqNum != w.SeqNum || g.Timestamp != w.Timestamp || !bytes.Equal(g.Body, w.Body) || !sameHeaders(g.Headers, w.Headers) {
			t.Fatalf("record %d: got %+v, want %+v", i, g, w)
		}
	}
}

// FuzzRecords holds Take, From, FromTimestamp and Join against a slice of records.
func FuzzRecords(f *testing.F) {
	f.Add(protocol.RecordsOf(seqRec(1, 2, "a", "h", "v"), seqRec(3, 3, ""), seqRec(4, 9, "zz")).Wire(), uint64(2), uint64(30), uint64(5), true, uint64(2))
	f.Add([]byte{0x0A, 0x00}, uint64(0), uint64(0), uint64(0), false, uint64(1))
	f.Fuzz(func(t *testing.T, wire []byte, count, size, until uint64, hasUntil bool, from uint64) {
		r, err := protocol.ParseRecords(wire)
		if err != nil {
			if r.Len() != 0 {
				t.Fatal("records beside an error")
			}
			return
		}
		keep := bytes.Clone(wire)
		checkRun(t, r)
		all := r.Slice()

		limit := protocol.Limit{Count: count, Bytes: size, Until: until, HasUntil: hasUntil}
		n, spent := 0, uint64(0)
		for n < len(all) && uint64(n) < count && spent+all[n].MeteredSize() <= size && (!hasUntil || all[n].Timestamp < until) {
			spent += all[n].MeteredSize()
			n++
		}
		taken, cut := r.Take(limit)
		checkRun(t, taken)
		sameRecords(t, taken.Slice(), all[:n])
		if cut != (n < len(all)) {
			t.Fatalf("cut %v, took %d of %d", cut, n, len(all))
		}
		left := limit.Spend(taken.Len(), taken.MeteredSize())
		if left.Count != count-uint64(n) || left.Bytes != size-spent {
			t.Fatalf("limit %+v became %+v", limit, left)
		}

		i := slices.IndexFunc(all, func(rec protocol.SequencedRecord) bool { return rec.SeqNum >= from })
		j := slices.IndexFunc(all, func(rec protocol.SequencedRecord) bool { return rec.Timestamp >= from })
		late, young := r.From(from), r.FromTimestamp(from)
		checkRun(t, late)
		checkRun(t, young)
		sameRecords(t, late.Slice(), tailOf(all, i))
		sameRecords(t, young.Slice(), tailOf(all, j))

		if n > 0 {
			whole := taken.Join(r.From(taken.Last().SeqNum + 1))
			if taken.Last().SeqNum == 1<<64-1 {
				whole = taken
			}
			checkRun(t, whole)
			sameRecords(t, whole.Slice(), all)
		}
		if !bytes.Equal(wire, keep) {
			t.Fatal("the input changed")
		}
	})
}

func tailOf(all []protocol.SequencedRecord, i int) []protocol.SequencedRecord {
	if i < 0 {
		return nil
	}
	return all[i:]
}

func FuzzNames(f *testing.F) {
	for _, s := range []string{"demo-basin", "", ".", "s2://demo-basin/a/b", "-", "s2://", "漢", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if b, err := protocol.ParseBasinName(s); err == nil {
			if protocol.CheckBasinPrefix("prefix", s) != nil || len(b) < 8 || len(b) > 48 || strings.Trim(s, "-") != s || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
				t.Fatalf("%q is a basin name", s)
			}
		}
		if n, err := protocol.ParseStreamName(s); err == nil {
			if protocol.CheckStreamPrefix("prefix", s) != nil || n == "" || n == "." || n == ".." || len(n) > 512 || !utf8.ValidString(s) || strings.Contains(s, "\x00") {
				t.Fatalf("%q is a stream name", s)
			}
			ref := protocol.StreamRef{Basin: "demo-basin", Stream: n}
			if back, err := protocol.ParseStreamURI(ref.String()); err != nil || back != ref {
				t.Fatalf("%s: %+v, %v", ref, back, err)
			}
		}
		if ref, err := protocol.ParseStreamURI(s); err == nil && ref.String() != s {
			t.Fatalf("%q became %s", s, ref)
		}
	})
}

func FuzzConfigJSON(f *testing.F) {
	for _, s := range []string{
		`{"storage_class":"express","retention_policy":{"age":1},"timestamping":{"mode":null,"uncapped":true},"delete_on_empty":{}}`,
		`{"default_stream_config":null,"stream_cipher":"aegis-256","create_stream_on_append":null}`,
		`{"basin":"demo-basin","config":null,"location":null}`, `{"stream":"s","config":{"retention_policy":{"infinite":{}}}}`, `null`,
		`{"basins":[{"name":"demo-basin","created_at":"9999-12-31T23:59:59-01:00","deleted_at":null}],"has_more":true}`,
		`{"streams":[{"name":"s","created_at":"2026-01-02T03:04:05.5+02:00","cipher":"aegis-256"}],"has_more":false}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		steady[protocol.StreamConfig](t, data)
		steady[protocol.BasinConfig](t, data)
		steady[protocol.StreamReconfiguration](t, data)
		steady[protocol.BasinReconfiguration](t, data)
		steady[protocol.CreateBasinRequest](t, data)
		steady[protocol.CreateStreamRequest](t, data)
		steady[protocol.EnsureBasinRequest](t, data)
		steady[protocol.StreamPage](t, data)
		steady[protocol.BasinPage](t, data)
		req, err := protocol.DecodeReadRequestJSON(data)
		typed(t, err, protocol.CodeBadJSON, protocol.CodeInvalid)
		if text := protocol.EncodeReadRequestJSON(&req); err == nil {
			again, err := protocol.DecodeReadRequestJSON(text)
			if err != nil || !bytes.Equal(protocol.EncodeReadRequestJSON(&again), text) {
				t.Fatalf("%s: %v", text, err)
			}
		}
		list, err := protocol.DecodeListRequestJSON(data)
		typed(t, err, protocol.CodeBadJSON)
		if again, err := protocol.DecodeListRequestJSON(protocol.EncodeListRequestJSON(list)); err != nil || again != list {
			t.Fatalf("%+v: %+v, %v", list, again, err)
		}
		if e := protocol.ParseError(500, data); !json.Valid(e.Body()) {
			t.Fatalf("%q", e.Body())
		}
	})
}

// steady fails unless what data decodes to is the same after it went over the wire once more.
func steady[T any](t *testing.T, data []byte) {
	v, err := protocol.DecodeJSON[T](data)
	typed(t, err, protocol.CodeBadJSON, protocol.CodeInvalid)
	if err != nil {
		return
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("%T: %+v: %v", v, v, err)
	}
	again, err := protocol.DecodeJSON[T](text)
	if err != nil {
		t.Fatalf("%T: %s: %v", v, text, err)
	}
	if text2, _ := json.Marshal(again); !bytes.Equal(text, text2) {
		t.Fatalf("%T: %s became %s", v, text, text2)
	}
}
