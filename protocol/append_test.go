package protocol_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/weirstream/weir/protocol"
)

// hdr makes headers from names and values in turn.
func hdr(namesAndValues ...string) []protocol.Header {
	var hs []protocol.Header
	for i := 0; i+1 < len(namesAndValues); i += 2 {
		hs = append(hs, protocol.Header{Name: []byte(namesAndValues[i]), Value: []byte(namesAndValues[i+1])})
	}
	return hs
}

func rec(body string, headers ...string) protocol.Record {
	return protocol.Record{Headers: hdr(headers...), Body: []byte(body)}
}

func batch(recs ...protocol.Record) protocol.AppendInput { return protocol.AppendInput{Records: recs} }

// wantCode fails unless err has the code and its message holds every part.
func wantCode(t *testing.T, err error, code protocol.Code, parts ...string) {
	t.Helper()
	var e *protocol.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("got error %v, want code %s", err, code)
	}
	for _, p := range parts {
		if !strings.Contains(e.Message, p) {
			t.Errorf("message %q does not hold %q", e.Message, p)
		}
	}
}

func ptr[T any](v T) *T { return &v }

// onTheWire checks that the input survives protobuf and both JSON formats, raw only where it is text.
func onTheWire(t *testing.T, in protocol.AppendInput) {
	t.Helper()
	got, err := protocol.UnmarshalAppendInput(protocol.MarshalAppendInput(&in))
	if err != nil {
		t.Fatalf("protobuf: %v", err)
	}
	sameInput(t, "protobuf", got, in)
	for _, f := range []protocol.RecordFormat{protocol.FormatRaw, protocol.FormatBase64} {
		text, err := protocol.EncodeAppendInputJSON(&in, f)
		if err != nil && f == protocol.FormatRaw {
			wantCode(t, err, protocol.CodeInvalid, "UTF-8")
			continue
		}
		if err != nil {
			t.Fatalf("%v: %v", f, err)
		}
		if got, err = protocol.DecodeAppendInputJSON(text, f); err != nil {
			t.Fatalf("%v: %v", f, err)
		}
		sameInput(t, f.String(), got, in)
	}
}

func sameInput(t *testing.T, what string, got, want protocol.AppendInput) {
	t.Helper()
	if !samePtr(got.MatchSeqNum, want.MatchSeqNum) || !samePtr(got.FencingToken, want.FencingToken) {
		t.Fatalf("%s: conditions differ", what)
	}
	if got.Close != want.Close || !samePtr(got.Producer, want.Producer) || !samePtr(got.WriterSeq, want.WriterSeq) {
		t.Fatalf("%s: close is %v", what, got.Close)
	}
	if len(got.Records) != len(want.Records) {
		t.Fatalf("%s: %d records, want %d", what, len(got.Records), len(want.Records))
	}
	for i := range want.Records {
		g, w := got.Records[i], want.Records[i]
		if !samePtr(g.Timestamp, w.Timestamp) || !bytes.Equal(g.Body, w.Body) || !sameHeaders(g.Headers, w.Headers) {
			t.Fatalf("%s: record %d: got %+v, want %+v", what, i, g, w)
		}
	}
}

func sameHeaders(a, b []protocol.Header) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i].Name, b[i].Name) || !bytes.Equal(a[i].Value, b[i].Value) {
			return false
		}
	}
	return true
}

func samePtr[T comparable](a, b *T) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

