package protocol_test

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// TestAppendJSONA16 holds the rows of data plane A.16 about the JSON of appends, and the shape rules of 8.5.
func TestAppendJSONA16(t *testing.T) {
	const b64 = protocol.FormatBase64
	raw := protocol.FormatRaw
	for _, c := range []struct {
		name string
		body string
		f    protocol.RecordFormat
		code protocol.Code
		want string // in the message
	}{
		{"A.16/307 not json", `not json`, raw, protocol.CodeBadJSON, "invalid JSON at byte"},
		{"A.16/307 empty", ``, raw, protocol.CodeBadJSON, "invalid JSON"},
		{"A.16/307 truncated", `{truncated`, raw, protocol.CodeBadJSON, "invalid JSON"},
		{"A.16/307 truncated later", `{"records":[{"body":"x"`, raw, protocol.CodeBadJSON, "invalid JSON"},
		{"A.16/308 no records", `{}`, raw, protocol.CodeBadJSON, "records: is required"},
		{"A.16/308 trailing", `{"records":[]} trailing`, raw, protocol.CodeBadJSON, "invalid JSON"},
		{"A.16/308 second value", `{"records":[]}{}`, raw, protocol.CodeBadJSON, "data after the value"},
		{"A.16/308 records is a string", `{"records":"nope"}`, raw, protocol.CodeBadJSON, "records: want an array, got a string"},
		{"A.16/308 body is a number", `{"records":[{"body":123}]}`, raw, protocol.CodeBadJSON, "records[0].body: want a string, got a number"},
		{"A.16/310 header of one", `{"records":[{},{"headers":[["a"]]}]}`, raw, protocol.CodeBadJSON, "records[1].headers[0]: a header has exactly 2 strings, got 1"},
		{"A.16/310 header of three", `{"records":[{"headers":[["a","b"],["a","b","c"]]}]}`, raw, protocol.CodeBadJSON, "records[0].headers[1]: a header has exactly 2 strings, got 3"},
		{"A.16/310 header of none", `{"records":[{"headers":[[]]}]}`, raw, protocol.CodeBadJSON, "got 0"},
		{"A.16/312 not Base64", `{"records":[{"body":"not base64!"}]}`, b64, protocol.CodeInvalid, "records[0].body: is not padded standard Base64"},
		{"A.16/312 no padding", `{"records":[{"body":"YQ"}]}`, b64, protocol.CodeInvalid, "Base64"},
		{"A.16/312 trailing bits", `{"records":[{"body":"YR=="}]}`, b64, protocol.CodeInvalid, "Base64"},
		{"A.16/312 line break", `{"records":[{"body":"YWJj\nYWJj"}]}`, b64, protocol.CodeInvalid, "Base64"},
		{"A.16/312 carriage return", `{"records":[{"body":"YWJj\r"}]}`, b64, protocol.CodeInvalid, "Base64"},
		{"A.16/312 URL alphabet", `{"records":[{"headers":[["-_-_",""]]}]}`, b64, protocol.CodeInvalid, "records[0].headers[0][0]"},
		{"A.16/312 the shape is judged first", `{"records":[{"body":"!"},{"body":1}]}`, b64, protocol.CodeBadJSON, "records[1].body"},
		{"8.5 headers null", `{"records":[{"headers":null}]}`, raw, protocol.CodeBadJSON, "records[0].headers: want an array, got null"},
		{"8.5 body null", `{"records":[{"body":null}]}`, raw, protocol.CodeBadJSON, "records[0].body: want a string, got null"},
		{"8.5 records null", `{"records":null}`, raw, protocol.CodeBadJSON, "records: want an array, got null"},
		{"8.5 record null", `{"records":[null]}`, raw, protocol.CodeBadJSON, "records[0]: want an object, got null"},
		{"8.5 header with null", `{"records":[{"headers":[["a",null]]}]}`, raw, protocol.CodeBadJSON, "records[0].headers[0][1]: want a string"},
		{"8.5 null", `null`, raw, protocol.CodeBadJSON, "want an object, got null"},
		{"8.5 array", `[]`, raw, protocol.CodeBadJSON, "want an object, got an array"},
		{"8.5 negative timestamp", `{"records":[{"timestamp":-1}]}`, raw, protocol.CodeBadJSON, "records[0].timestamp: want an integer from 0 to 18446744073709551615, got -1"},
		{"8.5 timestamp over 2^64-1", `{"records":[{"timestamp":18446744073709551616}]}`, raw, protocol.CodeBadJSON, "got 18446744073709551616"},
		{"8.5 fraction", `{"records":[],"match_seq_num":1.0}`, raw, protocol.CodeBadJSON, "match_seq_num: want an integer"},
		{"8.5 exponent", `{"records":[],"match_seq_num":1e3}`, raw, protocol.CodeBadJSON, "match_seq_num: want an integer"},
		{"8.5 number as text", `{"records":[],"match_seq_num":"1"}`, raw, protocol.CodeBadJSON, "match_seq_num: want an integer, got a string"},
		{"8.5 token is a number", `{"records":[],"fencing_token":1}`, raw, protocol.CodeBadJSON, "fencing_token: want a string"},
		{"2.9 duplicate name", `{"records":[],"records":[]}`, raw, protocol.CodeBadJSON, "duplicate"},
		{"2.9 duplicate name in a record", `{"records":[{"body":"a","body":"b"}]}`, raw, protocol.CodeBadJSON, "duplicate"},
		{"2.9 other case is another name", `{"Records":[]}`, raw, protocol.CodeBadJSON, "records: is required"},
		{"2.9 not UTF-8", "{\"records\":[{\"body\":\"\xff\"}]}", raw, protocol.CodeBadJSON, "UTF-8"},
		{"2.9 lone surrogate", `{"records":[{"body":"\ud800"}]}`, raw, protocol.CodeBadJSON, "invalid JSON"},
		{"2.9 bad value in an unknown member", `{"records":[],"x":[1,]}`, raw, protocol.CodeBadJSON, "invalid JSON"},
		{"2.9 comment", `{"records":[]}//`, raw, protocol.CodeBadJSON, "invalid JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := protocol.DecodeAppendInputJSON([]byte(c.body), c.f)
			wantCode(t, err, c.code, c.want)
		})
	}
	t.Run("A.16/309 no records and a null condition", func(t *testing.T) {
		in, err := protocol.DecodeAppendInputJSON([]byte(`{"records":[],"match_seq_num":null}`), raw)
		if err != nil || in.MatchSeqNum != nil {
			t.Fatalf("got %+v, %v", in, err)
		}
		wantCode(t, in.Validate(), protocol.CodeInvalid, "empty")
	})
	t.Run("8.5 everything at once", func(t *testing.T) {
		in, err := protocol.DecodeAppendInputJSON([]byte(` {"x":{"y":[null,1.5]},"fencing_token":"","match_seq_num":18446744073709551615,
			"records":[{"timestamp":0,"headers":[["n\u00e9","v"],["",""]],"body":"\ud83d\ude00\u0000","z":1},{"timestamp":null},{}]} `), raw)
		if err != nil {
			t.Fatal(err)
		}
		sameInput(t, "JSON", in, protocol.AppendInput{
			Records: []protocol.Record{
				{Timestamp: ptr(uint64(0)), Headers: hdr("né", "v", "", ""), Body: []byte("😀\x00")}, {}, {},
			},
			MatchSeqNum: ptr(uint64(1<<64 - 1)), FencingToken: ptr(""),
		})
	})
	t.Run("8.5 Base64 of headers and bodies, the token is plain", func(t *testing.T) {
		in, err := protocol.DecodeAppendInputJSON([]byte(`{"records":[{"headers":[["","ZmVuY2U="]],"body":"\/\/79"}],"fencing_token":"YQ=="}`), b64)
		if err != nil {
			t.Fatal(err)
		}
		sameInput(t, "JSON", in, protocol.AppendInput{
			Records: []protocol.Record{{Headers: hdr("", "fence"), Body: []byte("\xff\xfe\xfd")}}, FencingToken: ptr("YQ=="),
		})
	})
	t.Run("8.5 a million empty records claim no more memory than 1001", func(t *testing.T) {
		in, err := protocol.DecodeAppendInputJSON([]byte(`{"records":[{}`+strings.Repeat(",{}", 500_000)+`]}`), raw)
		if err != nil || len(in.Records) != protocol.MaxBatchRecords+1 {
			t.Fatalf("%d records, %v", len(in.Records), err)
		}
		wantCode(t, in.Validate(), protocol.CodeInvalid, "at most 1000")
	})
	t.Run("decoded strings do not share the input", func(t *testing.T) {
		text := []byte(`{"records":[{"body":"hello"}]}`)
		in, _ := protocol.DecodeAppendInputJSON(text, raw)
		clear(text)
		_ = append(in.Records[0].Body, "xxxx"...)
		if string(in.Records[0].Body) != "hello" {
			t.Fatalf("body is %q", in.Records[0].Body)
		}
	})
}

func TestRecordFormatA16(t *testing.T) {
	for name, c := range map[string]struct {
		in   []string
		want protocol.RecordFormat
	}{
		"A.16/313 raw":    {[]string{"raw", "json", " raw ", "\tjson"}, protocol.FormatRaw},
		"A.16/313 base64": {[]string{"base64", "json-binsafe", " base64\t"}, protocol.FormatBase64},
	} {
		t.Run(name, func(t *testing.T) {
			for _, s := range c.in {
				if f, err := protocol.ParseRecordFormat(s); err != nil || f != c.want {
					t.Errorf("%q: got %v, %v", s, f, err)
				}
			}
		})
	}
	t.Run("A.16/314 unknown", func(t *testing.T) {
		for _, s := range []string{"", " ", "hex", "RAW", "Base64", "raw,raw", strings.Repeat("x", 10_000)} {
			_, err := protocol.ParseRecordFormat(s)
			wantCode(t, err, protocol.CodeBadHeader, "s2-format")
			if len(err.Error()) > 300 {
				t.Errorf("message of %d bytes", len(err.Error()))
			}
		}
	})
}
