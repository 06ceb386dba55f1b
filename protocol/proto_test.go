package protocol_test

import (
	"bytes"
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// unhex reads bytes written as in the specification, "0A 02 08 05".
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestProtoBytes(t *testing.T) {
	t.Run("8.9 heartbeat", func(t *testing.T) {
		b := protocol.ReadBatch{Tail: &protocol.Position{SeqNum: 5, Timestamp: 1000}}
		want := unhex(t, "12 05 08 05 10 E8 07")
		if got := protocol.MarshalReadBatch(&b); !bytes.Equal(got, want) {
			t.Fatalf("got % X", got)
		}
		back, err := protocol.UnmarshalReadBatch(want)
		if err != nil || !back.Heartbeat() || *back.Tail != *b.Tail {
			t.Fatalf("got %+v, %v", back, err)
		}
	})
	t.Run("8.6 an empty batch has no bytes", func(t *testing.T) {
		if got := protocol.MarshalReadBatch(&protocol.ReadBatch{}); len(got) != 0 {
			t.Fatalf("got % X", got)
		}
		back, err := protocol.UnmarshalReadBatch(nil)
		if err != nil || back.Tail != nil || back.Records.Len() != 0 {
			t.Fatalf("got %+v, %v", back, err)
		}
	})
	t.Run("9 a zero tail is there", func(t *testing.T) {
		got := protocol.MarshalReadBatch(&protocol.ReadBatch{Tail: &protocol.Position{}})
		if !bytes.Equal(got, unhex(t, "12 00")) {
			t.Fatalf("got % X", got)
		}
		if back, err := protocol.UnmarshalReadBatch(got); err != nil || back.Tail == nil {
			t.Fatalf("got %+v, %v", back, err)
		}
	})
	t.Run("8.6 an ack holds all three positions", func(t *testing.T) {
		if got := protocol.MarshalAppendAck(protocol.AppendAck{}); !bytes.Equal(got, unhex(t, "0A 00 12 00 1A 00")) {
			t.Fatalf("got % X", got)
		}
		a := protocol.AppendAck{
			Start: protocol.Position{SeqNum: 1, Timestamp: 2}, End: protocol.Position{SeqNum: math.MaxUint64, Timestamp: 3},
			Tail: protocol.Position{SeqNum: math.MaxUint64, Timestamp: math.MaxUint64},
		}
		if back, err := protocol.UnmarshalAppendAck(protocol.MarshalAppendAck(a)); err != nil || back != a {
			t.Fatalf("got %+v, %v", back, err)
		}
		text, _ := a.MarshalJSON()
		if back, err := protocol.DecodeJSON[protocol.AppendAck](text); err != nil || back != a {
			t.Fatalf("got %+v, %v from %s", back, err, text)
		}
	})
	t.Run("9 presence matters", func(t *testing.T) {
		in := protocol.AppendInput{Records: []protocol.Record{{Timestamp: ptr(uint64(0))}, {}}, MatchSeqNum: ptr(uint64(0)), FencingToken: ptr("")}
		got := protocol.MarshalAppendInput(&in)
		if !bytes.Equal(got, unhex(t, "0A 02 08 00 0A 00 10 00 1A 00")) {
			t.Fatalf("got % X", got)
		}
		back, err := protocol.UnmarshalAppendInput(got)
		if err != nil {
			t.Fatal(err)
		}
		sameInput(t, "protobuf", back, in)
	})
}

// TestProtoForeign gives the decoders what other encoders may send, and what none may.
func TestProtoForeign(t *testing.T) {
	for name, c := range map[string]struct {
		hex string
		ok  bool
	}{
		"unknown fields of every wire type":       {"0A 00 20 01 29 0000000000000000 32 01 FF 3B 08 01 3C 45 00000000", true},
		"a group in a group":                      {"23 2B 2C 24 0A 00", true},
		"a group that does not end":               {"23 08 01", false},
		"a group that ends as another":            {"23 2C", false},
		"an end without a group":                  {"24", false},
		"a length that is not minimal":            {"0A 81 00 00", false},
		"a length that is not minimal, zero":      {"0A 80 00", true},
		"a tag that is not minimal":               {"8A 00 00", true},
		"a length beyond the end":                 {"0A 05 00", false},
		"a length of 2^63":                        {"0A 80 80 80 80 80 80 80 80 80 01", false},
		"a length of 2^64-1":                      {"0A FF FF FF FF FF FF FF FF FF 01", false},
		"a length over 2^64":                      {"0A FF FF FF FF FF FF FF FF FF 02", false},
		"a length without end":                    {"0A FF FF FF FF FF FF FF FF FF FF FF", false},
		"a tag cut short":                         {"8A", false},
		"field number 0":                          {"02 00", false},
		"wire type 6":                             {"0E", false},
		"wire type 7":                             {"0F", false},
		"records of a wrong wire type":            {"08 01", false},
		"match_seq_num of a wrong wire type":      {"12 00", false},
		"fencing_token of a wrong wire type":      {"18 01", false},
		"fencing_token not UTF-8":                 {"1A 01 FF", false},
		"body of a wrong wire type":               {"0A 02 18 01", false},
		"headers of a wrong wire type":            {"0A 02 10 01", false},
		"timestamp of a wrong wire type":          {"0A 02 0A 00", false},
		"header name of a wrong wire type":        {"0A 04 12 02 08 01", false},
		"header cut short":                        {"0A 03 12 01 0A", false},
		"A.16/311 not protobuf":                   {hex.EncodeToString([]byte("not protobuf")), false},
		"A.18/359 nothing at all":                 {"", true},
		"unknown field in a header":               {"0A 07 12 05 0A 01 61 18 01", true},
		"the last of a repeated condition counts": {"10 01 10 02", true},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := protocol.UnmarshalAppendInput(unhex(t, c.hex))
			if c.ok && err != nil {
				t.Fatal(err)
			}
			if !c.ok {
				wantCode(t, err, protocol.CodeBadProto, "AppendInput")
			}
			if name == "the last of a repeated condition counts" && *in.MatchSeqNum != 2 {
				t.Fatalf("got %d", *in.MatchSeqNum)
			}
		})
	}
	t.Run("a million empty records claim no more memory than 1001", func(t *testing.T) {
		in, err := protocol.UnmarshalAppendInput(bytes.Repeat([]byte{0x0A, 0x00}, 1_000_000))
		if err != nil || len(in.Records) != protocol.MaxBatchRecords+1 {
			t.Fatalf("%d records, %v", len(in.Records), err)
		}
		wantCode(t, in.Validate(), protocol.CodeInvalid, "at most 1000")
	})
	t.Run("groups nested without bound", func(t *testing.T) {
		_, err := protocol.UnmarshalAppendInput(bytes.Repeat([]byte{0x23}, 2<<20))
		wantCode(t, err, protocol.CodeBadProto)
	})
}