// TestRecordsA1 holds the stateless rows of data plane A.1.
func TestRecordsA1(t *testing.T) {
	big := func(n int) string { return strings.Repeat("x", n) }
	many := func(n int) (in protocol.AppendInput) {
		for range n {
			in.Records = append(in.Records, rec(""))
		}
		return in
	}
	for _, c := range []struct {
		name string
		in   protocol.AppendInput
		want string // in the refusal; "" accepts
	}{
		{"A.1/1 unknown command", batch(rec("", "", "hi")), `records[0]: unknown command "hi"`},
		{"A.1/2 empty name after another", batch(rec("", "boku", "hi", "", "hi")), "records[0].headers[1]: empty header name"},
		{"A.1/3 empty name before another", batch(rec("", "", "fence", "extra", "value")), "records[0].headers[0]: empty header name"},
		{"A.1/4 sole empty name", batch(rec("", "", "value")), "records[0]"},
		{"A.1/5 empty fence", batch(rec("", "", "fence")), ""},
		{"A.1/6 fence", batch(rec("my-special-uuid", "", "fence")), ""},
		{"A.1/7 fence of 16 bytes", batch(protocol.FenceRecord(big(16))), ""},
		{"A.1/7 fence of 36 bytes", batch(protocol.FenceRecord(big(36))), ""},
		{"A.1/8 fence of 37 bytes", batch(rec("ok"), protocol.FenceRecord(big(37))), "records[1]: fence command body has 37 bytes, at most 36"},
		{"A.1/8 fence of 40 bytes", batch(protocol.FenceRecord(big(40))), "at most 36"},
		{"A.1/8 fence of 49 bytes", batch(protocol.FenceRecord(big(49))), "at most 36"},
		{"A.1/8 fence of 13 characters in 39 bytes", batch(protocol.FenceRecord(strings.Repeat("漢", 13))), "at most 36"},
		{"A.1/9 fence not UTF-8", batch(rec("\xFF", "", "fence")), "not valid UTF-8"},
		{"A.1/10 trim of 8 zero bytes", batch(protocol.TrimRecord(0)), ""},
		{"A.1/11 trim to the largest number", batch(protocol.TrimRecord(math.MaxUint64)), ""},
		{"A.1/12 trim of 0 bytes", batch(rec("", "", "trim")), "trim command body has 0 bytes, exactly 8"},
		{"A.1/12 trim of 4 bytes", batch(rec(big(4), "", "trim")), "exactly 8"},
		{"A.1/12 trim of 9 bytes", batch(rec(big(9), "", "trim")), "exactly 8"},
		{"A.1/12 trim of 10 bytes", batch(rec(big(10), "", "trim")), "exactly 8"},
		{"A.1/13 command without a name", batch(rec("", "", "")), "unknown command"},
		{"A.1/13 command invalid", batch(rec("", "", "invalid")), "unknown command"},
		{"A.1/13 command Fence", batch(rec("", "", "Fence")), "unknown command"},
		{"A.1/13 command TRIM", batch(rec("", "", "TRIM")), "unknown command"},
		{"A.1/14 two headers and a body", batch(rec("body", "alpha", "1", "beta", "two")), ""},
		{"A.1/16 duplicate names", batch(rec("", "b", "1", "b", "2", "a", "3")), ""},
		{"A.1/17 no headers", batch(rec("hello")), ""},
		{"A.1/18 empty values", batch(rec("", "x", "", "x", "")), ""},
		{"A.1/19 empty record", batch(rec("")), ""},
		{"A.1/21 record of 1 MiB metered", batch(rec(big(1048568))), ""},
		{"A.1/22 record one byte larger", batch(rec(big(1048569))), "records[0]: 1048577 metered bytes, at most 1048576"},
		{"A.1/23 batch of 0", many(0), "empty"},
		{"A.1/24 batch of 1000", many(1000), ""},
		{"A.1/25 batch of 1001", many(1001), "1001 records, at most 1000"},
		{"A.1/26 two of 600,000", batch(rec(big(599992)), rec(big(599992))), "1200000 metered bytes, at most 1048576"},
		{"A.1/27 batch of 1 MiB metered", batch(rec(big(524280)), rec(big(524280))), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.in.Validate()
			if c.want != "" {
				wantCode(t, err, protocol.CodeInvalid, c.want)
			} else if err != nil {
				t.Fatal(err)
			}
			if c.name != "A.1/25 batch of 1001" {
				onTheWire(t, c.in)
			}
		})
	}
	for _, n := range []int{255, 256, 65535, 65536} {
		t.Run(fmt.Sprintf("A.1/20 names and values of %d bytes", n), func(t *testing.T) {
			onTheWire(t, batch(rec("b", big(n), "v", "n", big(n))))
		})
	}
	t.Run("2.7 records come before the batch", func(t *testing.T) {
		in := many(1001)
		in.Records[1000] = rec("", "", "nope")
		wantCode(t, in.Validate(), protocol.CodeInvalid, "records[1000]: unknown command")
		in = many(0)
		in.FencingToken = ptr(big(37))
		wantCode(t, in.Validate(), protocol.CodeInvalid, "empty")
	})
}

func TestMeteredSizeA1(t *testing.T) {
	for _, c := range []struct {
		name string
		rec  protocol.Record
		want uint64
	}{
		{"A.1/5 empty fence", protocol.FenceRecord(""), 15},
		{"A.1/6 fence", protocol.FenceRecord("my-special-uuid"), 30},
		{"A.1/10 trim", protocol.TrimRecord(0), 22},
		{"A.1/14 two headers and a body", rec("body", "alpha", "1", "beta", "two"), 29},
		{"A.1/15 body lorem", rec("lorem"), 13},
		{"A.1/19 empty record", rec(""), 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			seq := protocol.SequencedRecord{SeqNum: 1 << 60, Timestamp: 1 << 60, Headers: c.rec.Headers, Body: c.rec.Body}
			for how, got := range map[string]uint64{
				"record": c.rec.MeteredSize(), "sequenced": seq.MeteredSize(), "wire": protocol.RecordsOf(seq).MeteredSize(),
			} {
				if got != c.want {
					t.Errorf("%s: got %d, want %d", how, got, c.want)
				}
			}
		})
	}
}

