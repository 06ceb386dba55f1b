package protocol_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

func seqRec(seq, ts uint64, body string, headers ...string) protocol.SequencedRecord {
	return protocol.SequencedRecord{SeqNum: seq, Timestamp: ts, Headers: hdr(headers...), Body: []byte(body)}
}

// TestReadBatchJSONA16 holds the rows of data plane A.16 about the JSON of read batches.
func TestReadBatchJSONA16(t *testing.T) {
	tail := &protocol.Position{SeqNum: 1, Timestamp: 1}
	raw := protocol.FormatRaw
	for _, c := range []struct {
		name string
		recs []protocol.SequencedRecord
		tail *protocol.Position
		f    protocol.RecordFormat
		want string
	}{
		{"A.16/315 bytes that are not UTF-8", []protocol.SequencedRecord{seqRec(0, 1, "\xF0\x28\x8C\xBC", "n", "\x61\xFF\x7A")}, nil, raw,
			`{"records":[{"seq_num":0,"timestamp":1,"headers":[["n","a` + "\uFFFD" + `z"]],"body":"` + "\uFFFD(\uFFFD\uFFFD" + `"}]}`},
		{"A.16/316 empty fence", []protocol.SequencedRecord{seqRec(0, 1, "", "", "fence")}, nil, raw,
			`{"records":[{"seq_num":0,"timestamp":1,"headers":[["","fence"]]}]}`},
		{"A.16/317 fence", []protocol.SequencedRecord{seqRec(0, 1, "tok", "", "fence")}, tail, raw,
			`{"records":[{"seq_num":0,"timestamp":1,"headers":[["","fence"]],"body":"tok"}],"tail":{"seq_num":1,"timestamp":1}}`},
		{"A.16/317 trim, base64", []protocol.SequencedRecord{seqRec(0, 1, "\x00\x00\x00\x00\x00\x00\x00\xFF", "", "trim")}, nil, protocol.FormatBase64,
			`{"records":[{"seq_num":0,"timestamp":1,"headers":[["","dHJpbQ=="]],"body":"AAAAAAAAAP8="}]}`},
		{"A.16/317 trim, raw", []protocol.SequencedRecord{seqRec(0, 1, "\x00\x00\x00\x00\x00\x00\x00\x07", "", "trim")}, nil, raw,
			`{"records":[{"seq_num":0,"timestamp":1,"headers":[["","trim"]],"body":"` + strings.Repeat(`\u0000`, 7) + `\u0007"}]}`},
		{"A.16/318 tail after records", nil, tail, raw, `{"records":[],"tail":{"seq_num":1,"timestamp":1}}`},
		{"A.16/318 no tail", nil, nil, raw, `{"records":[]}`},
		{"8.5 several records over the full range", []protocol.SequencedRecord{seqRec(1, 0, "a", "h", "1", "h", ""), seqRec(1<<64-1, 1<<64-1, "")},
			&protocol.Position{SeqNum: 1<<64 - 1, Timestamp: 1<<64 - 1}, raw,
			`{"records":[{"seq_num":1,"timestamp":0,"headers":[["h","1"],["h",""]],"body":"a"},{"seq_num":18446744073709551615,"timestamp":18446744073709551615}],` +
				`"tail":{"seq_num":18446744073709551615,"timestamp":18446744073709551615}}`},
		{"8.8 one line", []protocol.SequencedRecord{seqRec(0, 0, "a\r\nb\t\"\\/<\x7f\b\f")}, nil, raw,
			`{"records":[{"seq_num":0,"timestamp":0,"body":"a\r\nb\t\"\\/<` + "\x7f" + `\b\f"}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := protocol.ReadBatch{Records: protocol.RecordsOf(c.recs...), Tail: c.tail}
			got := protocol.AppendReadBatchJSON([]byte("data: "), &b, c.f)
			if n := protocol.SizeReadBatchJSON(&b, c.f); n != len(got)-len("data: ") {
				t.Errorf("size %d, want %d", n, len(got)-len("data: "))
			}
			if string(got) != "data: "+c.want {
				t.Fatalf("got  %s\nwant %s", got, c.want)
			}
			if !json.Valid(got[6:]) {
				t.Fatal("not JSON")
			}
			back, err := protocol.DecodeReadBatchJSON(got[6:], c.f)
			if err != nil {
				t.Fatal(err)
			}
			if again := protocol.AppendReadBatchJSON(nil, &back, c.f); string(again) != c.want {
				t.Fatalf("after a round trip: %s", again)
			}
			if back.Records.MeteredSize() != protocol.RecordsOf(back.Records.Slice()...).MeteredSize() {
				t.Fatal("metered size is wrong")
			}
		})
	}
}

// TestLossyText follows Unicode 3.9, table 3-8 and its neighbours: one U+FFFD for each maximal subpart.
func TestLossyText(t *testing.T) {
	const r = "\uFFFD"
	for in, want := range map[string]string{
		"\xE2\x82\x58":                      r + "X",
		"\xF0\x28\x8C\xBC":                  r + "(" + r + r,
		"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82A": strings.Repeat(r, 8) + "A",
		"\xED\xA0\x80\xED\xBF\xBF\xED\xAFA": strings.Repeat(r, 8) + "A",
		"\xF4\x91\x92\x93\xFFA\x80\xBFB":    strings.Repeat(r, 5) + "A" + r + r + "B",
		"\xE1\x80\xE2\xF0\x91\x92\xF1\xBFA": r + r + r + r + "A",
		"\xF0\x9F\x98":                      r,
		"\xF0\x9F\x98\x80":                  "😀",
		"\xF4\x8F\xBF\xBF\xEF\xBF\xBD\xED\x9F\xBF\xE0\xA0\x80\xC2\x80": "\U0010FFFF\uFFFD\uD7FF\u0800\u0080",
		"\xC2":         r,
		"a\x80":        "a" + r,
		"\xC2\xC2\x80": r + "\u0080",
	} {
		b := protocol.ReadBatch{Records: protocol.RecordsOf(seqRec(0, 0, in))}
		got := protocol.AppendReadBatchJSON(nil, &b, protocol.FormatRaw)
		if string(got) != `{"records":[{"seq_num":0,"timestamp":0,"body":"`+want+`"}]}` {
			t.Errorf("% x: got %s, want %q", in, got, want)
		}
		if n := protocol.SizeReadBatchJSON(&b, protocol.FormatRaw); n != len(got) {
			t.Errorf("% x: size %d, want %d", in, n, len(got))
		}
	}
}

func TestDecodeReadBatchJSONRefusals(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"no records":        {`{}`, "records: is required"},
		"records null":      {`{"records":null}`, "records: want an array"},
		"no seq_num":        {`{"records":[{"timestamp":1}]}`, "records[0]: seq_num and timestamp are required"},
		"no timestamp":      {`{"records":[{"seq_num":1}]}`, "records[0]: seq_num and timestamp are required"},
		"seq_num falls":     {`{"records":[{"seq_num":1,"timestamp":1},{"seq_num":1,"timestamp":1}]}`, "records[1]: position {1, 1} does not follow {1, 1}"},
		"timestamp falls":   {`{"records":[{"seq_num":1,"timestamp":2},{"seq_num":2,"timestamp":1}]}`, "does not follow"},
		"half a tail":       {`{"records":[],"tail":{"seq_num":1}}`, "tail: seq_num and timestamp are required"},
		"a header of three": {`{"records":[{"seq_num":1,"timestamp":1,"headers":[["a","b","c"]]}]}`, "records[0].headers[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := protocol.DecodeReadBatchJSON([]byte(c.body), protocol.FormatRaw)
			wantCode(t, err, protocol.CodeBadJSON, c.want)
		})
	}
	b, err := protocol.DecodeReadBatchJSON([]byte(`{"tail":null,"x":1,"records":[{"seq_num":1,"timestamp":1,"headers":[],"body":"","y":{}}]}`), protocol.FormatRaw)
	if err != nil || b.Tail != nil || b.Records.Len() != 1 || b.Records.First() != (protocol.Position{SeqNum: 1, Timestamp: 1}) {
		t.Fatalf("got %+v, %v", b, err)
	}
}