func TestUnmarshalReadBatch(t *testing.T) {
	recs := protocol.RecordsOf(seqRec(3, 5, "a", "h", "v"), seqRec(4, 5, "b"))
	tail := protocol.Position{SeqNum: 5, Timestamp: 5}
	msg := protocol.MarshalReadBatch(&protocol.ReadBatch{Records: recs, Tail: &tail})
	entry := func(seq byte) []byte { return []byte{0x0A, 0x02, 0x08, seq} }

	t.Run("shares memory when the records come first", func(t *testing.T) {
		b, err := protocol.UnmarshalReadBatch(msg)
		if err != nil || *b.Tail != tail || b.Records.Len() != 2 {
			t.Fatalf("got %+v, %v", b, err)
		}
		if w := b.Records.Wire(); &w[0] != &msg[0] || cap(w) != len(w) || !bytes.Equal(w, recs.Wire()) {
			t.Fatal("the records were copied, or have room to write into the tail")
		}
	})
	t.Run("collects records that come late", func(t *testing.T) {
		mixed := bytes.Join([][]byte{entry(1), {0x12, 0x00}, entry(2), {0x78, 0x01}, {0x8A, 0x00, 0x02, 0x08, 0x03}, {0x12, 0x02, 0x08, 0x09}}, nil)
		before := bytes.Clone(mixed)
		b, err := protocol.UnmarshalReadBatch(mixed)
		if err != nil || b.Records.Len() != 3 || b.Records.Last().SeqNum != 3 || b.Tail.SeqNum != 9 {
			t.Fatalf("got %+v, %v", b, err)
		}
		if !bytes.Equal(b.Records.Wire(), bytes.Join([][]byte{entry(1), entry(2), entry(3)}, nil)) || !bytes.Equal(before, mixed) {
			t.Fatal("wrong bytes")
		}
	})
	t.Run("a tail that comes twice is merged", func(t *testing.T) {
		b, err := protocol.UnmarshalReadBatch(unhex(t, "12 02 08 05 12 02 10 07"))
		if err != nil || *b.Tail != (protocol.Position{SeqNum: 5, Timestamp: 7}) {
			t.Fatalf("got %+v, %v", b.Tail, err)
		}
	})
	for name, h := range map[string]string{
		"seq_num falls":              "0A 02 08 02 0A 02 08 01",
		"seq_num repeats":            "0A 02 08 02 0A 02 08 02",
		"timestamp falls":            "0A 04 08 01 10 02 0A 04 08 02 10 01",
		"record cut short":           "0A 04 08 01",
		"tail cut short":             "12 02 08",
		"tail of a wrong wire type":  "10 01",
		"body of a wrong wire type":  "0A 02 20 01",
		"header of a wrong type":     "0A 02 18 01",
		"seq_num of a wrong type":    "0A 02 0A 00",
		"a header value that is cut": "0A 04 1A 02 12 05",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := protocol.UnmarshalReadBatch(unhex(t, h))
			wantCode(t, err, protocol.CodeBadProto, "ReadBatch")
		})
	}
}