func TestCommandsA1(t *testing.T) {
	for name, c := range map[string]struct {
		rec  protocol.Record
		kind protocol.CommandKind
	}{
		"A.1/6 fence":                      {protocol.FenceRecord("x"), protocol.FenceCommand},
		"A.1/11 trim":                      {protocol.TrimRecord(9), protocol.TrimCommand},
		"A.1/13 Fence":                     {rec("", "", "Fence"), protocol.NoCommand},
		"A.1/17 data":                      {rec("fence"), protocol.NoCommand},
		"A.1/3 an empty name among others": {rec("", "", "fence", "a", "b"), protocol.NoCommand},
		"a header named fence":             {rec("", "fence", ""), protocol.NoCommand},
	} {
		t.Run(name, func(t *testing.T) {
			seq := protocol.SequencedRecord{Headers: c.rec.Headers, Body: c.rec.Body}
			if c.rec.Command() != c.kind || seq.Command() != c.kind {
				t.Errorf("got %d and %d, want %d", c.rec.Command(), seq.Command(), c.kind)
			}
		})
	}
	t.Run("A.1/11 trim points survive", func(t *testing.T) {
		for _, n := range []uint64{0, 1, 255, 1 << 32, math.MaxUint64 - 1, math.MaxUint64} {
			r := protocol.TrimRecord(n)
			if r.TrimPoint() != n || binary.BigEndian.Uint64(r.Body) != n {
				t.Errorf("trim point %d became %d", n, r.TrimPoint())
			}
		}
	})
}

func TestClosingInput(t *testing.T) {
	for _, c := range []struct {
		in           protocol.AppendInput
		closes, only bool
		wrong        string
	}{
		{protocol.AppendInput{Close: true}, true, true, ""},
		{protocol.AppendInput{Close: true, MatchSeqNum: ptr(uint64(3)), FencingToken: ptr("t")}, true, true, ""},
		{protocol.AppendInput{Records: []protocol.Record{rec("x")}, Close: true}, true, false, ""},
		{protocol.AppendInput{Records: []protocol.Record{protocol.CloseRecord()}}, true, true, ""},
		{protocol.AppendInput{Records: []protocol.Record{rec("x"), protocol.CloseRecord()}}, true, false, ""},
		{protocol.AppendInput{Records: []protocol.Record{protocol.CloseRecord(), rec("x")}}, false, false, "records[1]: a record follows the close command"},
		{protocol.AppendInput{Records: []protocol.Record{{Headers: protocol.CloseRecord().Headers, Body: []byte("x")}}}, true, true, "1 bytes"},
		{protocol.AppendInput{}, false, false, "empty"},
		{protocol.AppendInput{Records: []protocol.Record{rec("x")}}, false, false, ""},
	} {
		onTheWire(t, c.in)
		if c.in.Closes() != c.closes || c.in.OnlyCloses() != c.only {
			t.Errorf("%+v: closes %v, only %v", c.in, c.in.Closes(), c.in.OnlyCloses())
		}
		if err := c.in.Validate(); c.wrong != "" {
			wantCode(t, err, protocol.CodeInvalid, c.wrong)
		} else if err != nil {
			t.Error(err)
		}
	}
	in, err := protocol.DecodeAppendInputJSON([]byte(`{"close":true}`), protocol.FormatRaw)
	if err != nil || !in.OnlyCloses() {
		t.Errorf("%+v, %v", in, err)
	}
	for _, text := range []string{`{"close":false}`, `{"close":null}`, `{"records":[],"close":1}`} {
		_, err := protocol.DecodeAppendInputJSON([]byte(text), protocol.FormatRaw)
		wantCode(t, err, protocol.CodeBadJSON)
	}
	// Field 1001 is a varint; those that do not know it pass over it.
	if _, err := protocol.UnmarshalAppendInput(protowire.AppendBytes(protowire.AppendTag(nil, 1001, protowire.BytesType), nil)); protocol.CodeOf(err) != protocol.CodeBadProto {
		t.Error(err)
	}
	e := protocol.StreamClosed(protocol.Position{SeqNum: 7, Timestamp: 9})
	if again := protocol.ParseError(e.Status(), e.Body()); again.Code != e.Code || *again.Tail != *e.Tail || again.Message != e.Message || again.RemoteStatus != 0 {
		t.Errorf("%s comes back as %+v", e.Body(), again)
	}
}

func TestAppendFencingTokenA1(t *testing.T) {
	long := strings.Repeat("t", 37)
	t.Run("A.1/28 37 bytes, protobuf", func(t *testing.T) {
		in := protocol.AppendInput{Records: []protocol.Record{rec("x")}, FencingToken: &long}
		got, err := protocol.UnmarshalAppendInput(protocol.MarshalAppendInput(&in))
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, got.Validate(), protocol.CodeInvalid, "fencing_token", "37", "36")
	})
	t.Run("A.1/29 37 bytes, JSON", func(t *testing.T) {
		for _, f := range []protocol.RecordFormat{protocol.FormatRaw, protocol.FormatBase64} {
			_, err := protocol.DecodeAppendInputJSON([]byte(`{"records":[{}],"fencing_token":"`+long+`"}`), f)
			wantCode(t, err, protocol.CodeBadJSON, "fencing_token", "37", "36")
		}
	})
	t.Run("the empty token and the token of 36 bytes are values", func(t *testing.T) {
		for _, tok := range []string{"", long[:36]} {
			onTheWire(t, protocol.AppendInput{Records: []protocol.Record{rec("x")}, FencingToken: &tok, MatchSeqNum: ptr(uint64(math.MaxUint64))})
		}
	})
}
